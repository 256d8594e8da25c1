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
from typing import Literal, NamedTuple

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
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.decision import Estimates
from routerlib.routers.training.train import at_operating_point

SIZES = (50, 100, 200, 500)
N_DRAWS = 10
N_TESTED = 1500
N_BOOTSTRAP = 500
LEVEL = 0.05
OURS = "lightgbm"
METRICS = ("quality", "AIQ")
LEFT_OUT = ("lightgbm plain", "lightgbm best_model")
# Of the way through the cost weights at which a choice changes.
SHARES = (0.0, 0.25, 0.5)
# Of fewer draws no regression on luck is made.
MIN_DRAWS = 5


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
    Quality at cost weight 0, where it alone decides; cost also a quarter and half of the way
    through the weights at which a choice changes, where who is believed too cheap is chosen.
    """
    rows, estimates = found.held_out(OURS)
    draw = np.repeat(np.arange(len(found.divided)), [len(parts.test) for parts in found.divided])
    kept = np.flatnonzero(np.isfinite(found.outcomes.quality[rows]).all(axis=1))
    rows, draw = rows[kept], draw[kept]
    estimates = Estimates(estimates.models, estimates.quality[kept], estimates.cost_usd[kept])
    at, arms = np.arange(len(rows)), choose_arms(estimates, 0.0)
    expected, got = estimates.quality[at, arms], found.outcomes.quality[rows, arms]
    quality = _off(expected - got, _luck(found, draw, arms, "quality"), draw)
    costs = [f"{_cost_off(found, estimates, rows, draw, share)} at {share:g}" for share in SHARES]
    return (
        f"chosen, expected minus got (± standard error over draws): quality {quality}; ECE "
        f"{ece(expected, got):.3f}, by chance {ece_by_chance(expected, got, n_draws=20):.3f}; "
        f"cost as a share of what was paid {', '.join(costs)} of the way; n = {len(rows):,}"
    )


def _cost_off(
    found: Benchmark, estimates: Estimates, rows: np.ndarray, draw: np.ndarray, share: float
) -> str:
    """Say by how much the chosen ones' cost is expected too high, at each draw's own weight."""
    arms = np.empty(len(rows), dtype=np.intp)
    for number in np.unique(draw):
        of_it = draw == number
        own = Estimates(estimates.models, estimates.quality[of_it], estimates.cost_usd[of_it])
        weights = sweep_cost_weights(own)
        arms[of_it] = choose_arms(own, float(weights[int(share * (len(weights) - 1))]))
    paid = found.outcomes.cost_usd[rows, arms]
    mean_of_draw = (np.bincount(draw, paid) / np.bincount(draw))[draw]
    too_much = estimates.cost_usd[np.arange(len(rows)), arms] - paid
    return _off(too_much / mean_of_draw, _luck(found, draw, arms, "cost_usd") / mean_of_draw, draw)


def _luck(
    found: Benchmark, draw: np.ndarray, arms: np.ndarray, target: Literal["quality", "cost_usd"]
) -> np.ndarray:
    """Return by how much the chosen models' training means are above those of all prompts."""
    every = getattr(found.outcomes.compared(), target)
    trained = [
        getattr(found.outcomes.take(parts.train).compared(), target) - every
        for parts in found.divided
    ]
    return np.array(trained)[draw, arms]


def _off(values: np.ndarray, luck: np.ndarray, draw: np.ndarray) -> str:
    """Say the mean over draws, and that beyond luck: its regression on luck, where that is 0.

    Sources
    -------
    S. S. Lavenberg, P. D. Welch, A perspective on the use of control variables to increase the
    efficiency of Monte Carlo simulations, Management Science 27, 1981.
    """
    counts = np.bincount(draw)
    means, lucks = np.bincount(draw, values) / counts, np.bincount(draw, luck) / counts
    plain = f"{means.mean():+.4f} ± {_standard_error(means):.4f}"
    if len(means) < MIN_DRAWS or not np.ptp(lucks):
        return plain
    slope, beyond = np.polyfit(lucks, means, 1)
    left = np.std(means - slope * lucks, ddof=2) / np.sqrt(len(means))
    return f"{plain} (beyond luck {beyond:+.4f} ± {left:.4f})"


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
