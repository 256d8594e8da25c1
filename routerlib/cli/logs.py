"""Commands on the log's file: check, export, compact, upgrade, sql."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routerlib.cli.options import DEFAULT_LOG, LogPath, existing_log, typed
from routerlib.records.brief import n_of
from routerlib.records.text_table import text_table

if TYPE_CHECKING:
    import pandas as pd

_MAX_SHOWN = 60
_SQL_DIGITS = 6

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _log() -> None:
    """Check, export, seal, query or upgrade a log."""


@app.command()
def check(log_path: LogPath = DEFAULT_LOG) -> None:
    """Check a log: its file, references, prompt identifiers, no score of a failed call."""
    with existing_log(log_path) as log:
        complaints = log.check()
        for complaint in complaints:
            typer.echo(complaint)
        if complaints:
            raise RuntimeError(
                f"{log_path} is not whole: {len(complaints)} complaints; restore it from a copy"
            )
        counts = log.sql(
            "select (select count(*) from prompts) as prompts, (select count(*) from calls) "
            "as calls, (select count(*) from scores) as scores"
        )
    told = ", ".join(n_of(int(counts[name][0]), str(name)) for name in counts)
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
    typer.echo(f"next: read a table, as pandas.read_parquet({str(folder / 'calls')!r}) does")


@app.command()
def compact(
    folder: Annotated[
        Path, typer.Option("--parquet", help="The folder of the dataset; it is added to.")
    ],
    log_paths: Annotated[
        list[Path], typer.Option("--log", help="A log; give one for each host, none is changed.")
    ] = [DEFAULT_LOG],  # noqa: B006
    older_than: Annotated[
        int, typer.Option("--older-than", min=0, help="Seal days that ended so many days ago.")
    ] = 1,
    before: Annotated[
        str | None,
        typer.Option("--before", help="Seal what was logged before this day (UTC), YYYY-MM-DD."),
    ] = None,
    n_buckets: Annotated[
        int, typer.Option("--buckets", min=1, max=1024, help="Parts of a day in a new dataset.")
    ] = 8,
    memory_gb: Annotated[
        float, typer.Option("--memory-gb", min=0.1, help="Memory that DuckDB may take.")
    ] = 1.0,
) -> None:
    """Seal past days into Parquet files by day and prompt; a log stays as it is, and is the tail.

    Name the folder wherever a log is read: --log FOLDER.
    """
    from routerlib.log.compact import compact as seal
    from routerlib.log.compact import day_before
    from routerlib.log.sealed import MANIFEST

    day = day_before(older_than) if before is None else before
    if day > (tomorrow := day_before(-1)):
        raise ValueError(
            f"--before {day} lies in the future: give {tomorrow} at most, which seals all there is"
        )
    for path in log_paths:
        existing_log(path).close()
    done = seal(log_paths, folder, before=day, n_buckets=n_buckets, memory_gb=memory_gb)
    told = ", ".join(f"{n} {name}" for name, n in done.rows.items() if n)
    if not told and day < tomorrow:
        told = (
            f"nothing new, since what was logged from {day} (UTC) on stays out; "
            f"--before {tomorrow} seals that too"
        )
    typer.echo(f"{folder}: sealed up to {day}: {told or 'nothing new, it holds all there is'}")
    if done.n_same:
        typer.echo(f"{done.n_same} imported calls were there already, from another log")
    if (folder / MANIFEST).is_file():
        typer.echo(f"next: routerlib inspect {typed(folder)}")


@app.command()
def upgrade(log_path: LogPath = DEFAULT_LOG) -> None:
    """Bring a log of an older version up to date; it is kept beside it as it was."""
    with existing_log(log_path, read_only=False):
        typer.echo(f"{log_path} is up to date")
    typer.echo(f"next: routerlib inspect {typed(log_path)}")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="DuckDB SQL over prompts, calls, scores, ...")],
    log_path: LogPath = DEFAULT_LOG,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV, values in full.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write a JSON list of rows, values in full.")
    ] = False,
) -> None:
    """Run a query over a log; it can change neither the log nor any file.

    The table that is shown cuts long texts; --csv and --json write them in full.
    """
    if as_csv and as_json:
        raise typer.BadParameter("give --csv or --json, not both")
    with existing_log(log_path) as log:
        found = log.sql(query)
    if as_csv:
        typer.echo(found.to_csv(index=False), nl=False, color=True)  # else escapes are taken out
    elif as_json:
        typer.echo(
            found.to_json(
                orient="records", date_format="iso", double_precision=15, force_ascii=False
            )
        )
    elif found.empty:
        typer.echo(f"no rows; columns {', '.join(map(str, found.columns))}")
    else:
        shown, n_cut = _cut(found)
        typer.echo(text_table(shown, _SQL_DIGITS))
        if n_cut:
            typer.echo(
                f"{n_cut} long values are cut at {_MAX_SHOWN} characters; --csv or --json writes "
                "them in full",
                err=True,
            )


def _cut(found: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Put texts on one line that fits in a terminal and can't command it; count what was cut."""
    from routerlib.show.words.numbers import short

    n_cut = 0

    def shown(value: object) -> object:
        nonlocal n_cut
        if not isinstance(value, str | list | dict | tuple | bytes):
            return value
        text = "".join(each if each.isprintable() else " " for each in str(value))
        n_cut += len(" ".join(text.split())) > _MAX_SHOWN
        return short(text, _MAX_SHOWN)

    return found.map(shown), n_cut
