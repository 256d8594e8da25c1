"""The command that shows what a file of a log or of a router holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from routerlib.cli.options import JudgeName, existing_log, project_path, tell_blended, typed
from routerlib.records.text_table import text_table

_MOST_TOPICS = 20


def inspect(
    path: Annotated[
        Path | None,
        typer.Argument(help="A log (.db) or a router (.pkl); left out = the project's log."),
    ] = None,
    log: Annotated[Path | None, typer.Option("--log", help="The same, of a log.")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="The same, of a router.")] = None,
    judge: JudgeName = None,
) -> None:
    """Show what a log or a router file holds, without running anything in it."""
    given = [each for each in (path, log, model) if each is not None]
    if len(given) > 1:
        raise ValueError(f"name one file to inspect, got {', '.join(map(str, given))}")
    (path,) = given or [project_path("log")]
    if path.suffix == ".json" and path.is_file():
        router = path.with_suffix(".pkl")
        meant = typed(router) if router.is_file() else "ROUTER.pkl"
        raise ValueError(
            f"{path} is JSON, such as stands beside a router to describe it; inspect a log (.db) "
            f"or the router itself: routerlib inspect {meant}"
        )
    if path.suffix == ".pkl" or path == model:
        _inspect_router(path)
    else:
        _inspect_log(path, judge)


def _inspect_log(path: Path, judge: str | None) -> None:
    from routerlib.log.overview import overview

    with existing_log(path) as log:
        found = overview(log, judge)
    if not (len(found.summary) or len(found.judging)):
        typer.echo(f"no call is logged in {path} yet")
        typer.echo(
            f"next: routerlib collect --log {typed(path)}    (or routerlib import, routerlib serve)"
        )
        return
    tell_blended(found.blended)
    typer.echo(text_table(found.summary.T.rename_axis("candidate")))
    if len(found.judging):
        typer.echo("calls that judges made, which describe no candidate:")
        typer.echo(text_table(found.judging))
    for line in [*found.logprobs, *found.changes]:
        typer.echo(line)
    typer.echo(text_table(found.tasks))
    if len(found.topics):
        typer.echo(text_table(found.topics.head(_MOST_TOPICS)))
        if len(found.topics) > _MOST_TOPICS:
            typer.echo(f"and {len(found.topics) - _MOST_TOPICS} topics more")


def _inspect_router(path: Path) -> None:
    import yaml

    from routerlib.routers import artifact

    metadata = dict(artifact.load(path).metadata)
    if isinstance(metadata.get("test"), dict):
        metadata["test"] = metadata["test"].get("verdict", {}).get("sentence")
    for name in ("train_prompt_ids", "features"):
        if isinstance(metadata.get(name), list):
            metadata[name] = f"{len(metadata[name])} entries"
    typer.echo(yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True).rstrip())
