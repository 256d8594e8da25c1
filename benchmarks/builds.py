"""Ask this build and another one the same, in turn, so that other work disturbs both alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]


class Build:
    """A checkout's own process, which trains a router and is asked for decisions.

    `checkout`: folder that holds the package.
    """

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tempfile.gettempdir(),
            env={**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"},
        )

    def ask(self, what: str, texts: list[str] | None = None) -> Any:
        """Return processor seconds: of a training, of each decision, or of a batch."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, texts or []]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the other build ended with status {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def answer() -> None:
    """Do what is asked on the way in, with the package that is found first."""
    from outcome_tables import read_nine

    from routerlib.routers.lightgbm.router import LGBMRouter

    router = LGBMRouter()
    for line in sys.stdin:
        what, texts = json.loads(line)
        begun = time.process_time()
        took: float | list[float] = []
        if what == "train":
            nine = read_nine()
            begun = time.process_time()
            router.fit(nine)  # type: ignore[arg-type]  # whoever compares has looked for it
            took = time.process_time() - begun
        elif what == "route":
            took = [_seconds_of(router, text) for text in texts]
        else:
            router.predict(texts)
            took = time.process_time() - begun
        print(json.dumps(took), flush=True)


def _seconds_of(router: Any, text: str) -> float:
    begun = time.process_time()
    router.route(text)
    return time.process_time() - begun


if __name__ == "__main__":
    answer()
