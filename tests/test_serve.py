from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_server import FaultServer, fault_server
from openai import OpenAI, UnprocessableEntityError

from routerlib.cli import main
from routerlib.log import CallLog

ENTRY = """
- name: {name}
  model: m
  base_url: {url}
  price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
  roles: {roles}
  max_attempts: 1
"""


@pytest.fixture
def provider() -> Iterator[FaultServer]:
    with fault_server() as running:
        yield running


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(provider: FaultServer, tmp_path: Path) -> Iterator[str]:
    """Run `routerlib serve` with rules over two candidates, and give its address."""
    candidates = tmp_path / "candidates.yaml"
    candidates.write_text(
        ENTRY.format(name="small", url=provider.url, roles="[cheapest, cheap]")
        + ENTRY.format(name="large", url=provider.url, roles="[coder, strongest]")
    )
    port = _free_port()
    command = [
        sys.executable,
        "-c",
        "from routerlib.cli import entry; entry()",
        "serve",
        "--candidates",
        str(candidates),
        "--log",
        "logs.db",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2)
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server never became healthy")


def _client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_the_openai_sdk_works_unchanged_and_every_answer_is_logged(
    served: str, provider: FaultServer, tmp_path: Path
) -> None:
    client = _client(served)
    code = [{"role": "user", "content": "Write a Python function that adds two numbers."}]
    assert {model.id for model in client.models.list()} == {"router", "small", "large"}
    routed = client.chat.completions.create(model="router", messages=code)
    assert (routed.model, routed.choices[0].message.content) == ("large", "Answer: 4")
    passed = client.chat.completions.create(model="small", messages=code)
    assert passed.model == "small"
    with pytest.raises(UnprocessableEntityError, match="unknown model 'nope'"):
        client.chat.completions.create(model="nope", messages=code)
    with CallLog(tmp_path / "logs.db", read_only=True) as log:
        rows = log.sql(
            "select c.candidate, propensity from calls c join decisions using "
            "(decision_id) order by call_id"
        )
    assert rows.candidate.tolist() == ["large", "small"]
    assert rows.propensity.tolist() == [1.0, 1.0]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_inference_gives_choice_reason_answer_and_cost(served: str) -> None:
    import json

    def post(body: dict) -> tuple[int, dict]:
        request = urllib.request.Request(
            f"{served}/inference", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    status, body = post({"prompt": "Prove that 2 is prime.", "task": "reasoning"})
    assert status == 200
    assert (body["model"], body["answer"], body["status"]) == ("large", "Answer: 4", "ok")
    assert body["reason"].startswith("rule")
    assert body["cost_usd"] == pytest.approx(20 / 1e6)
    assert post({"prompt": ""})[0] == 422
    assert post({"prompt": "  "})[0] == 422
    assert post({"prompt": "hi", "task": "cooking"})[0] == 422
    status, body = post({"prompt": "status 400 always"})
    assert status == 502
    assert "gave no answer" in body["error"]["message"]


def test_a_port_in_use_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    assert f"port {port} is in use" in capsys.readouterr().err
