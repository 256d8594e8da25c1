"""What every request passes before it is read: key, host, size, shape and patience."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from routerlib.serve.anthropic_answers import told_at
from routerlib.serve.faults import Refused
from routerlib.serve.room import Room, Share, Turns
from routerlib.serve.structure import check_structure

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN_TO_ALL = ("/health",)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_RETRY_AFTER_S = b"1"
# What tells of a sign above 2^16: its first byte, or the escape of its first half.
_WIDE = re.compile(rb"[\xf0-\xff]|\\u[dD][89abAB]")

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What requests may take.

    `body_bytes`: a prompt of 1 MB of text fits also where JSON writes each byte as an escape of
        several.
    `small_bytes`: bodies of this size are always read; larger ones share `room_bytes`, and are
        looked through in a thread.
    `text_bytes`: what the texts of large bodies may take once read, where one sign outside of the
        common ones makes each of its text's signs four bytes: one such body of 8 MB at a time.
    `room_s`: seconds that a large body waits for room.
    `body_s`: seconds for a body to come, and for the rest of a refused one to be read.
    """

    body_bytes: int = 8_000_000
    small_bytes: int = 2**16
    room_bytes: int = 16_000_000
    text_bytes: int = 32_000_000
    room_s: float = 10.0
    body_s: float = 30.0
    most_requests: int = 1_000
    most_requests_per_client: int = 500


class Guard:
    """Let through what is allowed, with its body read whole.

    `key`: what ``Authorization: Bearer`` must hold.
    """

    def __init__(self, app: Application, key: str | None, limits: Limits | None = None) -> None:
        self._app = app
        self._key = None if key is None else key.encode()
        self._limits = limits = limits or Limits()
        self._turns = Turns(limits.most_requests, limits.most_requests_per_client)
        self._room = Room(limits.room_bytes, limits.small_bytes, limits.room_s)
        # Taken last, so that nobody who holds it waits for more: two can't block each other.
        self._texts = Room(limits.text_bytes, limits.small_bytes, limits.room_s)
        # One thread: looking through several at once would only take more memory.
        self._reader = ThreadPoolExecutor(1, "large-bodies")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = (scope.get("client") or ("",))[0]
        incoming = _Incoming(receive)
        try:
            headers = dict(scope["headers"])
            self._check_caller(scope["path"], headers)
            _check_framing(headers)
            most_bytes = self._most_bytes(headers)
            with self._turns.taken(client):
                async with self._room.share(most_bytes) as share:
                    body = await self._body(incoming, share)
                    text_bytes = await self._read_by(_text_bytes, body)
                    async with self._texts.share(text_bytes) as text:
                        await text.grow_to(text_bytes)
                        await self._app(scope, _replay(body, receive), send)
        except Refused as refused:
            await self._refuse(told_at(scope["path"], refused), refused.status, incoming, send)
        except _Gone:
            return

    def _check_caller(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._key is None:
            host = headers.get(b"host", b"localhost").decode("latin-1")
            name = host.rpartition(":")[0] if _has_port(host) else host
            if name.lower() not in _LOOPBACK_NAMES:
                raise Refused(403, f"this server answers to localhost only, not to {host!r}")
        elif path not in _OPEN_TO_ALL:
            given = headers.get(b"authorization") or b"Bearer " + headers.get(b"x-api-key", b"")
            scheme, _, token = given.partition(b" ")
            is_right = hmac.compare_digest(token.strip(), self._key)
            if not (is_right and scheme.lower() == b"bearer"):
                raise Refused(401, "the key is wrong or missing: Authorization: Bearer <key>")

    def _most_bytes(self, headers: dict[bytes, bytes]) -> int:
        """Return how large the body may become."""
        told = headers.get(b"content-length")
        if told is None:
            return self._limits.body_bytes
        if int(told) > self._limits.body_bytes:
            raise self._too_large()
        return int(told)

    async def _body(self, incoming: _Incoming, share: Share) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_s):
                body = await self._read(incoming, share)
        except TimeoutError:
            told_s = f"{self._limits.body_s:g}"
            raise Refused(408, f"the body didn't come within {told_s} seconds") from None
        await self._read_by(check_structure, body)
        return body

    async def _read_by(self, look: Callable[[bytes], T], body: bytes) -> T:
        """Look through a body, in a thread where it is large."""
        if len(body) <= self._limits.small_bytes:
            return look(body)
        return await asyncio.get_running_loop().run_in_executor(self._reader, look, body)

    async def _read(self, incoming: _Incoming, share: Share) -> bytes:
        body = bytearray()
        async for part in incoming.parts():
            if len(body) + len(part) > self._limits.body_bytes:
                raise self._too_large()
            await share.grow_to(len(body) + len(part))
            body += part
        return bytes(body)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is above the limit of {self._limits.body_bytes} bytes")

    async def _refuse(
        self, told: dict[str, Any], status: int, incoming: _Incoming, send: Send
    ) -> None:
        """Tell a refusal, and end once it could be read.

        A connection that is closed while its client still sends takes the answer back; so the rest
        is read, and thrown away. ``connection: close``, since it isn't worth more than that.
        """
        payload = json.dumps(told).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(payload)).encode()),
            (b"connection", b"close"),
        ]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if status == 503:
            headers.append((b"retry-after", _RETRY_AFTER_S))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload, "more_body": True})
        with suppress(TimeoutError, _Gone):
            async with asyncio.timeout(self._limits.body_s):
                async for _ in incoming.parts():
                    pass
        await send({"type": "http.response.body", "body": b""})


class _Incoming:
    """A body that comes in parts."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_more = True

    async def parts(self) -> AsyncIterator[bytes]:
        """Give the parts that still come; none after the last one."""
        while self._has_more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            self._has_more = message.get("more_body", False)
            yield message.get("body", b"")


def _text_bytes(body: bytes) -> int:
    r"""Return what the texts of a body may take in memory: Python keeps one width for a whole text.

    >>> _text_bytes(b"abcd"), _text_bytes("é".encode()), _text_bytes(rb"\ud83e\udd86")
    (4, 4, 48)
    """
    if _WIDE.search(body):
        return 4 * len(body)
    return len(body) if body.isascii() and rb"\u" not in body else 2 * len(body)


def _check_framing(headers: dict[bytes, bytes]) -> None:
    """Refuse a body whose end, or whose size, others might see elsewhere."""
    if b"transfer-encoding" in headers and b"content-length" in headers:
        raise Refused(400, "a request has a content-length or is chunked, not both")
    coding = headers.get(b"content-encoding", b"").strip().lower()
    if coding not in (b"", b"identity"):
        told = coding.decode("latin-1")
        raise Refused(415, f"the body must not be compressed, got content-encoding {told!r}")


class _Gone(Exception):
    """The client left before its request was complete."""


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit()


def _replay(body: bytes, receive: Receive) -> Receive:
    left = [body]

    async def again() -> Message:
        if not left:
            return await receive()  # what can still come is the client's leaving
        return {"type": "http.request", "body": left.pop(), "more_body": False}

    return again
