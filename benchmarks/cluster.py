"""Print what a cluster brings: features and a whole fit by one worker and by two, and its quality.

Run ``python benchmarks/cluster.py [--prompts N] [--candidates 2] [--only speed] [--demo]``; without
``--prompts`` speed is measured at sizes that a team would use a cluster for, beside what two
processes of plain work bring on this machine. With ``--demo`` nothing is measured: a scheduler and
two workers are started on loopback, `routerlib train` and `routerlib predict` run on them, and
everything ends.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from losses import log_losses, with_interval
from outcome_tables import read_nine
from threadpoolctl import threadpool_limits

from routerlib.evaluation.compare import compare
from routerlib.features.prompt_columns import GROUPS
from routerlib.features.reading import read_here
from routerlib.outcomes.worlds import make_world
from routerlib.routers.distributed.batches import BatchReader, read_as_parquet
from routerlib.routers.distributed.boosters import BoosterTrainer
from routerlib.routers.distributed.fit import fit_distributed
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.lightgbm.boosting import boosted_by
from routerlib.routers.training.train import train_router

PATIENCE_S = 60
DEMO_PROMPTS = 4000
# Prompts and candidates that speed is measured with.
SIZES = ((48_000, 2), (30_000, 9))
# Work of each kind that the ceiling is measured with: a second or so.
ADDED, MULTIPLIED, STREAMED = 10_000_000, 20, 20
# Candidates of the public table that the quality is measured on.
N_CANDIDATES = 2


def main() -> None:
    """Measure, or show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, help="one size instead of the usual ones")
    parser.add_argument("--candidates", type=int, default=2)
    parser.add_argument("--only", choices=("speed", "quality"), help="one of the two parts")
    parser.add_argument("--demo", action="store_true", help="only run both commands once")
    given = parser.parse_args()
    if given.demo:
        demo(given.prompts or DEMO_PROMPTS)
        return
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if given.only != "quality":
        print_ceiling()
        for size in [(given.prompts, given.candidates)] if given.prompts else SIZES:
            print_speed(*size)
    if given.only != "speed":
        print_quality()


def print_ceiling() -> None:
    """Print what two processes of plain work bring on this machine, whoever makes them."""
    kinds = {"Python": in_python, "matrix products": of_matrices, "memory": through_memory}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(len, ["begin", "them"]))
        told = []
        for name, work in kinds.items():
            one, two = (min(took_s(pool, work, n) for _ in range(3)) for n in (1, 2))
            told.append(f"{name} {2 * one / two:.2f}")
    print("ceiling, two processes against one, the best of 3: " + ", ".join(told))


def took_s(pool: ProcessPoolExecutor, work: Callable[[int], float], n: int) -> float:
    """Return the seconds that a work takes, done n times at once."""
    begun = time.perf_counter()
    list(pool.map(work, range(n)))
    return time.perf_counter() - begun


def in_python(seed: int) -> float:
    """Add numbers up one by one."""
    return sum(number * number % 7 for number in range(seed, ADDED))


def of_matrices(seed: int) -> float:
    """Multiply matrices that fit into a core's own memory."""
    matrix = np.random.default_rng(seed).random((1200, 1200), dtype=np.float32)
    with threadpool_limits(limits=1):
        return float(sum((matrix @ matrix)[0, 0] for _ in range(MULTIPLIED)))


def through_memory(seed: int) -> float:
    """Go through numbers that fit into no cache."""
    numbers = np.random.default_rng(seed).random(10_000_000)
    return float(sum((numbers * 1.5 + 2).sum() for _ in range(STREAMED)))


def print_speed(n_prompts: int, n_models: int) -> None:
    """Print seconds of reading prompts, and of a whole fit, and what two workers bring."""
    world = make_world(n_prompts, n_models=n_models, kind="price").outcomes
    took, _ = timed(lambda: world.groups)  # found once, whoever trains
    print(f"\n{n_prompts} prompts, {n_models} candidates; near-duplicates took {took:.1f} s before")
    begun = time.perf_counter()
    read_here(list(world.prompts), GROUPS, None)
    features = time.perf_counter() - begun
    took, used = timed(lambda: train_router(world))
    rows = [("this process", features, took, used, 0.0)]
    for n_workers in (1, 2):
        with Workers(None, n_workers) as workers, tempfile.TemporaryDirectory() as folder:
            workers.client.run(read_as_parquet, ["warm"], GROUPS)
            reader = BatchReader(workers, Path(folder) / "features")
            begun = time.perf_counter()
            reader(list(world.prompts), GROUPS, None)
            features = time.perf_counter() - begun
            busy = busiest(workers)
            took, used = timed(lambda: fit_distributed(world, workers.client, folder=folder))
            rows.append((f"{n_workers} workers", features, took, used, busiest(workers) - busy))
    names = ["who", "features s", "whole fit s", "fit: this process CPU s", "busiest worker CPU s"]
    table = pd.DataFrame(rows, columns=names)
    print(table.round(2).to_string(index=False))
    one, two = rows[1], rows[2]
    print(
        f"2 workers against 1: features {one[1] / two[1]:.2f} times, "
        f"whole fit {one[2] / two[2]:.2f} times; by processor seconds of this process and the "
        f"busiest worker, one after the other, {sum(one[3:]) / sum(two[3:]):.2f} times"
    )
    print(f"load {os.getloadavg()[0]:.1f}")


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds of one call, and the processor seconds of this process in it."""
    begun, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - used


def busiest(workers: Workers) -> float:
    """Return the processor seconds of the worker that has used most."""
    return float(max(workers.client.run(time.process_time).values()))


def print_quality() -> None:
    """Print how a cluster's router and one machine's differ on held-out prompts."""
    outcomes = read_nine()
    if outcomes is None:
        print("the public table isn't there")
        return
    train, test = outcomes.of_models(outcomes.models[:N_CANDIDATES]).split(0.3, 0)
    routers = {"one machine": train_router(train)}
    with tempfile.TemporaryDirectory() as folder, Workers(None, 2) as workers:
        routers["cluster"] = fit_distributed(train, workers.client, folder=folder)
        trainer = BoosterTrainer(workers, Path(folder) / "dealt", most_bytes=0)
        with closing(trainer), boosted_by(trainer):
            routers["cluster, rows dealt"] = train_router(train)
    print(f"\n{len(train)} prompts to train, {len(test)} to test, {N_CANDIDATES} candidates")
    losses = {
        name: log_losses(router.predict(test.prompts).quality, test.quality)
        for name, router in routers.items()
    }
    known = routers["one machine"].router_hash_
    found = compare(routers, test)
    for name, router in routers.items():
        is_same = name != "one machine" and router.router_hash_ == known
        change = with_interval(losses[name] - losses["one machine"], test.groups)
        print(
            f"{name}: {'the same file, ' if is_same else ''}log loss {losses[name].mean():.5f}, "
            f"{change}"
        )
    print("\nagainst one machine, 95 % intervals")
    shown = {
        metric: [told(found.loc[name], metric) for name in routers if name != "one machine"]
        for metric in ("quality", "cost_usd", "AIQ")
    }
    index = [name for name in routers if name != "one machine"]
    print(pd.DataFrame(shown, index=index).to_string())


def told(row: pd.Series, metric: str) -> str:
    """Return a difference to the first router with its interval, in words."""
    value, low, high = (row[f"{metric}_vs_first{end}"] for end in ("", "_low", "_high"))
    return f"{value:+.4g} [{low:+.4g}, {high:+.4g}]"


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
