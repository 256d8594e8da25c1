"""An OpenAI-compatible server on loopback that misbehaves on command: the prompt says how."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FaultServer(ThreadingHTTPServer):
    """Count the requests of each prompt, and how many run at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: FaultServer

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.requests[text] += 1
            self.server.bodies.append(body)
            self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            seen = self.server.requests[text]
        try:
            self._misbehave(text, seen, is_streamed=bool(body.get("stream")))
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def _misbehave(self, text: str, seen: int, is_streamed: bool) -> None:
        fault = re.search(r"status (\d+) (once|always)", text)
        if fault and (fault[2] == "always" or seen == 1):
            self._send(int(fault[1]), {"error": {"message": f"told to fail: {text}"}})
            return
        if "sleep" in text:
            time.sleep(float(re.search(r"sleep ([\d.]+)", text)[1]))  # type: ignore[index]
        if "reset once" in text and seen == 1:
            self.connection.close()
            return
        for words, payload in _ODD_BODIES.items():
            if words in text and not ("once" in text and seen > 1):
                self._send_raw(200, payload)
                return
        if is_streamed:
            self._stream(text, seen)
        else:
            self._send(200, _answer(text))

    def _stream(self, text: str, seen: int) -> None:
        """Send server-sent events, each at once; without a length, the connection's end ends it."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for number, event in enumerate(_events(_answer(text))):
            fault = re.search(r"breaks after (\d+)( once)?", text)
            if fault and number == int(fault[1]) and not (fault[2] and seen > 1):
                self._break(text)
                return
            self.wfile.write(f"data: {event}\n\n".encode())
            self.wfile.flush()

    def _break(self, text: str) -> None:
        if "reset" in text:  # a closing with "linger 0" is a reset, not an orderly end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
        elif "error event" in text:
            self.wfile.write(b'data: {"error": {"message": "the model fell over"}}\n\n')
        elif "bad event" in text:
            self.wfile.write(b"data: {broken\n\n")
        elif "odd event" in text:
            self.wfile.write(b'data: {"choices": [{"delta": "text"}]}\n\n')

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._send_raw(status, json.dumps(body).encode())

    def _send_raw(self, status: int, payload: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        if status == 429:
            self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(payload)


_ODD_BODIES = {
    "broken json": b'{"choices": [',
    "no text": b"\xff\xfe\x00 not UTF-8",
    "message is text": b'{"choices": [{"message": "hi"}]}',
    "details are a list": b'{"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}],'
    b' "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": [1]}}',
    "reason is a number": b'{"choices": [{"message": {"content": "4"}, "finish_reason": 7}]}',
    "lone surrogate": b'{"choices": [{"message": {"content": "a \\ud800 b"}}]}',
}
# What a prompt that holds one of these words gets instead of a good answer.
_ODD_MESSAGES: dict[str, dict[str, Any]] = {
    "empty": {"content": "  "},
    "null content": {"content": None},
    "markup": {"content": "<script>alert(1)</script> **bold** <img src=x onerror=alert(2)>"},
    "refusal": {"content": None, "refusal": "I can't help with that."},
}
_ODD_ENDS = {"too long": "length", "filtered": "content_filter"}
_ODD_USAGES = {
    "no usage": None,
    "negative usage": {"prompt_tokens": -1, "completion_tokens": 5},
}


def _answer(text: str) -> dict[str, Any]:
    message = _first(_ODD_MESSAGES, text, {"content": "Answer: 4"})
    finish_reason = _first(_ODD_ENDS, text, "stop")
    usage = _first(_ODD_USAGES, text, {"prompt_tokens": 10, "completion_tokens": 5})
    message = {"role": "assistant", **message}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    choices = [] if "no choices" in text else [choice]
    return {"id": "x", "object": "chat.completion", "choices": choices, "usage": usage}


def _events(answer: dict[str, Any]) -> Iterator[str]:
    """Cut an answer into the events of a stream: its text word by word, its end, its usage."""
    for choice in answer["choices"]:
        text = choice["message"].pop("content") or ""
        for piece in re.findall(r"\S+\s*", text) or [text]:
            yield json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]})
        end = {"delta": choice["message"], "finish_reason": choice["finish_reason"]}
        yield json.dumps({"choices": [{"index": 0, **end}]})
    yield json.dumps({"choices": [], "usage": answer["usage"]})
    yield "[DONE]"


def _first(odd: dict[str, Any], text: str, usual: Any) -> Any:
    return next((value for word, value in odd.items() if word in text), usual)


@contextmanager
def fault_server() -> Iterator[FaultServer]:
    """Run the server in a thread until the block ends."""
    server = FaultServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
