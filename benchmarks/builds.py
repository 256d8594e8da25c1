"""Ask this build and another one the same, in turn, so that other work disturbs both alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from routerlib.evaluation.benchmark_fits import Fit
    from routerlib.outcomes.splits import Parts

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

    def ask(self, what: str, given: Any = None) -> Any:
        """Return processor seconds: of a training, of each decision, or of a batch."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, given or []]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the other build ended with status {self._process.wait()}")
        return json.loads(answer)

    def fit(self, table: str, parts: Parts, *, tell_topics: bool) -> Fit:
        """Return what the build estimates of held-out prompts, and its seconds of training."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "estimates.npz"
            rows = {"train": parts.train.tolist(), "test": parts.test.tolist()}
            fit_s = self.ask("fit", {"table": table, "to": str(path), "tell": tell_topics, **rows})
            with np.load(path) as found:
                kept = {name: found[name] for name in found.files}
        from routerlib.evaluation.benchmark_fits import Fit
        from routerlib.records.decision import Estimates

        models = tuple(kept["models"].tolist())
        detected = Estimates(models, kept["quality"], kept["cost_usd"])
        told = Estimates(models, kept["told"], kept["told_usd"]) if tell_topics else None
        return Fit(detected, told, True, fit_s, np.zeros(0))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def answer() -> None:
    """Do what is asked on the way in, with the package that is found first."""
    from outcome_tables import READERS, read_nine

    from routerlib.routers.lightgbm.router import LGBMRouter

    router = LGBMRouter()
    for line in sys.stdin:
        what, given = json.loads(line)
        begun = time.process_time()
        took: float | list[float] = []
        if what == "train":
            nine = read_nine()
            begun = time.process_time()
            router.fit(nine)  # type: ignore[arg-type]  # whoever compares has looked for it
            took = time.process_time() - begun
        elif what == "fit":
            outcomes = READERS[given["table"]]()
            train, test = (outcomes.take(given[part]) for part in ("train", "test"))
            begun = time.process_time()
            router.fit(train)
            took = time.process_time() - begun
            found = router.predict(test.prompts)
            kept = {"quality": found.quality, "cost_usd": found.cost_usd}
            if given["tell"]:
                told = router.predict(test.prompts, topics=test.topics)
                kept |= {"told": told.quality, "told_usd": told.cost_usd}
            np.savez(given["to"], models=np.array(found.models), **kept)
        elif what == "route":
            took = [_seconds_of(router, text) for text in given]
        else:
            router.predict(given)
            took = time.process_time() - begun
        print(json.dumps(took), flush=True)


def _seconds_of(router: Any, text: str) -> float:
    begun = time.process_time()
    router.route(text)
    return time.process_time() - begun


if __name__ == "__main__":
    answer()
