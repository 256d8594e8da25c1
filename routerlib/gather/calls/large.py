"""One large answer at a time: read, judged and logged before the next one is read on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class LargeAnswers:
    """Who holds a large answer now, so that the memory of several doesn't add up.

    A task that comes to read one keeps the others from theirs until it leaves its outermost
    `kept` block: that is where the answer is done with.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None
        self._depths: Counter[asyncio.Task[Any]] = Counter()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let go at the end of the block, unless it stands in another one of the same task."""
        task = _this_task()
        self._depths[task] += 1
        try:
            yield
        finally:
            self._depths[task] -= 1
            if not self._depths[task]:
                del self._depths[task]
                if self._holder is task:
                    self._holder = None
                    self._lock.release()

    async def take(self) -> None:
        """Wait until nobody else holds a large answer; inside a `kept` block only."""
        task = _this_task()
        assert self._depths[task], "a large answer is read inside of a block that lets it go"
        if self._holder is not task:
            await self._lock.acquire()
            self._holder = task


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
