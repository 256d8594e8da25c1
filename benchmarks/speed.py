"""Print how long a decision, a batch, training and loading take on this machine.

Run ``OMP_NUM_THREADS=1 python benchmarks/speed.py [--table small|nine]``, or with ``--before
CHECKOUT`` beside another build; protocol: results/speed.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from builds import HERE, Build
from outcome_tables import read_nine

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.routers.router import Router

N_PROMPTS = 400
N_DECISIONS = 500
N_BATCH = 2_000
# Spread of everything that is measured more than once.
N_TURNS = 3
WORDS = (
    "please explain how many river bridges the old city has and which number is larger than "
    "seventeen when the garden path crosses the market square before noon"
)


class Turn(NamedTuple):
    """What is measured with a trained router, several times."""

    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float
    prompts_per_s: float
    prompts_per_cpu_s: float
    load_ms: float


def main() -> None:
    """Print the table for three and nine candidates, and for the table of nine models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", choices=["small", "nine"], help="both if not given")
    parser.add_argument("--before", type=Path, help="another checkout to compare with, in turn")
    given = parser.parse_args()
    table = given.table
    if given.before is not None:
        compare(given.before)
        return
    print(
        "| trained on | `route` p50, ms | p95, ms | CPU p50, ms | batch, prompts/s "
        "| per CPU second | load, ms | training, CPU s | MB |\n" + "| --- " * 9 + "|"
    )
    for n_models in (3, 9) if table != "nine" else ():
        report(f"{N_PROMPTS} x {n_models}", make_outcomes(n_models))
    nine = read_nine() if table != "small" else None
    if nine is not None:
        report(f"{len(nine):,} x {len(nine.models)}", nine)


def report(name: str, outcomes: Outcomes) -> None:
    """Print one row of the table: lowest and highest of the turns."""
    router = LGBMRouter()
    train_s = seconds(lambda: router.fit(outcomes), time.process_time)
    path = Path(tempfile.mkdtemp()) / "router_model.pkl"
    router.save(path)
    turns = np.array([measure(load_router(path), path) for _ in range(N_TURNS)])
    digits = [2, 2, 2, 0, 0, 0]
    cells = [
        f"{low:,.{n}f} to {high:,.{n}f}"
        for low, high, n in zip(turns.min(axis=0), turns.max(axis=0), digits, strict=True)
    ]
    megabytes = path.stat().st_size / 1e6
    print(f"| {name} | {' | '.join(cells)} | {train_s:.1f} | {megabytes:.1f} |", flush=True)


def compare(checkout: Path) -> None:
    """Print what another checkout and this one take, in turn, each with a router of its own."""
    nine = read_nine()
    if nine is None:
        return
    builds = [Build(checkout), Build(HERE)]
    trained = [build.ask("train") for build in builds]
    print("| what | before | now | ratio, lowest and highest turn |\n" + "| --- " * 4 + "|")
    print(f"| training {len(nine):,} x 9, CPU s | {trained[0]:.1f} | {trained[1]:.1f} | 1 turn |")
    real = [nine.prompts[row] for row in np.random.default_rng(0).permutation(len(nine))]
    for name, texts in (("made", make_prompts(len(nine), seed=1)), ("real", real)):
        for build in builds:
            build.ask("route", texts[:5])
        ones = np.array(
            [[b.ask("route", texts[60 * turn :][:60]) for b in builds] for turn in range(10)]
        )
        many = np.array(
            [[b.ask("batch", texts[500 * turn :][:500]) for b in builds] for turn in range(2, 8)]
        )
        for part in (50, 25):
            ms = 1e3 * np.percentile(ones, part, axis=2)
            before, now = np.median(ms, axis=0)
            print(row(f"{name}: `route`, CPU p{part}, ms", before, now, ms[:, 1] / ms[:, 0]))
        rate = 500 / many
        before, now = np.median(rate, axis=0)
        print(row(f"{name}: batch, prompts per CPU s", before, now, rate[:, 1] / rate[:, 0]))
    for build in builds:
        build.close()


def row(name: str, before: float, now: float, ratios: np.ndarray) -> str:
    """Return one row of the comparison."""
    spread = f"{np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]"
    digits = 2 if before < 100 else 0
    return f"| {name} | {before:,.{digits}f} | {now:,.{digits}f} | {spread} |"


def measure(router: Router, path: Path) -> Turn:
    """Measure once."""
    load_s = min(seconds(lambda: load_router(path)) for _ in range(3))
    fresh = make_prompts(N_DECISIONS, seed=1)
    router.route(fresh[0])
    walls = [seconds(lambda text=text: router.route(text)) for text in fresh]
    cpus = [seconds(lambda text=text: router.route(text), time.thread_time) for text in fresh]
    batch = make_prompts(N_BATCH, seed=2)
    wall_s = min(seconds(lambda: router.predict(batch)) for _ in range(3))
    cpu_s = min(seconds(lambda: router.predict(batch), time.process_time) for _ in range(3))
    p50, p95 = np.percentile(walls, [50, 95])
    return Turn(
        1e3 * p50,
        1e3 * p95,
        1e3 * float(np.median(cpus)),
        N_BATCH / wall_s,
        N_BATCH / cpu_s,
        1e3 * load_s,
    )


def seconds(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time of one run, by default on the wall."""
    start = clock()
    run()
    return clock() - start


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
