"""Places at a server of this process: so many calls at once, the others wait in line."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class _Waiting:
    """One who waits in line, in an event loop of its own perhaps."""

    loop: asyncio.AbstractEventLoop
    turn: asyncio.Event
    has_place: bool = False


class Places:
    """Hand out places, first come first served, to any event loop and thread of this process.

    `n_places`: how many there are, at least 1.
    """

    def __init__(self, n_places: int) -> None:
        self._n_free = n_places
        self._line: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it until the block ends."""
        waiting = self._join()
        try:
            await waiting.turn.wait()
            yield
        finally:
            self._leave(waiting)

    def _join(self) -> _Waiting:
        waiting = _Waiting(asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self._n_free:
                self._n_free -= 1
                waiting.has_place = True
                waiting.turn.set()
            else:
                self._line.append(waiting)
        return waiting

    def _leave(self, waiting: _Waiting) -> None:
        with self._lock:
            if not waiting.has_place:  # it was cancelled while it waited
                self._line.remove(waiting)
                return
            self._n_free += 1
            while self._line and self._n_free:
                self._hand_over(self._line.popleft())

    def _hand_over(self, waiting: _Waiting) -> None:
        try:
            waiting.loop.call_soon_threadsafe(waiting.turn.set)
        except RuntimeError:  # its event loop has ended
            return
        waiting.has_place = True
        self._n_free -= 1
