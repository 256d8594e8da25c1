"""Run one notebook with papermill, refusing what papermill would let pass."""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from routerlib.records.errors import RouterlibError
from routerlib.records.files import make_private
from routerlib.show.notebooks.still import STILL_S, cell_at, told_if_still

if TYPE_CHECKING:
    from nbformat import NotebookNode

_PARAMETERS_TAG = "parameters"
# The kernel listens on loopback only; its messages about itself would hide what matters.
_KERNEL_ARGUMENTS = ["--IPKernelApp.log_level=CRITICAL"]


class PipelineError(RouterlibError, RuntimeError):
    """A notebook can't be run; the message says which, why and what to do."""


class NotebookFailed(PipelineError):
    """A cell of a notebook failed."""

    def __init__(self, reason: str, executed: Path) -> None:
        super().__init__(f"{reason}; open {executed} to see where")
        self.reason = reason
        self.executed = executed


def known_parameters(path: str | Path) -> dict[str, Any]:
    """Read the parameters that a notebook declares."""
    name = Path(path).stem
    tagged = [
        cell
        for cell in _read_notebook(path).cells
        if cell.cell_type == "code" and _PARAMETERS_TAG in cell.metadata.get("tags", [])
    ]
    if len(tagged) != 1:
        raise PipelineError(
            f"{name} needs one code cell tagged {_PARAMETERS_TAG!r}, got {len(tagged)}; "
            "without it parameters would be set and overwritten unnoticed"
        )
    try:
        return dict(_literals(tagged[0].source))
    except (SyntaxError, ValueError) as error:
        raise PipelineError(
            f"{name} must assign only literals in its parameters cell: {error}"
        ) from error


def run_notebook(
    path: str | Path,
    out: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    cwd: str | Path | None = None,
    stream: TextIO | None = None,
    cell_limit_s: float | None = None,
    still_s: float = STILL_S,
) -> Path:
    """Run one notebook with papermill, and refuse what papermill would let pass.

    `cwd`: folder in which the kernel runs; None = the current one.
    `cell_limit_s`: seconds that a cell may take at most; None = any number.
    `still_s`: seconds without work after which `stream` is told which cell stands still.
    """
    if cell_limit_s is not None and not cell_limit_s >= 1:
        raise PipelineError(f"a cell's limit must be at least 1 second, got {cell_limit_s!r}")
    given = dict(parameters or {})
    check_parameters(Path(path).stem, given, known_parameters(path))
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    make_private(out)  # it will hold prompts and answers

    import papermill
    from nbclient.exceptions import CellTimeoutError

    try:
        with told_if_still(out, stream or sys.stderr, still_s):
            papermill.execute_notebook(
                str(path),
                str(out),
                given,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=None if cwd is None else str(cwd),
                stdout_file=stream,
                stderr_file=stream,
                execution_timeout=cell_limit_s and math.ceil(cell_limit_s),
                extra_arguments=_KERNEL_ARGUMENTS,
            )
    except papermill.PapermillExecutionError as error:
        why = f"{error.ename}: {_first_line(error.evalue)}"
        reason = f"{Path(path).stem} failed in cell [{error.exec_count}] with {why}"
        raise NotebookFailed(reason, out) from error
    except CellTimeoutError as error:
        ended = cell_at(out, "completed")  # so papermill calls it, whether or not it was
        raise NotebookFailed(
            f"{Path(path).stem} stopped: {ended} took longer than its limit of {cell_limit_s:g} s; "
            "raise that (--cell-limit) if it was at work",
            out,
        ) from error
    except RuntimeError as error:  # a dead kernel
        raise NotebookFailed(
            f"{Path(path).stem} stopped: {_first_line(str(error))}", out
        ) from error
    return out


def check_parameters(name: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise PipelineError for a parameter that is not known, and list those that are."""
    for parameter in given:
        if parameter not in known:
            raise PipelineError(
                f"{name} has no parameter {parameter!r}; it has {', '.join(sorted(known))}"
            )


def _read_notebook(path: str | Path) -> NotebookNode:
    import nbformat

    try:
        return nbformat.read(str(path), as_version=4)
    except FileNotFoundError as error:
        raise PipelineError(f"expected a notebook at {path}, found none") from error
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise PipelineError(
            f"expected a notebook at {path}, got {_first_line(str(error))}"
        ) from error


def _literals(source: str) -> Iterator[tuple[str, Any]]:
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise ValueError(f"expected 'name = literal', got {ast.unparse(statement)!r}")
        yield statement.targets[0].id, ast.literal_eval(statement.value)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]
