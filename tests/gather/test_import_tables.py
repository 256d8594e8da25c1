"""A wide table of scores comes in as outcomes, or is refused with column and row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routerlib.cli import main
from routerlib.gather.importers import import_log
from routerlib.gather.importers.records import Options
from routerlib.log.call_log import CallLog
from routerlib.records.call import CandidateModel, Price


def calls(log: CallLog) -> pd.DataFrame:
    return log.sql("select * from calls order by call_id")


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
        ("prompt,m\n", "has no rows"),
        ("prompt,m\n ,1\n", "row 1: a prompt needs text"),
        ("", "can't be read as a table"),
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
