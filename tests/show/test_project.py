"""A project's file says what commands and notebooks work on, and what is given goes before it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from routerlib.cli import main
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, Usage
from routerlib.records.project import DEFAULTS, FILE, Project
from routerlib.records.prompt import Prompt
from routerlib.show.starter import file_text, lay_out
from routerlib.show.words.prose import Caution
from routerlib.show.workspace import Workspace

CANDIDATES = """\
- {name: a, model: a-1, base_url: 'http://127.0.0.1:9/v1', max_attempts: 1,
   price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prompts and candidates of one's own, in a folder without a project."""
    monkeypatch.delenv("ROUTERLIB_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.csv").write_text("question,answer\nWhat is 17 * 23?,391\nCapital?,Paris\n")
    (tmp_path / "c.yaml").write_text(CANDIDATES)
    return tmp_path


def start(*options: str) -> Path:
    """Start a project with the prompts and candidates that lie here."""
    own = ["--prompts", "my.csv", "--candidates", "c.yaml"]
    assert main(["init", "mine", *own, *options]) == 0
    return Path("mine").resolve()


def test_init_lays_out_the_file_the_notebooks_and_samples(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = start("--budget-usd", "2", "--judge", "auto")
    shown = capsys.readouterr().out
    assert "reading 'question' as the prompt" in shown
    assert "next: cd mine && routerlib collect --dry-run" in shown
    assert tomllib.loads((mine / FILE).read_text()) == {
        "prompts": "../my.csv",
        "candidates": "../c.yaml",
        "budget_usd": 2.0,
        "judge": "auto",
    }
    shipped = (Path(__file__).parents[2] / "notebooks").glob("0*.ipynb")
    laid_out = sorted(path.name for path in (mine / "notebooks").glob("0*.ipynb"))
    assert laid_out == sorted(path.name for path in shipped)
    assert {path.name for path in (mine / "data").iterdir()} == {
        "prompts.jsonl",
        "sample_logs.db",
        "sample_agent.db",
        "sample_served.db",
    }


def test_columns_that_a_project_names_are_read_by_every_command_and_notebook(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "fragen.csv").write_text("Frage;Lösung\nWas ist 1,5 * 4?;6\nHauptstadt?;Paris\n")
    assert main(["init", "mine", "--prompts", "fragen.csv"]) == 1
    assert "--columns prompt=NAME says which it is" in capsys.readouterr().err
    named = ["--columns", "prompt=Frage,reference=Lösung"]
    assert main(["init", "mine", "--prompts", "fragen.csv", "--candidates", "c.yaml", *named]) == 0
    mine = (folder / "mine").resolve()
    asked = Workspace(mine).prompts()
    assert [(each.text, each.reference) for each in asked] == [
        ("Was ist 1,5 * 4?", 6),
        ("Hauptstadt?", "Paris"),
    ]
    os.chdir(mine)
    for command in (["prompts"], ["collect", "--dry-run"]):
        capsys.readouterr()
        assert main(command) == 0
        assert "2 prompts in 2 rows" in capsys.readouterr().out
    other = ["--prompts", "../my.csv"]  # whose columns are not those of the project's own
    assert main(["collect", "--dry-run", *other]) == 0
    assert "reading 'question' as the prompt" in capsys.readouterr().out


def test_columns_without_prompts_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "mine", "--columns", "prompt=question"]) == 1
    assert "name it with --prompts" in capsys.readouterr().err


def test_every_setting_has_a_commented_example_that_is_valid_once_uncommented() -> None:
    text = file_text({})
    assert tomllib.loads(text) == {}
    examples = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    assert set(tomllib.loads("\n".join(examples))) == set(DEFAULTS)


