"""Print what `routerlib serve` adds to a request beyond the candidate's own time.

Run ``python benchmarks/serving.py``; protocol: results/serving.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from processes import candidates_yaml, fake_candidate, processor_s, start_server
from speed import make_prompts

from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.lightgbm.router import LGBMRouter

LATENCY_S = 0.05
WARM_UP = 50
CLIENTS = (1, 8, 32)


def main() -> None:
    """Print one row per number of clients and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1500, help="per row")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    train(folder / "router_model.pkl")
    print("clients  asked     run  p50 ms  p99 ms  requests/s  processor ms  logged")
    with fake_candidate(LATENCY_S) as candidate_url:
        candidates = candidates_yaml(folder / "candidates.yaml", candidate_url)
        for run in range(options.runs):
            for clients in CLIENTS:
                direct = measure(candidate_url.removesuffix("/v1"), clients, options.requests)
                show(clients, "directly", run, direct)
                log_path = folder / f"{run}-{clients}.db"
                server, url = start_server(
                    *("--model", str(folder / "router_model.pkl")),
                    *("--candidates", str(candidates), "--log", str(log_path)),
                )
                try:
                    measure(url, clients, WARM_UP)
                    before_s = processor_s(server)
                    routed = measure(url, clients, options.requests)
                    used_ms = 1e3 * (processor_s(server) - before_s) / options.requests
                finally:
                    server.terminate()
                    server.communicate(timeout=60)
                logged = f"{used_ms:>12.2f}  {count_calls(log_path)}/{options.requests}"
                show(clients, "routed", run, routed, logged)


def train(path: Path) -> None:
    """Write a router for the two candidates, as large as one of 400 prompts is."""
    rng = np.random.default_rng(0)
    prompts = make_prompts(400, seed=0)
    quality = rng.integers(0, 2, (400, 2)).astype(float)
    cost_usd = rng.lognormal(-7, 0.5, (400, 2))
    LGBMRouter().fit(Outcomes(prompts, ["small", "large"], quality, cost_usd)).save(path)


def measure(url: str, clients: int, n_requests: int) -> tuple[np.ndarray, float]:
    """Return seconds of each request beyond the candidate's, and requests per second."""
    started = time.perf_counter()
    seconds = asyncio.run(ask_all(url, clients, n_requests))
    return np.array(seconds) - LATENCY_S, n_requests / (time.perf_counter() - started)


async def ask_all(url: str, clients: int, n_requests: int) -> list[float]:
    """Let so many clients ask, each its next prompt once it has its answer."""
    prompts = iter(make_prompts(n_requests, seed=time.time_ns() % 2**32))
    seconds: list[float] = []

    async def client() -> None:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for prompt in prompts:
            request = as_request(prompt)
            start = time.perf_counter()
            writer.write(request)
            await read_answer(reader)
            seconds.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return seconds


def as_request(prompt: str) -> bytes:
    """Return the bytes of a chat request."""
    messages = [{"role": "user", "content": prompt}]
    body = json.dumps({"model": "router", "messages": messages}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> None:
    """Read one answer, which must be a success."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"expected 200, got {head!r}")
    length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
    await reader.readexactly(int(length))


def count_calls(path: Path) -> int:
    """Return how many answers a log holds."""
    with CallLog(path, read_only=True) as log:
        return int(log.lookup("select count(*) from calls where status = 'ok'")[0][0]) - WARM_UP


def show(
    clients: int, asked: str, run: int, measured: tuple[np.ndarray, float], logged: str = ""
) -> None:
    """Print one row."""
    p50, p99 = np.percentile(1e3 * measured[0], [50, 99])
    print(
        f"{clients:>7}  {asked:<8}  {run:>3}  {p50:>6.2f}  {p99:>6.2f}  {measured[1]:>10.0f}  "
        f"{logged}",
        flush=True,
    )


if __name__ == "__main__":
    main()
