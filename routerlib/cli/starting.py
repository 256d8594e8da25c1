"""The command that starts a project, and what its file says to all others."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from routerlib.cli.options import Columns, Decimal, shown_path
from routerlib.records.project import Project

_QUESTIONS = {
    "prompts": "Your prompts (.jsonl, .csv, .parquet; empty = the workload that ships)",
    "columns": "What it calls ours, such as prompt=question,reference=answer (empty = the same)",
    "candidates": "Whom to ask (a candidates.yaml or a pool: local, openai; empty = local)",
    "log": "The log (empty = data/logs.db)",
    "budget_usd": "What one run may spend at most, US dollars (empty = no limit)",
    "judge": "Judge for prompts with a reference and none (auto = what fits; empty = say only)",
}


def init(
    folder: Annotated[Path, typer.Argument(help="The project's folder; made if absent.")],
    prompts: Annotated[str | None, typer.Option(help="Your prompts.")] = None,
    columns: Columns = None,
    decimal: Decimal = None,
    candidates: Annotated[
        str | None, typer.Option(help="A candidates.yaml, or a pool: local, openai.")
    ] = None,
    log: Annotated[str | None, typer.Option(help="The log; left out = data/logs.db.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The router; left out = data/router_model.pkl.")
    ] = None,
    reports: Annotated[str | None, typer.Option(help="Folder of pages; else reports.")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0, help="What one run may spend, US dollars.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="For prompts with a reference and no judge; auto = fits.")
    ] = None,
) -> None:
    """Start a project: write routerlib.toml, which every command and notebook there reads.

    Lays out the notebooks and samples beside it. In a terminal, without options, it asks.
    """
    from routerlib.show.starter import lay_out

    given = {
        "prompts": prompts,
        "columns": columns,
        "decimal": decimal,
        "candidates": candidates,
        "log": log,
        "model": model,
        "reports": reports,
        "budget_usd": budget_usd,
        "judge": judge,
    }
    if all(value is None for value in given.values()) and sys.stdin.isatty():
        given |= _asked()
    settings = _from(folder.resolve(), given)
    _check(folder.resolve(), settings)
    written = lay_out(folder, settings)
    typer.echo(f"{written[0]} and {len(written) - 1} notebooks and samples written")
    todo = "routerlib collect --dry-run" if "prompts" in settings else "routerlib pipeline --quick"
    typer.echo(f"next: cd {folder} && {todo}    (or jupyter lab notebooks/)")


def _asked() -> dict[str, Any]:
    answers = {
        name: str(typer.prompt(question, default="", show_default=False)).strip() or None
        for name, question in _QUESTIONS.items()
    }
    budget = answers.pop("budget_usd")
    return {**answers, "budget_usd": None if budget is None else float(budget)}


def _from(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given; prompts and candidates that are here are named from the folder."""
    settings = {name: value for name, value in given.items() if value is not None}
    for name in ("prompts", "candidates"):
        value = settings.get(name)
        if value is not None and not (folder / value).exists() and Path(value).exists():
            here = Path(value).resolve()
            settings[name] = Path(os.path.relpath(here, folder)).as_posix()
    return settings


def _check(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse prompts, candidates or a judge that nothing can be done with."""
    from routerlib.gather.candidates.candidates import POOLS, load_candidates
    from routerlib.gather.judges import JUDGES
    from routerlib.gather.judges.proposing import AUTO
    from routerlib.gather.prompts.checks import check_prompts
    from routerlib.gather.prompts.shapes import parse_columns

    judge = settings.get("judge")
    if judge is not None and judge not in (AUTO, *JUDGES):
        raise ValueError(f"judge must be one of {AUTO}, {', '.join(JUDGES)}, got {judge!r}")
    for name in ("prompts", "candidates"):
        given = settings.get(name)
        is_pool = name == "candidates" and given in POOLS
        if (
            given is not None
            and not is_pool
            and not os.path.exists(os.path.normpath(folder / given))
        ):
            pools = "" if name == "prompts" else f", or one of the pools {', '.join(POOLS)}"
            raise FileNotFoundError(
                f"there is no file {given} of {name}, neither here nor in {folder}; give its "
                f"path{pools}"
            )
    if "candidates" in settings:
        source = settings["candidates"]
        load_candidates(source if source in POOLS else os.path.normpath(folder / source))
    for name in ("columns", "decimal"):
        if name in settings and "prompts" not in settings:
            raise ValueError(f"--{name} is about a file of your own: name it with --prompts")
    if "prompts" in settings:
        path = os.path.normpath(folder / settings["prompts"])
        columns = parse_columns(settings.get("columns"))
        decimal = settings.get("decimal", ".")
        typer.echo(str(check_prompts(path, columns=columns, judge=judge, decimal=decimal)))


# -- what the file says to other commands ------------------------------------------------------

# Parameters of commands that a project's settings are for.
_SETTING_OF = {
    "log_path": "log",
    "log_paths": "log",
    "model_path": "model",
    "candidates_source": "candidates",
    "source": "candidates",
    "prompts_path": "prompts",
}
# Settings that only some commands take: a server runs on, and `--judge` of others means whose
# scores to count.
_ONLY = {
    "budget_usd": ("collect", "acquire", "judge"),
    "given_judge": ("collect", "acquire"),
}


def defaults_of(project: Project, command: Any, name: str = "") -> dict[str, Any]:
    """Return what a project's file says for each command's parameters.

    `command`: the whole application, or one of its commands. Given as a context's `default_map`,
    whatever is said on the command line goes before it.
    """
    if commands := getattr(command, "commands", None):
        return {key: defaults_of(project, each, key) for key, each in commands.items()}
    options = [each.name for each in command.params if each.param_type_name == "option"]
    found = {option: _default(project, option, name) for option in options}
    return {option: value for option, value in found.items() if value is not None}


def _default(project: Project, parameter: str, command: str) -> Any:
    if parameter in _ONLY:
        setting = "judge" if parameter == "given_judge" else parameter
        return project.value(setting) if command in _ONLY[parameter] else None
    setting = _SETTING_OF.get(parameter, "")
    is_left_out = setting == "prompts" and command == "acquire" and setting not in project.settings
    if not setting or command == "init" or is_left_out:
        return None
    if setting == "candidates":
        return candidates_of(project)
    if setting == "model" and command == "route" and not project.path("model").exists():
        return None  # rules decide
    shown = str(shown_path(project.path(setting)))
    return [shown] if parameter == "log_paths" else shown


def candidates_of(project: Project) -> str:
    """Return a project's pool or file of candidates, as one would type it here."""
    from routerlib.gather.candidates.candidates import POOLS

    value = str(project.value("candidates"))
    return value if value in POOLS else str(shown_path(project.path("candidates")))
