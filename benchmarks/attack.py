"""Attack a served router from outside, and look whether it answers everybody else.

Run ``python benchmarks/attack.py`` (loopback only, three minutes); it ends with status 1 if an
honest request failed or waited long, the server left a traceback, or something hung. Protocol:
results/attack.md.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import multiprocessing
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from processes import candidates_yaml, fake_candidate, start_server
from wire_faults import POST, WIRE_FAULTS, post

# Above what the server holds at rest: a text of 8 MB, four bytes a sign in memory, in a few copies.
MOST_MB = 250
SLOWEST_S = 2.0
HANGS_AFTER_S = 45.0
LARGE = 8_000_000 - 100

Address = tuple[str, int]


class Row(NamedTuple):
    """What came of one kind of attack."""

    name: str
    outcomes: Counter[str]
    honest: list[float]
    failed: list[str]
    memory_mb: float


def ask_on(address: Address, is_over: Any, told: Any) -> None:
    """Ask a short question again and again, and time it, in a process that has nothing else to do.

    Each time over a connection of its own; `told` gets seconds and status of each.
    """
    body = json.dumps({"prompt": "What is 2 + 2?"}).encode()
    asked = []
    while not is_over.wait(0.05):
        started = time.perf_counter()
        status = exchange(address, post(body))
        asked.append((time.perf_counter() - started, status))
    told.put(asked)


def main() -> None:
    """Run all attacks, print the table, and say with the exit status whether the server held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1_200)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4_096), most))
    folder = Path(tempfile.mkdtemp())
    with fake_candidate(0.02) as url:
        candidates = candidates_yaml(folder / "candidates.yaml", url)
        server, served_at = start_server(
            *("--candidates", str(candidates), "--log", str(folder / "logs.db")),
            *("--model", str(folder / "none.pkl")),
        )
        told: list[str] = []
        listener = threading.Thread(target=lambda: told.extend(server.stderr or ()), daemon=True)
        listener.start()
        try:
            address = (str(urlsplit(served_at).hostname), int(urlsplit(served_at).port or 0))
            rows = [
                run(name, attack, address, server) for name, attack in attacks(options.connections)
            ]
        finally:
            server.terminate()
            status = server.wait(120)
            listener.join(30)
    sys.exit(show(rows, told, status))


def attacks(n_connections: int) -> Iterator[tuple[str, Callable[[Address], Counter[str]]]]:
    """Name every attack."""
    yield "nobody attacks", lambda address: Counter(wait_s(3.0))
    yield f"{n_connections} idle connections", lambda a: hold(a, n_connections, b"")
    yield f"{n_connections} slow heads", lambda a: hold(a, n_connections, POST, drip=b"x: y\r\n")
    slow = POST + b"content-length: 1000\r\n\r\n"
    yield f"{n_connections} slow bodies", lambda a: hold(a, n_connections, slow, drip=b" ")
    for name, body in large_bodies().items():
        path = b"/v1/chat/completions" if b'"messages"' in body else b"/inference"
        yield name, partial(several, payloads=[post(body, path)] * 12)
    yield "bodies of 40 MB", lambda address: several(address, [post(b"x" * 40_000_000)] * 4)
    yield "40 MB in chunks", lambda address: several(address, [chunked(b"x" * 40_000_000)] * 4)
    yield f"{len(WIRE_FAULTS)} network faults", lambda a: several(a, list(WIRE_FAULTS.values()))
    yield "the same again, cut off", lambda a: several(a, list(WIRE_FAULTS.values()), is_cut=True)


