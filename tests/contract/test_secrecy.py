"""A key is seen by its provider and by nobody else, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from fault_server import FaultServer

from routerlib.gather.calls.client import Clients
from routerlib.gather.candidates.candidates import load_candidates
from routerlib.gather.candidates.keys import RedactedStream, Redactor
from routerlib.gather.collection.collect import collect
from routerlib.log.call_log import CallLog
from routerlib.records.call import CandidateModel, Price
from routerlib.records.prompt import Prompt
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.pages.index import write_report
from routerlib.show.pages.notebook import to_html

KEY = "sk-marked/secret+0123456789"
# Each makes the server fail in another way; "echo" has it send back the header with the key.
FAULTS = (
    "echo status 401 always",
    "echo status 400 always",
    "echo status 500 always",
    "echo broken json",
    "echo in the answer",
    "echo in an error under 200",
    "echo as finish reason",
    "reset always",
    "sleep 2.0",
)


@pytest.fixture
def folder(tmp_path: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out prompts for every fault, a candidate of its own for each, and a .env with the key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MARKED_KEY", raising=False)
    (tmp_path / ".env").write_text(f"MARKED_KEY={KEY}\n")
    (tmp_path / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": fault}) + "\n" for fault in FAULTS)
    )
    (tmp_path / "candidates.yaml").write_text(
        json.dumps(
            [
                {
                    "name": name,
                    "model": name,
                    "base_url": url,
                    "api_key_env": "MARKED_KEY",
                    "price": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0},
                    "max_attempts": 1,
                    "max_concurrency": 1,
                    "timeout_s": 1.0,
                    "parameters": {"max_tokens": 10},
                }
                for name, url in (("small", server.url), ("nowhere", "http://127.0.0.1:9/v1"))
            ]
        )
    )
    return tmp_path


def _run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    code = "from routerlib.cli import entry; entry()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=False
    )


def _forms(key: str) -> list[bytes]:
    quoted = key.replace("/", "%2F").replace("+", "%2B")
    return [form.encode() for form in (key, quoted, json.dumps(key)[1:-1], key[:12])]


def assert_secret(*texts: bytes) -> None:
    for text in texts:
        for form in _forms(KEY):
            assert form not in text, text[max(0, text.find(form) - 200) :][:400]


def test_no_file_and_no_output_of_the_command_line_holds_the_key(
    folder: Path, server: FaultServer
) -> None:
    # A refused key switches its candidate off: the faults before it need a run of their own.
    rest = "".join(json.dumps({"prompt": fault}) + "\n" for fault in FAULTS[1:])
    (folder / "rest.jsonl").write_text(rest)
    files = ["--candidates", "candidates.yaml", "--log", "logs.db"]
    runs = [
        _run("collect", "--prompts", "rest.jsonl", *files, "--dry-run"),
        _run("--debug", "collect", "--prompts", "rest.jsonl", *files),
        _run("--debug", "collect", "--prompts", "prompts.jsonl", *files),
        _run("candidates", "--candidates", "candidates.yaml"),
        _run("inspect", "logs.db"),
    ]
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert b"Traceback" in runs[2].stderr, "the run is not complete, and --debug shows where"
    with CallLog("logs.db", read_only=True) as log:
        kinds = {row[0] for row in log.lookup("select distinct error_type from calls")}
        assert {"http_401", "http_400", "http_500", "malformed", "timeout", "connection"} <= kinds
        assert log.lookup("select response from calls where response like '%Bearer [key]%'")
        held = [path.read_bytes() for path in folder.glob("logs.db*")]  # with -wal and -shm
    assert_secret(*held, *(run.stdout + run.stderr for run in runs))


def test_no_exception_holds_the_key(
    folder: Path, server: FaultServer, log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def fail_to_write(*_: object) -> None:
        raise RuntimeError("the disk is full")

    def ask(base_url: str, key: str) -> Any:
        monkeypatch.setenv("MARKED_KEY", key)
        candidate = CandidateModel(
            "small", "small", "custom", base_url, "MARKED_KEY", Price(1, 2), max_attempts=1
        )

        async def call() -> Any:
            async with Clients() as clients:
                told.append(repr(await clients.client(candidate)))
                return await clients.call(candidate, Prompt.from_text("echo status 500 always"))

        try:
            told.append(repr(asyncio.run(call())))
            monkeypatch.setattr(log, "add_call", fail_to_write)
            collect([Prompt.from_text("echo in the answer")], [candidate], log, progress=False)
        except (ValueError, RuntimeError) as error:
            told.append("".join(traceback.format_exception(error)) + repr(error))

    ask(server.url, KEY)
    ask("http://127.0.0.1:9/v1", KEY)
    ask(server.url, f"{KEY}\nsecond line")
    ask(server.url, f"{KEY}ä")
    assert len(told) >= 6
    assert any("the disk is full" in text for text in told)
    assert_secret(*(text.encode() for text in told))


def test_no_notebook_output_and_no_report_holds_the_key(folder: Path) -> None:
    cells = [
        "import routerlib as rl",
        "candidates = rl.load_candidates('candidates.yaml')\ncandidates",
        "log = rl.CallLog('logs.db')\nprompts = rl.load_prompts('prompts.jsonl')",
        "collection = rl.collect(prompts[1:], candidates, log)\ncollection",
        "rl.collect(prompts, candidates, log)",
        "log.sql('select * from calls')",
        "from routerlib.show.tables import log as log_tables\nlog_tables.example_answers(log)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, folder / "in.ipynb")
    run = subprocess.run(
        [sys.executable, "-m", "papermill", "-k", "python3", "in.ipynb", "out.ipynb"],
        capture_output=True,
        check=False,
        env=dict(os.environ),
    )
    assert run.returncode == 0, run.stderr
    to_html(folder / "out.ipynb", folder / "out.html")
    executed = (folder / "out.ipynb").read_bytes()
    assert b"http_401" in executed
    assert b"Bearer [key]" in executed
    assert_secret(executed, (folder / "out.html").read_bytes(), run.stdout, run.stderr)


def test_the_index_of_all_results_does_not_hold_the_key(
    folder: Path, server: FaultServer, log: CallLog
) -> None:
    echoed = [
        Prompt.from_text(f"{fault}, {n}", reference=text, judge="contains")
        for n in range(20)
        for fault, text in (("echo in the answer", "You sent"), ("plain", "4"))
    ]
    failed = [Prompt.from_text(f"echo status 400 always, {n}") for n in range(2)]
    small, _ = load_candidates(folder / "candidates.yaml")
    both = [replace(small, name="small"), replace(small, name="large", model="large")]
    collect(echoed + failed, both, log, progress=False)
    assert f"Bearer {KEY}" in {headers["authorization"] for headers in server.headers}
    LGBMRouter().fit(log.outcomes().split()[0]).save(folder / "router_model.pkl")
    write_report(folder / "index.html", log, folder / "router_model.pkl", n_bootstrap=20)
    page = (folder / "index.html").read_bytes()
    assert b"http_400" in page
    assert_secret(page)


def test_a_key_that_spans_pieces_of_a_stream_is_not_shown() -> None:
    stream = RedactedStream(Redactor(KEY))
    shown = [stream.feed(letter) for letter in f"before {KEY} after"]
    assert "".join([*shown, stream.end()]) == "before [key] after"
    assert_secret(*(piece.encode() for piece in shown))
