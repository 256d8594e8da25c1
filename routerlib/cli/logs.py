"""Commands on the log's file: check, export, upgrade, sql."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from routerlib.cli.options import DEFAULT_LOG, LogPath, existing_log

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _log() -> None:
    """Check, export, query or upgrade a log."""


@app.command()
def check(log_path: LogPath = DEFAULT_LOG) -> None:
    """Check a log: its file, references, prompt identifiers, no score of a failed call."""
    with existing_log(log_path) as log:
        complaints = log.check()
        for complaint in complaints:
            typer.echo(complaint)
        if complaints:
            raise RuntimeError(f"{log_path} is not whole: {len(complaints)} complaints")
        counts = log.sql(
            "select (select count(*) from prompts) as prompts, (select count(*) from calls) "
            "as calls, (select count(*) from scores) as scores"
        )
    told = ", ".join(f"{counts[name][0]} {name}" for name in counts)
    typer.echo(f"{log_path} is whole: {told}")


@app.command()
def export(
    folder: Annotated[
        Path, typer.Option("--parquet", help="The folder to write; an older export is replaced.")
    ],
    log_path: LogPath = DEFAULT_LOG,
) -> None:
    """Copy a log to Parquet files, one folder per table and day."""
    with existing_log(log_path) as log:
        n_rows = log.export(folder)
    told = ", ".join(f"{n} {name}" for name, n in n_rows.items() if n)
    typer.echo(f"{folder}: {told or 'no rows yet'}")


@app.command()
def upgrade(log_path: LogPath = DEFAULT_LOG) -> None:
    """Bring a log of an older version up to date; it is kept beside it as it was."""
    with existing_log(log_path, read_only=False):
        typer.echo(f"{log_path} is up to date")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="DuckDB SQL over prompts, calls, scores, ...")],
    log_path: LogPath = DEFAULT_LOG,
) -> None:
    """Run a query over a log; it can change neither the log nor any file."""
    with existing_log(log_path) as log:
        typer.echo(log.sql(query).to_string(index=False))
