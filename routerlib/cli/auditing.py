"""Commands on what a person says of a random part: draw it, read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from routerlib.cli.options import (
    DEFAULT_LOG,
    JudgeName,
    LogPath,
    OptionalModelPath,
    check_router,
    existing_log,
    typed,
)
from routerlib.cli.progress import tell_size

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

AuditFile = Annotated[Path, typer.Argument(help="A CSV file of answers to score.")]


@app.callback()
def _audit() -> None:
    """Check a judge: draw answers at random, score them yourself, read the scores."""


@app.command()
def draw(
    path: AuditFile,
    n_prompts: Annotated[
        int, typer.Option("--prompts", min=1, help="Prompts to draw; all answers to each.")
    ] = 100,
    model_path: OptionalModelPath = None,
    log_path: LogPath = DEFAULT_LOG,
    judge: JudgeName = None,
    random_state: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Draw prompts at random and write their answers to a file; whose they are is not shown.

    With --model, among prompts that this router has not seen: a verdict on it needs those.
    """
    from routerlib.gather.labels.audit import draw_audit

    if model_path is not None:
        check_router(model_path)
    with existing_log(log_path, read_only=False) as log:
        tell_size(log)
        models = prompt_ids = None
        if model_path is not None:
            from routerlib.evaluation.routing import out_of_fold_of
            from routerlib.outcomes.outcomes import Outcomes
            from routerlib.routers.loading import load_router
            from routerlib.show.held_out import split_as_trained

            router = load_router(model_path)
            models = list(router.models_)
            if out_of_fold_of(router) is None:  # else each was tested by one that hasn't seen it
                outcomes = Outcomes.from_log(log, judge=judge, models=models)
                prompt_ids = split_as_trained(outcomes, router).test.prompt_ids
        drawn = draw_audit(
            log,
            path,
            n_prompts,
            judge=judge,
            models=models,
            prompt_ids=prompt_ids,
            random_state=random_state,
        )
    typer.echo(
        f"{path}: {len(drawn.answers)} answers to {n_prompts} of {len(drawn.prompt_ids)} prompts, "
        f"each drawn with probability {drawn.probability:.3g}"
    )
    typer.echo(
        "next: fill its column score (0 = wrong, 1 = right), then routerlib audit read "
        f"{typed(path)} --log {typed(log_path)}"
    )


@app.command()
def read(path: AuditFile, log_path: LogPath = DEFAULT_LOG) -> None:
    """Read a filled file: a person's scores go into the log, beside those of the judge."""
    from routerlib.gather.labels.audit import read_scores

    with existing_log(log_path, read_only=False) as log:
        typer.echo(str(read_scores(log, path)))
    typer.echo(f"next: routerlib report --log {typed(log_path)}")
