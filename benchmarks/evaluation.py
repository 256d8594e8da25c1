"""Check the evaluation itself on two public tables of outcomes; prints tables.

Run with ``python benchmarks/evaluation.py [copies|safety|certificate|splits]``; without an
argument all four. The protocols are in `README.md`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from outcome_tables import READERS

from routerlib.outcomes import Outcomes
from routerlib.routed import route_all
from routerlib.router import Router
from routerlib.routers import KNNRouter, LGBMRouter
from routerlib.simulate import make_world
from routerlib.split_comparison import compare_splits
from routerlib.splits import group_statistics, near_duplicate_groups
from routerlib.training import at_certified_point, at_operating_point

SMALL_SIZES = (50, 100, 200)
N_SAFETY_SEEDS = 20
N_CERTIFICATE_SEEDS = 20
N_TEST = 2000
EPSILON, DELTA = 0.03, 0.1
CERTIFICATE_SIZES = (1000, 3000)
ROUTERS: dict[str, Callable[[], Router]] = {
    "knn": KNNRouter,
    "lightgbm": LGBMRouter,
}


def main(which: str) -> None:
    """Print the wanted tables."""
    makers = {
        "copies": copies_table,
        "safety": safety_table,
        "certificate": certificate_table,
        "splits": splits_table,
    }
    if which != "all" and which not in makers:
        sys.exit(f"expected one of {', '.join(makers)}, all; got {which!r}")
    for name, make in makers.items():
        if which in (name, "all"):
            print(f"\n{name}")
            print(make().to_string(float_format="{:.3f}".format))


def shared_tables() -> Iterator[tuple[str, Outcomes]]:
    """Read the public tables that lie beside the checkout."""
    for name, read in READERS.items():
        outcomes = read()
        if outcomes is not None:
            yield name, outcomes


def copies_table() -> pd.DataFrame:
    """Count near-duplicates, and time the search."""
    rows = []
    for name, outcomes in shared_tables():
        start = time.perf_counter()
        groups = near_duplicate_groups(outcomes.prompts)
        seconds = time.perf_counter() - start
        rows.append({"table": name, **group_statistics(groups)._asdict(), "seconds": seconds})
    return pd.DataFrame(rows).set_index("table")


def safety_table() -> pd.DataFrame:
    """Ask how much the chosen operating point loses on new prompts, after few for training."""
    worlds = [
        ("world: nothing to learn", make_world(2600, seed=11, kind="nothing").outcomes),
        ("world: dearer is better", make_world(2600, seed=11, kind="price").outcomes),
    ]
    rows = []
    for name, outcomes in [*shared_tables(), *worlds]:
        for n_train in SMALL_SIZES:
            for router_name, make in ROUTERS.items():
                drawn = [
                    against_best_single(
                        outcomes,
                        seed,
                        n_train,
                        lambda train, m=make: at_operating_point(m(), train),
                    )
                    for seed in range(N_SAFETY_SEEDS)
                ]
                rows.append(
                    {"table": name, "training prompts": n_train, "router": router_name}
                    | safety_row(pd.DataFrame(drawn))
                )
    return pd.DataFrame(rows).set_index(["table", "training prompts", "router"])


def safety_row(drawn: pd.DataFrame) -> dict[str, float]:
    """Summarise the seeds of one setting."""
    return {
        "keeps to best single": float(drawn.is_kept.mean()),
        "quality, points": 100 * float(drawn.difference.mean()),
        "se over seeds": 100 * float(drawn.difference.std(ddof=1) / np.sqrt(len(drawn))),
        "worst seed": 100 * float(drawn.difference.min()),
        "saving": float(drawn.saving.mean()),
    }


def against_best_single(
    outcomes: Outcomes, seed: int, n_train: int, fit: Callable[[Outcomes], Router]
) -> dict[str, float]:
    """Train on some prompts, and compare with their best single model on others."""
    order = np.random.default_rng(seed).permutation(len(outcomes))
    train = outcomes.take(order[:n_train])
    test = outcomes.take(order[n_train : n_train + N_TEST])
    router = fit(train)
    rows, arms = np.arange(len(test)), route_all(router, test).arms
    best = test.models.index(router.best_single_)
    true_best = test.quality.mean(axis=0).max()
    reached = test.quality[rows, arms].mean()
    return {
        "difference": float(reached - test.quality[:, best].mean()),
        "to_true_best": float(reached - true_best),
        "saving": float(1 - test.cost_usd[rows, arms].mean() / test.cost_usd[:, best].mean()),
        "is_kept": router.fallback_ is not None,
    }


def certificate_table() -> pd.DataFrame:
    """Ask how often a certificate is given, and how often it is broken on new prompts."""
    rows = []
    for name, outcomes in shared_tables():
        for n_train in CERTIFICATE_SIZES:
            drawn = pd.DataFrame(
                [
                    against_best_single(
                        outcomes,
                        seed,
                        n_train,
                        lambda train: at_certified_point(
                            KNNRouter(), train, epsilon=EPSILON, delta=DELTA
                        ),
                    )
                    for seed in range(N_CERTIFICATE_SEEDS)
                ]
            )
            given = drawn[~drawn.is_kept]
            rows.append(
                {
                    "table": name,
                    "training prompts": n_train,
                    "certified": len(given) / len(drawn),
                    "loss over epsilon": int((given.to_true_best < -EPSILON).sum()),
                    "quality, points": 100 * float(given.to_true_best.mean()),
                    "saving": float(given.saving.mean()),
                }
            )
    return pd.DataFrame(rows).set_index(["table", "training prompts"])


def splits_table() -> pd.DataFrame:
    """Measure one way of training by three ways of holding prompts out."""
    columns = ["n_train", "n_test"]
    for name in ("quality_difference", "AIQ", "APGR", "AIQ_vs_topic_table"):
        columns += [name, f"{name}_low", f"{name}_high"]
    parts = {}
    for name, outcomes in shared_tables():
        for router_name, make in ROUTERS.items():
            found = compare_splits(lambda train, m=make: m().fit(train), outcomes)
            parts[name, router_name] = found[columns]
    return pd.concat(parts, names=["table", "router"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "all")