def test_a_project_is_never_written_over_and_files_of_ones_own_stay(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine/notebooks").mkdir(parents=True)
    (folder / "mine/notebooks/01_collect.ipynb").write_text("my own")
    start()
    assert (folder / "mine/notebooks/01_collect.ipynb").read_text() == "my own"
    before = (folder / "mine" / FILE).read_text()
    assert main(["init", "mine", "--judge", "auto"]) == 1
    assert "routerlib.toml is there already: change it, or name" in capsys.readouterr().err
    assert (folder / "mine" / FILE).read_text() == before


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--prompts", "none.csv"], "there is no file none.csv of prompts"),
        (["--candidates", "none.yaml"], "there is no file none.yaml of candidates"),
        (["--judge", "best"], "judge must be one of auto, exact"),
        (["--budget-usd", "-1"], ""),
    ],
)
def test_init_refuses_what_nothing_can_be_done_with(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    assert main(["init", "mine", *options]) in (1, 2)
    assert complaint in capsys.readouterr().err
    assert not (folder / "mine").exists()


def test_commands_read_the_project_from_below_and_say_which_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = start("--judge", "auto", "--log", "data/own.db")
    monkeypatch.chdir(mine / "notebooks")
    capsys.readouterr()
    assert main(["candidates"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].startswith("a ")
    assert shown.err == f"project mine ({mine / FILE})\n"
    assert main(["collect", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "answers of 2 can be judged" in shown.out
    assert "2 calls to make" in shown.out
    assert main(["train"]) == 1
    assert f"there is no log {mine / 'data/own.db'}" in capsys.readouterr().err
    monkeypatch.chdir(mine)
    assert main(["train"]) == 1
    assert "there is no log data/own.db" in capsys.readouterr().err


def test_a_log_and_prompts_are_looked_at_without_naming_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = start("--judge", "auto", "--log", "data/own.db")
    monkeypatch.chdir(mine)
    prompt = Prompt.from_text("What is 2 + 2?", topic="sums")
    with CallLog("data/own.db") as log:
        log.add_prompts([prompt])
        log.add_call(Call(prompt.prompt_id, "a", "h", "ok", "4", Usage(1000, 120)))
    capsys.readouterr()
    assert main(["inspect"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["candidate", "a"] in shown
    assert ["output_tokens", "120"] in shown, "whole numbers are whole"
    assert shown[-2:] == [["topic", "prompts"], ["sums", "1"]]
    assert main(["prompts"]) == 0
    assert "2 prompts in 2 rows" in capsys.readouterr().out
    monkeypatch.chdir(folder)
    assert main(["inspect"]) == 1
    assert "there is no log data/logs.db" in capsys.readouterr().err
    assert main(["prompts"]) == 2


def test_flags_go_before_the_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = start()
    (folder / FILE).write_text((mine / FILE).read_text().replace("../", ""))
    capsys.readouterr()
    assert main(["candidates", "--candidates", "local"]) == 0
    assert "smollm2-135m" in capsys.readouterr().out
    assert main(["train", "--log", "data/else.db"]) == 1
    assert "there is no log data/else.db" in capsys.readouterr().err


def test_budget_of_the_project_is_that_of_a_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / FILE).write_text('prompts = "my.csv"\ncandidates = "c.yaml"\nbudget_usd = 0.001\n')
    assert main(["collect", "--dry-run"]) == 0
    assert "the worst case is above the budget of $0.001" in capsys.readouterr().out
    assert main(["collect", "--dry-run", "--budget-usd", "1"]) == 0
    assert "above the budget" not in capsys.readouterr().out
    assert Workspace.find().budget_usd() == 0.001
    assert Workspace.find().budget_usd(3) == 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('promts = "x"', "names 'promts', did you mean 'prompts'? it may name prompts, col"),
        ("log = 3", "log must be a text, got 3"),
        ('budget_usd = "2"', "budget_usd must be a finite number of US dollars from 0, got '2'"),
        ("budget_usd = inf", "budget_usd must be a finite number of US dollars from 0, got inf"),
        ("log = ", "is no valid TOML"),
    ],
)
def test_a_wrong_file_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    (folder / FILE).write_text(text)
    assert main(["candidates"]) == 1
    assert complaint in capsys.readouterr().err


def test_notebooks_work_on_the_project_and_say_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = start("--judge", "auto", "--model", "data/own.pkl")
    monkeypatch.chdir(mine / "notebooks")
    workspace = Workspace.find()
    assert workspace.root == mine
    assert [prompt.judge for prompt in workspace.prompts()] == ["numeric", "match"]
    assert [each.name for each in workspace.candidates(names=None)] == ["a"]
    assert workspace.path(None, "router") == mine / "data/own.pkl"
    assert workspace.told.startswith(f"Of project mine ({mine / FILE}): prompts ../my.csv, cand")


def test_the_sample_never_stands_in_for_a_project_with_data_of_its_own(folder: Path) -> None:
    mine = start()
    with pytest.raises(FileNotFoundError, match=r"a log at data/logs\.db of project mine"):
        Workspace(mine).open_log()
    lay_out(folder / "fresh", {})
    fresh = Workspace(folder / "fresh")
    fresh.open_log().close()
    assert isinstance(fresh.log_origin, Caution)
    assert "of project fresh" in fresh.log_origin


def test_settings_that_are_left_out_are_the_usual_ones(tmp_path: Path) -> None:
    project = Project.at(tmp_path)
    assert (project.told, project.is_own) == ("", False)
    assert {name: project.value(name) for name in DEFAULTS} == DEFAULTS
    assert project.path("log") == tmp_path / "data/logs.db"


@pytest.mark.parametrize("option", ["--candidates", "--prompts"])
def test_a_file_that_is_nowhere_is_named_as_it_was_given(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["init", "mine", option, "nix.yaml"]) == 1
    told = capsys.readouterr().err
    assert "there is no file nix.yaml of " in told
    assert f"neither here nor in {folder / 'mine'}" in told
    assert not (folder / "mine").exists()
