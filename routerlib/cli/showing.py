"""Commands that show: report, pipeline, serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routerlib.cli.options import (
    DEFAULT_LOG,
    DEFAULT_MODEL,
    CandidatesSource,
    JudgeName,
    LogPath,
    ModelPath,
    check_router,
    existing_log,
    reports_of,
    say_blended,
)
from routerlib.cli.progress import tell_size
from routerlib.records.files import check_writable
from routerlib.records.project import Project
from routerlib.serve.settings import Stickiness, Told

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog


def report(
    log_path: LogPath = DEFAULT_LOG,
    model_path: ModelPath = DEFAULT_MODEL,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The HTML file to write; left out = reports/index.html, and for another log than "
            "the project's own index.html in a folder of its name; a router that the index is not "
            "of has a page of its own name.",
        ),
    ] = None,
    judge: JudgeName = None,
) -> None:
    """Write the report: one HTML file that opens with no kernel and no network."""
    with existing_log(log_path) as log:
        check_router(model_path)
        tell_size(log)
        judge = judge or _judge_of(model_path)
        say_blended(log, judge)
        _check_judge(log, judge)
        from routerlib.show.pages.belonging import page_of
        from routerlib.show.pages.index import write_report  # heavy

        page = out or page_of(
            reports_of(log_path), model_path, is_own=_are_own(log_path, model_path)
        )
        check_writable(page)
        finding = write_report(page, log, model_path, judge=judge, may_replace=out is None)
    typer.echo(f"{finding.headline}.")  # with it the page begins
    typer.echo(f"next: open {page} in a browser")


def _are_own(log_path: Path, model_path: Path) -> bool:
    """Tell whether log and router are the project's own, whose page is the index."""
    project = Project.find() or Project(Path())
    own = (project.path("log"), project.path("model"))
    return [log_path.resolve(), model_path.resolve()] == [path.resolve() for path in own]


def _judge_of(model_path: Path) -> str | None:
    """Return the judge that a router was trained by; None = the mean of all."""
    from routerlib.routers import artifact

    judge = artifact.load(model_path).metadata.get("judge")
    if judge is not None:
        typer.echo(f"counting the judge {judge} only, as the router's training did")
    return judge


def _check_judge(log: CallLog, judge: str | None) -> None:
    """Refuse a judge that has scored nothing, or a log without scores."""
    from routerlib.log.cells import refuse_unscored

    refuse_unscored(log.source, judge)


def pipeline(
    quick: Annotated[bool, typer.Option("--quick", help="The small variant.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run only this notebook; repeatable.")
    ] = None,
    cell_limit: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds that a cell may take at most; left out = any number."),
    ] = None,
) -> None:
    """Run the numbered notebooks: live calls, training, evaluation, explanation, reports.

    A cell that doesn't work for two minutes is named.
    """
    from routerlib.show.notebooks.pipeline import run

    run(quick=quick, only=only, cell_limit_s=cell_limit)


def serve(
    model_path: Annotated[
        Path,
        typer.Option("--model", help="The router; rules decide until this .pkl file is there."),
    ] = DEFAULT_MODEL,
    candidates_source: CandidatesSource = "local",
    log_path: LogPath = DEFAULT_LOG,
    host: Annotated[
        str, typer.Option(help="Address; any but loopback needs a key in ROUTERLIB_API_KEY.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = any free one.")] = 8000,
    explore: Annotated[
        str | None,
        typer.Option(help="Draw by chance: epsilon-greedy:0.1, thompson:0.02 or ucb:0.02."),
    ] = None,
    stickiness: Annotated[
        Stickiness,
        typer.Option(
            help="Whether a conversation stays with the model that it started with; cache = where "
            "what its provider has cached of it is worth that."
        ),
    ] = "conversation",
    budget_usd: Annotated[
        float | None,
        typer.Option(min=0, help="Most that answers may cost until the server ends, US dollars."),
    ] = None,
    hedge: Annotated[
        bool,
        typer.Option(
            "--hedge",
            help="Ask the next best beside one whose stream hasn't begun when nineteen of twenty "
            "have; whoever begins first is heard, both are paid.",
        ),
    ] = False,
    otel: Annotated[
        Told,
        typer.Option(help="Send spans to an OpenTelemetry collector, with prompts or without."),
    ] = "none",
) -> None:
    """Answer over HTTP: /inference, /feedback, and OpenAI's API with model="router".

    Point any OpenAI client at http://127.0.0.1:8000/v1. A router file that appears or changes is
    taken up without a restart. With the environment variable ROUTERLIB_API_KEY set, every caller
    must show that key. Every parameter is described at /docs.
    """
    from routerlib.gather.candidates.candidates import load_candidates
    from routerlib.log.call_log import CallLog
    from routerlib.serve import serve
    from routerlib.serve.listening import KEY_VARIABLE

    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    chosen = load_candidates(candidates_source)
    with CallLog(log_path) as log:
        serve(
            model_path,
            chosen,
            log,
            host=host,
            port=port,
            key=key,
            explore=explore,
            stickiness=stickiness,
            budget_usd=budget_usd,
            hedge=hedge,
            otel=otel,
        )
