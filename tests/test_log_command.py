"""`routerlib log sql` shows a table that fits, and gives whole values to other programs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from routerlib.cli import main
from routerlib.log import CallLog
from routerlib.types import Call, Prompt

LONG = 'A long, "quoted" answer\nwith lines, \x1b[31mcolour\x1b[0m and ' + "x" * 200


@pytest.fixture
def path(tmp_path: Path) -> str:
    prompt = Prompt.from_text("What is 2 + 2?")
    with CallLog(tmp_path / "logs.db") as log:
        log.add_prompts([prompt])
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", LONG))
    return str(tmp_path / "logs.db")


def test_the_table_cuts_long_values_and_says_so(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", "sql", "select candidate, response, error from calls", "--log", path]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert max(map(len, said.out.splitlines())) < 90
    assert "\x1b" not in said.out
    assert "–" in said.out, "what is not known is a dash"
    assert said.err.startswith("1 values are longer than 60 characters")
    assert main(["log", "sql", "select count(*) as n from calls", "--log", path]) == 0
    assert capsys.readouterr().err == ""


def test_csv_and_json_hold_whole_values(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = "select call_id, response, error, 1 / 3 as third, [1, 2] as pair from calls"
    assert main(["log", "sql", query, "--log", path, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [
        {"call_id": 1, "response": LONG, "error": None, "third": 1 / 3, "pair": [1, 2]}
    ]
    assert said.err == ""
    assert main(["log", "sql", query, "--log", path, "--csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["response"], row["error"], float(row["third"])) == (LONG, "", 1 / 3)
    assert main(["log", "sql", query, "--log", path, "--csv", "--json"]) == 2


def test_a_reader_that_hangs_up_is_no_fault(path: str) -> None:
    query = "select repeat('x', 1000) as text from range(5000)"
    program = "import sys; from routerlib.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "log", "sql", query, "--log", path, "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"text\n"
        running.stdout.close()
        assert running.stderr.read() == b""


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select * from callz", "there is no table 'callz'; did you mean 'calls'?"),
        ("select * from zzz", "there is no table 'zzz'; there are prompts, prompt_facts"),
        ("select canddate from calls", "there is no column 'canddate'; did you mean 'candidate'?"),
        ("select c.canddate from calls c", "there is no column 'canddate'; did you mean"),
        ("selec 1", "syntax error"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    path: str, query: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", "sql", query, "--log", path]) == 1
    assert told in capsys.readouterr().err
