"""Progress of a collection: one line where somebody watches, lines of text where it is kept."""

from __future__ import annotations

import html
import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from routerlib.gather.collection.plan import Plan, span, usd, wall_s

if TYPE_CHECKING:
    import ipywidgets

_SECONDS_BETWEEN_LINES = 15.0
_SECONDS_BETWEEN_DRAWINGS = 0.25
# Set by a Jupyter server for the kernels that it starts, not by papermill or nbconvert.
_JUPYTER_SESSION = "JPY_SESSION_NAME"
_ERASE_TO_END = "\x1b[K"


@dataclass
class Standing:
    """How far one candidate has come.

    `expected_s`: seconds that a call of it takes up, before any is measured; NaN = unknown.
    `started_s`: when it was first asked, seconds since the start of all; None = it waits.
    """

    n_total: int
    is_local: bool = False
    expected_s: float = math.nan
    n_done: int = 0
    spent_usd: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    started_s: float | None = None
    is_off: bool = False

    @property
    def n_left(self) -> int:
        """Calls that are still to be made."""
        return 0 if self.is_off else self.n_total - self.n_done

    def measured_s(self, now_s: float) -> float:
        """Return the seconds that a call of it has taken up so far; NaN before the first."""
        if self.started_s is None or not self.n_done:
            return math.nan
        return (now_s - self.started_s) / self.n_done

    def told(self) -> str:
        """Write how many calls are done, or what it waits for."""
        if self.is_off:
            return f"switched off at {self.n_done}"
        if self.started_s is None and self.n_left:
            return "waiting for a slot"
        return f"{self.n_done}/{self.n_total}"


def standings_of(plan: Plan) -> dict[str, Standing]:
    """Return where each candidate of a plan stands before anything is asked."""
    n_cells = Counter(cell.candidate.name for cell in plan.cells)
    is_local = {cell.candidate.name: cell.candidate.provider == "local" for cell in plan.cells}
    return {name: Standing(n, is_local[name], plan.call_s[name]) for name, n in n_cells.items()}


def remaining_s(standings: Iterable[Standing], now_s: float) -> float:
    """Estimate the seconds until all is done, from what was measured so far.

    Candidates of which nothing is measured yet take as much longer or shorter than was expected of
    them as the others do. Remote ones are asked side by side, local ones share the machine.

    Returns NaN where nothing is known of a candidate that has calls left.
    """
    known = [(each, each.measured_s(now_s)) for each in standings]
    ratios = [s / each.expected_s for each, s in known if math.isfinite(s) and each.expected_s > 0]
    slower = sum(ratios) / len(ratios) if ratios else 1.0
    remote_s, local_s = list[float](), list[float]()
    for each, measured_s in known:
        if each.n_left:
            call_s = measured_s if math.isfinite(measured_s) else slower * each.expected_s
            (local_s if each.is_local else remote_s).append(each.n_left * call_s)
    return wall_s(remote_s, local_s)


