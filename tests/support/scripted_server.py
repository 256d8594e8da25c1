"""A server on loopback that says what a test has written down, in order, and keeps what it got."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD_ANSWER = {
    "model": "small-1",
    "choices": [{"index": 0, "message": {"content": "Answer: 4"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


@dataclass(frozen=True)
class Reply:
    """One response; a body that is no bytes is sent as JSON, events as a stream of their own."""

    status: int = 200
    body: Any = field(default_factory=lambda: GOOD_ANSWER)
    headers: dict[str, str] = field(default_factory=dict)
    events: Sequence[Any] = ()
    pieces: Callable[[], Iterator[bytes]] | None = None


class ScriptedServer(ThreadingHTTPServer):
    """Give one reply after the other, the last one again and again; a function decides itself."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *replies: Reply | Callable[[dict[str, Any]], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that hang up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.server.paths.append(f"GET {self.path}")
        self._whole(Reply(body={"detail": "only POST"}, status=405))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.paths.append(self.path)
            self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
            replies = self.server.replies
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if not isinstance(reply, Reply):
            reply = reply(body)
        if reply.pieces is not None or (reply.events and body.get("stream")):
            self._stream(reply)
        else:
            self._whole(reply)

    def _whole(self, reply: Reply) -> None:
        payload = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"content-type": "text/event-stream", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            for piece in reply.pieces() if reply.pieces else map(_event, reply.events):
                self.wfile.write(piece)


def _event(event: Any) -> bytes:
    if isinstance(event, bytes):
        return event
    return f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()


@contextmanager
def scripted_server(
    *replies: Reply | Callable[[dict[str, Any]], Reply],
) -> Iterator[ScriptedServer]:
    """Run the server in a thread until the block ends."""
    server = ScriptedServer(*replies)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
