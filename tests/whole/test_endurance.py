from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_two_servers_and_a_collector_share_a_log_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "endurance.py"), "--seconds", "8"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    table = {line[:40].strip(): line[41:] for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing is lost\n")
    assert int(table["answers that clients got"]) > 20
    assert int(table["calls committed before the kill"]) > 20
    assert int(table["calls of collect runs"]) > 0
    assert "ConnectionRefusedError" in table["requests that failed at clients"]  # it was killed
