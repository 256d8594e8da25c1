"""Run notebooks with plain papermill, as users do who don't know our pipeline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from routerlib.show.notebooks.still import STILL_S, WORKED_S, family, processor_s

# Jupyter picks the ports of a kernel before the kernel takes them: of several that start at the
# same time, another may be quicker.
PORT_TAKEN = "Address already in use"
_SAID = "papermill.txt"


def run_notebooks(
    checkouts: Mapping[str, Path], given: Mapping[str, list[str]], tell: Callable[[str], object]
) -> dict[str, str]:
    """Run each notebook in the checkout of its own, all at once; return what each run printed.

    `given`: further arguments of papermill by notebook.
    `tell`: is told of runs that were ended and begun again, with what they waited for.
    """
    runs = {name: _start(name, root, given) for name, root in checkouts.items()}
    ended = {name: _wait(run) for name, run in runs.items()}
    for name, root in checkouts.items():
        if ended[name] and PORT_TAKEN not in _said(root):
            continue
        if not ended[name]:
            tell(f"{name} stood still, and is begun again; it waited here:\n{_said(root)}")
        runs[name] = _start(name, root, given)
        assert _wait(runs[name]), _said(root)
    for name, run in runs.items():
        assert run.returncode == 0, _said(checkouts[name])
    return {name: _said(root) for name, root in checkouts.items()}


def _start(name: str, root: Path, given: Mapping[str, list[str]]) -> subprocess.Popen[bytes]:
    notebook = f"notebooks/{name}.ipynb"
    environment = {key: value for key, value in os.environ.items() if key != "ROUTERLIB_HOME"}
    # A file, no pipe: a pipe would stay open for as long as a kernel does.
    with (root / _SAID).open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "papermill", notebook, "out.ipynb", *given.get(name, [])],
            cwd=root,
            env={**environment, "PYTHONFAULTHANDLER": "1"},
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def _said(root: Path) -> str:
    return (root / _SAID).read_text(errors="replace")


def _wait(run: subprocess.Popen[bytes]) -> bool:
    """Wait for a run; end one that stands still, its stacks printed.

    Very seldom a client and its kernel miss each other, and then both wait on.
    """
    worked = 0.0
    while True:
        try:
            run.wait(STILL_S)
        except subprocess.TimeoutExpired:
            processes = family(run.pid)
            if (now := processor_s(processes)) < worked + WORKED_S:
                break
            worked = now
        else:
            return True
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGABRT)
    run.wait()
    return False
