"""Fix mixtures along a cost-quality hull on some prompts, and measure them on the others.

The hull of measured points is too high: it picks what came out well by luck. So the prompts are
dealt into folds, and what is mixed on a fold was chosen on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routerlib.metrics.curves import Hulls, hull
from routerlib.records.arrays import Floats

# Few prompts choose badly, so nearly all of them take part in each choice. Fewer groups than
# folds can't choose for each other; then the hull is that of the prompts themselves.
_N_FOLDS = 10
# A hull rarely has more corners, all folds together.
_MOST_KNOTS = 64


class Mixtures(NamedTuple):
    """Mixtures of rising cost, each chosen without the prompts on which it is measured.

    `quality, cost_usd` (n_prompts, n_knots): what a prompt gets and costs in expectation.
    `excess` (n_knots,): how far the hull of the prompts themselves lies above them, at least 0.
        The hull is too high, the fixed mixtures are too low, what is best lies between.
    """

    quality: Floats
    cost_usd: Floats
    excess: Floats


def deal(groups: NDArray[np.intp], names: Sequence[str]) -> NDArray[np.intp]:
    """Deal prompts into folds, whole groups at a time, whatever the order of the rows.

    `groups` (n_prompts,): group of each prompt.
    `names` (length n_prompts): ids of the prompts, which order the groups.
    Returns shape (n_prompts,): fold of each prompt; all 0 where there are too few groups.
    """
    order = np.argsort(np.asarray(names, dtype=str), kind="stable")
    _, first, group_of = np.unique(groups[order], return_index=True, return_inverse=True)
    if len(first) < _N_FOLDS:
        return np.zeros(len(groups), dtype=np.intp)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    dealt = np.empty(len(groups), dtype=np.intp)
    dealt[order] = rank[group_of] % _N_FOLDS
    return dealt


def fixed_mixtures(
    points: tuple[Floats, Floats], singles: tuple[Floats, Floats], folds: NDArray[np.intp]
) -> Mixtures:
    """Choose mixtures along the hull of some points, fold by fold on the other folds.

    Anybody can always call the cheapest model, so the one that is cheapest on the other folds is
    a point too.

    `points`: quality and US dollars of each prompt at each point, shape (n_prompts, n_points).
    `singles`: the same of each candidate model, shape (n_prompts, n_models).
    `folds` (n_prompts,): as `deal` gives them.
    """
    chosen = {fold: _Chosen.of(points, singles, _others(folds, fold)) for fold in np.unique(folds)}
    knots = _thinned(np.unique(np.concatenate([each.shares for each in chosen.values()])))
    quality, cost_usd = (np.empty((len(folds), len(knots))) for _ in range(2))
    for fold, each in chosen.items():
        rows = folds == fold
        quality[rows] = each.mixed(points[0], singles[0], rows, knots)
        cost_usd[rows] = each.mixed(points[1], singles[1], rows, knots)
    return Mixtures(quality, cost_usd, _excess(points, singles, quality, cost_usd))


class _Chosen(NamedTuple):
    """Corners of the hull on some prompts.

    `corners` (n_corners,): columns of the points, the cheapest single model after the last.
    `shares` (n_corners,): their cost as a share of the way from the cheapest to the dearest model.
    """

    cheapest: int
    corners: NDArray[np.intp]
    shares: Floats

    @classmethod
    def of(
        cls, points: tuple[Floats, Floats], singles: tuple[Floats, Floats], rows: NDArray[np.bool_]
    ) -> _Chosen:
        quality, cost, cheapest = _means(points, singles, rows)
        corner_cost, corner_quality = hull(cost, quality)
        corners = [
            int(np.flatnonzero((cost == at) & (quality == height))[0])
            for at, height in zip(corner_cost, corner_quality, strict=True)
        ]
        single_usd = singles[1][rows].mean(axis=0)
        low, high = single_usd.min(), single_usd.max()
        shares = (corner_cost - low) / (high - low) if high > low else np.zeros(len(corners))
        return cls(cheapest, np.array(corners), np.maximum.accumulate(np.maximum(shares, 0.0)))

    def mixed(
        self, values: Floats, of_models: Floats, rows: NDArray[np.bool_], knots: Floats
    ) -> Floats:
        """Return what each prompt gets at each knot, shape (n_rows, n_knots)."""
        at_corners = np.column_stack([values, of_models[:, self.cheapest]])[rows][:, self.corners]
        right = np.minimum(np.searchsorted(self.shares, knots), len(self.shares) - 1)
        left = np.maximum(right - 1, 0)
        run = self.shares[right] - self.shares[left]
        part = np.divide(knots - self.shares[left], run, out=np.ones(len(knots)), where=run > 0)
        part = np.clip(part, 0.0, 1.0)
        return np.asarray((1 - part) * at_corners[:, left] + part * at_corners[:, right])


def _means(
    points: tuple[Floats, Floats], singles: tuple[Floats, Floats], rows: NDArray[np.bool_]
) -> tuple[Floats, Floats, int]:
    """Return quality and cost of each point and of the cheapest model, and which that is."""
    single_quality, single_usd = (values[rows].mean(axis=0) for values in singles)
    cheapest = int(single_usd.argmin())
    return (
        np.append(points[0][rows].mean(axis=0), single_quality[cheapest]),
        np.append(points[1][rows].mean(axis=0), single_usd[cheapest]),
        cheapest,
    )


def _others(folds: NDArray[np.intp], fold: int) -> NDArray[np.bool_]:
    """Mark the prompts of the other folds; where there is one fold alone, its own."""
    is_other = folds != fold
    return is_other if is_other.any() else ~is_other


def _thinned(knots: Floats) -> Floats:
    if len(knots) <= _MOST_KNOTS:
        return knots
    return knots[np.linspace(0, len(knots) - 1, _MOST_KNOTS).round().astype(int)]


def _excess(
    points: tuple[Floats, Floats],
    singles: tuple[Floats, Floats],
    quality: Floats,
    cost_usd: Floats,
) -> Floats:
    """Return how far the hull of all prompts lies above the mixtures, at each knot."""
    every = np.ones(len(quality), dtype=bool)
    heights, costs, _ = _means(points, singles, every)
    corner_cost, corner_quality = hull(costs, heights)
    at = cost_usd.mean(axis=0)
    at[-1] = max(at[-1], corner_cost[-1])
    return np.maximum(np.interp(at, corner_cost, corner_quality) - quality.mean(axis=0), 0.0)


def lines(mixtures: Mixtures, mean: Floats) -> tuple[Hulls, Hulls]:
    """Return the line through the mixtures of each replicate, and the same with the excess.

    `mean` (n_replicates, n_prompts): share of each prompt in a replicate's means.
    """
    cost = np.maximum.accumulate(mean @ mixtures.cost_usd, axis=1)
    quality = mean @ mixtures.quality
    return Hulls(cost, quality), Hulls(cost, quality + mixtures.excess)


def last_costs_at(line: Hulls, quality: Floats, most_usd: Floats) -> Floats:
    """Return the mean cost from which on each line stays at a quality, looking up to a cost.

    `quality` (n_replicates,): mean quality.
    `most_usd` (n_replicates,): US dollars; the answer where the line lies lower there.
    """
    short = quality[:, None] - line.quality
    is_short = (short > 0) & (line.cost_usd < most_usd[:, None])
    n_knots, rows = is_short.shape[1], np.arange(len(short))
    last = n_knots - 1 - is_short[:, ::-1].argmax(axis=1)
    after = np.minimum(last + 1, n_knots - 1)
    rise = line.quality[rows, after] - line.quality[rows, last]
    part = np.divide(short[rows, last], rise, out=np.ones(len(short)), where=rise > 0)
    run = line.cost_usd[rows, after] - line.cost_usd[rows, last]
    crossed = line.cost_usd[rows, last] + np.clip(part, 0, 1) * run
    never = ~is_short.any(axis=1)
    is_last_short = is_short[:, -1]
    found = np.where(never, line.cost_usd[:, 0], np.where(is_last_short, most_usd, crossed))
    return np.asarray(np.minimum(found, most_usd))


def first_costs_at(line: Hulls, quality: Floats, most_usd: Floats) -> Floats:
    """Return the mean cost at which each line first reaches a quality, looking up to a cost.

    `quality` (n_replicates,): mean quality.
    `most_usd` (n_replicates,): US dollars; the answer where the line lies lower up to there.
    """
    is_there = line.quality >= quality[:, None]
    rows, first = np.arange(len(is_there)), is_there.argmax(axis=1)
    before = np.maximum(first - 1, 0)
    rise = line.quality[rows, first] - line.quality[rows, before]
    above = quality - line.quality[rows, before]
    part = np.divide(above, rise, out=np.ones(len(above)), where=rise > 0)
    run = line.cost_usd[rows, first] - line.cost_usd[rows, before]
    crossed = line.cost_usd[rows, before] + np.clip(part, 0, 1) * run
    return np.asarray(np.minimum(np.where(is_there.any(axis=1), crossed, most_usd), most_usd))
