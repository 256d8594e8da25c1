"""Do a job again and again, one run at a time."""

from __future__ import annotations

import re
from collections.abc import Callable

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEAST_S = 1.0


def seconds_of(every: str) -> float:
    """Read a span of time such as ``6h``, ``30m`` or ``1d``.

    Parameters
    ----------
    every : str
        A number and one of s, m, h, d.

    Returns
    -------
    float
        Seconds, at least 1.

    Raises
    ------
    ValueError
        If it is no such span.

    Examples
    --------
    >>> seconds_of("6h"), seconds_of("1.5m")
    (21600.0, 90.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", every)
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if seconds < _LEAST_S:
        raise ValueError(f"a span is a number and one of s, m, h, d, such as 6h; got {every!r}")
    return seconds


def run_every(job: Callable[[], None], every_s: float, *, n_runs: int | None = None) -> None:
    """Run a job now and then at an interval, in this process, until it is interrupted.

    A run that takes longer than the interval delays the next one; none is run twice at once, and
    runs that were missed are not made up for.

    Parameters
    ----------
    job : callable
        What to do; an error ends the schedule.
    every_s : float
        Seconds from start to start.
    n_runs : int or None, default=None
        Stop after so many; None = go on until Ctrl-C.

    Raises
    ------
    ImportError
        If APScheduler isn't installed.
    """
    try:
        from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler
    except ImportError as error:
        raise ImportError(
            "a schedule needs APScheduler: pip install 'routerlib[serve]', or let cron run "
            "`routerlib retrain`"
        ) from error
    import queue

    done: queue.Queue[BaseException | None] = queue.Queue()
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})
    scheduler.add_listener(
        lambda event: done.put(event.exception), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR
    )
    scheduler.add_job(
        job,
        "interval",
        seconds=every_s,
        next_run_time=_now(),
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
    )
    scheduler.start()
    try:
        n_done = 0
        while n_runs is None or n_done < n_runs:
            failed = done.get()
            if failed is not None:
                raise failed
            n_done += 1
    finally:
        scheduler.shutdown(wait=True)


def _now():  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime.now(UTC)
