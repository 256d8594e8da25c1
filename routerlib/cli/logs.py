"""Commands on the log's file: check, export, upgrade, sql."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from routerlib.cli.options import DEFAULT_LOG, LogPath, existing_log

if TYPE_CHECKING:
    import pandas as pd

_CELL_CHARACTERS = 60

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
    as_csv: Annotated[bool, typer.Option("--csv", help="Whole values, as CSV.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Whole values, as a JSON list of objects.")
    ] = False,
) -> None:
    """Run a query over a log; it can change neither the log nor any file.

    The table cuts long values and folds lines; --csv and --json give them whole.
    """
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other")
    with existing_log(log_path) as log:
        answer = log.sql(query)
    if as_csv:
        # As it is: without `color` control sequences of a value would be left out.
        typer.echo(answer.to_csv(index=False, lineterminator="\n"), nl=False, color=True)
    elif as_json:
        typer.echo(_json(answer))
    else:
        _show(answer)


def _json(answer: pd.DataFrame) -> str:
    whole = answer.astype(object).where(answer.notna(), None)
    records = whole.to_dict(orient="records")
    return json.dumps(records, ensure_ascii=False, indent=1, default=_plain)


def _plain(value: Any) -> Any:
    """Return what JSON knows: lists for arrays, numbers for NumPy's, text for the rest."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _show(answer: pd.DataFrame) -> None:
    """Show an answer as a table, and say on standard error when it isn't whole."""
    from pandas.api.types import is_numeric_dtype

    from routerlib.tables import UNKNOWN, short

    shown, n_cut = answer.copy(), 0
    for column in [name for name in answer if not is_numeric_dtype(answer[name])]:
        texts = answer[column].fillna(UNKNOWN).map(str)
        # A control sequence in an answer must not reach the terminal.
        shown[column] = [_printable(short(text, _CELL_CHARACTERS)) for text in texts]
        n_cut += int((shown[column] != texts).sum())
    typer.echo(shown.to_string(index=False, na_rep=UNKNOWN))
    if n_cut:
        typer.echo(
            f"{n_cut} values are longer than {_CELL_CHARACTERS} characters or one line and were "
            "cut or folded; --csv or --json gives them whole",
            err=True,
        )


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
