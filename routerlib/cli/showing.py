"""Commands that show: report, pipeline, serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from routerlib.cli.options import (
    DEFAULT_LOG,
    DEFAULT_MODEL,
    CandidatesSource,
    LogPath,
    ModelPath,
    OptionalModelPath,
    existing_log,
)


def report(
    log_path: LogPath = DEFAULT_LOG,
    model_path: ModelPath = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")] = Path(
        "reports/index.html"
    ),
) -> None:
    """Write the report: one HTML file that opens with no kernel and no network."""
    from routerlib.report import write_report

    with existing_log(log_path) as log:
        verdict = write_report(out, log, model_path)
    typer.echo(verdict)
    typer.echo(f"next: open {out} in a browser")


def pipeline(
    quick: Annotated[bool, typer.Option("--quick", help="The small variant.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run only this notebook; repeatable.")
    ] = None,
) -> None:
    """Run the numbered notebooks: live calls, training, evaluation, explanation, reports."""
    from routerlib.pipeline import run

    run(quick=quick, only=only)


def serve(
    model_path: OptionalModelPath = None,
    candidates_source: CandidatesSource = "local",
    log_path: LogPath = DEFAULT_LOG,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8000,
) -> None:
    """Answer over HTTP on loopback: /inference and /v1/chat/completions with model="router"."""
    from routerlib.candidates import load_candidates
    from routerlib.log import CallLog
    from routerlib.serve import serve

    if model_path is None and DEFAULT_MODEL.exists():
        model_path = DEFAULT_MODEL
    chosen = load_candidates(candidates_source)
    with CallLog(log_path) as log:
        who = f"router {model_path}" if model_path else "no trained router yet, using rules"
        typer.echo(f"{who}; http://127.0.0.1:{port}/docs, stop with Ctrl-C")
        serve(model_path, chosen, log, port)
