"""What requests share: how many are under way, and the memory that their bodies take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

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

    `free_bytes`: what every body has without asking; what is above counts, so that small ones
        are read whatever large ones take.
    """

    def __init__(self, room_bytes: int, free_bytes: int) -> None:
        self.left_bytes = room_bytes
        self._free_bytes = free_bytes

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Hold what a body takes for as long as the block lasts."""
        share = Share(self, self._free_bytes)
        try:
            yield share
        finally:
            self.left_bytes += share.held_bytes


class Share:
    """What one body takes."""

    def __init__(self, room: Room, free_bytes: int) -> None:
        self._room = room
        self._free_bytes = free_bytes
        self.held_bytes = 0

    def grow_to(self, n_bytes: int) -> None:
        """Take what a body of that size needs.

        >>> room = Room(100, free_bytes=10)
        >>> with room.share() as one, room.share() as two:
        ...     one.grow_to(90), two.grow_to(10), room.left_bytes
        (None, None, 20)
        >>> room.left_bytes
        100
        """
        wanted = max(0, n_bytes - self._free_bytes - self.held_bytes)
        if wanted > self._room.left_bytes:
            raise Refused(503, f"too many large requests are under way; {_SEVERAL}")
        self._room.left_bytes -= wanted
        self.held_bytes += wanted
