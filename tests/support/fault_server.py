"""An OpenAI-compatible server on loopback that misbehaves on command: the prompt says how."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from routerlib.records.call import CandidateModel, Price
from routerlib.records.prompt import Prompt

# Prompts that a sane answer gets right.
GOOD = [
    Prompt.from_text(f"What is 2 + 2, number {i}?", task="math", reference=4, judge="numeric")
    for i in range(6)
]


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
        # What a sane server answers to a text, in place of its usual answer.
        self.reply: Callable[[str], str] | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that hung up; they were meant to."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

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
        if self.server.reply is not None:
            answer = _answer("")
            answer["choices"][0]["message"]["content"] = self.server.reply(text)
            self._send(200, answer)
            return
        if "sleep" in text:
            time.sleep(float(re.search(r"sleep ([\d.]+)", text)[1]))  # type: ignore[index]
        if self._turn_away(text, seen) or self._break_down(text, seen):
            return
        if echo := self._echo(text):
            self._send_raw(200, _echoing(text, echo))
            return
        for words, payload in _ODD_BODIES.items():
            if words in text and not ("once" in text and seen > 1):
                self._send_raw(200, payload)
                return
        if is_streamed and "in one piece" not in text:
            self._stream(text, seen)
        else:
            self._send(200, _answer(text))

    def _turn_away(self, text: str, seen: int) -> bool:
        fault = re.search(r"status (\d+) (once|always)", text)
        if fault and (fault[2] == "always" or seen == 1):
            why = f"told to fail: {text} {self._echo(text)}"
            code = "insufficient_quota" if "quota" in text else None
            self._send(int(fault[1]), {"error": {"message": why, "code": code}})
            return True
        crowd = re.search(r"at most (\d+) at once", text)
        if crowd and self.server.at_once > int(crowd[1]):
            self._send(429, {"error": {"message": "too many at once"}})
            return True
        return False

    def _break_down(self, text: str, seen: int) -> bool:
        if "reset always" in text or ("reset once" in text and seen == 1):
            self.connection.close()
            return True
        if "trickle" in text:
            self._trickle()
            return True
        if "cut in the middle" in text:
            self._send_raw(200, b'{"choices": [', n_promised=500)
            return True
        if "no end" in text:
            self._go_on(text)
            return True
        return False

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
            if "slowly" in text:
                time.sleep(0.1)
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

    def _trickle(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(20):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def _go_on(self, text: str) -> None:
        """Send a body without a length, as long as the client listens."""
        self.send_response(int(re.search(r"status (\d+)", text)[1]))  # type: ignore[index]
        self.send_header("connection", "close")
        self.end_headers()
        with suppress(ConnectionError):
            while True:
                self.wfile.write(b" " * 2**16)

    def _echo(self, text: str) -> str:
        """Return the header with the key where the prompt asks for it, as some servers do."""
        return self.headers["authorization"] if "echo" in text else ""

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._send_raw(status, json.dumps(body).encode())

    def _send_raw(self, status: int, payload: bytes, n_promised: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(n_promised or len(payload)))
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
    "error under 200": b'{"error": {"code": 400, "message": "no such model"}}',
    "error in the choice": b'{"choices": [{"message": {"content": "4"}, "error": {"code": 502},'
    b' "finish_reason": "error"}]}',
    "a tool without a name": b'{"choices": [{"message": {"content": null, "tool_calls": [{}]},'
    b' "finish_reason": "tool_calls"}]}',
    "null choices": b'{"choices": null}',
    "null body": b"null",
    "deep nesting": b"[" * 200_000,
    "html": b"<html>busy</html>",
    "text in parts": b'{"choices": [{"message": {"content": [{"type": "thinking", "thinking": []},'
    b' {"type": "text", "text": "4"}]}, "finish_reason": "stop"}]}',
    "infinite usage": b'{"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}],'
    b' "usage": {"prompt_tokens": 1e999, "completion_tokens": 99999999999999999999}}',
    "ten megabytes": b'{"choices": [{"message": {"content": "' + b"x" * 10_000_000 + b'"},'
    b' "finish_reason": "stop"}]}',
    "lone surrogate": b'{"choices": [{"message": {"content": "a \\ud800 b"}}]}',
}
# What a prompt that holds one of these words gets instead of a good answer.
_ODD_MESSAGES: dict[str, dict[str, Any]] = {
    "empty": {"content": "  "},
    "null content": {"content": None},
    "thinks aloud": {"content": "Answer: 4", "reasoning_content": "Let me see: 2 + 2."},
    "tagged": {"content": "<think> Answer: 5? No. </think>\n\nAnswer: 4"},
    "opened in the prompt": {"content": "Answer: 5? No.\n</think>\n\nAnswer: 4"},
    "never closed": {"content": "<think> Answer: 4 perhaps"},
    "only thoughts": {"content": "", "reasoning_content": "Let me see: 2 + 2 is 4."},
    "markup": {"content": "<script>alert(1)</script> **bold** <img src=x onerror=alert(2)>"},
    "refusal": {"content": None, "refusal": "I can't help with that."},
}
_ODD_ENDS = {"too long": "length", "filtered": "content_filter"}
_ODD_USAGES = {
    "no usage": None,
    "null usage": {"prompt_tokens": None, "completion_tokens": None},
    "hidden thoughts": {"prompt_tokens": 10, "completion_tokens": 5000},
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


def _echoing(text: str, echo: str) -> bytes:
    if "broken json" in text:
        return f'{{"choices": {echo}'.encode()
    if "error under 200" in text:
        return json.dumps({"error": {"message": f"no such key: {echo}", "code": 500}}).encode()
    message = {"role": "assistant", "content": f"You sent {echo}"}
    reason = echo if "finish reason" in text else "stop"
    return json.dumps({"choices": [{"message": message, "finish_reason": reason}]}).encode()


def _events(answer: dict[str, Any]) -> Iterator[str]:
    """Cut an answer into the events of a stream: thought and text word by word, end, usage."""
    for choice in answer["choices"]:
        for piece in re.findall(r"\S+\s*", choice["message"].pop("reasoning_content", "")):
            yield json.dumps({"choices": [{"index": 0, "delta": {"reasoning_content": piece}}]})
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


def candidate_of(server: FaultServer, name: str = "small", **known: object) -> CandidateModel:
    """Return a candidate that this server answers for; `known` changes its fields."""
    plain = CandidateModel(
        name,
        f"{name}-1",
        "custom",
        server.url,
        None,
        Price(1, 2),
        parameters={"max_tokens": 10, "temperature": 0},
        timeout_s=2.0,
    )
    return replace(plain, **known)  # type: ignore[arg-type]
