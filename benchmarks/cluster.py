"""Print what a cluster brings: features and a whole fit by one worker and by two, and its quality.

Run ``python benchmarks/cluster.py [--prompts N] [--candidates 2] [--only speed] [--demo]``; without
``--prompts`` speed is measured at sizes that a team would use a cluster for, beside what two
processes of plain work bring on this machine. Scheduler and workers are processes of their own, as
on a cluster, on the same cores. With ``--demo`` nothing is measured: a scheduler and two workers
are started on loopback, `routerlib train` and `routerlib predict` run on them, and everything ends.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from distributed import Client
from losses import log_losses, with_interval
from outcome_tables import read_nine
from threadpoolctl import threadpool_limits

from routerlib.evaluation.compare import compare
from routerlib.features.prompt_columns import GROUPS
from routerlib.features.reading import read_here
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.distributed.batches import BatchReader, read_as_parquet
from routerlib.routers.distributed.boosters import BoosterTrainer
from routerlib.routers.distributed.fit import fit_distributed
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.lightgbm.boosting import boosted_by
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.training.train import train_router

PATIENCE_S = 60
DEMO_PROMPTS = 4000
# Prompts and candidates that speed is measured with.
SIZES = ((200_000, 2), (60_000, 9))
# Each worker has a core.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
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
    begun = time.perf_counter()
    _ = world.groups  # found once, whoever trains
    took = time.perf_counter() - begun
    print(f"\n{n_prompts} prompts, {n_models} candidates; near-duplicates took {took:.1f} s before")
    begun, used = time.perf_counter(), time.process_time()
    read_here(list(world.prompts), GROUPS, None)
    read, begun = Took.since(begun, used), time.perf_counter()
    used = time.process_time()
    router = train_router(world)
    rows = [("this process", read, Took.since(begun, used))]
    for n_workers in (1, 2):
        with TemporaryDirectory() as home, own_cluster(Path(home), n_workers) as workers:
            folder = Path(home) / "work"
            workers.client.run(read_as_parquet, ["warm"], GROUPS)
            reader = BatchReader(workers, folder / "features")
            read = measured(workers, partial(reader, list(world.prompts), GROUPS, None))
            made = list[LGBMRouter]()
            fit = measured(workers, partial(fit_into, made, world, workers, folder))
            if made[0].router_hash_ != router.router_hash_:
                sys.exit("a cluster made another router than this process")
            rows.append((f"{n_workers} worker{'s' * (n_workers > 1)}", read, fit))
    for number, what in ((1, "features"), (2, "whole fit")):
        table = pd.DataFrame([row[number] for row in rows], index=[row[0] for row in rows])
        print(f"\n{what}, in seconds\n{table.round(2).to_string()}")
        one, two = rows[1][number], rows[2][number]
        alone = [each.this_process + each.scheduler + each.busiest_worker for each in (one, two)]
        print(
            f"2 workers against 1: {one.passed / two.passed:.2f} times; by processor seconds of "
            f"this process, scheduler and busiest worker one after the other, "
            f"{alone[0] / alone[1]:.2f} times"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


class Took(NamedTuple):
    """Seconds that passed, processor seconds of each, and the share of time that workers work."""

    passed: float
    this_process: float
    scheduler: float = 0.0
    busiest_worker: float = 0.0
    workers_at_work: float = 1.0

    @classmethod
    def since(cls, begun: float, used: float) -> Took:
        """Return what this process took alone."""
        return cls(time.perf_counter() - begun, time.process_time() - used)


def measured(workers: Workers, work: Callable[[], Any]) -> Took:
    """Return what a work takes on workers."""
    client = workers.client
    client.get_task_stream()  # from here on it is kept
    at, begun, used = time.time(), time.perf_counter(), time.process_time()
    scheduler, of_workers = client.run_on_scheduler(process_s), client.run(process_s)
    work()
    passed, used = time.perf_counter() - begun, time.process_time() - used
    after = client.run(process_s)
    spans = (each for task in client.get_task_stream(start=at) for each in task["startstops"])
    busy = sum(each["stop"] - each["start"] for each in spans if each["action"] == "compute")
    return Took(
        passed,
        used,
        client.run_on_scheduler(process_s) - scheduler,
        max(after[worker] - of_workers[worker] for worker in after),
        busy / (passed * len(after)),
    )


def fit_into(made: list[LGBMRouter], world: Outcomes, workers: Workers, folder: Path) -> None:
    """Fit on workers."""
    made.append(fit_distributed(world, workers.client, folder=folder))


def process_s() -> float:
    """Return the processor seconds of whoever is asked."""
    return time.process_time()


@contextmanager
def own_cluster(home: Path, n_workers: int) -> Iterator[Workers]:
    """Run a scheduler and workers with a thread each on loopback, and connect to them."""
    with ExitStack() as stack:
        address = stack.enter_context(scheduler(home))
        for _ in range(n_workers):
            stack.enter_context(ended("dask", "worker", address, "--nthreads", "1"))
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=PATIENCE_S)
            with Workers(client) as workers:
                yield workers


def print_quality() -> None:
    """Print how a cluster's router and one machine's differ on held-out prompts."""
    outcomes = read_nine()
    if outcomes is None:
        print("the public table isn't there")
        return
    train, test = outcomes.of_models(outcomes.models[:N_CANDIDATES]).split(0.3, 0)
    routers = {"one machine": train_router(train)}
    with TemporaryDirectory() as folder, Workers(None, 2) as workers:
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
    with TemporaryDirectory() as home, ExitStack() as stack:
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
        [sys.executable, "-m", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | ONE_THREAD,
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
