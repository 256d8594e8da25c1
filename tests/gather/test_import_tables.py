"""A wide table of scores comes in as outcomes, or is refused with column and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from routerlib.cli import main
from routerlib.gather.importers import import_log, tables
from routerlib.gather.importers.records import Options, params_hash
from routerlib.gather.prompts.files import load_prompts
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, CandidateModel, Price, Score
from routerlib.records.prompt import Prompt


def calls(log: CallLog) -> pd.DataFrame:
    return log.sql("select * from calls order by call_id")


@pytest.mark.parametrize(("decimal", "cost"), [(",", 1000.0), (".", 1.0)])
def test_what_parts_off_decimals_can_be_said(
    log: CallLog, tmp_path: Path, decimal: str, cost: float
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt;small;small_cost\nA;1;1.000\n")
    import_log("table", path, log, Options(decimal=decimal))
    assert log.lookup("select given_cost_usd from calls") == [(cost,)]


def test_a_table_in_another_language_names_its_columns(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "Frage;Antwort;Fach;Richter;Vorlage;reference;Rest;klein\n"
        "Wie viele?;330.000;Erdkunde;numeric;v1;alt;x;0,5\n"
    )
    named = "prompt=Frage,reference=Antwort,topic=Fach,judge=Richter,group=Vorlage"
    given = ["import", "table", str(path), "--log", str(log.path), "--decimal", ","]
    assert main([*given, "--columns", named]) == 0
    (prompt,) = log.prompts()
    assert (prompt.text, prompt.topic, prompt.judge) == ("Wie viele?", "Erdkunde", "numeric")
    assert prompt.reference == {"value": "330.000", "decimal": ","}
    assert prompt.group == "v1"
    assert prompt.extra == {"reference": "alt", "Rest": "x", "group": "v1"}, "all else is kept"
    assert log.outcomes().models == ("klein",)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("prompt=Frage,reference=Antwrt", "no column 'Antwrt' for 'reference' in ['Antwort', 'F"),
        ("prompt=Frage,prompt=Antwort", "'prompt' is one column, got 'Frage' and 'Antwort'"),
        ("prompt=Frage,messages=Antwort", "OURS is one of prompt, topic, task, reference, judge"),
        ("prompt=Frage", "got 7.0 in column 'Antwort'; rescale them, or say what the column is, "),
    ],
)
def test_a_column_that_is_named_wrong_or_not_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: str, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Frage,Antwort,klein\nWie viele?,7,1\n")
    log = tmp_path / "new.db"
    assert main(["import", "table", str(path), "--log", str(log), "--columns", named]) == 1
    assert message in capsys.readouterr().err
    assert not log.exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"prompt": "Frage", "topic": "Fch"}, "no column 'Fch' for 'topic'.*did you mean 'Fach'"),
        (
            {"prompt": "Frage", "columns": {"prompt": "Fach"}},
            "'prompt' is one column, got 'Frage' and 'Fach'",
        ),
    ],
)
def test_a_column_that_is_said_alone_must_be_there_and_be_the_one_that_is_named(
    log: CallLog, tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Frage,Fach,klein\nWie viele?,Erdkunde,1\n")
    with pytest.raises(ValueError, match=message):
        import_log("table", path, log, Options(**said))


def test_one_column_can_be_several_of_ours(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,Fach,klein\nWie viele?,Erdkunde,1\n")
    import_log("table", path, log, Options(columns={"topic": "Fach", "group": "Fach"}))
    (prompt,) = log.prompts()
    assert (prompt.topic, prompt.group) == ("Erdkunde", "Erdkunde")


def test_a_wide_table_becomes_outcomes(log: CallLog, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "prompt": ["a?", "b?", "a?"],
            "topic": ["abstract_algebra", "math", "abstract_algebra"],
            "metric": ["em", "em", "f1"],
            "small": [1.0, np.nan, 0.0],
            "large": [1, 0, 1],
            "small cost_usd": [0.1, 0.1, 0.3],
            "cost_usd_large": [1.0, 2.0, 1.0],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    report = import_log("table", tmp_path / "t.parquet", log)
    assert (report.n_calls, report.n_prompts, report.n_scores) == (5, 2, 5)
    outcomes = log.outcomes()
    assert outcomes.models == ("small", "large")
    np.testing.assert_array_equal(outcomes.quality, [[0.5, 1], [np.nan, 0]])
    np.testing.assert_allclose(outcomes.cost_usd, [[0.2, 1], [np.nan, 2]])
    assert outcomes.topics == ("abstract_algebra", "math")
    assert [prompt.task for prompt in log.prompts()] == [None, "math"]
    found = calls(log)
    assert found[["response", "input_tokens", "latency_s", "attempts"]].isna().all(axis=None)
    assert found.repeat.tolist() == [0, 0, 0, 1, 1]


def test_costs_are_estimated_where_asked_for_and_marked(log: CallLog, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt,m\n" + "x" * 400 + ",1\n")
    priced = [CandidateModel("m", "m", "custom", "http://x", None, Price(1, 2))]
    options = Options(prices=priced, output_tokens=200)
    import_log("table", tmp_path / "t.csv", log, options, priced)
    assert log.outcomes().cost_usd.tolist() == [[pytest.approx((100 * 1 + 200 * 2) / 1e6)]]
    assert "estimated" in calls(log).extra[0]


def test_a_cost_column_of_another_name_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("prompt,m,m_dollars\na,1,0.25\n")
    target = tmp_path / "new.db"
    arguments = ["import", "table", str(tmp_path / "t.csv"), "--log", str(target)]
    assert main(arguments) == 1
    assert not target.exists(), "a refused import must leave no log behind"
    assert main([*arguments, "--cost", "m"]) == 1
    assert "--cost must be MODEL=COLUMN" in capsys.readouterr().err
    assert main([*arguments, "--cost", "m=m_dollars"]) == 0
    assert "scores of m; costs: m = m_dollars" in capsys.readouterr().out
    with CallLog(target) as log:
        assert log.outcomes().cost_usd.tolist() == [[0.25]]


def test_a_column_may_be_called_otherwise_than_its_model(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt;Punkte klein;Punkte gross;Kosten klein;gross_cost\nA;0,5;1;2,5e-05;3\n")
    given = ["import", "table", str(path), "--log", str(log.path), "--score", "klein=Punkte klein"]
    given += ["--score", "gross=Punkte gross", "--cost", "klein=Kosten klein", "--decimal", ","]
    assert main(given) == 0
    outcomes = log.outcomes()
    assert outcomes.models == ("klein", "gross")
    assert outcomes.quality.tolist() == [[0.5, 1.0]]
    assert outcomes.cost_usd.tolist() == [[2.5e-05, 3.0]]


def test_a_cost_column_named_as_a_score_column_belongs_to_its_model(
    log: CallLog, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,s,s_cost\nA,1,0.25\n")
    import_log("table", path, log, Options(scores={"small": "s"}))
    assert log.lookup("select candidate, given_cost_usd from calls") == [("small", 0.25)]


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("Punkte a;Punkte b;Kosten a;Kosten b", "1;0;0,5;0,7", "'Kosten a' looks like"),
        ("a;b;Antwortzeit a;x", "1;0;0,5;0,7", "'Antwortzeit a' looks like money, tok"),
        ("a;b;A $;B $", "1;0;0,00005;7e-05", "'A $' looks like money, tokens or"),
        ("a;b;A $;B $", "1;0;2,067e-05;7,1e-05", "'A $' looks like money, tok"),
    ],
)
def test_what_hardly_holds_scores_is_no_model_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, cells: str, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"prompt;{header}\nA;{cells}\n")
    assert main(["import", "table", str(path), "--log", str(tmp_path / "l.db")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "l.db").exists()


def test_a_cell_that_is_no_number_is_shown(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,small\nA,1\nB,NA\nC,ungefähr 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds other values, such as 'ungefähr 1'"):
        import_log("table", path, log, Options(scores=["small"]))


def test_costs_of_a_model_that_is_not_scored_say_who_is(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,Punkte s,Kosten s\nA,1,0.25\n")
    named = Options(scores=["Punkte s"], costs={"s": "Kosten s"})
    with pytest.raises(ValueError, match=r"scored are Punkte s: .* --score s=COLUMN"):
        import_log("table", path, log, named)


def test_a_corrected_table_is_the_judges_newer_word(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,m\na,0\nb,1\n")
    import_log("table", path, log)
    path.write_text("prompt,m\na,1\nb,1\nc,1\n")
    report = import_log("table", path, log)
    assert (report.n_calls, report.n_known, report.n_scores) == (1, 2, 2)
    assert log.outcomes().quality.ravel().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "prompt,m\na,1\nb,7\n",
            r"t\.csv row 2: scores must lie in \[0, 1\], got 7\.0 in column 'm'",
        ),
        ("prompt,m\na,-0.1\n", "got -0.1 in column 'm'"),
        ("prompt,m\na,inf\n", "got inf"),
        ("question,m\na,1\n", "has no column 'prompt'; it has question, m"),
        ("prompt,m\na,good\n", "has no column of numbers"),
        ("prompt,m,m_cost_usd\na,1,-3\n", "costs must be at least 0, got -3.0 for 'm'"),
        ("prompt,m,n_cost_usd\na,1,3\n", "holds costs, but no column 'n' scores"),
        ("prompt,m,m_dollars\na,1,0.1\n", "'m_dollars' looks like money.* say --cost MODEL="),
        ("prompt,m,seconds\na,1,0.1\n", "'seconds' looks like money, tokens or time"),
        (
            "prompt,klein,Kosten klein,groß,Kosten groß\na,1,0.1,1,0.2\n",
            "such as 'Kosten klein' add 'Kosten' .* say --cost klein='Kosten klein'",
        ),
        ("prompt,m\n", "has no rows"),
        ("prompt,m\n ,1\n", "row 1: a prompt needs text"),
        ("", "is empty: there is nothing to import"),
    ],
)
def test_a_wrong_table_is_refused_and_changes_nothing(
    log: CallLog, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        import_log("table", path, log)
    assert log.prompts() == []
    assert log.sql("select * from runs").empty


def test_texts_stay_as_they_are_written(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,m,reference,code\nNA,0,007,010\nb,1,1e5,\n")
    import_log("table", path, log)
    assert [prompt.text for prompt in log.prompts()] == ["NA", "b"]
    assert [prompt.reference for prompt in log.prompts()] == ["007", "1e5"]
    assert log.prompts()[0].extra == {"code": "010"}


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "index", "id"])
def test_what_counts_the_rows_is_no_model(log: CallLog, tmp_path: Path, index: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{index},prompt,small,large\n0,a,0,1\n1,b,1,1\n")
    assert import_log("table", path, log).candidates == ("large", "small")
    assert [prompt.extra for prompt in log.prompts()] == [None, None]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_read(log: CallLog, tmp_path: Path, separator: str) -> None:
    path = tmp_path / "t.csv"
    rows = [["prompt", "m", "m_cost"], ["a, or b", "0,5", "1,25"], ["c", "1", ""]]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    import_log("table", path, log)
    assert log.outcomes().quality.ravel().tolist() == [0.5, 1.0]
    assert log.outcomes().cost_usd.ravel().tolist() == [1.25, pytest.approx(np.nan, nan_ok=True)]


def test_decimals_and_an_index_of_a_parquet_file_are_read(log: CallLog, tmp_path: Path) -> None:
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    halves = pa.array([decimal.Decimal("0.5"), decimal.Decimal("1")])
    columns = {"prompt": ["a", "b"], "small": halves, "large": [1, 1]}
    pq.write_table(pa.table({**columns, "__index_level_0__": [0, 1]}), tmp_path / "d.parquet")
    import_log("table", tmp_path / "d.parquet", log)
    quality = log.outcomes(models=["small", "large"]).quality
    assert quality.tolist() == [[0.5, 1], [1, 1]]


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_a_table_may_be_json(log: CallLog, tmp_path: Path, name: str) -> None:
    import json

    rows = [{"prompt": "a", "m": 0.5, "reference": "007"}, {"prompt": "b", "m": None}]
    is_lines = name.endswith("l")
    text = "\n".join(map(json.dumps, rows)) if is_lines else json.dumps(rows, indent=1)
    (tmp_path / name).write_text(text)
    report = import_log("table", tmp_path / name, log)
    assert (report.n_calls, report.left_out) == (1, {"cells without a score": 1})
    assert log.prompts()[0].reference == "007"


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["0,5", "1"], [0.5, 1.0]),
        (["0.5", "1e-1", "", "NaN"], [0.5, 0.1, np.nan, np.nan]),
        (["1,234.5", "0.5"], [1234.5, 0.5]),
        (["1.234,5", "0,5"], [1234.5, 0.5]),
        (["True", "false"], [1.0, 0.0]),
        (["007", "1"], None),
        (["yes", "no"], None),
        (["1,000,000"], [1e6]),
    ],
)
def test_numbers_are_read_for_sure(cells: list[str], numbers: list[float] | None) -> None:
    from routerlib.gather.importers.table_numbers import read_numbers

    found = read_numbers(cells, is_text=True)
    if numbers is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, numbers)


@pytest.mark.parametrize("cells", [["1,000"], ["0,5", "0.5"], ["0,5", "1,000,000"]])
def test_commas_that_may_mean_either_are_refused(
    log: CallLog, tmp_path: Path, cells: list[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt;m\n" + "".join(f"p{n};{cell}\n" for n, cell in enumerate(cells)))
    with pytest.raises(ValueError, match=r"column 'm' holds .* write numbers with a decimal point"):
        import_log("table", path, log)


def test_a_row_that_is_too_long_is_refused(log: CallLog, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt,m\na, or b,1\n")
    with pytest.raises(ValueError, match="row 1 has 3 fields, the header 2; put texts"):
        import_log("table", tmp_path / "t.csv", log)


def test_a_column_of_groups_is_no_model_and_comes_back_with_the_outcomes(
    log: CallLog, tmp_path: Path
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("prompt,small,group\ncook rice,1,1\nplay chess,0,1\ntax law,1,\n")
    import_log("table", path, log)
    outcomes = log.outcomes()
    assert outcomes.models == ("small",)
    assert outcomes.group_ids == ("1", "1", None)
    assert outcomes.groups.tolist() == [0, 0, 1]


def test_what_an_import_looks_up_does_not_grow_with_the_log(log: CallLog, tmp_path: Path) -> None:
    rows = [f"What is {number} + 1?,{number % 2},1" for number in range(3000)]
    large, small = tmp_path / "large.csv", tmp_path / "small.csv"
    large.write_text("\n".join(["prompt,small,large", *rows]))
    small.write_text("prompt,small,large\nWhat is 7 + 1?,1,1\nWhat is new?,1,1\n")

    def steps() -> int:
        """Count how many hundreds of SQLite's own steps it takes to import the small file."""
        ticks: list[int] = []
        log._connection.set_progress_handler(lambda: ticks.append(1), 100)
        report = import_log("table", small, log)
        log._connection.set_progress_handler(None, 0)
        assert (report.n_calls, report.n_known, report.n_scores) in [(4, 0, 4), (0, 4, 0)]
        return len(ticks)

    alone, again = steps(), steps()
    import_log("table", large, log)
    assert steps() <= max(alone, again) + 1
    small.write_text("prompt,small,large\nWhat is 7 + 1?,1,0.5\n")
    report = import_log("table", small, log)
    assert (report.n_calls, report.n_known, report.n_scores) == (0, 2, 1)


