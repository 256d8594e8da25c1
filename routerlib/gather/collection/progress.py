"""Progress of a collection: bars where somebody watches, lines of text where it is kept."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.collection.plan import usd

if TYPE_CHECKING:
    from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 15.0
# Set by a Jupyter server for the kernels that it starts, not by papermill or nbconvert.
_JUPYTER_SESSION = "JPY_SESSION_NAME"


class Standing(NamedTuple):
    """How far one candidate has come."""

    n_done: int
    n_total: int
    spent_usd: float
    n_failed: int

    def note(self) -> str:
        """Write money and failures."""
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        return f"{usd(self.spent_usd)} spent{failed}"


class Progress:
    """Show of each candidate how many calls are done, calls/s, money spent and failures.

    JupyterLab gets a widget bar per candidate, a terminal a plain bar; under papermill, in a log
    file or a pipe lines of text are written every quarter of a minute and at the end, so that
    executed notebooks and reports show them (a widget would leave nothing there).

    >>> progress = Progress({"small": 2}, is_shown=False)
    >>> progress.show("small", 1, spent_usd=0.01, n_failed=0); progress.close()
    """

    def __init__(self, totals: Mapping[str, int], is_shown: bool = True) -> None:
        self._standings = {name: Standing(0, total, 0.0, 0) for name, total in totals.items()}
        self._is_shown = is_shown
        self._started = self._last_line = time.monotonic()
        self._is_widget = is_shown and _is_watched_notebook()
        self._bars: dict[str, tqdm] = {}
        if self._is_widget:
            from tqdm.notebook import tqdm as widget_bar

            self._bars = self._make_bars(widget_bar)
        elif is_shown and sys.stderr.isatty():
            from tqdm import tqdm

            self._bars = self._make_bars(tqdm)

    def _make_bars(self, bar: type[tqdm]) -> dict[str, tqdm]:
        return {
            name: bar(total=standing.n_total, desc=name, unit="call", position=position)
            for position, (name, standing) in enumerate(self._standings.items())
        }

    def show(self, name: str, n_done: int, *, spent_usd: float, n_failed: int) -> None:
        """Show how far a candidate has come.

        `spent_usd`: US dollars.
        """
        known = self._standings[name]
        standing = Standing(n_done, known.n_total, spent_usd, n_failed)
        self._standings[name] = standing
        if bar := self._bars.get(name):
            bar.set_postfix_str(standing.note(), refresh=False)
            bar.update(n_done - known.n_done)
        elif self._is_shown and self._is_time_for_lines():
            self._write_lines()

    def say(self, text: str) -> None:
        """Write a line that must be seen now."""
        if not self._is_shown:
            return
        if self._bars and not self._is_widget:
            next(iter(self._bars.values())).write(text, file=sys.stderr)
        else:
            _write(text)

    def close(self) -> None:
        """End the bars; leave the last lines where they are kept."""
        for bar in self._bars.values():
            bar.close()
        if self._is_shown and (self._is_widget or not self._bars):
            self._write_lines()

    def _is_time_for_lines(self) -> bool:
        return time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES

    def _write_lines(self) -> None:
        self._last_line = time.monotonic()
        seconds = self._last_line - self._started
        width = max(map(len, self._standings), default=0)
        for name, standing in self._standings.items():
            rate = standing.n_done / seconds if seconds else 0.0
            _write(
                f"{seconds:5.0f} s  {name:{width}} {standing.n_done}/{standing.n_total}  "
                f"{rate:.1f} calls/s  {standing.note()}"
            )


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _is_watched_notebook() -> bool:
    """Tell a notebook that a person has open from one that papermill or nbconvert runs."""
    if _JUPYTER_SESSION not in os.environ or "ipykernel" not in sys.modules:
        return False
    from importlib.util import find_spec

    return find_spec("ipywidgets") is not None
