"""Compare formulas by what they mean, with math-verify in a process of its own."""

from __future__ import annotations

import atexit
import json
import math
import queue
import re
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import Any

from routerlib.gather.judges.answers import final_answer
from routerlib.gather.judges.rules import BadReference, reference_texts, verdict
from routerlib.records.call import Score

# Importing sympy takes seconds on a busy machine; comparing two formulas takes milliseconds.
_START_S = 120.0
_ANSWER_S = 10.0
_LONGEST_FORMULA = 300
_FORMULA_WORDS = r"sqrt|frac|tfrac|dfrac|sin|cos|tan|log|exp|cdot|times|left|right|inf|infty|cup"
_WORD = re.compile(rf"(?<![^\W\d_])(?!(?:{_FORMULA_WORDS})\b)[^\W\d_]{{3,}}")
_DELIMITER = re.compile(r"\$|\\\(|\\\[|\\boxed")


def mathematics(response: str, reference: Any) -> Score:
    r"""Compare the final answer with the reference as mathematics, by math-verify.

    >>> mathematics("Answer: $\\frac{2}{4}$", "1/2").score
    1.0
    """
    golds = reference_texts("math", reference)
    texts = [_as_formula(final_answer(response)), response]
    reply = _compare([_as_formula(gold) for gold in golds], texts)
    if reply is None:
        return Score("math", math.nan, f"no verdict within {_ANSWER_S:.0f} s")
    if not reply["n_golds"]:
        raise BadReference(f"judge 'math' can't read the reference {reference!r} as a formula")
    return verdict("math", reply["is_same"], f"got {reply['got']!r}")


def _as_formula(text: str) -> str:
    """Mark a text as LaTeX where it is nothing but a formula."""
    text = text.strip()
    if _DELIMITER.search(text) or _WORD.search(text) or len(text) > _LONGEST_FORMULA:
        return text
    return f"${text}$"


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
                reply: dict[str, Any] = json.loads(self._replies.get(timeout=_ANSWER_S))
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


def _compare(golds: list[str], texts: list[str]) -> dict[str, Any] | None:
    if find_spec("math_verify") is None:
        raise RuntimeError(
            "judge 'math' needs math-verify; install it with: pip install 'routerlib[judges]'"
        )
    return _WORKER.ask({"golds": golds, "texts": texts})
