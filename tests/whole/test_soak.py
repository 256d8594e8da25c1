"""Thousands of calls to a server that misbehaves, by runs that are killed: nothing goes astray."""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import busy_server
import pytest

from routerlib.gather.candidates.candidates import load_candidates
from routerlib.gather.collection.plan import plan_collection
from routerlib.gather.prompts.files import load_prompts
from routerlib.log.call_log import CallLog
from routerlib.log.claims import in_flight_at_a_kill
from routerlib.records.call import Price

N_PROMPTS = 1_000
NAMES = ("small", "middle", "large")
FAULTS = {"429": 0.10, "500": 0.05, "reset": 0.02, "malformed": 0.02}
FINISHED = ("ok", "truncated", "refused", "empty")
PRICE = Price(1.0, 2.0)
CHARGE_USD = (
    busy_server.INPUT_TOKENS * PRICE.input_usd_per_mtok
    + busy_server.OUTPUT_TOKENS * PRICE.output_usd_per_mtok
) / 1e6
_COLLECT = "from routerlib.cli import entry; entry()"


class Server:
    """The busy server in its own process."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, busy_server.__file__, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/v1"

    def books(self) -> dict[str, Any]:
        return self._get("/books")

    def totals(self) -> dict[str, Any]:
        return self._get("/totals")

    def _get(self, path: str) -> dict[str, Any]:
        with urlopen(self.url.replace("/v1", path)) as answer:
            return json.load(answer)

    def settled_books(self) -> dict[str, Any]:
        """Wait until it has nothing left to work on: a client's death doesn't stop its work."""
        before, now = None, self.books()
        while now != before:
            time.sleep(0.1)
            before, now = now, self.books()
        return now

    def stop(self) -> None:
        self._process.communicate()


@contextmanager
def running(*options: str) -> Iterator[Server]:
    server = Server(*options)
    try:
        yield server
    finally:
        server.stop()


class Runs:
    """Start `routerlib collect` as a user would, on one log."""

    def __init__(
        self, folder: Path, server: Server, n_prompts: int, names: tuple[str, ...]
    ) -> None:
        self.log_path = folder / "logs.db"
        self.prompts_path = folder / "prompts.jsonl"
        self.candidates_path = folder / "candidates.yaml"
        self.prompts_path.write_text(
            "".join(f'{{"prompt": "What is {i} + {i}?"}}\n' for i in range(n_prompts))
        )
        entries = [
            {
                "name": name,
                "model": name,
                "base_url": server.url,
                "price": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0},
                "max_concurrency": 16,
                "timeout_s": 60.0,
                "parameters": {"max_tokens": 8},
            }
            for name in names
        ]
        self.candidates_path.write_text(json.dumps(entries))  # JSON is YAML

    def start(self, *options: str) -> subprocess.Popen[str]:
        files = ["--prompts", str(self.prompts_path), "--candidates", str(self.candidates_path)]
        return subprocess.Popen(
            [sys.executable, "-c", _COLLECT, "collect", *files, "--log", str(self.log_path),
             *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def in_flight(self) -> set[tuple[str, str]]:
        """Return (candidate, text) of what was being asked when a run was killed."""
        with CallLog(self.log_path, read_only=True) as log:
            texts = {prompt.prompt_id: prompt.text for prompt in log.prompts()}
            return {(key.candidate, texts[key.prompt_id]) for key in in_flight_at_a_kill(log)}

    def finished(self) -> Counter[str]:
        """Count the finished calls of each cell, named as the server names it."""
        marks = ", ".join(f"'{status}'" for status in FINISHED)
        with CallLog(self.log_path, read_only=True) as log:
            rows = log.lookup(
                "select candidate || ': ' || text, count(*) from calls join prompts "
                f"using (prompt_id) where status in ({marks}) group by 1"
            )
        return Counter(dict(rows))


def _kill_after(run: subprocess.Popen[str], server: Server, n_requests: int) -> str:
    while server.totals()["n_requests"] < n_requests:
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    out, errors = run.communicate()
    assert "Traceback" not in errors
    return out


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_nothing_goes_astray_among_faults_and_kills(tmp_path: Path) -> None:
    chance = random.Random(7)
    n_cells = N_PROMPTS * len(NAMES)
    kills_at = sorted(chance.sample(range(100, int(0.8 * n_cells)), 5))
    faults = ("--faults", json.dumps(FAULTS), "--seed", "7", "--latency-s", "0.02")
    with running(*faults) as server:
        runs = Runs(tmp_path, server, N_PROMPTS, NAMES)
        lost: Counter[str] = Counter()  # how often each cell was in flight at a kill
        n_lost_last = 0
        charged_usd = 0.0
        for kill_at in kills_at:
            # Random moments: counted in requests, so that a busy machine has the same kills.
            out = _kill_after(runs.start("--budget-usd", "1"), server, kill_at)
            told = re.search(r"(\d+) of them were in flight when an earlier run was killed", out)
            assert int(told[1] if told else 0) == n_lost_last, "the next run says how many"
            cells = {f"{candidate}: {text}" for candidate, text in runs.in_flight()}
            lost.update(cells)
            n_lost_last = len(cells)
            assert n_lost_last <= 16 * len(NAMES)
            books = server.settled_books()
            assert books["n_charged"] * CHARGE_USD - charged_usd <= 1
            charged_usd = books["n_charged"] * CHARGE_USD

        # A run that its budget stops: less than the rest costs, at 48 calls at once.
        cap_usd = 300 * CHARGE_USD
        out, errors = (run := runs.start("--budget-usd", str(cap_usd))).communicate(timeout=300)
        assert run.returncode == 1, errors
        assert "the budget of $" in errors
        assert "finishing would cost about $" in errors
        books = server.settled_books()
        # No moment was above the cap, for charges are never taken back.
        assert 0.5 * cap_usd < books["n_charged"] * CHARGE_USD - charged_usd <= cap_usd

        out, errors = (run := runs.start()).communicate(timeout=300)
        assert run.returncode == 0, errors
        books = server.settled_books()
    assert {fate: n > 0 for fate, n in books["fates"].items()} == dict.fromkeys(
        [*FAULTS, "fine"], True
    )

    asked, chosen = load_prompts(runs.prompts_path), load_candidates(runs.candidates_path)
    finished = runs.finished()
    assert set(finished.values()) == {1}, "no cell is finished twice"
    with CallLog(runs.log_path, read_only=True) as log:
        typed = {
            f"{candidate}: {text}"
            for candidate, text in log.lookup(
                "select candidate, text from calls join prompts using (prompt_id) "
                "where status in ('error', 'timeout')"
            )
        }
        assert len(finished.keys() | typed) == n_cells, "every cell is done or typed"
        assert len(finished) > 0.99 * n_cells
        left = plan_collection(asked, chosen, log)
        assert {f"{c.candidate.name}: {c.prompt.text}" for c in left.cells} == typed - set(finished)
        assert not left.in_flight

    # The server's own count equals the log's, cell by cell. The one thing that can't be had: an
    # answer that was on its way when SIGKILL hit is finished there and unknown here; such a cell
    # was in flight at that kill, and was asked once more for each time that it was.
    served = Counter(books["finished"])
    for cell in served.keys() | finished.keys():
        assert finished[cell] <= served[cell] <= finished[cell] + lost[cell], cell
    assert {cell for cell in served if served[cell] != finished[cell]} <= set(lost)

    with closing(sqlite3.connect(runs.log_path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("pragma foreign_key_check").fetchall() == []
    assert not list(tmp_path.glob("*.lock")), "locks of dead runs are cleared away"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_two_runs_share_one_log_while_a_third_reads(tmp_path: Path) -> None:
    with running("--latency-s", "0.02") as server:
        runs = Runs(tmp_path, server, 300, ("small", "large"))
        CallLog(runs.log_path).close()
        both = [runs.start(), runs.start()]
        n_seen, failures = [], []

        def read() -> None:
            try:
                while any(run.poll() is None for run in both):
                    with CallLog(runs.log_path, read_only=True) as log:
                        n_seen.append(int(log.sql("select count(*) as n from calls").n[0]))
            except Exception as error:
                failures.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        told = [run.communicate(timeout=120) for run in both]
        reader.join()
        books = server.settled_books()
    assert [run.returncode for run in both] == [0, 0], told
    assert not failures
    assert n_seen == sorted(n_seen)
    assert runs.finished() == Counter(books["finished"])
    assert set(books["finished"].values()) == {1}, "no cell was asked by both"
    assert len(books["finished"]) == 600
