"""An OpenAI-compatible server in a process of its own, for thousands of requests and their count.

Run it with a latency in seconds, the shares of faults and a seed; it writes its port. It answers
on one event loop, misbehaves by the draw of a hash (so that the same request in the same turn
always meets the same fate), charges by the token for all it worked on, and tells its books at
``GET /books``, their sums at ``GET /totals``. It stops when its standard input is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import socket
import sys
from collections import Counter
from typing import Any

INPUT_TOKENS, OUTPUT_TOKENS = 12, 6
BROKEN_BODIES = (b'{"choices": [{"message": {"content": "4', b"<html>busy</html>", b"\xff\xfe\x00")
PATIENCE_HEADERS = (
    ("retry-after", "0"),
    ("retry-after-ms", "20"),
    ("x-ratelimit-reset-requests", "20ms"),
    ("retry-after", "-1"),
    ("retry-after", "86400"),
)


class BusyServer:
    """Fates by hash, and books of what was asked, finished and charged."""

    def __init__(self, latency_s: float, faults: dict[str, float], seed: int) -> None:
        self.latency_s = latency_s
        self.faults = faults
        self.seed = seed
        self.requests: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.fates: Counter[str] = Counter()
        self.n_charged = 0
        self.most_at_once = self.at_once = 0

    def draw(self, cell: str) -> tuple[str, int]:
        """Return the fate of this request, and a number to vary it by."""
        digest = hashlib.blake2b(f"{self.seed}/{cell}/{self.requests[cell]}".encode()).digest()
        share = int.from_bytes(digest[:4]) / 2**32
        for fate, chance in self.faults.items():
            if share < chance:
                return fate, digest[5]
            share -= chance
        return "fine", digest[5]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    books = self.books() if b"/books" in head else self.totals()
                    await send(writer, 200, json.dumps(books).encode())
                    continue
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self.answer(json.loads(await reader.readexactly(length)), writer)
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone: killed, or done
        finally:
            writer.close()

    async def answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Let one request meet its fate."""
        cell = f"{body['model']}: {body['messages'][-1]['content']}"
        self.requests[cell] += 1
        fate, number = self.draw(cell)
        self.fates[fate] += 1
        if fate == "429":
            name, value = PATIENCE_HEADERS[number % len(PATIENCE_HEADERS)]
            await send(writer, 429, b'{"error": {"message": "slow down"}}', f"{name}: {value}\r\n")
            return
        if fate == "500":
            await send(writer, 500, b'{"error": {"message": "the server fell over"}}')
            return
        await asyncio.sleep(self.latency_s)
        self.n_charged += 1  # from here on it has worked, whatever becomes of the answer
        if fate == "reset":
            linger = writer.get_extra_info("socket")
            linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
            raise ConnectionResetError
        if fate == "malformed":
            await send(writer, 200, BROKEN_BODIES[number % len(BROKEN_BODIES)])
            return
        message = {"role": "assistant", "content": f"Answer: {len(cell)}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
        await send(writer, 200, json.dumps({"choices": [choice], "usage": usage}).encode())
        self.finished[cell] += 1

    def totals(self) -> dict[str, Any]:
        """Return how much was asked, charged and done at once so far."""
        return {
            "n_requests": self.fates.total(),
            "n_charged": self.n_charged,
            "most_at_once": self.most_at_once,
        }

    def books(self) -> dict[str, Any]:
        """Return the totals with what became of the requests, and which cells were finished."""
        return {**self.totals(), "fates": self.fates, "finished": self.finished}


async def send(writer: asyncio.StreamWriter, status: int, body: bytes, more: str = "") -> None:
    """Write one response."""
    head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n{more}"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


async def run(server: BusyServer) -> None:
    """Serve until standard input is closed."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    listening.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--faults", type=json.loads, default={})
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(run(BusyServer(given.latency_s, given.faults, given.seed)))
