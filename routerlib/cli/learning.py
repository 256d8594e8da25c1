"""Commands that learn: acquire, retrain, drift, models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routerlib.cli.options import (
    DEFAULT_LOG,
    DEFAULT_MODEL,
    WITHOUT_DRY_RUN,
    AnswersInside,
    CandidatesSource,
    Columns,
    CostWeight,
    Decimal,
    GivenJudge,
    Keep,
    LogPath,
    ModelPath,
    check_router,
    decimal_of,
    existing_log,
    named_columns,
    reports_of,
    typed,
)
from routerlib.cli.progress import tell_size
from routerlib.records.files import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routerlib.evaluation.retraining import Retraining

models = typer.Typer(
    no_args_is_help=True, help="List the routers that are kept, or go back to one."
)

Margin = Annotated[
    float, typer.Option(min=0, max=0.99, help="Utility that may be lost without calling it worse.")
]
Every = Annotated[
    str | None, typer.Option(help="Do it again at this interval, such as 6h, until Ctrl-C.")
]
ReportPath = Annotated[
    Path | None,
    typer.Option(
        "--report", help="The page to write; left out = retraining.html beside the log's report."
    ),
]
StrategyName = Annotated[
    str, typer.Option(help="random, whole prompts, cheap first, close calls, expected gain.")
]
LabelsCostWeight = Annotated[
    float, typer.Option(min=0, help="Of the decisions that the labels are for.")
]
PromptsToChooseFrom = Annotated[
    Path | None,
    typer.Option("--prompts", help="Prompts to choose from; left out = those of the log."),
]


def acquire(
    budget_usd: Annotated[
        float, typer.Option("--budget-usd", min=0, help="What to spend on labels, US dollars.")
    ],
    log_path: LogPath = DEFAULT_LOG,
    prompts_path: PromptsToChooseFrom = None,
    candidates_source: CandidatesSource = "local",
    strategy: StrategyName = "close calls",
    cost_weight: LabelsCostWeight = 0.0,
    batches: Annotated[int, typer.Option(min=1, help="Looks at what was learnt.")] = 4,
    random_state: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    evaluation_share: Annotated[
        float | None,
        typer.Option(min=0, max=0.99, help="Prompts left alone to be tested on; left out = 0.2."),
    ] = None,
    answers_inside: AnswersInside = "refuse",
    columns: Columns = None,
    decimal: Decimal = None,
    given_judge: GivenJudge = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would ask.")] = False,
) -> None:
    """Ask and judge the cells that teach most per dollar; every choice keeps its probability.

    What is bought is no sample of all prompts. So a random share of them is left alone: have these
    answered by every candidate (`routerlib collect --only-evaluation`), and `train` tests on them.
    """
    from routerlib.gather.candidates.candidates import load_candidates
    from routerlib.gather.judges.proposing import proposal, with_judge
    from routerlib.gather.labels.buy import buy_labels
    from routerlib.gather.prompts.files import load_prompts
    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.evaluation_share import EVALUATION_SHARE

    prompts = None
    if prompts_path is not None:
        named = named_columns(prompts_path, columns)
        loaded = load_prompts(
            prompts_path,
            answers_inside=answers_inside,
            columns=named,
            decimal=decimal_of(prompts_path, decimal),
        )
        prompts = with_judge(loaded, given_judge)
        if told := proposal(prompts):
            typer.echo(told)
    candidates = load_candidates(candidates_source)
    opened = existing_log(log_path, read_only=dry_run) if prompts is None else CallLog(log_path)
    with opened as log:
        tell_size(log)
        bought = buy_labels(
            log,
            candidates,
            budget_usd,
            prompts=prompts,
            strategy=strategy,
            cost_weight=cost_weight,
            n_batches=batches,
            random_state=random_state,
            dry_run=dry_run,
            evaluation_share=EVALUATION_SHARE if evaluation_share is None else evaluation_share,
        )
    typer.echo(str(bought))
    if bought.cells:
        todo = WITHOUT_DRY_RUN if dry_run else f"next: routerlib retrain --log {typed(log_path)}"
        typer.echo(todo)


def retrain(
    log_path: LogPath = DEFAULT_LOG,
    model_path: ModelPath = DEFAULT_MODEL,
    margin: Margin = 0.02,
    if_new: Annotated[int, typer.Option(min=0, help="Only with so many new scored prompts.")] = 0,
    every: Every = None,
    keep: Keep = 5,
    cost_weight: CostWeight = None,
    random_state: Annotated[int, typer.Option(help="Seed.")] = 0,
    report_path: ReportPath = None,
) -> None:
    """Train a challenger; replace the router only if it is better or equal within the margin.

    Both are compared on 40 prompts at least that neither has learnt from, or on that many decisions
    logged with their probabilities: with fewer the router is kept, as they would tell nothing.
    Since 40 % of the new prompts are held out for it, that takes about 100 new ones. Where they
    don't suffice, the challenger stands by, and the next run goes on with what has come in.
    Run it daily: at most one of twenty routers is ever replaced by one that is worse by more than
    the margin, rare large losses included.
    """
    from routerlib.cli.schedule import run_every, seconds_of

    every_s = None if every is None else seconds_of(every)
    check_writable(model_path)
    with existing_log(log_path):
        pass
    if model_path.exists():
        check_router(model_path)
    from routerlib.evaluation.retraining import retrain
    from routerlib.log.candidates_seen import told_of_silent, told_of_ways
    from routerlib.show.pages.retraining import write_retraining_report

    page_path = report_path or reports_of(log_path) / "retraining.html"

    def once() -> None:
        with existing_log(log_path) as log:
            tell_size(log)
            done = retrain(
                log,
                model_path,
                margin=margin,
                if_new=if_new,
                keep=keep,
                cost_weight=cost_weight,
                random_state=random_state,
            )
            silent = [*told_of_silent(log), *told_of_ways(log)]
        page = write_retraining_report(page_path, done, model_path)
        _say(done, page, silent)

    if every_s is None:
        once()
    else:
        run_every(once, every_s)


def drift(
    log_path: LogPath = DEFAULT_LOG,
    model_path: ModelPath = DEFAULT_MODEL,
    recent: Annotated[
        int | None, typer.Option(min=1, help="Only the latest so many new prompts.")
    ] = None,
) -> None:
    """Compare recent prompts and outcomes with the training data; say whether to retrain.

    A line per candidate: estimated and observed quality since training, their difference with
    bounds that hold at every look, and what to do. Look as often as you like, daily say: at most
    one of twenty routers ever alarms without a change.
    """
    check_router(model_path)
    with existing_log(log_path):
        pass
    from routerlib.evaluation.drift import measure_drift, since_training
    from routerlib.log.candidates_seen import changes_of_model, told_of_silent, told_of_ways
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.loading import load_router
    from routerlib.show.tables.retraining import calibration_table, drift_table

    router = load_router(model_path)
    with existing_log(log_path) as log:
        tell_size(log)
        since = [since_training(router, Outcomes.from_log(log, models=list(router.models_)))]
        changes = changes_of_model(log)
        silent = [*told_of_silent(log), *told_of_ways(log, router.models_)]
    found = measure_drift(router, since.pop(), recent)  # which lets go of what it has divided
    if found.to_do != "wait":
        typer.echo(str(drift_table(found)))
        typer.echo(str(calibration_table(found)))
    typer.echo(found.sentence)
    for line in silent:
        typer.echo(line)
    if found.to_do in ("retrain", "recalibrate"):
        typer.echo(f"next: routerlib retrain --log {typed(log_path)} --model {typed(model_path)}")
    for line in changes:
        typer.echo(line)


@models.command("list")
def list_models(model_path: ModelPath = DEFAULT_MODEL) -> None:
    """List the archived routers, newest first, with what each gained when it came."""
    from routerlib.routers.archive import kept_models
    from routerlib.show.tables.retraining import models_table

    kept = kept_models(model_path)
    if not kept:
        typer.echo(f"no router is archived beside {model_path} yet; `train` and `retrain` do that")
        return
    typer.echo(str(models_table(kept)))


@models.command()
def rollback(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Which one; left out = what the router in use replaced, "
            "each time one further back."
        ),
    ] = None,
    model_path: ModelPath = DEFAULT_MODEL,
) -> None:
    """Put an archived router in use again.

    Without a name it goes to what the one in use replaced, and each time one further; the one that
    is left stays in the archive, and its name brings it back.
    """
    from routerlib.routers.archive import archive_in_use, kept_models, replaced_by, rollback

    archive_in_use(model_path)
    kept = kept_models(model_path)
    left = next((each.name for each in kept if each.is_in_use), None)
    now = rollback(model_path, name).name
    typer.echo(f"{now} is in use: {model_path}")
    if name is None:
        older = replaced_by(kept, now)
        further = f"once more goes to {older.name}" if older else "there is none before it"
        typer.echo(f"it is the one before {left}; {further}")
    if left not in (None, now):
        typer.echo(f"back to {left}: routerlib models rollback {left} --model {typed(model_path)}")
    typer.echo(f"next: routerlib inspect {typed(model_path)}")


def _say(done: Retraining, page: Path, silent: Sequence[str]) -> None:
    typer.echo(done.sentence)
    for line in silent:
        typer.echo(line)
    if done.left_out:
        typer.echo(done.left_out)
    if done.drift is not None:
        typer.echo(done.drift.sentence)
    if done.verdict != "not yet":
        typer.echo(f"next: open {page} in a browser")
