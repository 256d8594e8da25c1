"""Check the evaluation itself on two public tables of outcomes; prints tables.

Run ``python benchmarks/evaluation.py [copies|safety|certificate|splits ...] [--draws N]
[--on pair,nine] [--cache FOLDER]``; without a name all four. Protocol: results/evaluation.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Memory
from outcome_tables import READERS
from source_hash import source_hash

from routerlib.evaluation.routing import route_all
from routerlib.evaluation.unseen import compare_splits
from routerlib.outcomes.near_duplicates import group_statistics, near_duplicate_groups
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import Kind, make_world
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.router import Router
from routerlib.routers.training.train import at_certified_point, at_operating_point

SMALL_SIZES = (50, 100, 200)
N_DRAWS = 20
N_TEST = 2000
EPSILON, DELTA = 0.03, 0.1
CERTIFICATE_SIZES = (1000, 3000)
ROUTERS: dict[str, Callable[[], Router]] = {
    "knn": KNNRouter,
    "lightgbm": LGBMRouter,
}
WORLDS: dict[str, Kind] = {"nothing to learn": "nothing", "dearer is better": "price"}


class Choice(NamedTuple):
    """What is wanted.

    Attributes
    ----------
    n_draws : int
        Draws of training prompts.
    on : sequence of str
        Tables and worlds to draw from; none = all.
    draw : callable
        `against_best_single`, perhaps one that keeps what it found.
    code : str
        Hash of the code that trains.
    """

    n_draws: int
    on: Sequence[str]
    draw: Callable[..., dict[str, float]]
    code: str


def main() -> None:
    """Print the wanted tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(MAKERS)}; all if none")
    parser.add_argument("--draws", type=int, default=N_DRAWS, help="of training prompts")
    parser.add_argument("--on", default="", help=f"of {','.join([*READERS, *WORLDS])}")
    parser.add_argument("--cache", help="folder of finished draws; a second run goes on from them")
    options = parser.parse_args()
    wanted = options.tables or list(MAKERS)
    unknown = [name for name in wanted if name not in MAKERS]
    if unknown:
        parser.error(f"expected tables among {', '.join(MAKERS)}, got {unknown[0]!r}")
    code = (
        source_hash("routerlib.routers.training.train", "routerlib.routers.loading")
        if options.cache
        else ""
    )
    memory = Memory(options.cache, verbose=0)
    draw = memory.cache(against_best_single, ignore=["outcomes", "fit"])
    choice = Choice(options.draws, [name for name in options.on.split(",") if name], draw, code)
    for name in wanted:
        MAKERS[name](choice)


def shared_tables(choice: Choice) -> Iterator[tuple[str, Outcomes]]:
    """Read the public tables that lie beside the checkout."""
    for name, read in READERS.items():
        outcomes = read() if name in (choice.on or READERS) else None
        if outcomes is not None:
            yield name, outcomes


def show(title: str, table: pd.DataFrame) -> None:
    """Print one table; none where no outcomes are there to fill it."""
    if table.empty:
        return
    print(f"\n{title}\n{table.to_string(float_format='{:.3f}'.format)}", flush=True)


def copies_table(choice: Choice) -> None:
    """Count near-duplicates, and time the search."""
    rows = []
    for name, outcomes in shared_tables(choice):
        start = time.perf_counter()
        groups = near_duplicate_groups(outcomes.prompts)
        seconds = time.perf_counter() - start
        rows.append({"table": name, **group_statistics(groups)._asdict(), "seconds": seconds})
    show("copies", pd.DataFrame(rows))


def safety_table(choice: Choice) -> None:
    """Ask how much the chosen operating point loses on new prompts, after few for training."""
    worlds = (
        (name, make_world(2600, seed=11, kind=kind).outcomes)
        for name, kind in WORLDS.items()
        if name in (choice.on or WORLDS)
    )
    for name, outcomes in chain(shared_tables(choice), worlds):
        rows = []
        for n_train, (router, make) in product(SMALL_SIZES, ROUTERS.items()):
            drawn = [
                choice.draw(
                    (name, router, choice.code),
                    seed,
                    n_train,
                    outcomes,
                    lambda train, m=make: at_operating_point(m(), train),
                )
                for seed in range(choice.n_draws)
            ]
            rows.append({"training prompts": n_train, "router": router} | safety_row(drawn))
        show(f"safety, {name}", pd.DataFrame(rows).set_index(["training prompts", "router"]))