class Progress:
    """Show in one line how many calls are done of all and of each candidate, money, pace, and time.

    JupyterLab gets a widget, a terminal a line that is drawn again; under papermill, in a log file
    or a pipe the line is written every quarter of a minute and at the end, so that executed
    notebooks and reports show it (a widget would leave nothing there).

    `standings`: by name of the candidate.

    >>> progress = Progress({"small": Standing(2)}, is_shown=False)
    >>> progress.start("small")
    >>> progress.show("small", 1, spent_usd=0.01, statuses=Counter(ok=1)); progress.close()
    """

    def __init__(self, standings: Mapping[str, Standing], is_shown: bool = True) -> None:
        self._standings = dict(standings)
        self._is_shown = is_shown
        self._started = self._last_time = time.monotonic()
        self._widget = _new_widget() if is_shown and _is_watched_notebook() else None
        self._is_terminal = is_shown and self._widget is None and sys.stderr.isatty()
        self._is_live = self._widget is not None or self._is_terminal

    def start(self, name: str) -> None:
        """Note that a candidate is asked from now on."""
        self._standings[name].started_s = self._now_s()
        self.refresh()

    def switch_off(self, name: str) -> None:
        """Note that a candidate is asked no more."""
        self._standings[name].is_off = True

    def show(self, name: str, n_done: int, *, spent_usd: float, statuses: Counter[str]) -> None:
        """Show how far a candidate has come.

        `spent_usd`: US dollars.
        `statuses`: how its calls ended.
        """
        standing = self._standings[name]
        standing.n_done, standing.spent_usd, standing.statuses = n_done, spent_usd, statuses
        self.refresh()

    def refresh(self) -> None:
        """Draw or write the line again where it is time to."""
        wait_s = _SECONDS_BETWEEN_DRAWINGS if self._is_live else _SECONDS_BETWEEN_LINES
        if self._is_shown and time.monotonic() - self._last_time >= wait_s:
            self._draw()

    def say(self, text: str) -> None:
        """Write a line that must be seen now."""
        if not self._is_shown:
            return
        if self._is_terminal:
            _write(f"\r{text}{_ERASE_TO_END}\n", sys.stderr)
            self._draw()
        else:
            _write(f"{text}\n")

    def close(self) -> None:
        """Draw the line as it ends; leave it as text where it is kept."""
        if not self._is_shown:
            return
        self._draw()
        if self._is_terminal:
            _write("\n", sys.stderr)
        elif self._widget is not None:
            _write(f"{self.line()}\n")

    def line(self) -> str:
        """Return what is shown: all calls, pace, money, time left, then each candidate."""
        each = ", ".join(f"{name} {one.told()}" for name, one in self._standings.items())
        return f"{self._of_all()}: {each}" if len(self._standings) > 1 else self._of_all()

    def _of_all(self) -> str:
        standings, now_s = self._standings.values(), self._now_s()
        n_done = sum(each.n_done for each in standings)
        statuses = sum((each.statuses for each in standings), Counter[str]())
        left_s = remaining_s(standings, now_s)
        is_coming = any(each.n_left for each in standings) and math.isfinite(left_s)
        return "  ".join(
            [
                f"{n_done}/{sum(each.n_total for each in standings)} calls",
                f"{n_done / now_s if now_s else 0.0:.1f} calls/s",
                f"{usd(sum(each.spent_usd for each in standings))} spent",
                *(f"{n} {status}" for status, n in statuses.most_common() if status != "ok"),
                *([f"about {span(left_s)} left"] if is_coming else []),
            ]
        )

    def _now_s(self) -> float:
        return time.monotonic() - self._started

    def _draw(self) -> None:
        self._last_time = time.monotonic()
        if self._widget is not None:
            self._widget.value = self._html()
        elif self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            _write(f"\r{self.line()[:width]}{_ERASE_TO_END}", sys.stderr)
        else:
            _write(f"{self._now_s():5.0f} s  {self.line()}\n")

    def _html(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{_bar(each)}</td>"
            f"<td>{html.escape(each.told())}</td></tr>"
            for name, each in self._standings.items()
        )
        return f"<div>{html.escape(self._of_all())}</div><table>{rows}</table>"


def _bar(standing: Standing) -> str:
    return f'<progress value="{standing.n_done}" max="{max(standing.n_total, 1)}"></progress>'


def _new_widget() -> ipywidgets.HTML:
    import ipywidgets
    from IPython.display import display

    widget = ipywidgets.HTML()
    display(widget)
    return widget


def _write(text: str, stream: TextIO | None = None) -> None:
    to = stream or sys.stdout
    to.write(text)
    to.flush()


def _is_watched_notebook() -> bool:
    """Tell a notebook that a person has open from one that papermill or nbconvert runs."""
    if _JUPYTER_SESSION not in os.environ or "ipykernel" not in sys.modules:
        return False
    from importlib.util import find_spec

    return find_spec("ipywidgets") is not None
