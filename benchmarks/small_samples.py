"""Print whether the default router ever loses: to the best single model or to another family.

Run ``python benchmarks/small_samples.py [table ...] [--sizes 50,500] [--draws 10]
[--first-draw 0] [--cache FOLDER]``.
Training prompts are drawn at random, 80 % of the table at most; near-duplicates of them are never
tested, and topics are never told. "Chosen" is the router's choice at cost weight 0. Protocol:
README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Memory
from outcome_tables import READERS
from quality import names_of, show, with_ends
from scipy.stats import norm
from source_hash import source_hash

from routerlib.evaluation.benchmark import Benchmark, measure_fits
from routerlib.evaluation.benchmark_fits import fit_parts, usual_routers
from routerlib.metrics.calibration import ece, ece_by_chance
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts
from routerlib.policies.utility import choose_arms
from routerlib.routers.training.train import at_operating_point

SIZES = (50, 100, 200, 500)
N_DRAWS = 10
N_TESTED = 1500
N_BOOTSTRAP = 500
LEVEL = 0.05
OURS = "lightgbm"
METRICS = ("quality", "AIQ")
LEFT_OUT = ("lightgbm plain", "lightgbm best_model")


class Loss(NamedTuple):
    """One comparison of the default router with a rival.

    Attributes
    ----------
    size : int
        Training prompts.
    rival, metric : str
        Of whom and what.
    value, p : float
        Ours minus theirs, and the one-sided p-value of no loss.
    """

    size: int
    rival: str
    metric: str
    value: float
    p: float


def main() -> None:
    """Print the wanted tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(READERS)}; all if none")
    parser.add_argument("--sizes", type=names_of, default=[str(size) for size in SIZES])
    parser.add_argument("--draws", type=int, default=N_DRAWS, help="draws of each size")
    parser.add_argument("--first-draw", type=int, default=0, help="number of the first, a seed")
    parser.add_argument("--cache", help="folder of finished fits; a second run goes on from them")
    options = parser.parse_args()
    for name in options.tables or list(READERS):
        outcomes = READERS[name]()
        if outcomes is not None:
            report(name, outcomes, [int(size) for size in options.sizes], options)


def report(
    name: str, outcomes: Outcomes, sizes: Sequence[int], options: argparse.Namespace
) -> None:
    """Print the comparisons of one table by size, and how many of them are lost."""
    fitted_by = ("routerlib.evaluation.benchmark_fits", "routerlib.routers.training.train")
    code = source_hash(*fitted_by) if options.cache else ""
    makes = {
        key: make for key, make in usual_routers(all_families=True).items() if key not in LEFT_OUT
    }
    losses: list[Loss] = []
    for size in sizes:
        if size > 0.8 * len(outcomes):
            continue
        seeds = range(options.first_draw, options.first_draw + options.draws)
        parts = [drawn_parts(outcomes, size, seed) for seed in seeds]
        memory = Memory(options.cache, verbose=0)
        fits = fit_parts(makes, outcomes, parts, memory=memory, memory_key=code, progress=True)
        found = measure_fits(fits, outcomes, parts, n_bootstrap=N_BOOTSTRAP)
        gaps = found.differences(OURS).drop(index=["random", "zero router", "oracle"])
        print(f"\n{name}, {size} training prompts, {len(parts)} draws: {OURS} minus each, 95 %")
        show(pd.DataFrame({metric: _cells(gaps, metric) for metric in METRICS}, index=gaps.index))
        losses += [_loss(size, gaps, rival, metric) for rival in gaps.index for metric in METRICS]
        print(said_of_the_chosen(found))
        operate = memory.cache(operated, ignore=["outcomes"])
        key = f"{outcomes.data_hash} {code}"
        print(said_of_operating_points([operate(outcomes, each, key) for each in parts]))
    lost = lost_by_holm(losses)
    print(f"\n{name}: {len(lost)} of {len(losses)} comparisons lost (Holm, {LEVEL:.0%} one-sided)")
    for loss in lost:
        print(f"  {loss.metric} at {loss.size} to {loss.rival}: {loss.value:+.4f}, p {loss.p:.4f}")


def drawn_parts(outcomes: Outcomes, size: int, seed: int) -> Parts:
    """Draw training prompts, and prompts to test that repeat none of them."""
    order = np.random.default_rng([seed, size]).permutation(len(outcomes))
    train, rest = order[:size], order[size:]
    fresh = rest[~np.isin(outcomes.groups[rest], outcomes.groups[train])]
    return Parts(np.sort(train), np.sort(fresh[:N_TESTED]))


