"""An OpenAI-compatible candidate on loopback that answers after a fixed time: ``--latency-s 0.05``.

It prints its base URL and serves until its standard input ends, so that it never outlives the
process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
BODY = json.dumps(
    {
        "id": "fake",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Answer: 4"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 50, "completion_tokens": 5},
    }
).encode()


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency_s: float
) -> None:
    """Answer every request on one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(
                line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
            )
            await reader.readexactly(int(fields.get(b"content-length", b"0")))
            await asyncio.sleep(latency_s)
            writer.write(HEAD + str(len(BODY)).encode() + b"\r\n\r\n" + BODY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(latency_s: float) -> None:
    """Serve on a free port until standard input ends."""
    server = await asyncio.start_server(
        lambda reader, writer: answer(reader, writer, latency_s), "127.0.0.1", 0, backlog=256
    )
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    threading.Thread(target=end_with_input, daemon=True).start()
    await server.serve_forever()


def end_with_input() -> None:
    """Wait for the end of standard input, and leave."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-s", type=float, default=0.05)
    asyncio.run(serve(parser.parse_args().latency_s))
