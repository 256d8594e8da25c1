"""Print what a cluster brings: features and a whole fit by one worker and by two, and its quality.

Run ``python benchmarks/cluster.py [--prompts 4000] [--demo]``. With ``--demo`` nothing is measured:
a scheduler and two workers are started on loopback, `routerlib train` and `routerlib predict` run
on them, and everything ends.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from outcome_tables import read_nine

from routerlib.evaluation.compare import compare
from routerlib.features.prompt_columns import GROUPS
from routerlib.features.reading import read_here
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.distributed.batches import BatchReader
from routerlib.routers.distributed.fit import fit_distributed
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.training.train import train_router

PATIENCE_S = 60
# Candidates of the public table that the quality is measured on.
N_CANDIDATES = 2


def main() -> None:
    """Measure, or show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=4000)
    parser.add_argument("--demo", action="store_true", help="only run both commands once")
    given = parser.parse_args()
    if given.demo:
        demo(given.prompts)
        return
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print_speed(given.prompts)
    print_quality()


def print_speed(n_prompts: int) -> None:
    """Print seconds of reading prompts, and of a whole fit."""
    world = make_world(n_prompts, n_models=2, kind="price").outcomes
    world.groups  # noqa: B018  # found once, whoever trains
    begun = time.perf_counter()
    read_here(list(world.prompts), GROUPS, None)
    rows = [("this process", time.perf_counter() - begun, timed_fit(world, None))]
    for n_workers in (1, 2):
        with Workers(None, n_workers) as workers, tempfile.TemporaryDirectory() as folder:
            workers.client.run(read_here, ["warm"], GROUPS, None)
            begun = time.perf_counter()
            BatchReader(workers, Path(folder))(list(world.prompts), GROUPS, None)
            rows.append((f"{n_workers} workers", time.perf_counter() - begun, np.nan))
            rows[-1] = (*rows[-1][:2], timed_fit(world, workers))
    table = pd.DataFrame(rows, columns=["who", "features s", "whole fit s"])
    print(f"\n{n_prompts} prompts, 2 candidates")
    print(table.round(2).to_string(index=False))


def timed_fit(world: Outcomes, workers: Workers | None) -> float:
    """Return the seconds of one training."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        if workers is None:
            train_router(world)
        else:
            fit_distributed(world, workers.client, folder=folder)
        return time.perf_counter() - begun


def print_quality() -> None:
    """Print how a cluster's router and one machine's differ on held-out prompts."""
    outcomes = read_nine()
    if outcomes is None:
        print("the public table isn't there")
        return
    train, test = outcomes.of_models(outcomes.models[:N_CANDIDATES]).split(0.3, 0)
    alone = train_router(train)
    with tempfile.TemporaryDirectory() as folder, Workers(None, 2) as workers:
        spread = fit_distributed(train, workers.client, folder=folder)
    print(f"\n{len(train)} prompts to train, {len(test)} to test, {N_CANDIDATES} candidates")
    losses = [log_losses(router, test) for router in (alone, spread)]
    print(f"log loss: one machine {losses[0].mean():.5f}, cluster {losses[1].mean():.5f}")
    low, high = interval(losses[1] - losses[0], test.groups)
    print(f"difference {(losses[1] - losses[0]).mean():+.5f}, 95 % {low:+.5f} to {high:+.5f}")
    found = compare({"one machine": alone, "cluster": spread}, test)
    print(found.to_string())


def log_losses(router: LGBMRouter, test: Outcomes) -> np.ndarray:
    """Return the log loss of each prompt, the mean over candidates that were observed."""
    quality = np.clip(router.predict(test.prompts).quality, 1e-6, 1 - 1e-6)
    losses = -(test.quality * np.log(quality) + (1 - test.quality) * np.log(1 - quality))
    return np.asarray(np.nanmean(losses, axis=1))


def interval(values: np.ndarray, groups: np.ndarray, n_draws: int = 1000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, groups drawn whole."""
    names, number = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(number, values), np.bincount(number)
    drawn = np.random.default_rng(0).integers(len(names), size=(n_draws, len(names)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return tuple(np.quantile(means, [0.025, 0.975]))


def demo(n_prompts: int) -> None:
    """Train and predict by the commands, on a scheduler and two workers on loopback."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        table, log, model = (Path(home) / name for name in ("table.parquet", "logs.db", "r.pkl"))
        world = make_world(n_prompts, n_models=2, kind="price").outcomes
        columns = {"prompt": list(world.prompts)}
        for arm, name in enumerate(world.models):
            columns |= {name: world.quality[:, arm], f"cost_usd_{name}": world.cost_usd[:, arm]}
        pd.DataFrame(columns).to_parquet(table)
        address = stack.enter_context(scheduler(Path(home)))
        for _ in range(2):
            stack.enter_context(ended("dask", "worker", address, "--nthreads", "1"))
        command("import", "table", str(table), "--log", str(log))
        command("train", "--log", str(log), "--model", str(model), "--cluster", address)
        out = Path(home) / "estimates"
        command(
            *("predict", "--prompts", str(table), "--out", str(out)),
            *("--model", str(model), "--cluster", address),
        )
        chosen = pd.read_parquet(out).model.value_counts()
        print("\nchosen: " + ", ".join(f"{name} {n} times" for name, n in chosen.items()))


@contextmanager
def scheduler(home: Path) -> Iterator[str]:
    """Run a scheduler on loopback, and give its address."""
    told = home / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
    with ended("dask", "scheduler", *options, "--scheduler-file", str(told)):
        until = time.monotonic() + PATIENCE_S
        while not (told.exists() and told.read_text().strip()):
            if time.monotonic() > until:
                sys.exit(f"the scheduler didn't start within {PATIENCE_S} s")
            time.sleep(0.1)
        yield json.loads(told.read_text())["address"]


@contextmanager
def ended(*words: str) -> Iterator[None]:
    """Run a module with its words as long as the block lasts, silently."""
    with subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def command(*words: str) -> None:
    """Run a command of routerlib, and end where it fails."""
    print("\n$ routerlib " + " ".join(words), flush=True)
    subprocess.run([sys.executable, "-m", "routerlib", *words], check=True)


if __name__ == "__main__":
    main()
