"""The command that makes prompts and looks them over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routerlib.cli.options import (
    AnswersInside,
    Columns,
    Decimal,
    decimal_of,
    named_columns,
    project_path,
    typed,
)
from routerlib.records.brief import n_of
from routerlib.records.project import Project
from routerlib.records.text_table import text_table

if TYPE_CHECKING:
    from routerlib.records.prompt import Prompt


def prompts(
    out: Annotated[
        Path | None, typer.Option("--out", help="The .jsonl, .csv or .parquet file to write.")
    ] = None,
    per_family: Annotated[int, typer.Option(min=1, help="Prompts of each task family.")] = 15,
    task: Annotated[
        str | None, typer.Option("--task", help="Only this family or generator; see --list.")
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="Prompts of the one in --task.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other prompts.")] = 1,
    show_list: Annotated[bool, typer.Option("--list", help="List what --task can name.")] = False,
    check: Annotated[
        Path | None, typer.Option("--check", help="Look this file over instead, or a project's.")
    ] = None,
    answers_inside: AnswersInside = "refuse",
    columns: Columns = None,
    decimal: Decimal = None,
) -> None:
    """Write verifiable prompts made from a seed, or look a file of prompts over.

    In a project, without options, its own prompts are looked over.
    """
    if check is None and out is None and task is None:
        check = _of_project()
    if show_list:
        from routerlib.gather.workload.generators import generators

        typer.echo(text_table(generators()))
    elif check is not None:
        _check(check, answers_inside, columns, decimal)
    elif out is None:
        raise typer.BadParameter("name a file with --out (or use --list, or --check FILE)")
    else:
        _write(out, per_family, task, size, seed)


def without_bare_check(words: list[str]) -> list[str]:
    """Leave out a `prompts --check` without a file: a project's own prompts are meant.

    >>> without_bare_check(["prompts", "--check"]), without_bare_check(["prompts", "--check", "f"])
    (['prompts'], ['prompts', '--check', 'f'])
    """
    return words[:-1] if words[:1] == ["prompts"] and words[-1] == "--check" else words


def _of_project() -> Path | None:
    """Return the prompts that a project names; None where there is no such project."""
    project = Project.find()
    return None if project is None or "prompts" not in project.settings else project_path("prompts")


def _check(
    path: Path, answers_inside: AnswersInside, columns: str | None, decimal: str | None
) -> None:
    from routerlib.gather.prompts.checks import check_prompts

    named = named_columns(path, columns)
    project = Project.find()
    judge = None if project is None else project.value("judge")
    report = check_prompts(
        path,
        answers_inside=answers_inside,
        columns=named,
        judge=judge,
        decimal=decimal_of(path, decimal),
    )
    typer.echo(str(report))
    table = report.table()
    if len(table):
        typer.echo(text_table(table))
    said = {"--answers-inside": answers_inside, "--columns": columns, "--decimal": decimal}
    further = {name: value for name, value in said.items() if value not in (None, "refuse")}
    words = [f" {name} {typed(value)}" for name, value in further.items()]
    typer.echo(f"next: routerlib collect --prompts {typed(path)}{''.join(words)} --dry-run")


def _write(out: Path, per_family: int, task: str | None, size: int, seed: int) -> None:
    from routerlib.gather.prompts.saving import save_prompts

    made = _made(per_family, task, size, seed)
    save_prompts(out, made)
    typer.echo(f"{n_of(len(made), 'prompts')} written to {out}")
    typer.echo(f"next: routerlib collect --prompts {typed(out)} --candidates local")


def _made(per_family: int, task: str | None, size: int, seed: int) -> list[Prompt]:
    if task is not None:
        from routerlib.gather.workload.generators import generate_prompts

        return generate_prompts(task, size, seed)
    from routerlib.gather.workload import make_prompts

    return make_prompts(per_family, seed)
