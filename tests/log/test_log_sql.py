"""`routerlib log sql` is readable in a terminal, whole in a pipe, and helps with names."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from routerlib.cli import main
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt

ANSWER = 'First line,\nsecond "line" \x1b[31m' + "and so on " * 30 + "é"


@pytest.fixture
def path(log: CallLog) -> Path:
    prompt = Prompt.from_text("Say much.")
    log.add_prompts([prompt])
    log.add_call(Call(prompt.prompt_id, "small", "h", "ok", ANSWER, latency_s=0.1))
    log.add_call(Call(prompt.prompt_id, "large", "h", "error", None))
    return log.path


def run(path: Path, query: str, *options: str) -> int:
    return main(["log", "sql", query, "--log", str(path), *options])


def test_long_answers_are_cut_in_the_terminal_which_is_said(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(path, "select candidate, response from calls order by call_id") == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 3
    assert max(map(len, shown.out.splitlines())) < 80
    assert "First line, second" in shown.out
    assert "\x1b" not in shown.out
    assert shown.err.startswith("1 long values are cut at 60 characters; --csv or --json")
    assert run(path, "select candidate from calls") == 0
    assert capsys.readouterr().err == ""


def test_csv_and_json_hold_whole_values(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = "select candidate, response, latency_s from calls order by call_id"
    assert run(path, query, "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {"candidate": "small", "response": ANSWER, "latency_s": 0.1},
        {"candidate": "large", "response": None, "latency_s": None},
    ]
    assert run(path, query, "--csv") == 0
    whole = capsys.readouterr()
    assert pd.read_csv(StringIO(whole.out)).response[0] == ANSWER
    assert whole.err == ""
    assert run(path, query, "--csv", "--json") == 2


def test_no_rows_are_said_and_stay_empty_in_a_pipe(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "select candidate, repeat from calls where false"
    assert run(path, query) == 0
    assert capsys.readouterr().out == "no rows; columns candidate, repeat\n"
    assert run(path, query, "--json") == 0
    assert capsys.readouterr().out == "[]\n"


def test_reader_that_goes_away_is_no_error(path: Path) -> None:
    query = "select repeat(response, 1000) as long from calls, range(50)"
    arguments = ["log", "sql", query, "--log", str(path), "--csv"]
    with subprocess.Popen(
        [sys.executable, "-c", "from routerlib.cli import entry; entry()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline() == b"long\n"
        writer.stdout.close()
        assert writer.stderr.read() == b""


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        ("select * from promts", "there is no table 'promts', did you mean prompts? There are "),
        ("select candidat from calls", "no column 'candidat', did you mean candidate?"),
        ("select c.Respons from calls c", "no column 'Respons', did you mean response?"),
        ("select foo from (select 1 as bar)", 'Candidate bindings: "bar"'),
        ("selec 1", "syntax error"),
    ],
)
def test_unknown_name_is_answered_with_the_nearest(
    path: Path, capsys: pytest.CaptureFixture[str], query: str, advice: str
) -> None:
    assert run(path, query) == 1
    assert advice in capsys.readouterr().err
