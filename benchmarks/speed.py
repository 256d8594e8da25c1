"""Print how long a decision, a batch, training and loading take on this machine.

Run ``OMP_NUM_THREADS=1 python benchmarks/speed.py``; protocol: README.md.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from routerlib.outcomes import Outcomes
from routerlib.routers import LGBMRouter, load_router

N_PROMPTS = 400
N_DECISIONS = 500
N_BATCH = 2_000
WORDS = (
    "please explain how many river bridges the old city has and which number is larger than "
    "seventeen when the garden path crosses the market square before noon"
)


def main() -> None:
    """Print the table for three and for nine candidates."""
    print("candidates  route p50 ms  route p95 ms  batch prompts/s  train s  load ms  file kB")
    for n_models in (3, 9):
        print("  ".join(f"{value:>11.2f}" for value in measure(n_models)))


def measure(n_models: int) -> list[float]:
    """Return one row of the table."""
    outcomes = make_outcomes(n_models)
    train_s = seconds(lambda: LGBMRouter().fit(outcomes))
    router = LGBMRouter().fit(outcomes)
    path = Path(tempfile.mkdtemp()) / "router_model.pkl"
    router.save(path)
    load_s = min(seconds(lambda: load_router(path)) for _ in range(5))
    fresh = make_prompts(N_DECISIONS, seed=1)
    router.route(fresh[0])
    decisions = [seconds(lambda text=text: router.route(text)) for text in fresh]
    batch = make_prompts(N_BATCH, seed=2)
    batch_s = min(seconds(lambda: router.predict(batch)) for _ in range(3))
    p50, p95 = np.percentile(decisions, [50, 95])
    return [
        n_models,
        1e3 * p50,
        1e3 * p95,
        N_BATCH / batch_s,
        train_s,
        1e3 * load_s,
        path.stat().st_size / 1e3,
    ]


def seconds(run: Callable[[], object]) -> float:
    """Return the wall time of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def make_prompts(n_prompts: int, seed: int) -> list[str]:
    """Return prompts of about 200 characters."""
    rng = np.random.default_rng(seed)
    words = WORDS.split()
    return [" ".join(rng.choice(words, 36)) + f" {rng.integers(999)}?" for _ in range(n_prompts)]


def make_outcomes(n_models: int) -> Outcomes:
    """Return outcomes without any pattern; only their size matters here."""
    rng = np.random.default_rng(0)
    shape = (N_PROMPTS, n_models)
    return Outcomes(
        make_prompts(N_PROMPTS, seed=0),
        [f"m{arm}" for arm in range(n_models)],
        rng.integers(0, 2, shape).astype(float),
        rng.lognormal(-7, 0.5, shape),
    )


if __name__ == "__main__":
    main()
