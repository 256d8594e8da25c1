"""Each command of the README and the pages beside it can be typed as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from routerlib.cli import app, main
from routerlib.cli.starting import defaults_of
from routerlib.log.call_log import CallLog
from routerlib.records.project import Project
from routerlib.routers.archive import install
from routerlib.routers.baselines import BestSingle

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"^```bash\n(.*?)^```", re.S | re.M)
# With an option: others only name a command.
QUOTED = re.compile(r"`(routerlib [^`\n]+ -[^`\n]+)`")
# What isn't run here, though its words are read: it calls models, trains, serves, needs a cluster
# or a reader's own files.
NOT_RUN = (
    *("acquire", "pipeline", "report", "retrain", "serve", "train", "predict --cluster"),
    *("collect --prompts my_prompts.jsonl --candidates my_candidates.yaml", "collect --only-eval"),
    *("judge --judge llm", "prompts --task", "import inspect", "import KIND", "audit read"),
    *("log compact --parquet data/sealed --log host_a.db", "route ... --answer", "audit draw"),
)


def typed_lines() -> Iterator[tuple[str, str]]:
    """Yield the page and the words of each command, shell blocks first."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = "".join(SHELL.findall(text)).replace("\\\n", " ").splitlines()
        for line in [*blocks, *QUOTED.findall(text)]:
            if line.startswith("routerlib "):
                yield page.name, shlex.join(shlex.split(line, comments=True)[1:])


EXAMPLES = list(dict.fromkeys(typed_lines()))
RUN = [
    words
    for words in dict.fromkeys(words for page, words in EXAMPLES if page != "projects.md")
    if not words.replace("'", "").startswith(NOT_RUN) or "--dry-run" in words
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what the pages speak of: their own prompts and candidates, a log, a router, scores."""
    made = tmp_path_factory.mktemp("reader")
    readme = PAGES[0].read_text(encoding="utf-8")
    for name, language in (("my_prompts.jsonl", "json"), ("my_candidates.yaml", "yaml")):
        (block,) = re.findall(rf"^```{language}\n(.*?)^```", readme, re.S | re.M)
        (made / name).write_text(block, encoding="utf-8")
    (made / "data").mkdir()
    for name in ("logs.db", "my_logs.db"):
        shutil.copy(ROOT / "data/sample_logs.db", made / "data" / name)
    with CallLog(made / "data/logs.db", read_only=True) as log:
        outcomes = log.outcomes()
    for name in ("router_model.pkl", "my_router.pkl"):
        for cost_weight in (0.0, 1.0):  # two, so that there is one to go back to
            install(BestSingle().fit(outcomes).stand_at(cost_weight), made / "data" / name)
    scores = pd.DataFrame({"prompt": ["A?"], "question": ["A?"], "small": [1.0]})
    scores.to_csv(made / "scores.csv", index=False)
    pd.DataFrame({"ask": ["A?"], "gold": ["1"]}).to_csv(made / "my.csv", index=False)
    with chdir(made):
        (start,) = (words for page, words in EXAMPLES if page == "projects.md" and "init" in words)
        assert main(shlex.split(start)) == 0
    return made


@pytest.mark.parametrize(("page", "words"), EXAMPLES)
def test_every_word_of_an_example_is_understood(folder: Path, page: str, words: str) -> None:
    # What projects.md and reports.md leave out stands in the file of a project.
    with chdir(folder / "my-project" if page in ("projects.md", "reports.md") else folder):
        parse(shlex.split(words))


def parse(words: list[str]) -> None:
    """Read a command's words as the shell's are, values and all, and run nothing."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("routerlib", list(words))
    project = Project.find()
    if project is not None:
        context.default_map = defaults_of(project, command)
    rest = words
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)


@pytest.mark.parametrize("words", RUN)
def test_an_example_works_as_it_is_typed(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    with chdir(folder):
        assert main(shlex.split(words)) == 0, capsys.readouterr().err


def test_most_examples_are_run() -> None:
    assert len(RUN) >= 15
    unknown = [start for start in NOT_RUN if not any(start in words for words in plain())]
    assert not unknown, "no page has such a command any more"


def plain() -> list[str]:
    return [words.replace("'", "") for _, words in EXAMPLES]


def test_a_project_is_collected_for_without_options(folder: Path) -> None:
    with chdir(folder / "my-project"):
        assert main(["collect", "--dry-run"]) == 0
