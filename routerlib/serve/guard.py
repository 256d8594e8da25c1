"""What every request passes before it is read: key, host, size and patience."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from routerlib.serve.faults import Refused

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# A prompt of 1 MB of text fits also where JSON writes each byte as an escape of several.
LARGEST_BODY_BYTES = 8_000_000
BODY_TIMEOUT_S = 30.0
_OPEN_TO_ALL = ("/health",)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Guard:
    """Let through what is allowed, with its body read whole.

    `key`: what ``Authorization: Bearer`` must hold.
    """

    def __init__(
        self,
        app: Application,
        key: str | None,
        largest_body_bytes: int = LARGEST_BODY_BYTES,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._app = app
        self._key = None if key is None else key.encode()
        self._largest_body_bytes = largest_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = dict(scope["headers"])
            self._check_caller(scope["path"], headers)
            body = await self._body(headers, receive)
        except Refused as refused:
            await _send_refusal(refused, send)
            return
        except _Gone:
            return
        await self._app(scope, _replay(body, receive), send)

    def _check_caller(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._key is None:
            host = headers.get(b"host", b"localhost").decode("latin-1")
            name = host.rpartition(":")[0] if _has_port(host) else host
            if name.lower() not in _LOOPBACK_NAMES:
                raise Refused(403, f"this server answers to localhost only, not to {host!r}")
        elif path not in _OPEN_TO_ALL:
            given = headers.get(b"authorization", b"")
            scheme, _, token = given.partition(b" ")
            is_right = hmac.compare_digest(token.strip(), self._key)
            if not (is_right and scheme.lower() == b"bearer"):
                raise Refused(401, "the key is wrong or missing: Authorization: Bearer <key>")

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        told = headers.get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._largest_body_bytes:
            raise self._too_large()
        try:
            return await asyncio.wait_for(self._read(receive), self._body_timeout_s)
        except TimeoutError:
            raise Refused(
                408, f"the body didn't come within {self._body_timeout_s:g} seconds"
            ) from None

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            body += message.get("body", b"")
            if len(body) > self._largest_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is above the limit of {self._largest_body_bytes} bytes")


class _Gone(Exception):
    """The client left before its request was complete."""


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit()


def _replay(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()  # what can still come is the client's leaving
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _send_refusal(refused: Refused, send: Send) -> None:
    payload = json.dumps(refused.body()).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(payload)).encode()),
        (b"connection", b"close"),  # the rest of its body isn't worth reading
    ]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
