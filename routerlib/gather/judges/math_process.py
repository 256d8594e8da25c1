"""Ask math-verify, in a process of its own that can be ended when a formula has no end."""

from __future__ import annotations

import atexit
import json
import queue
import subprocess
import sys
import threading
from typing import Any

# Importing sympy takes seconds on a busy machine; comparing two formulas takes milliseconds.
_START_S = 120.0
ANSWER_S = 10.0


class _Worker:
    """The other process, started at first use and again after it had to be ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """Return the reply, None where there is none in time."""
        with self._lock:
            process = self._running()
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
                reply: dict[str, Any] = json.loads(self._replies.get(timeout=ANSWER_S))
            except (queue.Empty, OSError, ValueError):  # too slow, or it died of the question
                self._end()
                return None
            return reply

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._replies = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "routerlib.gather.judges.math_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        threading.Thread(target=_pass_on, args=(self._process, self._replies), daemon=True).start()
        try:
            is_ready = self._replies.get(timeout=_START_S)
        except queue.Empty:
            is_ready = ""
        if not is_ready:
            self._end()
            raise RuntimeError(
                "the process that compares formulas did not start; see what "
                "`python -m routerlib.gather.judges.math_worker` says"
            )
        return self._process

    def close(self) -> None:
        """End the process; the next question starts another one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # an unsent question has nowhere to go
                    continue


def _pass_on(process: subprocess.Popen[str], replies: queue.SimpleQueue[str]) -> None:
    assert process.stdout is not None
    try:
        for line in process.stdout:
            replies.put(line)
    except ValueError:  # closed while waiting
        pass
    replies.put("")  # whoever waits learns that there is nothing more to come


_WORKER = _Worker()
atexit.register(_WORKER.close)


def ask(golds: list[str], texts: list[str]) -> dict[str, Any] | None:
    """Compare the first text that can be read with all references; None when it takes too long."""
    return _WORKER.ask({"golds": golds, "texts": texts})
