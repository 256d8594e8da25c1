"""Print whether the default router ever loses: to the best single model or to another family.

Run ``python benchmarks/small_samples.py [table ...] [--sizes 50,500] [--draws 10]
[--cache FOLDER]``.
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
    code = source_hash("routerlib.evaluation.benchmark_fits") if options.cache else ""
    makes = {
        key: make for key, make in usual_routers(all_families=True).items() if key not in LEFT_OUT
    }
    losses: list[Loss] = []
    for size in sizes:
        if size > 0.8 * len(outcomes):
            continue
        parts = [drawn_parts(outcomes, size, seed) for seed in range(options.draws)]
        memory = Memory(options.cache, verbose=0)
        fits = fit_parts(makes, outcomes, parts, memory=memory, memory_key=code, progress=True)
        found = measure_fits(fits, outcomes, parts, n_bootstrap=N_BOOTSTRAP)
        gaps = found.differences(OURS).drop(index=["random", "zero router", "oracle"])
        print(f"\n{name}, {size} training prompts, {len(parts)} draws: {OURS} minus each, 95 %")
        show(pd.DataFrame({metric: _cells(gaps, metric) for metric in METRICS}, index=gaps.index))
        losses += [_loss(size, gaps, rival, metric) for rival in gaps.index for metric in METRICS]
        print(said_of_the_chosen(found))
        print(said_of_operating_points(outcomes, parts))
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
    """Say how expected and real quality and cost of the chosen model compare, over all draws."""
    rows, estimates = found.held_out(OURS)
    kept = np.isfinite(found.outcomes.quality[rows]).all(axis=1)
    rows, arms = rows[kept], choose_arms(estimates, 0.0)[kept]
    at = np.arange(len(kept))[kept]
    expected, expected_usd = estimates.quality[at, arms], estimates.cost_usd[at, arms]
    got, paid = found.outcomes.quality[rows, arms], found.outcomes.cost_usd[rows, arms]
    by_chance = ece_by_chance(expected, got, n_draws=20)
    return (
        f"chosen, expected minus got: quality {expected.mean() - got.mean():+.4f} "
        f"(ECE {ece(expected, got):.3f}, by chance {by_chance:.3f}), cost "
        f"{expected_usd.mean() / paid.mean() - 1:+.1%}, n = {len(rows):,}"
    )


def said_of_operating_points(outcomes: Outcomes, divided: Sequence[Parts]) -> str:
    """Say what `train_router` makes of the same draws, against the best single model."""
    gains, costs, kept = [], [], 0
    for parts in divided:
        train, test = outcomes.take(parts.train), outcomes.take(parts.test)
        router = at_operating_point(usual_routers()[OURS](), train)
        best = outcomes.models.index(router.best_single_)
        arms = np.full(len(test), best)
        if router.fallback_ is None:
            arms = choose_arms(router.predict(test.prompts), router.cost_weight_)
        kept += router.fallback_ is not None
        at = np.arange(len(test))
        gains.append(float(np.nanmean(test.quality[at, arms] - test.quality[:, best])))
        costs.append(float(np.nanmean(test.cost_usd[at, arms]) / test.cost_usd[:, best].mean()))
    error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    return (
        f"train_router: quality {np.mean(gains):+.4f} ± {error:.4f} (standard error over draws) at "
        f"{np.mean(costs):.2f} of the best single model's cost; keeps to it in {kept} of "
        f"{len(gains)}"
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
