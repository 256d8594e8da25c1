"""Run a coroutine from plain code so that Ctrl-C ends it in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_interruptibly(
    work: Coroutine[Any, Any, Result], on_interrupt: Callable[[], object] | None = None
) -> Result:
    """Run a coroutine to its end from plain code, also where an event loop is running already."""
    outcome: list[Result] = []
    failure: list[BaseException] = []
    is_done = threading.Event()

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # handed to the caller below
            failure.append(error)
        finally:
            is_done.set()

    threading.Thread(target=run, daemon=True).start()
    try:
        _wait(is_done)
    except KeyboardInterrupt:
        if on_interrupt is None:
            raise
        on_interrupt()
        _wait(is_done)
    if failure:
        raise failure[0]
    return outcome[0]


def _wait(is_done: threading.Event) -> None:
    # Short waits, so that Ctrl-C is noticed on every platform; not Thread.join, which an
    # interrupt can leave believing that the thread has ended.
    while not is_done.wait(timeout=0.2):
        pass