def safety_row(draws: Sequence[dict[str, float]]) -> dict[str, float]:
    """Summarise the draws of one setting."""
    drawn = pd.DataFrame(draws)
    return {
        "draws": len(drawn),
        "tested on": int(drawn.n_test.min()),
        "keeps to best single": float(drawn.is_kept.mean()),
        "quality, points": 100 * float(drawn.difference.mean()),
        "se over draws": 100 * standard_error(drawn.difference),
        "worst draw": 100 * float(drawn.difference.min()),
        "saving": float(drawn.saving.mean()),
        "se of saving": standard_error(drawn.saving),
    }


def standard_error(values: pd.Series) -> float:
    """Return the standard error of a mean over draws; draws share prompts, so it is rather low."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def against_best_single(
    key: tuple[str, ...],
    seed: int,
    n_train: int,
    outcomes: Outcomes,
    fit: Callable[[Outcomes], Router],
) -> dict[str, float]:
    """Train on some prompts, and compare with their best single model on others.

    `key` tells kept draws apart: table, router, code.
    """
    del key
    order = np.random.default_rng(seed).permutation(len(outcomes))
    train = outcomes.take(order[:n_train])
    test = outcomes.take(order[n_train : n_train + N_TEST])
    router = fit(train)
    rows, arms = np.arange(len(test)), route_all(router, test).arms
    best = test.models.index(router.best_single_)
    true_best = test.quality.mean(axis=0).max()
    reached = test.quality[rows, arms].mean()
    return {
        "n_test": len(test),
        "difference": float(reached - test.quality[:, best].mean()),
        "to_true_best": float(reached - true_best),
        "saving": float(1 - test.cost_usd[rows, arms].mean() / test.cost_usd[:, best].mean()),
        "is_kept": router.fallback_ is not None,
    }


def certificate_table(choice: Choice) -> None:
    """Ask how often a certificate is given, and how often it is broken on new prompts."""
    rows = []
    for (name, outcomes), n_train in product(shared_tables(choice), CERTIFICATE_SIZES):
        drawn = pd.DataFrame(
            [
                choice.draw((name, "knn, certified", choice.code), seed, n_train, outcomes, certify)
                for seed in range(choice.n_draws)
            ]
        )
        given = drawn[~drawn.is_kept]
        rows.append(
            {
                "table": name,
                "training prompts": n_train,
                "draws": len(drawn),
                "certified": len(given) / len(drawn),
                "loss over epsilon": int((given.to_true_best < -EPSILON).sum()),
                "quality, points": 100 * float(given.to_true_best.mean()),
                "saving": float(given.saving.mean()),
            }
        )
    show("certificate", pd.DataFrame(rows))


def certify(train: Outcomes) -> Router:
    """Train nearest neighbours that may lose at most 3 points."""
    return at_certified_point(KNNRouter(), train, epsilon=EPSILON, delta=DELTA)


def splits_table(choice: Choice) -> None:
    """Measure one way of training by three ways of holding prompts out."""
    columns = ["n_train", "n_test"]
    for name in ("quality_difference", "AIQ", "APGR", "AIQ_vs_topic_table"):
        columns += [name, f"{name}_low", f"{name}_high"]
    for (name, outcomes), (router, make) in product(shared_tables(choice), ROUTERS.items()):
        found = compare_splits(lambda train, m=make: m().fit(train), outcomes)
        show(f"splits, {name}, {router}", found[columns])


MAKERS: dict[str, Callable[[Choice], None]] = {
    "copies": copies_table,
    "safety": safety_table,
    "certificate": certificate_table,
    "splits": splits_table,
}


if __name__ == "__main__":
    main()
