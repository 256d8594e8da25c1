"""Let two servers and a collector share one log under load, kill a server, and look for losses.

Run ``python benchmarks/endurance.py --seconds 300``; it ends with status 1 if anything was lost.
Protocol: results/endurance.md.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from processes import candidates_yaml, fake_candidate, start_server

from routerlib.log.call_log import CallLog

LATENCY_S = 0.05
CLIENTS_PER_SERVER = 4
COLLECTED_PER_S = 30
KILLED_AFTER = 0.5  # share of the time
ANSWERED = """
select decision_id, text from calls join prompts using (prompt_id)
where decision_id is not null and status = 'ok'
"""
IN_FLIGHT = """
select count(*) from decisions
where not exists (select 1 from calls where calls.decision_id = decisions.decision_id)
"""


@dataclass
class Journal:
    """What clients were told, written down by themselves."""

    answers: dict[int, str] = field(default_factory=dict)
    scores: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    """Run, print the table, and say with the exit status whether all is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    journal = Journal()
    with fake_candidate(LATENCY_S) as candidate_url:
        candidates = candidates_yaml(folder / "candidates.yaml", candidate_url)
        seen = run(folder, candidates, options.seconds, journal)
    problems = show(folder / "logs.db", journal, seen)
    print("\n".join(problems) or "nothing is lost")
    sys.exit(bool(problems))


def run(folder: Path, candidates: Path, seconds: float, journal: Journal) -> dict[int, str]:
    """Let all write for so long, and return the calls that were committed before the kill."""
    log_path = folder / "logs.db"
    common = ("--candidates", str(candidates), "--log", str(log_path))
    servers = [start_server(*common, "--model", str(folder / "none.pkl")) for _ in range(2)]
    collector = start_collector(folder, common, int(seconds * COLLECTED_PER_S))
    is_over = threading.Event()
    numbers = itertools.count()
    clients = [
        threading.Thread(target=ask_on, args=(url, numbers, is_over, journal, bool(i % 2)))
        for _, url in servers
        for i in range(CLIENTS_PER_SERVER)
    ]
    for client in clients:
        client.start()
    wait_until_all_write(log_path, collector)
    time.sleep(seconds * KILLED_AFTER)
    seen = committed_calls(log_path)
    servers[1][0].kill()
    time.sleep(seconds * (1 - KILLED_AFTER))
    is_over.set()
    for client in clients:
        client.join()
    collector.send_signal(signal.SIGINT)  # in order: calls in flight are finished
    servers[0][0].terminate()
    for process in (collector, servers[0][0], servers[1][0]):
        process.communicate(timeout=120)
    return seen


def wait_until_all_write(log_path: Path, collector: subprocess.Popen[bytes]) -> None:
    """Wait until both servers and the collector have written calls; then the clock starts."""
    deadline = time.monotonic() + 120
    with CallLog(log_path, read_only=True) as log:
        while log.lookup("select count(distinct run_id) from calls")[0][0] < 3:
            if time.monotonic() > deadline or collector.poll() is not None:
                raise RuntimeError(f"not everybody writes; the collector: {collector.poll()}")
            time.sleep(0.1)