def said_of_the_chosen(found: Benchmark) -> str:
    """Say how expected and real quality and cost of the chosen model compare, over all draws.

    Training prompts that happen to be easy or cheap move the expectation of all models: beside
    the plain difference stands the one beyond what the means of the training prompts were off.
    """
    rows, estimates = found.held_out(OURS)
    draw = np.repeat(np.arange(len(found.divided)), [len(parts.test) for parts in found.divided])
    kept = np.flatnonzero(np.isfinite(found.outcomes.quality[rows]).all(axis=1))
    rows, draw, arms = rows[kept], draw[kept], choose_arms(estimates, 0.0)[kept]
    expected, expected_usd = estimates.quality[kept, arms], estimates.cost_usd[kept, arms]
    got, paid = found.outcomes.quality[rows, arms], found.outcomes.cost_usd[rows, arms]
    off, off_usd = _luck(found, draw, arms)
    quality = [_mean_of_draws(each, draw) for each in (expected - got, expected - got - off)]
    cost = [
        _mean_of_draws(each / paid.mean(), draw)
        for each in (expected_usd - paid, expected_usd - paid - off_usd)
    ]
    return (
        f"chosen, expected minus got (± standard error over draws): quality {quality[0]}, beyond "
        f"the luck of training {quality[1]}; ECE {ece(expected, got):.3f}, by chance "
        f"{ece_by_chance(expected, got, n_draws=20):.3f}; cost {cost[0]} of what was paid, beyond "
        f"luck {cost[1]}; n = {len(rows):,}"
    )


def _luck(found: Benchmark, draw: np.ndarray, arms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the chosen models' training means are above those of all prompts."""
    every = found.outcomes.compared()
    trained = [found.outcomes.take(parts.train).compared() for parts in found.divided]
    quality = np.array([each.quality - every.quality for each in trained])
    cost_usd = np.array([each.cost_usd - every.cost_usd for each in trained])
    return quality[draw, arms], cost_usd[draw, arms]


def _mean_of_draws(values: np.ndarray, draw: np.ndarray) -> str:
    means = np.bincount(draw, values) / np.bincount(draw)
    return f"{means.mean():+.4f} ± {_standard_error(means):.4f}"


def _standard_error(values: Sequence[float] | np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


class Operated(NamedTuple):
    """What `train_router` makes of one draw, against the best single model.

    Attributes
    ----------
    gain, cost : float
        Mean quality above it, and share of its cost.
    is_kept : bool
        Whether the router keeps to it.
    """

    gain: float
    cost: float
    is_kept: bool


def operated(outcomes: Outcomes, parts: Parts, key: str) -> Operated:
    """Train on one draw as `train_router` does, and test. `key`: of data and code, for a cache."""
    del key
    train, test = outcomes.take(parts.train), outcomes.take(parts.test)
    router = at_operating_point(usual_routers()[OURS](), train)
    best = outcomes.models.index(router.best_single_)
    arms = np.full(len(test), best)
    if router.fallback_ is None:
        arms = choose_arms(router.predict(test.prompts), router.cost_weight_)
    at = np.arange(len(test))
    return Operated(
        float(np.nanmean(test.quality[at, arms] - test.quality[:, best])),
        float(np.nanmean(test.cost_usd[at, arms]) / test.cost_usd[:, best].mean()),
        router.fallback_ is not None,
    )


def said_of_operating_points(draws: Sequence[Operated]) -> str:
    """Say what `train_router` makes of the same draws."""
    gains = [draw.gain for draw in draws]
    return (
        f"train_router: quality {np.mean(gains):+.4f} ± {_standard_error(gains):.4f} (standard "
        f"error over draws; worst {min(gains):+.4f}) at "
        f"{np.mean([draw.cost for draw in draws]):.2f} of the best single model's cost; keeps to "
        f"it in {sum(draw.is_kept for draw in draws)} of {len(gains)}"
    )


def lost_by_holm(losses: Sequence[Loss]) -> list[Loss]:
    """Return the losses that chance doesn't explain, corrected for looking at all of them.

    Sources
    -------
    S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    lost = []
    for number, loss in enumerate(sorted(losses, key=lambda loss: loss.p)):
        if loss.p > LEVEL / (len(losses) - number):
            break
        lost.append(loss)
    return lost


def _loss(size: int, gaps: pd.DataFrame, rival: str, metric: str) -> Loss:
    value, low, high = (float(gaps.loc[rival, metric + end]) for end in ("", "_low", "_high"))
    error = max((high - low) / (2 * norm.ppf(0.975)), 1e-12)
    return Loss(size, rival, metric, value, float(norm.cdf(value / error)))


def _cells(gaps: pd.DataFrame, metric: str) -> list[str]:
    return [with_ends(*row) for row in gaps[[metric, f"{metric}_low", f"{metric}_high"]].values]


if __name__ == "__main__":
    main()
