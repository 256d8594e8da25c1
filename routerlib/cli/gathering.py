"""Commands that gather: candidates, collect."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routerlib.cli.options import (
    DEFAULT_LOG,
    INTERRUPTED,
    WITHOUT_DRY_RUN,
    AnswersInside,
    CandidatesSource,
    Columns,
    Decimal,
    GivenJudge,
    LogPath,
    decimal_of,
    named_columns,
    tell_next,
    typed,
)
from routerlib.records.brief import n_of
from routerlib.records.text_table import text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routerlib.gather.collection.plan import Plan
    from routerlib.gather.collection.result import Collection
    from routerlib.records.call import CandidateModel
    from routerlib.records.prompt import Prompt


def candidates(source: CandidatesSource = "local") -> None:
    """List the candidates with their prices and whether a key is there (never the key)."""
    from routerlib.gather.candidates.candidates import candidates_frame, load_candidates

    typer.echo(text_table(candidates_frame(load_candidates(source))))
    typer.echo(f"next: routerlib collect --prompts FILE --candidates {typed(source)} --dry-run")


def collect(
    prompts_path: Annotated[
        Path, typer.Option("--prompts", help="Prompts: .jsonl, .csv or .parquet.")
    ],
    candidates_source: CandidatesSource = "local",
    log_path: LogPath = DEFAULT_LOG,
    budget_usd: Annotated[
        float | None, typer.Option(min=0, help="Cap on what this run may spend, US dollars.")
    ] = None,
    budget_scope: Annotated[
        str,
        typer.Option(help="run, or log: with all logged so far and the other runs of this scope."),
    ] = "run",
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Calls in flight per candidate.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each prompt is asked.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first prompts.")] = None,
    only_evaluation: Annotated[
        bool, typer.Option("--only-evaluation", help="Only prompts that `acquire` leaves alone.")
    ] = False,
    answers_inside: AnswersInside = "refuse",
    columns: Columns = None,
    decimal: Decimal = None,
    given_judge: GivenJudge = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Put prompts to candidates, live, and log every call; run again to go on.

    Leaves with 0 when every cell is done or typed, 1 when the budget or a refused key left some
    out or no call succeeded at all, 130 after Ctrl-C.
    """
    from routerlib.gather.candidates.candidates import load_candidates
    from routerlib.gather.collection.collect import collect
    from routerlib.gather.prompts.checks import check_prompts
    from routerlib.log.call_log import CallLog

    report = check_prompts(
        prompts_path,
        answers_inside=answers_inside,
        columns=named_columns(prompts_path, columns),
        decimal=decimal_of(prompts_path, decimal),
        judge=given_judge,
    )
    typer.echo(str(report))
    asked = list(report.prompts)
    if only_evaluation:
        asked = _kept_for_evaluation(asked, log_path)
    chosen = load_candidates(candidates_source)
    if dry_run:
        _show_plan(_planned(asked, chosen, log_path, repeats, limit), chosen, budget_usd)
        return
    with CallLog(log_path) as log:
        collection = collect(
            asked,
            chosen,
            log,
            budget_usd=budget_usd,
            budget_scope=budget_scope,  # type: ignore[arg-type]
            concurrency=concurrency,
            repeats=repeats,
            limit=limit,
        )
        _tell(collection)
        if n_missing := len(collection.missing):
            typer.echo(
                f"next: the same command, for {n_of(n_missing, 'cells')} that failed; without them:"
            )
        tell_next(log)


def _kept_for_evaluation(prompts: Sequence[Prompt], log_path: Path) -> list[Prompt]:
    """Return the prompts that buying leaves alone."""
    from routerlib.gather.labels.buy import kept_for_evaluation
    from routerlib.log.call_log import CallLog

    opened = CallLog(log_path, read_only=True) if log_path.exists() else nullcontext()
    with opened as log:
        is_kept = kept_for_evaluation(log, prompts)
    kept = [prompt for prompt, is_apart in zip(prompts, is_kept, strict=True) if is_apart]
    typer.echo(f"{len(kept)} of {len(prompts)} prompts are kept for evaluation")
    if not kept:
        raise ValueError("no prompt is kept for evaluation; give more prompts that differ")
    return kept


def _planned(
    asked: Sequence[Prompt],
    chosen: Sequence[CandidateModel],
    log_path: Path,
    repeats: int,
    limit: int | None,
) -> Plan:
    """Plan what a run would ask, without making a log where there is none."""
    from routerlib.gather.collection.plan import plan_collection
    from routerlib.log.call_log import CallLog

    opened = CallLog(log_path, read_only=True) if log_path.exists() else nullcontext()
    with opened as log:
        return plan_collection(asked, chosen, log, repeats=repeats, limit=limit)


def _tell(collection: Collection) -> None:
    """Show what a run did, or leave with what kept it from its end."""
    if collection.plan.cells:
        typer.echo(text_table(collection.table()))
        _leave_unless_complete(collection)
        if collection.complaint:
            raise RuntimeError(collection.complaint)
        typer.echo(str(collection))


def _leave_unless_complete(collection: Collection) -> None:
    if collection.is_interrupted:
        typer.echo(f"routerlib: {collection}", err=True)
        raise typer.Exit(INTERRUPTED)
    if not collection.is_complete:
        told = [str(collection), *filter(None, [collection.complaint])]
        raise RuntimeError(f"the collection is not complete: {'; '.join(told)}")


def _show_plan(plan: Plan, chosen: Sequence[CandidateModel], budget_usd: float | None) -> None:
    """Show what a run would do, and what would keep it from its end."""
    from routerlib.gather.candidates.keys import key_complaints
    from routerlib.gather.collection.plan import usd

    plan = plan if budget_usd is None else plan.under_budget()
    if plan.cells:
        typer.echo(text_table(plan.table()))
    typer.echo(str(plan))
    for complaint in key_complaints(chosen):
        typer.echo(f"not yet: {complaint}")
    if budget_usd is not None and plan.worst_usd > budget_usd:
        typer.echo(f"the worst case is above the budget of {usd(budget_usd)}: it may stop the run")
    if plan.cells:
        typer.echo(WITHOUT_DRY_RUN)
