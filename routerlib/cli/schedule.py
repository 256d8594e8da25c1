"""Do a job again and again, one run at a time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import count

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEAST_S = 1.0


def seconds_of(every: str) -> float:
    """Read a span of time such as ``6h``, ``30m`` or ``1d``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", every)
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if seconds < _LEAST_S:
        raise ValueError(f"a span is a number and one of s, m, h, d, such as 6h; got {every!r}")
    return seconds


def run_every(job: Callable[[], None], every_s: float, *, n_runs: int | None = None) -> None:
    """Run a job now and at an interval, in this process, until it fails or is interrupted.

    `every_s` counts seconds from start to start; a run that takes longer delays the next one, and
    runs that were missed are not made up for. `n_runs` ends it after so many, None = never.
    """
    for _ in count() if n_runs is None else range(n_runs):
        started = time.monotonic()
        job()
        time.sleep(max(0.0, started + every_s - time.monotonic()))
