"""Measure whether estimated quality means what it says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.metrics.clusters import clustering
from routerlib.metrics.intervals import Interval, percentile_interval, resampled_sums
from routerlib.metrics.pairs import is_complete
from routerlib.records.arrays import Floats

# Draws times pairs of an error by chance, and its draws at least.
_MOST_CELLS, _FEWEST_DRAWS = 4_000_000, 10


class Reliability(NamedTuple):
    """Expected against observed quality, in bins of equal width that hold something.

    `expected, observed` (n_bins_used,): mean of the estimates and of the observations in each
        bin, in [0, 1].
    `counts` (n_bins_used,): observations in each bin.
    """

    expected: Floats
    observed: Floats
    counts: NDArray[np.int64]


def _pairs(expected: ArrayLike, observed: ArrayLike) -> tuple[Floats, Floats]:
    estimates = np.asarray(expected, dtype=np.float64).ravel()
    outcomes = np.asarray(observed, dtype=np.float64).ravel()
    known = is_complete(estimates, outcomes)
    return estimates[known], outcomes[known]


def reliability(expected: ArrayLike, observed: ArrayLike, n_bins: int = 15) -> Reliability:
    """Average estimates and observations in bins of equal width.

    `expected, observed`: estimated and observed quality in [0, 1]; pairs with a NaN are
        skipped.
    """
    estimates, outcomes = _pairs(expected, observed)
    bins = np.minimum((estimates * n_bins).astype(int), n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    used = count > 0
    mean_expected = np.bincount(bins, estimates, n_bins)[used] / count[used]
    mean_observed = np.bincount(bins, outcomes, n_bins)[used] / count[used]
    return Reliability(mean_expected, mean_observed, count[used])


def ece(expected: ArrayLike, observed: ArrayLike, n_bins: int = 15) -> float:
    """Return the expected calibration error.

    The mean distance between estimated and observed quality over bins, weighted by count. Read it
    beside `brier`: a constant guess at the mean has an ECE of nearly 0.

    `expected, observed`: estimated and observed quality in [0, 1]; pairs with a NaN are
        skipped.
    """
    bins = reliability(expected, observed, n_bins)
    if not len(bins.counts):
        return float("nan")
    return float(np.average(np.abs(bins.expected - bins.observed), weights=bins.counts))


def brier(expected: ArrayLike, observed: ArrayLike) -> float:
    """Return the mean squared distance between estimated and observed quality.

    `expected, observed`: in [0, 1]; pairs with a NaN are skipped.
    """
    estimates, outcomes = _pairs(expected, observed)
    return float(np.mean((estimates - outcomes) ** 2)) if len(estimates) else float("nan")


def weighted_errors(
    expected: Floats, observed: Floats, weights: Floats, n_bins: int = 15
) -> tuple[Floats, Floats]:
    """Return ECE and Brier score of many bootstrap replicates, means over candidate models.

    `expected, observed` (n_prompts, n_models): estimated and observed quality in [0, 1], all
        known.
    `weights` (n_replicates, n_prompts): how often each prompt was drawn.
    Returns shape (n_replicates,): what `ece` and `brier` give on the repeated prompts; NaN
        where none was drawn.

    >>> expected, observed = np.array([[0.1], [0.1], [0.9]]), np.array([[0.0], [1.0], [1.0]])
    >>> errors = weighted_errors(expected, observed, np.ones((1, 3)))
    >>> errors[0].round(4).tolist(), errors[1].round(4).tolist()
    ([0.3], [0.2767])
    """
    n = weights.sum(axis=1)
    off = np.zeros(len(weights))
    for estimates, outcomes in zip(expected.T, observed.T, strict=True):
        bins = np.minimum((estimates * n_bins).astype(int), n_bins - 1)
        gaps = np.zeros((len(bins), n_bins))
        gaps[np.arange(len(bins)), bins] = estimates - outcomes
        off += np.abs(weights @ gaps).sum(axis=1)
    squared = weights @ ((expected - observed) ** 2).mean(axis=1)
    with np.errstate(invalid="ignore"):
        return off / n / expected.shape[1], squared / n


def ece_by_chance(
    expected: ArrayLike,
    observed: ArrayLike,
    n_bins: int = 15,
    *,
    groups: ArrayLike | None = None,
    n_draws: int = 200,
    random_state: int = 0,
) -> float:
    """Return the ECE that perfectly honest estimates would show at this sample size.

    A bin's mean is off by luck, and the ECE counts every distance as positive: with few prompts
    it is well above 0 however honest the estimates. (A bootstrap adds that luck a second time,
    so its interval would lie too high.) Only what an ECE exceeds this by speaks against the
    estimates.

    `expected, observed`: estimated and observed quality in [0, 1]; pairs with a NaN are
        skipped.
    `groups`: group of each pair. Prompts of a group share their luck as much as what they are off
        by is alike; None = each has its own.
    `n_draws`: over how many draws the mean is taken; of more than 4,000,000 / `n_draws` pairs
        over fewer, 4,000,000 divided by the pairs, and ten at least.
    """
    estimates, outcomes = _pairs(expected, observed)
    if not len(estimates):
        return float("nan")
    rng = np.random.default_rng(random_state)
    # Each of many is surer: fewer draws, in bounded memory.
    n_draws = min(n_draws, max(_MOST_CELLS // len(estimates), _FEWEST_DRAWS))
    luck = rng.random((n_draws, len(estimates)))
    if groups is not None:
        named = np.asarray(groups)[is_complete(np.ravel(expected), np.ravel(observed))]
        alike = np.fmax(clustering(outcomes - estimates, named).correlation, 0.0)
        _, group_of = np.unique(named, return_inverse=True)
        shared = rng.random((n_draws, group_of.max() + 1))[:, group_of]
        # Two of a group are alike where both share.
        luck = np.where(rng.random(luck.shape) < np.sqrt(alike), shared, luck)
    return float(np.mean([ece(estimates, drawn, n_bins) for drawn in luck < estimates]))


def mean_brier_interval(
    expected: Floats,
    observed: Floats,
    groups: ArrayLike,
    *,
    n_bootstrap: int = 1000,
    random_state: int = 0,
) -> Interval:
    """Put an interval round the mean over candidate models of `brier`.

    `expected, observed` (n_prompts, n_models): estimated and observed quality in [0, 1]; NaN =
        unknown.
    `groups` (n_prompts,): prompts of a group of near-duplicates are drawn together.
    """
    known = (~np.isnan(expected + observed)).astype(np.float64)
    errors = np.where(known > 0, (expected - observed) ** 2, 0.0)
    has_pairs = known.any(axis=0)

    def mean(sums: Floats, counts: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray((sums / np.where(counts > 0, counts, np.nan)).mean(axis=1))

    if not has_pairs.any():
        return Interval(*[float("nan")] * 4)
    columns, one = (errors[:, has_pairs], known[:, has_pairs]), np.ones((1, len(errors)))
    value = float(mean(*(one @ each for each in columns))[0])
    drawn = (resampled_sums(each, groups, n_bootstrap, random_state) for each in columns)
    return percentile_interval(value, mean(*drawn))