def start_collector(
    folder: Path, common: tuple[str, ...], n_prompts: int
) -> subprocess.Popen[bytes]:
    """Start `routerlib collect` on prompts of its own."""
    path = folder / "prompts.jsonl"
    lines = (
        json.dumps({"prompt": f"Collected prompt {n}: what is {n} + 1?"}) for n in range(n_prompts)
    )
    path.write_text("\n".join(lines))
    entry = "from routerlib.cli import entry; entry()"
    command = [sys.executable, "-c", entry, "collect", "--prompts", str(path), *common]
    return subprocess.Popen(
        [*command, "--concurrency", "4"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def ask_on(
    url: str, numbers: Iterator[int], is_over: threading.Event, journal: Journal, stream: bool
) -> None:
    """Ask one server again and again; every second answer is scored."""
    address = urlsplit(url)
    while not is_over.is_set():
        number = next(numbers)
        prompt = f"Served prompt {number}: how much is {number} + 1?"
        try:
            decision_id = ask(str(address.netloc), prompt, stream)
            with journal.lock:
                journal.answers[decision_id] = prompt
            if number % 2:
                score(str(address.netloc), decision_id)
                with journal.lock:
                    journal.scores[decision_id] += 1
        except (OSError, http.client.HTTPException) as error:
            with journal.lock:
                journal.faults[type(error).__name__] += 1
            if isinstance(error, ConnectionRefusedError):
                return  # the server was killed
            time.sleep(0.1)


def ask(netloc: str, prompt: str, stream: bool) -> int:
    """Ask with OpenAI's API, and return the decision id once the answer is complete."""
    messages = [{"role": "user", "content": prompt}]
    body = {"model": "router", "messages": messages, "stream": stream}
    response, payload = post(netloc, "/v1/chat/completions", body)
    if stream and not payload.endswith(b"data: [DONE]\n\n"):
        raise http.client.IncompleteRead(payload)
    return int(response.headers["x-routerlib-decision-id"])


def score(netloc: str, decision_id: int) -> None:
    """Score an answer."""
    post(netloc, "/feedback", {"decision_id": decision_id, "score": 1})


def post(netloc: str, path: str, body: dict) -> tuple[http.client.HTTPResponse, bytes]:
    """Send JSON over a fresh connection and read a successful answer to its end."""
    connection = http.client.HTTPConnection(netloc, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        payload = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise http.client.HTTPException(f"{path}: {response.status} {payload!r}")
    return response, payload


def committed_calls(path: Path) -> dict[int, str]:
    """Return every call that the log holds now, as a digest of its row."""
    with CallLog(path, read_only=True) as log:
        rows = log.lookup("select * from calls")
    return {row[0]: hashlib.sha256(repr(row).encode()).hexdigest() for row in rows}


def show(path: Path, journal: Journal, seen: dict[int, str]) -> list[str]:
    """Print the table and return what is wrong, in words."""
    now = committed_calls(path)
    with CallLog(path, read_only=True) as log:
        (integrity,) = log.lookup("pragma integrity_check")[0]
        broken = log.lookup("pragma foreign_key_check")
        logged = dict(log.lookup(ANSWERED))
        scored = Counter(
            number
            for (number,) in log.lookup("select decision_id from scores join calls using (call_id)")
        )
        by_kind = log.lookup("select kind, count(*) from calls join runs using (run_id) group by 1")
        (in_flight,) = log.lookup(IN_FLIGHT)[0]
    unlogged = [n for n, prompt in journal.answers.items() if logged.get(n) != prompt]
    unscored = [n for n, times in journal.scores.items() if scored[n] < times]
    lost = [n for n, digest in seen.items() if now.get(n) != digest]
    table = {
        "answers that clients got": len(journal.answers),
        "answers not in the log": len(unlogged),
        "scores that the servers took": sum(journal.scores.values()),
        "scores not in the log": len(unscored),
        "calls committed before the kill": len(seen),
        "of these lost or altered": len(lost),
        "calls in the log at the end": len(now),
        "decisions whose call the kill cut off": in_flight,
        **{f"calls of {kind} runs": n for kind, n in by_kind},
        "requests that failed at clients": dict(journal.faults),
        "integrity check": integrity,
    }
    for name, value in table.items():
        print(f"{name:<40} {value}")
    problems = {
        "nobody was answered": not journal.answers,
        f"answers missing in the log: {unlogged[:5]}": unlogged,
        f"scores missing in the log: {unscored[:5]}": unscored,
        f"committed calls lost: {lost[:5]}": lost,
        f"the file is damaged: {integrity} {broken[:5]}": integrity != "ok" or broken,
    }
    return [told for told, is_wrong in problems.items() if is_wrong]


if __name__ == "__main__":
    main()