def _prompts_of(path: Path) -> list[str]:
    with CallLog(path) as log:
        return list(Outcomes.from_log(log, models=["small"]).prompts)


def test_calls_that_are_served_after_an_import_count_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, log_path = tmp_path / "t.csv", tmp_path / "logs.db"
    path.write_text("prompt,small,large\nA,0,1\nB,1,1\n")
    given = ["import", "table", str(path), "--log"]
    assert main([*given, str(log_path)]) == 0
    served = CandidateModel("small", "m-1", "openai", "", None, None, parameters={"temperature": 0})
    apart_path = tmp_path / "apart.db"
    assert main([*given, str(apart_path), "--settings", "temperature 1"]) == 0
    for each in (log_path, apart_path):
        with CallLog(each) as log:
            for text in ("C", "D", "E"):
                prompt = Prompt.from_text(text)
                log.add_prompts([prompt])
                call = Call(prompt.prompt_id, "small", served.params_hash, "ok", "1")
                log.add_call(call, scores=[Score("person", 1.0)])
    assert _prompts_of(log_path) == ["A", "B", "C", "D", "E"]
    assert _prompts_of(apart_path) == ["C", "D", "E"]
    capsys.readouterr()
    assert main(["inspect", str(log_path)]) == 0
    assert "known way: small (2 beside 3); if that was" in capsys.readouterr().out
    assert main(["inspect", str(apart_path)]) == 0
    assert "small was asked in 2 ways" in capsys.readouterr().out


