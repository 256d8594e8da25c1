"""Put intervals round means over prompts by a paired, clustered bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.records.arrays import Floats
from routerlib.records.text_table import plain_number

# Replicates are drawn in blocks so that the multiplicities stay under about 32 MB.
_BLOCK_CELLS = 4_000_000
# So many are drawn at most: the spread of as many is known to within a hundredth.
MOST_UNITS = 16_384
# Multiplicities of so many replicates and units are kept (2 bytes each).
_MOST_KEPT_CELLS = 20_000_000
# More undefined replicates than this, and the percentiles would describe a selection.
_MAX_UNDEFINED_SHARE = 0.05


class Interval(NamedTuple):
    """An estimate with its percentile interval.

    `low, high`: ends of the interval; NaN where it can't be measured.
    """

    value: float
    low: float
    high: float
    se: float

    @classmethod
    def from_to(cls, worst: Interval, best: Interval) -> Interval:
        """Reach from the worst that what is missing can be to the best, in the middle of both."""
        middle = (worst.value + best.value) / 2
        return cls(middle, worst.low, best.high, max(worst.se, best.se))

    def columns(self, name: str) -> dict[str, float]:
        """Return the entries of a table's row: the value, and its ends as ``_low``, ``_high``.

        >>> Interval(0.5, 0.4, 0.6, 0.05).columns("quality")
        {'quality': 0.5, 'quality_low': 0.4, 'quality_high': 0.6}
        """
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    @property
    def told(self) -> str:
        """Write the value and its interval.

        >>> Interval(0.5, 0.41234, 1.0, 0.05).told
        '0.5 [0.412, 1]'
        """
        value, low, high = map(plain_number, self[:3])
        return f"{value} [{low}, {high}]"


# Where a number can lie whatever the sample; one that isn't named here can lie anywhere.
_POSSIBLE = {
    "quality": (0.0, 1.0),
    "cost_usd": (0.0, np.inf),
    "cost_share": (0.0, np.inf),
    "saving": (-np.inf, 1.0),
    "quality_difference": (-1.0, 1.0),
    "zero_difference": (-1.0, 1.0),
    "gain_over_zero": (-1.0, 1.0),
    "utility": (-np.inf, 1.0),
}


def within_possible(name: str, interval: Interval) -> Interval:
    """Cut an interval where the number of that name can't lie, and the number itself.

    >>> within_possible("quality", Interval(0.9, 0.7, 1.1, 0.1))
    Interval(value=0.9, low=0.7, high=1.0, se=0.1)
    """
    low, high = _POSSIBLE.get(name, (-np.inf, np.inf))
    value, start, end = (min(max(each, low), high) for each in interval[:3])
    return Interval(value, start, end, interval.se)


def cluster_weights(groups: ArrayLike, n_bootstrap: int, random_state: int) -> Iterator[Floats]:
    """Draw bootstrap multiplicities, whole groups of near-duplicate prompts at a time.

    Of more than 16,384 groups, so many bundles are drawn, into which groups were dealt at random:
    their means vary alike, by a hundredth of the standard error more or less.

    `groups` (n_prompts,): group of each prompt; prompts of a group are drawn together.
    """
    unit_of, n_units = _drawn_together(groups, random_state)
    if not n_units:
        return
    for drawn in _draws(n_units, n_bootstrap, random_state, _BLOCK_CELLS // len(unit_of)):
        yield drawn[:, unit_of].astype(np.float64)


def resampled_sums(
    columns: Floats, groups: ArrayLike, n_bootstrap: int, random_state: int
) -> Floats:
    """Add up columns over the prompts that `cluster_weights` draws.

    `columns` (n_prompts, n_columns): one row of each prompt.
    Returns shape (n_bootstrap, n_columns).

    >>> resampled_sums(np.ones((3, 1)), [0, 1, 2], n_bootstrap=2, random_state=0).tolist()
    [[3.0], [3.0]]
    """
    unit_of, n_units = _drawn_together(groups, random_state)
    if n_units < MOST_UNITS:
        blocks = [
            weights @ columns for weights in cluster_weights(groups, n_bootstrap, random_state)
        ]
    else:  # as many draws of all prompts would only take longer
        sums = np.column_stack([np.bincount(unit_of, weights=each) for each in columns.T])
        draws = _draws(n_units, n_bootstrap, random_state, _BLOCK_CELLS // n_units)
        blocks = [drawn.astype(np.float64) @ sums for drawn in draws]
    return np.vstack([np.zeros((0, columns.shape[1])), *blocks])


def _drawn_together(groups: ArrayLike, random_state: int) -> tuple[NDArray[np.intp], int]:
    """Return what is drawn as one: the group of each prompt, or its bundle, and their number."""
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) <= MOST_UNITS:
        return group_of, len(names)
    bundle_of = np.random.default_rng(random_state).permutation(len(names)) % MOST_UNITS
    return bundle_of[group_of], MOST_UNITS


def _draws(
    n_units: int, n_bootstrap: int, random_state: int, most_rows: int
) -> Iterator[NDArray[np.integer]]:
    """Yield how often each unit is drawn, some replicates at a time: (n_replicates, n_units)."""
    rows = max(1, min(n_bootstrap, most_rows))
    starts = range(0, n_bootstrap, rows)
    if n_bootstrap * n_units <= _MOST_KEPT_CELLS:
        kept = _kept_draws(n_units, n_bootstrap, random_state)
        yield from (kept[start : start + rows] for start in starts)
        return
    rng = np.random.default_rng(random_state)
    share = np.full(n_units, 1 / n_units)
    for start in starts:
        yield rng.multinomial(n_units, share, size=min(rows, n_bootstrap - start))


@lru_cache(maxsize=2)
def _kept_draws(n_units: int, n_bootstrap: int, random_state: int) -> NDArray[np.uint16]:
    """Draw once what many numbers of the same prompts are measured on: that takes longest."""
    rng = np.random.default_rng(random_state)
    kept = np.empty((n_bootstrap, n_units), dtype=np.uint16)  # no count is above `MOST_UNITS`
    share = np.full(n_units, 1 / n_units)
    rows = max(1, _BLOCK_CELLS // n_units)
    for start in range(0, n_bootstrap, rows):
        part = kept[start : start + rows]
        part[:] = rng.multinomial(n_units, share, size=len(part))
    kept.flags.writeable = False
    return kept


def percentile_interval(value: float, replicates: ArrayLike, level: float = 0.95) -> Interval:
    """Turn bootstrap replicates into an interval.

    `replicates` (n_bootstrap,): NaN = undefined in that replicate.
    `level`: confidence, in (0, 1).
    """
    values = np.asarray(replicates, dtype=np.float64)
    known = values[~np.isnan(values)]
    if np.isnan(value) or len(known) < (1 - _MAX_UNDEFINED_SHARE) * len(values) or len(known) < 2:
        return Interval(float(value), np.nan, np.nan, np.nan)
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high), float(known.std(ddof=1)))


def widen_for_unseen(interval: Interval, n_groups: int, level: float = 0.95) -> Interval:
    """Widen the interval of a paired mean difference by the losses that a sample can't show.

    A bootstrap can't draw a loss that the sample doesn't hold: where two ways of choosing
    differ on a handful of prompts, and by chance nowhere in quality, its interval has width 0.
    As Agresti and Min do for matched proportions, half a win and half a loss are added, here
    to the variance that the bootstrap found.

    Agresti and Min (2005), Simple improved confidence intervals for comparing matched
    proportions, Statistics in Medicine 24, https://doi.org/10.1002/sim.1781

    `interval`: percentile interval of a mean difference in quality, each in [-1, 1].

    >>> wider = widen_for_unseen(Interval(0.0, 0.0, 0.0, 0.0), n_groups=100)
    >>> round(wider.low, 4), round(wider.high, 4)
    (-0.0192, 0.0192)
    """
    if np.isnan([interval.low, interval.high]).any():
        return interval
    se = float(np.hypot(interval.se, 1 / (n_groups + 2)))
    half = NormalDist().inv_cdf((1 + level) / 2) * se
    low, high = interval.value - half, interval.value + half
    return Interval(interval.value, min(interval.low, low), max(interval.high, high), se)


def product_interval(share: Interval, total: Interval, correlation: float) -> Interval:
    """Join the intervals of a share and of what it is a share of, measured on the same prompts.

    The ends of both are recovered as spreads and joined as the delta method does, so that an
    interval with a long tail on one side keeps it. Were both taken as independent, it would be too
    wide or too narrow: prompts that are dear to all candidates move both.

    Zou and Donner (2008), Construction of confidence limits about effect measures, Statistics in
    Medicine 27, https://doi.org/10.1002/sim.3095

    `total`: at least 0. `correlation`: of the two estimates, in [-1, 1].

    >>> share, cost = Interval(0.5, 0.4, 0.6, 0.05), Interval(2.0, 1.6, 2.4, 0.2)
    >>> [round(product_interval(share, cost, each).low, 3) for each in (-1.0, 0.0, 1.0)]
    [1.0, 0.717, 0.6]
    """
    value, rises = share.value * total.value, share.value >= 0
    turn = correlation if rises else -correlation

    def joined(of_share: float, of_total: float) -> float:
        ours, theirs = total.value * of_share, abs(share.value) * of_total
        return float(np.sqrt(max(ours**2 + theirs**2 + 2 * turn * ours * theirs, 0.0)))

    below, above = total.value - total.low, total.high - total.value
    if not rises:  # then more to share in is less
        below, above = above, below
    low = value - joined(share.value - share.low, below)
    high = value + joined(share.high - share.value, above)
    return Interval(value, low, high, joined(share.se, total.se))


def paired_bootstrap(
    statistic: Callable[[Floats], dict[str, Floats]],
    groups: ArrayLike,
    *,
    n_bootstrap: int = 1000,
    random_state: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Measure several statistics on the same resampled prompts.

    `statistic`: takes multiplicities of shape (n_replicates, n_prompts), gives ``{name: array
        of shape (n_replicates,)}``.
    `groups` (n_prompts,): prompts of one group are drawn together.
    """
    ones = np.ones((1, len(np.asarray(groups))))
    values = {name: float(array[0]) for name, array in statistic(ones).items()}
    blocks = [statistic(w) for w in cluster_weights(groups, n_bootstrap, random_state)]
    empty: Floats = np.zeros(0)
    return {
        name: percentile_interval(
            value, np.concatenate([block[name] for block in blocks] or [empty]), level
        )
        for name, value in values.items()
    }
