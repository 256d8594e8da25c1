"""A command that makes or changes something says last what to do next."""

from __future__ import annotations

import inspect
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import typer

from routerlib.cli import app, learning, main
from routerlib.log.call_log import CallLog
from routerlib.routers.archive import install
from routerlib.routers.baselines import BestSingle

SAMPLE = Path(__file__).parents[2] / "data" / "sample_logs.db"
# What is said here ends with what to do next.
RUN = {
    "init": ["init", "mine"],
    "prompts": ["prompts", "--out", "made.jsonl", "--per-family", "1"],
    "prompts --check": ["prompts", "--check", "asked.csv", "--decimal", ","],
    "candidates": ["candidates"],
    "collect --dry-run": ["collect", "--prompts", "asked.csv", "--dry-run"],
    "import": ["import", "table", "table.csv", "--log", "new.db"],
    "judge": ["judge", "--log", "logs.db"],
    "audit draw": ["audit", "draw", "audit.csv", "--log", "logs.db", "--prompts", "20"],
    "predict": ["predict", "--model", "r.pkl", "--prompts", "p.parquet", "--out", "estimates"],
    "log export": ["log", "export", "--log", "logs.db", "--parquet", "export"],
    "log compact": [
        *("log", "compact", "--log", "logs.db", "--parquet", "sealed", "--older-than", "0"),
    ],
    "log upgrade": ["log", "upgrade", "--log", "logs.db"],
    "models rollback": ["models", "rollback", "--model", "r.pkl"],
}
# These take long, or need a file that a person has filled in: their code says it.
READ = ("collect", "train", "acquire", "retrain", "report", "audit read")
# What is asked is answered, and there is nothing that has to follow.
ANSWERS = ("route", "explain", "inspect", "drift", "models list", "log check", "log sql")
# It runs until it is stopped; the notebooks' own last cells tell what comes next.
OTHERS = ("serve", "pipeline")


def every_command(group: typer.Typer = app, before: str = "") -> Iterator[tuple[str, object]]:
    """Yield the name of each command, with that of its group, and its function."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield before + (command.name or command.callback.__name__), command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from every_command(inner.typer_instance, f"{inner.name} ")


def test_of_every_command_it_is_known_whether_something_follows() -> None:
    run = {name.removesuffix(" --check").removesuffix(" --dry-run") for name in RUN}
    known = {*run, *READ, *ANSWERS, *OTHERS}
    assert {name for name, _ in every_command()} == known


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLE, "logs.db")
    Path("asked.csv").write_text("prompt;reference\nWie viele?;0,5\n")
    Path("table.csv").write_text("prompt,small\nA?,1\n")
    pd.DataFrame({"prompt": ["A?", "B?"]}).to_parquet("p.parquet")
    with CallLog("logs.db", read_only=True) as log:
        outcomes = log.outcomes()
    for cost_weight in (0.0, 1.0):
        install(BestSingle().fit(outcomes).stand_at(cost_weight), "r.pkl")
    return tmp_path


@pytest.mark.parametrize("name", RUN)
def test_a_command_ends_with_what_to_do_next(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(RUN[name]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("next: ")


def test_what_to_do_next_can_be_typed_as_it_stands_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my asked.csv").write_text("the prompt;reference\nWie viele?;0,5\n")
    given = ["--columns", "prompt=the prompt", "--decimal", ","]
    assert main(["prompts", "--check", "my asked.csv", *given]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next: "))
    assert command[1:] == ["collect", "--prompts", "my asked.csv", *given, "--dry-run"]
    assert main(command[1:]) == 0


@pytest.mark.parametrize("name", READ)
def test_a_long_command_has_words_for_what_to_do_next(name: str) -> None:
    source = inspect.getsource(learning._say if name == "retrain" else dict(every_command())[name])
    assert "next: " in source or "tell_next(" in source
