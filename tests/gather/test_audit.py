"""Answers are drawn at random, scored by a person in a file, and read back beside the judge's."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import routerlib as rl
from routerlib.cli import main
from routerlib.log.audits import Draw, draws_of, record_draw
from routerlib.records.call import Call, Score, Usage

MODELS = ("small", "large")


@pytest.fixture
def log(tmp_path: Path) -> rl.CallLog:
    """Hold 40 prompts, each answered by both models and scored by one judge."""
    log = rl.CallLog(tmp_path / "logs.db")
    for number in range(40):
        prompt = rl.Prompt.from_text(f"={number} + 3", reference=str(number + 3), judge="numeric")
        log.add_prompts([prompt])
        for name in MODELS:
            answer = f"<think>{name} it is</think>{number + 3}"
            call = Call(prompt.prompt_id, name, "b2:x", "ok", answer, Usage(10, 1))
            log.add_call(call, scores=[Score("numeric", 1.0)])
    return log


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def fill(path: Path, score: object, delimiter: str = ",") -> None:
    """Write scores into a drawn file; `score` takes the row's number."""
    rows = rows_of(path)
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, [*rows[0], "remark"], delimiter=delimiter)
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow({**row, "score": score(number), "remark": "why"})  # type: ignore[operator]


def test_the_file_shows_answers_but_neither_thoughts_nor_whose_they_are(
    log: rl.CallLog, tmp_path: Path
) -> None:
    draw = rl.draw_audit(log, tmp_path / "audit.csv", 10, random_state=1)
    rows = rows_of(tmp_path / "audit.csv")
    assert (len(rows), draw.probability) == (20, 0.25)
    assert {row["score"] for row in rows} == {""}
    assert all(row["prompt"].startswith("'=") for row in rows)  # no formula of a spreadsheet
    assert all(row["answer"] == row["reference"] for row in rows)
    text = (tmp_path / "audit.csv").read_text()
    assert "think" not in text
    assert "small" not in text
    assert len({name for _, name, _ in draw.answers[:10]}) == 2  # in random order


def test_each_prompt_is_drawn_as_often_as_the_log_says(log: rl.CallLog, tmp_path: Path) -> None:
    counts = dict.fromkeys(rl.Outcomes.from_log(log).prompt_ids, 0)
    for seed in range(60):
        other = rl.CallLog(tmp_path / f"{seed}.db")
        with other.transaction():
            other.add_prompts(log.prompts())
            for prompt in log.prompts():
                call = Call(prompt.prompt_id, "small", "b2:x", "ok", "1")
                other.add_call(call, scores=[Score("numeric", 1.0)])
        for key, _, _ in rl.draw_audit(
            other, tmp_path / f"{seed}.csv", 10, random_state=seed
        ).answers:
            counts[key] += 1
        other.close()
    # 60 draws with probability 1/4: 15 each, standard deviation 3.35.
    assert sum(counts.values()) == 600
    assert min(counts.values()) > 15 - 4 * 3.35
    assert max(counts.values()) < 15 + 4 * 3.35


def test_a_persons_scores_stand_beside_the_judges_and_enter_no_mean(
    log: rl.CallLog, tmp_path: Path
) -> None:
    assert rl.read_audit(log) is None
    path = tmp_path / "audit.csv"
    rl.draw_audit(log, path, 10)
    assert rl.read_audit(log) is None  # nothing of it is scored
    before = rl.Outcomes.from_log(log)
    fill(path, lambda row: "0,5" if row else "", delimiter=";")
    assert str(rl.read_scores(log, path)) == (
        "19 scores by a person written; 1 answer has none and counts at the worst until then"
    )
    assert rl.read_scores(log, path).n_known == 19
    assert (rl.Outcomes.from_log(log).quality == before.quality).all()
    assert np.nanmax(rl.Outcomes.from_log(log, judge="audit").quality) == 0.5
    audit = rl.read_audit(log)
    assert audit is not None
    assert (len(audit), audit.n_drawn, set(audit.probability)) == (40, 10, {0.25})
    assert np.isnan(audit.quality[audit.is_drawn]).sum() == 1
    assert np.isnan(audit.quality[~audit.is_drawn]).all()
    # What a person says again counts, also behind a line for Excel.
    path.write_text(f"sep=;\n{path.read_text().replace('0,5', '1')}")
    assert rl.read_scores(log, path).n_new == 19
    again = rl.read_audit(log)
    assert again is not None
    assert np.nanmin(again.quality) == 1


def test_a_further_draw_takes_others_and_their_probability_is_of_either(
    log: rl.CallLog, tmp_path: Path
) -> None:
    first = rl.draw_audit(log, tmp_path / "one.csv", 10)
    second = rl.draw_audit(log, tmp_path / "two.csv", 15)
    drawn = [{key for key, _, _ in draw.answers} for draw in (first, second)]
    assert not drawn[0] & drawn[1]
    fill(tmp_path / "two.csv", lambda row: 1)
    rl.read_scores(log, tmp_path / "two.csv")
    audit = rl.read_audit(log)
    assert audit is not None
    assert audit.n_drawn == 25
    assert audit.probability == pytest.approx(np.full(40, 25 / 40))
    assert draws_of(log) == [first, second]