def large_bodies() -> dict[str, bytes]:
    """Bodies of the largest size that is allowed, each dear to read in another way."""

    def chat(content: str) -> bytes:
        return json.dumps(
            {"model": "router", "messages": [{"role": "user", "content": content}]}
        ).encode()

    def filled(start: bytes, unit: bytes, end: bytes) -> bytes:
        return start + unit * ((LARGE - len(start) - len(end)) // len(unit)) + end

    ask = b'{"model": "router", "messages": ['
    user = b'{"role": "user", "content": "hi"}'
    return {
        "8 MB of text": chat("word " * (LARGE // 5 - 20)),
        "8 MB of one word": chat("x" * (LARGE - 100)),
        "8 MB with one emoji": chat("word " * (LARGE // 5 - 20) + "\N{DUCK}"),
        "8 MB of escapes": filled(ask + b'{"role": "user", "content": "', b"\\u00e9", b'"}]}'),
        "8 MB of backslashes": filled(ask + b'{"role": "user", "content": "', b"\\\\", b'"}]}'),
        "8 MB of messages": filled(ask, user + b",", user + b"]}"),
        "8 MB of wrong messages": filled(ask, b"1,", b"1]}"),
        "8 MB of parts": filled(
            ask + b'{"role": "user", "content": [', b'{"type":"text","text":"a"},', b"1]}]}"
        ),
        "8 MB of empty lists": filled(b'{"prompt": [', b"[],", b"[]]}"),
        "8 MB of fields": b"{"
        + b",".join(b'"k%d": 1' % number for number in range(LARGE // 14))
        + b"}",
        "49,000 fields": b"{" + b",".join(b'"k%d": 1' % n for n in range(49_000)) + b"}",
        "49,000 wrong messages": ask + b"1," * 49_000 + b"1]}",
        "5,000 messages": ask + b",".join([user] * 5_000) + b"]}",
        "49,000 biases": filled(
            b'{"model": "router", "logit_bias": {'
            + b"".join(b'"%d":1,' % n for n in range(48_000)),
            b" ",
            b'"x": 1}, "messages": [' + user + b"]}",
        ),
        "8 MB of depth": filled(b'{"prompt": ', b"[", b""),
        "8 MB of digits": filled(b'{"prompt": "hi", "cost_weight": 1.', b"1", b"}"),
        "8 MB of white space": filled(b"{", b" ", b'"prompt": "hi"}'),
        "a compressed bomb": gzip.compress(b" " * 500_000_000, 1)[: LARGE // 2],
    }


def chunked(body: bytes) -> bytes:
    """Return a request whose body comes in chunks."""
    part = b"%x\r\n%s\r\n" % (2**20, body[: 2**20])
    return POST + b"transfer-encoding: chunked\r\n\r\n" + part * (len(body) // 2**20) + b"0\r\n\r\n"


def wait_s(seconds: float) -> dict[str, int]:
    """Do nothing."""
    time.sleep(seconds)
    return {}


def hold(address: Address, n: int, begun: bytes, drip: bytes = b"") -> Counter[str]:
    """Open connections that send only a beginning, feed them drop by drop, and see what comes."""
    outcomes: Counter[str] = Counter()
    with contextlib.ExitStack() as held:
        connections = []
        for _ in range(n):
            try:
                connection = held.enter_context(socket.create_connection(address, timeout=10))
                connection.sendall(begun)
                connections.append(connection)
            except OSError as error:
                outcomes[type(error).__name__] += 1
        deadline = time.monotonic() + HANGS_AFTER_S
        while connections and time.monotonic() < deadline:
            still = []
            for connection in connections:
                ended = state(connection, drip)
                outcomes.update([ended] if ended else [])
                still += [] if ended else [connection]
            connections = still
            time.sleep(1.0)
        outcomes["hangs"] += len(connections)
    return +outcomes


def state(connection: socket.socket, drip: bytes) -> str:
    """Say how a connection ended; empty = it hasn't. One that hasn't gets a drop more."""
    connection.setblocking(False)
    try:
        told = connection.recv(2**16)
    except BlockingIOError:
        with contextlib.suppress(OSError):
            connection.send(drip)
        return ""
    except OSError:
        return "dropped"
    return told[9:12].decode("latin-1") if told else "dropped"


def several(address: Address, payloads: list[bytes], *, is_cut: bool = False) -> Counter[str]:
    """Send payloads, four at once, and count what came back."""
    left = list(payloads)
    outcomes: Counter[str] = Counter()

    def work() -> None:
        with contextlib.suppress(IndexError):
            while True:
                payload = left.pop()
                outcomes.update([exchange(address, payload, is_cut=is_cut)])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcomes


def exchange(address: Address, payload: bytes, *, is_cut: bool = False) -> str:
    """Send bytes and return the status that came back, or how else it ended."""
    try:
        with socket.create_connection(address, timeout=HANGS_AFTER_S) as connection:
            with contextlib.suppress(ConnectionError):  # what was said before may still be read
                connection.sendall(payload[: len(payload) // 2] if is_cut else payload)
            if is_cut:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return "cut off"
            told = connection.recv(2**16)
            return told[9:12].decode("latin-1") if told else "dropped"
    except TimeoutError:
        return "hangs"
    except OSError:
        return "dropped"


def run(
    name: str,
    attack: Callable[[Address], Counter[str]],
    address: Address,
    server: subprocess.Popen[str],
) -> Row:
    """Attack while an honest client asks."""
    processes = multiprocessing.get_context("spawn")
    is_over, told = processes.Event(), processes.Queue()
    honest = processes.Process(target=ask_on, args=(address, is_over, told))
    honest.start()
    time.sleep(1.0)
    outcomes = attack(address)
    time.sleep(0.5)
    is_over.set()
    asked = told.get(timeout=HANGS_AFTER_S * 2)
    honest.join()
    row = Row(
        name,
        outcomes,
        [waited_s for waited_s, _ in asked],
        [status for _, status in asked if status != "200"],
        memory_mb(server.pid),
    )
    print(as_line(row), flush=True)
    return row


def memory_mb(pid: int) -> float:
    """Return the most memory that a process has held so far, MB; NaN where that isn't told."""
    path = Path(f"/proc/{pid}/status")
    if not path.exists():  # Linux only
        return float("nan")
    (line,) = (line for line in path.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def as_line(row: Row) -> str:
    """Return one row of the table."""
    kinds = Counter(_kind(each) for each in row.outcomes.elements())
    counts = "".join(f"{kinds[kind]:>9}" for kind in KINDS)
    slowest, usual = max(row.honest), statistics.median(row.honest)
    statuses = " ".join(f"{status}:{n}" for status, n in sorted(row.outcomes.items()))
    return (
        f"{row.name:<26}{counts}  {len(row.honest) - len(row.failed):>5}/{len(row.honest):<5}"
        f"{1e3 * usual:>8.0f}{1e3 * slowest:>8.0f}{row.memory_mb:>8.0f}  {statuses}"
    )


KINDS = ("answered", "refused", "dropped", "hangs")


def _kind(outcome: str) -> str:
    if outcome.startswith("2"):
        return "answered"
    if outcome in ("hangs", "TimeoutError"):
        return "hangs"
    return "refused" if outcome[:1].isdigit() else "dropped"


def show(rows: list[Row], told: list[str], status: int) -> int:
    """Print what the server said of itself and return 1 if it didn't hold."""
    tracebacks = sum(line.startswith("Traceback") for line in told)
    faults = sum(
        outcome.startswith("500") * n for row in rows for outcome, n in row.outcomes.items()
    )
    grown_mb = rows[-1].memory_mb - rows[0].memory_mb  # both are the most so far
    problems = {
        f"tracebacks in the server's log: {tracebacks}": tracebacks,
        f"answers with status 500: {faults}": faults,
        f"the server ended with {status}": status,
        "an honest request failed": any(row.failed for row in rows),
        f"an honest request waited longer than {SLOWEST_S} s": any(
            max(row.honest) > SLOWEST_S for row in rows
        ),
        "something hangs": any(row.outcomes["hangs"] for row in rows),
        f"memory grew by {grown_mb:.0f} MB": grown_mb > MOST_MB,
    }
    found = [problem for problem, is_there in problems.items() if is_there]
    print("\n".join(found) or "it held: no traceback, no hang, every honest request answered")
    if tracebacks:
        print("".join(told)[-4_000:])
    return int(bool(found))


if __name__ == "__main__":
    print(
        f"{'attack':<26}{''.join(f'{kind:>9}' for kind in KINDS)}  {'honest':>11}{'p50 ms':>8}"
        f"{'max ms':>8}{'MB':>8}  statuses"
    )
    main()
