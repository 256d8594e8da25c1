"""Start and end the processes that benchmarks of serving need."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CANDIDATE = """
- name: {name}
  model: fake
  base_url: {url}
  price: {{input_usd_per_mtok: {usd}, output_usd_per_mtok: {usd}}}
  max_concurrency: 64
  roles: {roles}
"""


@contextmanager
def fake_candidate(latency_s: float) -> Iterator[str]:
    """Run a candidate of fixed latency, and give its base URL."""
    command = [sys.executable, str(HERE / "fake_candidate.py"), "--latency-s", str(latency_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(30)


def candidates_yaml(path: Path, url: str) -> Path:
    """Write two candidates behind one address: rules send chat to small and the rest to large."""
    path.write_text(
        CANDIDATE.format(name="small", url=url, usd=1, roles="[cheapest, cheap]")
        + CANDIDATE.format(name="large", url=url, usd=9, roles="[coder, strongest]")
    )
    return path


def start_server(*options: str) -> tuple[subprocess.Popen[str], str]:
    """Start `routerlib serve` on a free port and return process and address once it answers."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from routerlib.cli import entry; entry()",
            "serve",
            "--port",
            "0",
            *options,
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if " starting on " in line:
            url = line.rsplit(" ", 1)[1].strip()
            wait_until_healthy(url)
            return process, url
    raise RuntimeError(f"the server ended with {process.wait()}")


def wait_until_healthy(url: str) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def processor_s(process: subprocess.Popen[str]) -> float:
    """Return the processor seconds that a process has used so far; NaN where that isn't told."""
    path = Path(f"/proc/{process.pid}/stat")
    if not path.exists():  # Linux only
        return float("nan")
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