def test_prompts_that_could_not_be_drawn_stay_out(log: rl.CallLog, tmp_path: Path) -> None:
    without_text = rl.Prompt.from_text("imported with a score alone")
    log.add_prompts([without_text])
    log.add_call(
        Call(without_text.prompt_id, "small", "b2:x", "ok"), scores=[Score("numeric", 1.0)]
    )
    ids = rl.Outcomes.from_log(log).prompt_ids
    draw = rl.draw_audit(log, tmp_path / "audit.csv", 3, prompt_ids=[*ids[:5], ids[-1]])
    assert set(draw.prompt_ids) == set(ids[:5])
    with pytest.raises(ValueError, match="between 1 and 2"):
        rl.draw_audit(log, tmp_path / "more.csv", 3, prompt_ids=ids[:5])
    with pytest.raises(FileExistsError, match="perhaps with scores"):
        rl.draw_audit(log, tmp_path / "audit.csv", 3)
    assert len(draws_of(log)) == 1


@pytest.mark.parametrize(
    ("score", "match"),
    [("2", "row 1: score must be a number from 0 to 1, or blank, got '2'"), ("good", "got 'good'")],
)
def test_a_file_that_is_wrong_anywhere_writes_nothing(
    log: rl.CallLog, tmp_path: Path, score: str, match: str
) -> None:
    path = tmp_path / "audit.csv"
    rl.draw_audit(log, path, 10)
    fill(path, lambda row: 1 if row else score)
    with pytest.raises(ValueError, match=match):
        rl.read_scores(log, path)
    path.write_text("answer_id,score\n99999,1\n")
    with pytest.raises(ValueError, match="must be one that was drawn from this log, got '99999'"):
        rl.read_scores(log, path)
    path.write_text("id,mark\n1,1\n")
    with pytest.raises(ValueError, match="answer_id is missing"):
        rl.read_scores(log, path)
    assert rl.read_audit(log) is None


def test_a_file_of_another_spreadsheet_is_no_damage_of_the_log(
    log: rl.CallLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.csv"
    rl.draw_audit(log, path, 1)
    text = path.read_text(encoding="utf-8-sig")
    path.write_bytes(f"{text}\nschön".encode("cp1252"))
    assert main(["audit", "read", str(path), "--log", str(log.path)]) == 1
    told = capsys.readouterr().err
    assert f"{path} is not UTF-8 (" in told
    assert "damaged" not in told
    path.unlink()
    assert main(["audit", "read", str(path), "--log", str(log.path)]) == 1
    assert f"there is no file '{path}'" in capsys.readouterr().err


def test_an_answer_of_any_length_is_read_back(log: rl.CallLog, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    rl.draw_audit(log, path, 1)
    rows = rows_of(path)
    rows[0]["answer"] = "x" * 200_000
    pd.DataFrame(rows).assign(score=1).to_csv(path, index=False)
    csv.field_size_limit(131_072)  # as Python starts
    assert rl.read_scores(log, path).n_new == len(rows)


def test_a_draw_survives_the_log(log: rl.CallLog) -> None:
    draw = Draw(MODELS, ("b2:a", "b2:b"), 0.5, (("b2:a", "small", 1),), 7)
    record_draw(log, draw)
    assert draws_of(log) == [draw]


def test_the_command_draws_and_reads(
    log: rl.CallLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, where = tmp_path / "audit.csv", ["--log", str(log.path)]
    assert main(["audit", "draw", str(path), "--prompts", "10", *where]) == 0
    told = capsys.readouterr().out
    assert "20 answers to 10 of 40 prompts, each drawn with probability 0.25" in told
    fill(path, lambda row: 1)
    assert main(["audit", "read", str(path), *where]) == 0
    assert "20 scores by a person written" in capsys.readouterr().out
    assert main(["audit", "draw", str(path), *where]) == 1
    assert "is there already" in capsys.readouterr().err


def test_the_command_draws_held_out_prompts_of_a_router(
    log: rl.CallLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = rl.Outcomes.from_log(log)
    router = rl.BestSingle().fit(outcomes.take(range(20)))
    router.save(tmp_path / "router.pkl")
    arguments = ["audit", "draw", str(tmp_path / "audit.csv"), "--log", str(log.path)]
    arguments += ["--prompts", "2", "--model", str(tmp_path / "router.pkl")]
    assert main(arguments) == 0
    assert "4 answers to 2 of 20 prompts" in capsys.readouterr().out
    assert set(draws_of(log)[0].prompt_ids) == set(outcomes.prompt_ids[20:])


def test_a_reference_with_a_decimal_comma_is_shown_as_it_was_written(tmp_path: Path) -> None:
    log = rl.CallLog(tmp_path / "logs.db")
    prompt = rl.Prompt.from_text("Wie viele?", reference={"value": "330.000", "decimal": ","})
    log.add_prompts([prompt])
    log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "330.000"), scores=[Score("n", 1.0)])
    rl.draw_audit(log, tmp_path / "audit.csv", 1)
    assert [row["reference"] for row in rows_of(tmp_path / "audit.csv")] == ["330.000"]
