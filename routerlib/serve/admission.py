"""Who stays connected: nobody who never finishes asking, so that others are served.

A connection waits until its request has come whole, and again after the answer. The connections
that wait are few, for each client and in all: one more, and the one that has waited longest is
dropped. Those that are owed an answer are bounded elsewhere (`guard`) and are never dropped here,
unless they don't read it.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Protocol

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from routerlib.serve.faults import Refused

_LINGER_S = 2.0


@dataclass(frozen=True)
class Patience:
    """How many may wait, and how long.

    `most_waiting_per_client`: more than twice as many as are taken from the system at once
        (`listening`), so that what a client sends along with its connection is read in time.
    `head_s`: seconds from a connection, or from the first byte of its next request, to the end of
        the request's head.
    `unread_s`: seconds that an answer may lie unread.
    """

    most_waiting: int = 500
    most_waiting_per_client: int = 250
    head_s: float = 10.0
    unread_s: float = 60.0


class Droppable(Protocol):
    """A connection, as the waiting room sees it."""

    def drop(self) -> None:
        """End the connection at once."""


class WaitingRoom:
    """The connections that wait, by client, in the order in which they began to."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._by_client: defaultdict[str, dict[Droppable, None]] = defaultdict(dict)
        self._n_waiting = 0

    def enter(self, client: str, connection: Droppable) -> None:
        """Let a connection wait; where that is one too many, drop the one that waited longest."""
        own = self._by_client[client]
        if connection in own:
            return
        own[connection] = None
        self._n_waiting += 1
        if len(own) > self.patience.most_waiting_per_client:
            self._drop_oldest(client)
        elif self._n_waiting > self.patience.most_waiting:
            self._drop_oldest(max(self._by_client, key=lambda each: len(self._by_client[each])))

    def leave(self, client: str, connection: Droppable) -> None:
        """Note that a connection waits no more."""
        own = self._by_client.get(client)
        if own is None or connection not in own:
            return
        del own[connection]
        self._n_waiting -= 1
        if not own:
            del self._by_client[client]

    def _drop_oldest(self, client: str) -> None:
        oldest = next(iter(self._by_client[client]))
        self.leave(client, oldest)
        oldest.drop()


class PatientProtocol(H11Protocol):
    """HTTP/1.1 for clients that may be slow, silent, or broken."""

    def __init__(self, room: WaitingRoom, **known: Any) -> None:
        super().__init__(**known)
        self._room = room
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._client_name = self.client[0] if self.client else ""
        self._expect_head()
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._room.leave(self._client_name, self)
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what comes after the end of all is thrown away."""
        if self._is_over:
            return
        super().data_received(data)
        self._settle()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is here already."""
        super().on_response_complete()
        self._settle()

    def pause_writing(self) -> None:
        """Note that the client doesn't read what it is told."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self._room.patience.unread_s, self.drop)

    def resume_writing(self) -> None:
        """Note that the client reads on."""
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def shutdown(self) -> None:
        """End, once what was asked is answered."""
        if self._is_over or self.conn.our_state is h11.ERROR:
            self.transport.close()
        else:
            super().shutdown()

    def drop(self) -> None:
        """End the connection at once."""
        self._is_over = True
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, in the shape of all errors, unless an answer has begun."""
        self._end(Refused(400, msg))

    def _is_under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _settle(self) -> None:
        """Stand in the waiting room or not, with a deadline for the head or without."""
        if self._is_over or self.transport.is_closing():
            return
        if self._is_under_way():
            self._stop_head_timer()
        elif self._head_timer is None and self.conn.trailing_data[0]:
            self._expect_head()
        if self._is_under_way() and not self.cycle.more_body:
            self._room.leave(self._client_name, self)
        else:
            self._room.enter(self._client_name, self)

    def _expect_head(self) -> None:
        head_s = self._room.patience.head_s
        late = Refused(408, f"no request came within {head_s:g} seconds")
        self._head_timer = self.loop.call_later(head_s, self._give_up, late)

    def _give_up(self, late: Refused) -> None:
        """End a connection whose request didn't come; who said nothing is told nothing."""
        if self.conn.trailing_data[0]:
            self._end(late)
        else:
            self.drop()

    def _end(self, refused: Refused) -> None:
        """Say why, and close once that could be read: closing at once would take it back."""
        self._is_over = True
        self._stop_timers()
        if self.transport.is_closing() or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        payload = json.dumps(refused.body()).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(payload))),
            ("connection", "close"),
        ]
        answer = h11.Response(status_code=refused.status, headers=headers)
        for event in (answer, h11.Data(data=payload), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._head_timer = self.loop.call_later(_LINGER_S, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_timers(self) -> None:
        self._stop_head_timer()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
