"""Print how close a collection comes to the wall time that its server allows.

Run ``OMP_NUM_THREADS=1 python benchmarks/collection.py``; protocol: results/collection.md.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from routerlib.gather.collection.collect import collect
from routerlib.log.call_log import CallLog
from routerlib.records.call import CandidateModel, Price
from routerlib.records.prompt import Prompt

N_PROMPTS = 1_000
CONCURRENCY = 16
LATENCY_S = 0.2
N_RUNS = 3
SERVER = Path(__file__).parent.parent / "tests/support/busy_server.py"


def main() -> None:
    """Print one row per run."""
    server = subprocess.Popen(
        [sys.executable, str(SERVER), "--latency-s", str(LATENCY_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = int(server.stdout.readline())  # type: ignore[union-attr]
        ideal_s = N_PROMPTS * LATENCY_S / CONCURRENCY
        print("run  ideal s  wall s  wall / ideal  calls/s")
        for run in range(N_RUNS):
            wall_s = measure(f"http://127.0.0.1:{port}/v1")
            row = (run, ideal_s, wall_s, wall_s / ideal_s, N_PROMPTS / wall_s)
            print("{:>3}  {:>7.2f}  {:>6.2f}  {:>12.3f}  {:>7.1f}".format(*row))
    finally:
        server.stdin.close()  # type: ignore[union-attr]
        server.wait()


def measure(base_url: str) -> float:
    """Return the wall seconds of one collection into a fresh log."""
    candidate = CandidateModel(
        "busy", "busy", "custom", base_url, None, Price(1, 2), CONCURRENCY,
        parameters={"max_tokens": 16},
    )  # fmt: skip
    prompts = [Prompt.from_text(f"What is {i} + {i}?") for i in range(N_PROMPTS)]
    with tempfile.TemporaryDirectory() as folder, CallLog(Path(folder) / "logs.db") as log:
        collection = collect(prompts, [candidate], log, budget_usd=1.0, progress=False)
        if collection.statuses != {"ok": N_PROMPTS}:
            raise RuntimeError(f"the server was not healthy: {collection}")
        return collection.seconds


if __name__ == "__main__":
    main()
