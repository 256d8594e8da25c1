"""Put intervals round numbers whose percentiles alone are too narrow, or lean to one side."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.metrics.clusters import FEW_GROUPS
from routerlib.metrics.intervals import Interval, percentile_interval, widen_for_unseen
from routerlib.records.arrays import Floats

# Beyond this a number has no logarithm that comes back.
_LARGEST_LOG = 700.0


def widen_for_few(interval: Interval, n_groups: int, level: float = 0.95) -> Interval:
    """Widen an interval as Student's law does, for the spread itself is known from few groups.

    >>> wider = widen_for_few(Interval(0.0, -1.96, 1.96, 1.0), n_groups=20)
    >>> round(wider.high, 3)
    2.147
    """
    from scipy.special import stdtrit

    n_free = max(n_groups - 1, 1)
    normal = NormalDist().inv_cdf((1 + level) / 2)
    factor = float(stdtrit(n_free, (1 + level) / 2)) / normal * np.sqrt((n_free + 1) / n_free)
    value = interval.value
    low, high = (value + factor * (end - value) for end in (interval.low, interval.high))
    return Interval(
        value, float(np.minimum(value, low)), float(np.maximum(value, high)), interval.se
    )


def widen_below_few(
    interval: Interval, n_groups: int, *, is_share: bool, level: float = 0.95
) -> Interval:
    """Widen an interval of fewer than 30 groups by what so few can't show.

    By Student's law and, for a mean of numbers in [0, 1] or of their differences, as
    `widen_for_unseen` does. A wild cluster bootstrap (Cameron, Gelbach and Miller 2008) alone held
    the truth in 85 to 95 % where whole groups are right or wrong.

    `is_share`: whether it is such a mean.
    """
    if n_groups >= FEW_GROUPS or interval.low == interval.high:
        return interval
    wider = widen_for_few(interval, n_groups, level)
    return widen_for_unseen(wider, n_groups, level) if is_share else wider


def interval_between(
    value: float, lows: ArrayLike, highs: ArrayLike, n_groups: int, level: float = 0.95
) -> Interval:
    """Reach from the low end of one row of replicates to the high end of another.

    `lows, highs` (n_bootstrap,): of a number that is too low, and of one that is too high, for
        what is looked for between them.
    """
    low, high = (percentile_interval(value, drawn, level) for drawn in (lows, highs))
    return widen_for_few(Interval(value, low.low, high.high, max(low.se, high.se)), n_groups, level)


def ratio_interval(
    value: float,
    replicates: ArrayLike,
    spread: float,
    spreads: ArrayLike,
    largest: float,
    n_groups: int,
    level: float = 0.95,
) -> Interval:
    """Put an interval round a ratio of means with heavy tails, such as of costs.

    On the log scale, and the widest of three: percentiles; bootstrap-t, which knows that a sample
    without a rare dear prompt has a small mean *and* a small spread; and the normal interval of
    a sample with one group more that is as far off as the farthest, for none shows its rarest.

    Hall (1988), Theoretical comparison of bootstrap confidence intervals, Annals of Statistics 16.

    `replicates` (n_bootstrap,): the ratio on resampled prompts, at least 0.
    `spread`: standard error of its logarithm.
    `spreads` (n_bootstrap,): the same on the resampled prompts.
    `largest`: what the farthest group adds to the logarithm, at least 0.
    """
    plain = widen_for_few(percentile_interval(value, replicates, level), n_groups, level)
    drawn = np.asarray(replicates, dtype=np.float64)
    ends = (plain.low, plain.high)
    if not (np.isfinite(ends).all() and min(value, *ends) > 0 and spread > 0):
        return plain
    known = np.isfinite(drawn) & (drawn > 0) & (np.asarray(spreads) > 0)
    t = np.log(drawn[known] / value) / np.asarray(spreads)[known]
    tail = (1 - level) / 2
    far, near = np.quantile(t, [1 - tail, tail])
    half = NormalDist().inv_cdf(1 - tail) * float(np.hypot(spread, largest))
    below, above = max(far * spread, half), max(-near * spread, half)
    off = Interval(0.0, -min(below, _LARGEST_LOG), min(above, _LARGEST_LOG), spread)
    wider = widen_for_few(off, n_groups, level)
    low, high = np.exp(np.clip([wider.low, wider.high], -_LARGEST_LOG, _LARGEST_LOG))
    return Interval(value, min(ends[0], value * low), max(ends[1], value * high), plain.se)


def lognormal_ends(
    values: ArrayLike, groups: ArrayLike, level: float = 0.95
) -> tuple[float, float]:
    """Return where the mean of costs of one kind lies if their logarithms are normal.

    Of a hundred such costs with heavy tails the dearest are mostly missing, which no resampling can
    show: percentiles, bootstrap-t and a group more held the mean in 91 %, with these ends in 96 %.
    Not for costs of several kinds, such as of models at different prices: their mean isn't that.

    Zhou and Gao (1997), Confidence intervals for the log-normal mean, Statistics in Medicine 16
    (Cox's method).

    `values` (n_prompts,): at least 0. `groups` (n_prompts,): as many as there are count.
    Returns NaN twice where some value isn't positive, or fewer than two groups are.

    >>> low, high = lognormal_ends([1.0, 2.0, 4.0, 8.0], [0, 1, 2, 3])
    >>> low < 3.75 < high
    True
    """
    from scipy.special import stdtrit

    costs, n_groups = np.asarray(values, dtype=np.float64), len(np.unique(np.asarray(groups)))
    if n_groups < 2 or not (costs > 0).all():
        return np.nan, np.nan
    logs = np.log(costs)
    variance = float(logs.var(ddof=1))
    se = np.sqrt(variance / n_groups + variance**2 / (2 * (n_groups - 1)))
    half = float(stdtrit(n_groups - 1, (1 + level) / 2)) * se
    centre = float(logs.mean()) + variance / 2
    low, high = np.exp(np.clip([centre - half, centre + half], -_LARGEST_LOG, _LARGEST_LOG))
    return float(low), float(high)


def group_products(groups: NDArray[np.intp], first: Floats, second: Floats) -> Floats:
    """Multiply the sums of each group, at the first of its prompts; 0 at the others.

    Summed with a bootstrap's multiplicities, they are its second moments.

    `first, second` (n_prompts,): values of each prompt.
    """
    names, at, group_of = np.unique(groups, return_index=True, return_inverse=True)
    sums = [np.bincount(group_of, weights=each, minlength=len(names)) for each in (first, second)]
    products = np.zeros(len(groups))
    products[at] = sums[0] * sums[1]
    return products


def joint_width(deviations: Floats, se: Floats, level: float = 0.95) -> float:
    """Say how many standard errors cover many numbers at once (max-t bootstrap).

    Read off the largest deviation of each replicate, so that whichever number is picked
    afterwards, its interval holds.

    `deviations` (n_bootstrap, n_values): of resampled prompts from the measured values.
    `se` (n_values,): their standard errors; what never varies is left out.
    Returns at least what a single number needs.
    """
    off = np.divide(np.abs(deviations), se, out=np.zeros_like(deviations), where=se > 0)
    alone = NormalDist().inv_cdf((1 + level) / 2)
    if not off.size:
        return alone
    return max(alone, float(np.quantile(off.max(axis=1), level)))


def joint_band(
    values: Floats,
    replicates: Floats,
    n_groups: int,
    unseen: Floats | float = 0.0,
    level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Put a band round many numbers that covers all of them at once.

    `values` (n_values,): measured.
    `replicates` (n_bootstrap, n_values): the same on resampled prompts.
    `unseen` (n_values,): standard error of what no replicate can show, if any.
    Returns shape (n_values,): low and high ends.
    """
    if len(replicates) < 2:
        return np.full(len(values), np.nan), np.full(len(values), np.nan)
    se = np.hypot(replicates.std(axis=0, ddof=1), unseen)
    wider = widen_for_few(Interval(0.0, -1.0, 1.0, 1.0), n_groups, level).high
    half = wider * joint_width(replicates - values, se, level) * se
    return values - half, values + half
