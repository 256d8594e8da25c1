"""The command serves until it is told to end, and says in one line why it can't."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from fault_server import FaultServer
from serving import rows, wait_until

from routerlib.cli import main

ENTRY = """
- name: {name}
  model: m
  base_url: {url}
  price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
  roles: {roles}
  max_attempts: 1
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_and_ends_with_what_is_under_way(
    provider: FaultServer, tmp_path: Path, ending: signal.Signals
) -> None:
    (tmp_path / "candidates.yaml").write_text(
        ENTRY.format(name="small", url=provider.url, roles="[cheapest, cheap, coder, strongest]")
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from routerlib.cli import entry; entry()",
            *("serve", "--candidates", "candidates.yaml", "--log", "logs.db", "--port", str(port)),
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:

        def is_up() -> bool:
            assert server.poll() is None, "the server ended"
            try:
                return client.get("/health").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_up, "the server never became healthy", timeout_s=300)  # a busy machine
        asking = threading.Thread(
            target=lambda: answers.append(client.post("/inference", json={"prompt": "sleep 1"}))
        )
        asking.start()
        wait_until(lambda: provider.bodies, "the provider was never asked")
        server.send_signal(ending)
        asking.join(60)
        _, told = server.communicate(timeout=60)
    assert answers[0].status_code == 200
    assert ending == signal.SIGINT or server.returncode == 0
    assert [line.split(" ", 2)[2] for line in told.splitlines()] == [
        "WARNING routerlib.serve: no trained router, using rules",
        f"INFO routerlib.serve: starting on http://127.0.0.1:{port}",
    ]
    assert not (tmp_path / "logs.db-wal").exists()  # the log was closed in order
    calls = rows(tmp_path / "logs.db", "select candidate, status from calls")
    assert calls == [("small", "ok")]


def test_a_port_in_use_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        Path("mine.pkl").write_bytes(b"not a router, and not looked at before the port")
        assert main(["serve", "--port", str(port), "--model", "mine.pkl"]) == 1
    assert f"port {port} is in use" in capsys.readouterr().err


def test_a_broken_router_file_at_the_start_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.pkl").write_bytes(b"not a router")
    assert main(["serve", "--model", "mine.pkl", "--port", "0"]) == 1
    assert "'mine.pkl' can't be opened as a router" in capsys.readouterr().err