def test_a_table_that_came_in_before_its_settings_were_marked_comes_in_once(
    log: CallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,small\nA,0\n")
    with monkeypatch.context() as before:
        before.setattr(tables, "UNTOLD", params_hash("small"))
        import_log("table", path, log)
    assert import_log("table", path, log).n_known == 1
    assert len(calls(log)) == 1


@pytest.mark.parametrize(
    ("kind", "content", "options", "message"),
    [
        ("table", "prompt,small\nA,1\n", Options(candidate="x"), "--score x=COLUMN"),
        ("inspect", "", Options(), "is empty: there is nothing to import"),
        ("table", "", Options(), "is empty: there is nothing to import"),
        ("openai", "{}", Options(settings="hot"), "--settings is about tables"),
    ],
)
def test_what_says_nothing_of_such_a_file_is_told(
    log: CallLog, tmp_path: Path, kind: str, content: str, options: Options, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        import_log(kind, path, log, options)
    assert not len(calls(log))


def test_a_line_for_excel_says_what_parts_the_columns(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffsep=;\r\nprompt;small\r\nWie, wo?;0,5\r\n".encode())
    import_log("table", path, log)
    assert log.outcomes().prompts == ("Wie, wo?",)
    path.write_bytes("\ufeffsep=;\r\nprompt;reference\r\nWie, wo?;hier\r\n;\r\n".encode())
    with pytest.raises(ValueError, match="line 4"):
        load_prompts(path)
    path.write_bytes("\ufeffsep=;\r\nprompt;reference\r\nWie, wo?;hier\r\n".encode())
    assert [(each.text, each.reference) for each in load_prompts(path)] == [("Wie, wo?", "hier")]
