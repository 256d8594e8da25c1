"""The command that scores logged answers."""

from __future__ import annotations

from typing import Annotated

import typer

from routerlib.cli.options import DEFAULT_LOG, LogPath, existing_log


def judge(
    log_path: LogPath = DEFAULT_LOG,
    name: Annotated[
        str | None, typer.Option("--judge", help="Judge; left out = the one each prompt names.")
    ] = None,
) -> None:
    """Score logged answers that a judge has not seen yet; no candidate is called."""
    from routerlib.judges import judge_log

    with existing_log(log_path, read_only=False) as log:
        typer.echo(f"{judge_log(log, name)} scores written to {log_path}")
    typer.echo(f"next: routerlib train --log {log_path}")
