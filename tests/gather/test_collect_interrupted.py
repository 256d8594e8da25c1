"""A collection that is killed or interrupted loses no answer, and is taken up where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_server import FaultServer

from routerlib.log.call_log import CallLog

# Ctrl-C is asked for by name: a program started in the background may have been told to ignore it.
_SLOW_RUN = """
import signal, sys
from routerlib.gather.collection.collect import collect
from routerlib.log.call_log import CallLog
from routerlib.records.call import CandidateModel, Price
from routerlib.records.prompt import Prompt
signal.signal(signal.SIGINT, signal.default_int_handler)
candidate = CandidateModel("small", "m", "custom", sys.argv[2], None, Price(1, 2),
                           max_concurrency=2, parameters={"max_tokens": 10})
prompts = [Prompt.from_text(f"sleep 0.1 number {i}") for i in range(20)]
with CallLog(sys.argv[1]) as log:
    print(collect(prompts, [candidate], log, progress=False), flush=True)
"""


def _start_slow_run(path: Path, server: FaultServer) -> subprocess.Popen[str]:
    run = subprocess.Popen(
        [sys.executable, "-c", _SLOW_RUN, str(path), server.url], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(server.requests) < 4:
        assert time.monotonic() < deadline, "the run never began"
        time.sleep(0.02)
    return run


def test_after_a_kill_no_finished_cell_is_asked_again(
    tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "logs.db"
    run = _start_slow_run(path, server)
    run.kill()
    run.communicate()
    with CallLog(path) as log:
        n_finished = len(log.finished_cells())
    assert 2 <= n_finished < 20
    server.requests.clear()
    monkeypatch.setattr(sys, "argv", ["again", str(path), server.url])
    exec(_SLOW_RUN, {})
    assert sum(server.requests.values()) == 20 - n_finished
    with CallLog(path) as log:
        assert len(log.finished_cells()) == 20


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_finishes_the_calls_in_flight(tmp_path: Path, server: FaultServer) -> None:
    run = _start_slow_run(tmp_path / "logs.db", server)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 0
    assert "interrupted" in out
    with CallLog(tmp_path / "logs.db") as log:
        assert len(log.finished_cells()) == sum(server.requests.values()), "an answer was lost"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_of_the_command_line_waits_for_no_retry(
    tmp_path: Path, server: FaultServer
) -> None:
    (tmp_path / "prompts.jsonl").write_text(
        "".join(f'{{"prompt": "status 503 always {i}"}}\n' for i in range(20))
    )
    (tmp_path / "candidates.yaml").write_text(
        f"- {{name: small, model: m, base_url: '{server.url}', max_attempts: 99, "
        "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}"
    )
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from routerlib.cli import entry; entry()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, "collect", "--prompts", "prompts.jsonl",
         "--candidates", "candidates.yaml", "--log", "logs.db"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while sum(server.requests.values()) < 12:
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    out, errors = run.communicate(timeout=30)
    assert run.returncode == 130, errors
    assert "calls in flight finish first" in out
    assert "interrupted; run the same command again to go on" in errors
    assert "20 cells are still missing (small 20), 4 of them failed, which the same" in errors
    with CallLog(tmp_path / "logs.db") as log:
        assert log.sql("select distinct error_type from calls").error_type.tolist() == ["http_503"]
