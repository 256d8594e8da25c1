"""Options, defaults and inputs that several commands share."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routerlib.records import answers_inside
from routerlib.records.brief import n_of
from routerlib.records.call import OF_CONVERSATION
from routerlib.records.project import Project
from routerlib.records.prompt import Task

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

AnswersInside = Annotated[
    answers_inside.AnswersInside,
    typer.Option(
        "--answers-inside",
        help="Prompts that end with the assistant's turn: refuse, or cut it off as the reference.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", help="What the file calls ours, such as prompt=question,reference=answer."
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        "--decimal",
        help="What parts off decimals in the file's numbers: a point, or a comma, where points "
        "part thousands (330.000 is 330000).",
    ),
]
GivenJudge = Annotated[
    str | None,
    typer.Option(
        "--judge",
        help="For prompts with a reference and no judge: a judge, or auto for what fits each.",
    ),
]
LogPath = Annotated[
    Path, typer.Option("--log", help="The log, an SQLite file; to read, a sealed dataset too.")
]
ModelPath = Annotated[Path, typer.Option("--model", help="The router, a .pkl file.")]
OptionalModelPath = Annotated[
    Path | None,
    typer.Option("--model", help="The router; left out = data/router_model.pkl, or rules."),
]
CandidatesSource = Annotated[
    str, typer.Option("--candidates", help="A candidates.yaml, or a pool: local, openai.")
]
LatencyWeight = Annotated[
    float,
    typer.Option(
        min=0,
        help="Quality given up per second saved; 0 = seconds don't count.",
        metavar="FLOAT",
    ),
]
MaxLatency = Annotated[
    float | None,
    typer.Option(
        "--max-latency-s",
        help="Leave out who is expected to take longer in one call of ten, seconds.",
    ),
]
CostWeight = Annotated[
    float | None,
    typer.Option("--cost-weight", min=0, help="Quality given up per US dollar saved."),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Have the workers of a dask cluster do it, such as tcp://10.0.0.5:8786; local = "
        "workers on this machine. Needs the extra cluster.",
    ),
]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", help="Count only this judge's scores; left out = the mean of all."),
]
Keep = Annotated[int, typer.Option("--keep", min=1, help="Routers to keep in the archive.")]
TaskName = Annotated[Task | None, typer.Option("--task", help="Known task; left out = detected.")]

WITHOUT_DRY_RUN = "next: the same without --dry-run"
INTERRUPTED = 130  # as shells say it: 128 and the number of the signal
DEFAULT_LOG = Path("data/logs.db")
DEFAULT_MODEL = Path("data/router_model.pkl")


def existing_log(path: Path, read_only: bool = True) -> CallLog:
    """Open a log that must be there already."""
    from routerlib.log.call_log import CallLog
    from routerlib.log.dataset import open_log

    if not path.exists():
        raise FileNotFoundError(
            f"there is no log {path}; make one with `routerlib collect` or `routerlib pipeline`"
        )
    return open_log(path) if read_only else CallLog(path)


def project_path(setting: str) -> Path:
    """Return the file that the project names, as one would type it here; else the usual one."""
    return shown_path((Project.find() or Project(Path())).path(setting))


def typed(value: object) -> str:
    """Return a path or another value as one has to type it after a command.

    >>> typed(Path("data/logs.db")), typed(Path("my data/logs.db"))
    ('data/logs.db', "'my data/logs.db'")
    """
    return shlex.quote(str(value))


def tell_next(log: CallLog, *, is_judged: bool = False) -> None:
    """Say what comes after answers have come in: training, where any has a score, else judging.

    `is_judged`: whether the library's judges have just had their turn.
    """
    if log.lookup("select 1 from scores where score is not null limit 1"):
        typer.echo(f"next: routerlib train --log {typed(log.path)}")
        return
    if not log.lookup("select 1 from calls where status = 'ok' limit 1"):
        typer.echo("no answer is whole, so that there is nothing to judge or to learn from yet")
        typer.echo(f"next: routerlib inspect --log {typed(log.path)}")
        return
    has_reference = log.lookup("select 1 from prompts where reference is not null limit 1")
    if has_reference and not is_judged:
        typer.echo("no answer is scored yet")
        typer.echo(f"next: routerlib judge --judge auto --log {typed(log.path)}")
        return
    why = "" if has_reference else ", and no prompt has a reference to compare with"
    typer.echo(f"no answer is scored yet{why}: have a model judge, or import scores of your own")
    typer.echo(f"next: routerlib judge --judge llm --judge-candidate NAME --log {typed(log.path)}")


def named_columns(prompts_path: Path, given: str | None) -> dict[str, str]:
    """Read how a file's columns are named: here, or by the project of its own prompts."""
    from routerlib.gather.prompts.shapes import parse_columns

    of_project = (Project.find() or Project(Path())).columns_of(prompts_path)
    return parse_columns(given or of_project)


def decimal_of(prompts_path: Path, given: str | None) -> str:
    """Return what parts off decimals in a file: said here, or by the project of its own prompts."""
    return given or (Project.find() or Project(Path())).decimal_of(prompts_path) or "."


def shown_path(path: Path) -> Path:
    """Return a path as one would type it here."""
    here, path = Path.cwd(), Path(os.path.normpath(path))
    return path.relative_to(here) if path.is_relative_to(here) else path


def reports_of(log_path: Path) -> Path:
    """Return the folder of a log's pages: each log but the project's own has one of its own."""
    project = Project.find() or Project(Path())
    folder = project.path("reports")
    is_own = log_path.resolve() == project.path("log").resolve()
    return folder if is_own else folder / log_path.stem


def check_router(path: Path) -> None:
    """Refuse a router file that is missing or damaged, before anything heavy is imported."""
    from routerlib.routers import artifact

    artifact.load(path)


def say_blended(log: CallLog, judge: str | None) -> None:
    """Say which judges' scores of the same calls are averaged, unless one was chosen."""
    from routerlib.log.cells import blended_judges

    if judge is None:
        tell_blended(blended_judges(log.source))
    if judge in (None, OF_CONVERSATION):
        _tell_credited(log)


def _tell_credited(log: CallLog) -> None:
    """Say how many answers count by how their whole conversation went."""
    of_it = f"select count(distinct call_id) as n from scores where judge = '{OF_CONVERSATION}'"
    found = log.sql(of_it)
    if n := int(found.n[0]):
        typer.echo(
            f"{n_of(n, 'answers are', 'answer is')} credited with how their whole "
            f"conversation went (judge {OF_CONVERSATION}), whichever step was at fault; "
            "--judge NAME counts another one"
        )


def tell_blended(judges: list[str]) -> None:
    """Say that the scores of these judges are averaged, if there are any."""
    if judges:
        typer.echo(f"quality is the mean of judges {', '.join(judges)}; --judge NAME counts one")


def read_text(prompt: str) -> str:
    """Return the prompt given as an argument, or read from standard input."""
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise ValueError("the prompt is empty; give a text, or - to read standard input")
    return text
