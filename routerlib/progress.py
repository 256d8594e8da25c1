"""Progress of long work, as a bar in a terminal and as plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

_SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Show how far several pieces of work have come.

    In a terminal each piece has a tqdm bar; under papermill, in a log file or a pipe a line of
    text is written every quarter of a minute, so that executed notebooks and reports show it.

    Parameters
    ----------
    totals : mapping of str to int
        Name and number of steps of each piece.
    is_shown : bool, default=True
        False = show nothing.

    Examples
    --------
    >>> progress = Progress({"small": 2}, is_shown=False)
    >>> progress.step("small"); progress.close()
    """

    def __init__(self, totals: Mapping[str, int], is_shown: bool = True) -> None:
        from tqdm import tqdm

        self._totals = dict(totals)
        self._done = dict.fromkeys(totals, 0)
        self._is_shown = is_shown
        self._started = self._last_line = time.monotonic()
        self._bars: dict[str, tqdm] = {}
        if is_shown and sys.stderr.isatty():
            self._bars = {
                name: tqdm(total=total, desc=name, unit="call", position=position)
                for position, (name, total) in enumerate(totals.items())
            }

    def step(self, name: str, note: str = "") -> None:
        """Count one step of a piece as done.

        Parameters
        ----------
        name : str
            The piece.
        note : str, default=""
            What to show behind it, such as the money spent.
        """
        self._done[name] += 1
        if bar := self._bars.get(name):
            bar.set_postfix_str(note, refresh=False)
            bar.update()
        elif self._is_shown and not self._bars and self._is_time_for_a_line():
            self._write_line(note)

    def close(self) -> None:
        """End the bars, or write the last line."""
        for bar in self._bars.values():
            bar.close()
        if self._is_shown and not self._bars:
            self._write_line("")

    def _is_time_for_a_line(self) -> bool:
        return time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES

    def _write_line(self, note: str) -> None:
        self._last_line = time.monotonic()
        pieces = ", ".join(f"{name} {self._done[name]}/{self._totals[name]}" for name in self._done)
        seconds = self._last_line - self._started
        sys.stdout.write(f"{seconds:5.0f} s  {pieces}{'  ' + note if note else ''}\n")
        sys.stdout.flush()
