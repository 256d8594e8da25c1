"""What requests share: how many are under way, and the memory that their bodies take."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from routerlib.serve.faults import Refused

_SEVERAL = "try again in a moment"


class Turns:
    """How many requests are under way, for each client and in all."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._by_client: Counter[str] = Counter()

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """Count a request for as long as the block lasts.

        >>> turns = Turns(1, 1)
        >>> with turns.taken("a"), turns.taken("b"):
        ...     pass
        Traceback (most recent call last):
            ...
        routerlib.serve.faults.Refused: too many requests are under way; try again in a moment
        """
        if self._by_client.total() >= self._most:
            raise Refused(503, f"too many requests are under way; {_SEVERAL}")
        if self._by_client[client] >= self._most_per_client:
            raise Refused(503, f"too many of your requests are under way; {_SEVERAL}")
        self._by_client[client] += 1
        try:
            yield
        finally:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]


class Room:
    """Memory for the bodies of all requests that are under way.

    `free_bytes`: what every body has without asking, so that small ones are read whatever large
        ones take.
    `wait_s`: seconds that a large one waits for others to end.
    """

    def __init__(self, room_bytes: int, free_bytes: int, wait_s: float) -> None:
        self.left_bytes = room_bytes
        self.free_bytes = free_bytes
        self._wait_s = wait_s
        self._has_changed = asyncio.Condition()

    @asynccontextmanager
    async def share(self, most_bytes: int) -> AsyncIterator[Share]:
        """Hold what a body takes for as long as the block lasts.

        `most_bytes`: what is told of its size, or the largest size that is allowed.
        """
        share = Share(self, most_bytes)
        try:
            yield share
        finally:
            await self._give_back(share.held_bytes)

    async def take(self, n_bytes: int) -> None:
        """Take so much as soon as it is there; Refused where that takes too long."""
        try:
            async with asyncio.timeout(self._wait_s), self._has_changed:
                await self._has_changed.wait_for(lambda: self.left_bytes >= n_bytes)
                self.left_bytes -= n_bytes
        except TimeoutError:
            why = f"too many large requests are under way; {_SEVERAL}"
            raise Refused(503, why) from None

    async def _give_back(self, n_bytes: int) -> None:
        self.left_bytes += n_bytes
        if n_bytes:
            async with self._has_changed:
                self._has_changed.notify_all()


class Share:
    """What one body takes: nothing while it is small, then all that it may become."""

    def __init__(self, room: Room, most_bytes: int) -> None:
        self._room = room
        self._most_bytes = most_bytes
        self.held_bytes = 0

    async def grow_to(self, n_bytes: int) -> None:
        """Take what a body of that size may need."""
        if n_bytes > self._room.free_bytes and not self.held_bytes:
            await self._room.take(self._most_bytes)
            self.held_bytes = self._most_bytes
