"""Say where a notebook that runs stands still: no process of it works, and no cell ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import psutil

# Seconds of no work before it is said, and of processor time in them that are none: a kernel that
# waits still looks at its sockets.
STILL_S, WORKED_S = 120.0, 0.5
_SHOWN_CHARS = 60


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has started."""
    import psutil

    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def processor_s(processes: Sequence[psutil.Process]) -> float:
    """Return how long processes have worked, those that still live."""
    import psutil

    worked = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            worked += sum(process.cpu_times()[:2])
    return worked


@contextmanager
def told_if_still(out: Path, stream: TextIO, still_s: float = STILL_S) -> Iterator[None]:
    """Say once for each cell of a notebook that runs here, such as in a kernel, if it stands still.

    `out`: where papermill keeps it as far as it has run.
    `still_s`: seconds without work before it is said.
    """
    ended = threading.Event()
    watching = threading.Thread(target=_watch, args=(out, stream, still_s, ended), daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def _watch(out: Path, stream: TextIO, still_s: float, ended: threading.Event) -> None:
    worked, cell, since = -WORKED_S, "", time.monotonic()
    told = set[str]()
    while not ended.wait(still_s / 4):
        now, running = processor_s(family(os.getpid())[1:]), cell_at(out, "running")
        if running != cell or not running or now >= worked + WORKED_S:
            worked, cell, since = now, running, time.monotonic()
        elif time.monotonic() - since >= still_s and cell not in told:
            told.add(cell)
            stream.write(
                f"{out.stem} stands still: {cell} has not worked for {still_s:.0f} s; if it waits "
                "for nobody that answers, end it with Ctrl-C and run it again, or let "
                "`routerlib pipeline --cell-limit SECONDS` end such a cell\n"
            )
            stream.flush()


def cell_at(out: Path, status: str) -> str:
    """Name the last cell of a status of papermill's, with how it begins; "" where none has it."""
    import nbformat

    try:
        cells = nbformat.read(str(out), as_version=4).cells
    except (OSError, ValueError, AttributeError, nbformat.reader.NotJSONError):
        return ""  # it is being written
    code = [cell for cell in cells if cell.cell_type == "code"]
    named = [
        f"cell [{number}] ({' '.join(cell.source.split())[:_SHOWN_CHARS]})"
        for number, cell in enumerate(code, start=1)
        if cell.metadata.get("papermill", {}).get("status") == status
    ]
    return named[-1] if named else ""
