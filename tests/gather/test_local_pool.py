"""Local models are served inside the process and leave nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest

from routerlib.gather.candidates import local_pool
from routerlib.weights import cache

MODEL = "smollm2-135m"
EXITS_WITHIN_S = 30  # seconds; a few are enough on a quiet machine

# A caller in the same process waits for an answer that takes minutes.
ASK_FOR_LONG = """
    import threading, openai
    def ask():
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            client.chat.completions.create(
                model="x", max_tokens=900, messages=[{"role": "user", "content": "Tell a story."}],
                extra_body={"ignore_eos": True})
    threading.excepthook = lambda _: None
    threading.Thread(target=ask, daemon=True).start()
    time.sleep(1.5)
"""


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    yield
    local_pool.stop()


def refuses(url: str) -> bool:
    """Say whether nobody listens at a URL any more."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False


def start_program(body: str) -> subprocess.Popen[str]:
    """Run a program that starts a server, prints its URL and goes on with ``body``.

    It asks for Ctrl-C by name: started in the background, it may have been told to ignore it.
    """
    opening = f"""
    import signal, time
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from routerlib.gather.candidates import local_pool
    url = local_pool.base_url({MODEL!r})
    print(url, flush=True)
    """
    program = textwrap.dedent(opening) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.live
def test_a_local_model_answers_and_counts_its_tokens(capfd: pytest.CaptureFixture[str]) -> None:
    cache.ensure(MODEL)
    capfd.readouterr()
    with openai.OpenAI(
        base_url=local_pool.base_url(MODEL), api_key="none", max_retries=0
    ) as client:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            max_tokens=16,
            temperature=0,
        )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 5
    assert 1 <= answer.usage.completion_tokens <= 16
    local_pool.stop(MODEL)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


@pytest.mark.live
def test_the_same_model_has_one_server_however_often_it_is_asked_for() -> None:
    with ThreadPoolExecutor(4) as pool:
        urls = set(pool.map(local_pool.base_url, [MODEL] * 4))
    assert local_pool.running() == {MODEL: urls.pop()}
    assert not urls


@pytest.mark.live
def test_a_stopped_server_listens_no_more_and_starts_again() -> None:
    url = local_pool.base_url(MODEL)
    local_pool.stop(MODEL)
    assert refuses(url)
    assert local_pool.running() == {}
    assert not refuses(local_pool.base_url(MODEL))


@pytest.mark.live
def test_a_gguf_of_your_own_is_served_under_its_path(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.symlink_to(cache.ensure(MODEL))
    url = local_pool.base_url(str(own))
    assert list(local_pool.running().values()) == [url]
    local_pool.stop(str(own))
    assert local_pool.running() == {}


def test_a_gguf_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(local_pool.LocalServerError, match=r"could not load .*broken\.gguf"):
        local_pool.base_url(str(broken))
    assert local_pool.running() == {}


def test_a_missing_server_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF" + bytes(100))
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(local_pool.LocalServerError, match=r"pip install 'routerlib\[local\]'"):
        local_pool.base_url(str(own))


@pytest.mark.live
@pytest.mark.parametrize(
    ("body", "end", "exit_code", "last_line"),
    [
        ("", None, 0, ""),
        ("raise RuntimeError('boom')", None, 1, "RuntimeError: boom"),
        (ASK_FOR_LONG, None, 0, ""),
        (ASK_FOR_LONG + "    raise RuntimeError('boom')", None, 1, "RuntimeError: boom"),
        ("time.sleep(600)", signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt"),
        ("time.sleep(600)", signal.SIGTERM, -signal.SIGTERM, ""),
        ("time.sleep(600)", signal.SIGKILL, -signal.SIGKILL, ""),
    ],
    ids=["end", "exception", "busy", "busy exception", "Ctrl-C", "terminate", "kill"],
)
def test_a_program_ends_by_itself_and_leaves_no_server(
    body: str, end: signal.Signals | None, exit_code: int, last_line: str
) -> None:
    cache.ensure(MODEL)
    with start_program(body) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        if end is not None:
            program.send_signal(end)
        started = time.monotonic()
        try:
            rest, complaints = program.communicate(timeout=EXITS_WITHIN_S)
        finally:
            program.kill()
    assert program.returncode == exit_code
    assert rest == ""
    assert (complaints.strip().splitlines() or [""])[-1] == last_line
    assert refuses(url)
    assert time.monotonic() - started < EXITS_WITHIN_S
