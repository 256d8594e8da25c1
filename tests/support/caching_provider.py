"""A provider on loopback that bills what it has cached of a prompt, by a rule like a real one's."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LEAST_TOKENS, BLOCK_TOKENS = 1024, 128
# Words in pieces of up to five letters, digits by threes, signs one by one: no share of characters.
_TOKEN = re.compile(r" ?[A-Za-z]{1,5}|\d{1,3}|\s|[^\sA-Za-z\d]")


def tokens_of(messages: list[dict[str, Any]]) -> list[str]:
    """Return the tokens of a prompt, the beginning of the answer included."""
    found = []
    for message in messages:
        found += ["<start>", message["role"], *_TOKEN.findall(str(message["content"])), "<end>"]
    return [*found, "<start>", "assistant"]


class CachingProvider:
    """Counts tokens, keeps what it was sent, and says what it had of each request.

    `keeps`: whole blocks of 128 tokens from 1,024 on (OpenAI), the request up to a breakpoint
        at its end from `least` on (Anthropic), or any beginning from `least` on (Gemini).
    `billed`: model, tokens in, and tokens that were cached, of each call.
    """

    def __init__(self, keeps: str = "blocks", least: int = LEAST_TOKENS) -> None:
        self.billed: list[tuple[str, int, int]] = []
        self._keeps, self._least = keeps, least
        self._blocks: set[tuple[str, int]] = set()
        self._sent: list[tuple[str, list[str]]] = []

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Bill one request."""
        model, tokens = body["model"], tokens_of(body["messages"])
        cached = self._cached(model, tokens)
        self.billed.append((model, len(tokens), cached))
        text = f"Step {len(self.billed)} is done: " + "it went well and nothing is missing. " * 4
        usage = {
            "prompt_tokens": len(tokens),
            "completion_tokens": 40,
            "total_tokens": len(tokens) + 40,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}

    def _cached(self, model: str, tokens: list[str]) -> int:
        """Return how many of the tokens are cached, and keep them."""
        if self._keeps == "beginnings":
            shared = [_n_shared(tokens, sent) for name, sent in self._sent if name == model]
            self._sent.append((model, tokens))
            found = max(shared, default=0)
            return found if found >= self._least else 0
        last = len(tokens) - 2  # what opens the answer stands behind the breakpoint
        ends = range(LEAST_TOKENS, len(tokens) + 1, BLOCK_TOKENS)
        looked_at = ends if self._keeps == "blocks" else range(self._least, last + 1)
        kept = ends if self._keeps == "blocks" else [last] * (last >= self._least)
        known = [end for end in looked_at if (model, hash(tuple(tokens[:end]))) in self._blocks]
        self._blocks.update((model, hash(tuple(tokens[:end]))) for end in kept)
        return max(known, default=0)


def _n_shared(some: list[str], others: list[str]) -> int:
    pairs = enumerate(zip(some, others, strict=False))
    return next((n for n, (one, other) in pairs if one != other), min(len(some), len(others)))


@contextmanager
def caching_provider(
    keeps: str = "blocks", least: int = LEAST_TOKENS
) -> Iterator[tuple[CachingProvider, str]]:
    """Serve one until the block ends; yields it and its base URL."""
    provider = CachingProvider(keeps, least)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            payload = json.dumps(provider.answer(body)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *told: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
