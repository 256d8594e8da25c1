"""The `routerlib` command."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from routerlib import __version__
from routerlib.cli import (
    auditing,
    deciding,
    gathering,
    importing,
    inspecting,
    judging,
    learning,
    logs,
    predicting,
    prompting,
    showing,
    starting,
)
from routerlib.cli.faults import in_words
from routerlib.cli.progress import bars
from routerlib.records.brief import shortened
from routerlib.records.progress import shown_by
from routerlib.records.project import Project

_DEBUG = "--debug"
_MOST_ERROR_CHARS = 2_000  # of what may quote anything that a file holds

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"routerlib {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version."),
    ] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show the traceback of an error.")] = False,
) -> None:
    """Learn which LLM to call for which prompt, and say honestly whether it pays.

    In a folder with a routerlib.toml, or below one, commands work on what it names (`init` writes
    one); what is given on the command line goes before it.
    """
    project = None if context.invoked_subcommand == "init" else Project.find()
    if project is not None:
        context.default_map = starting.defaults_of(project, context.command)
        if not {"--help", "-h"} & set(sys.argv):
            typer.echo(project.told, err=True)


for _command in (
    starting.init,
    prompting.prompts,
    gathering.candidates,
    gathering.collect,
    judging.judge,
    learning.acquire,
    deciding.train,
    deciding.route,
    deciding.explain,
    predicting.predict,
    showing.report,
    showing.pipeline,
    showing.serve,
    inspecting.inspect,
    learning.retrain,
    learning.drift,
):
    app.command()(_command)
app.command("import")(importing.import_file)
app.add_typer(auditing.app, name="audit")
app.add_typer(logs.app, name="log")
app.add_typer(learning.models, name="models")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    `arguments`: what follows `routerlib`; None = the shell's arguments.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    is_debug = _DEBUG in given
    try:
        words = [word for word in given if word != _DEBUG]
        with shown_by(bars):
            app(prompting.without_bare_check(words), prog_name="routerlib")
    except SystemExit as leaving:  # typer's own: 0 after help, 2 on wrong usage
        return leaving.code if isinstance(leaving.code, int) else 1
    except (ValueError, RuntimeError, OSError, sqlite3.Error, ImportError) as error:
        if is_debug:
            raise
        told = shortened(" ".join(in_words(error).split()), _MOST_ERROR_CHARS)
        typer.echo(f"routerlib: {told}", err=True)
        return 1
    return 0


def entry() -> None:
    """Leave with the command's exit code: what the console script calls."""
    sys.exit(main())
