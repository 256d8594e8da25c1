"""Follow cost-quality curves, one or many at once, and their upper hulls.

Missing values are NaN. They are skipped, never read as 0, and curves count what they skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.metrics.pairs import is_complete
from routerlib.records.arrays import Arms, Floats


class CostQualityCurve(NamedTuple):
    """Mean cost and quality of a router as its cost weight sweeps, sorted by cost.

    `cost_weights` (n_points,): quality given up per US dollar saved.
    `cost_usd` (n_points,): mean US dollars per prompt, ascending.
    `quality` (n_points,): mean quality in [0, 1].
    """

    cost_weights: Floats
    cost_usd: Floats
    quality: Floats
    n: int
    n_skipped: int


def cost_quality_curve(
    quality: ArrayLike,
    cost_usd: ArrayLike,
    choices: Sequence[Arms],
    cost_weights: Sequence[float] | Floats,
) -> CostQualityCurve:
    """Measure the mean cost and quality of what is chosen at each cost weight.

    `quality, cost_usd` (n_prompts, n_models): observed; prompts with a NaN are skipped and
        counted.
    `choices`: column of each prompt's choice, shape (n_prompts,), at each of the cost weights.
    `cost_weights`: quality given up per US dollar saved, each at least 0.
    """
    observed, paid = _floats(quality), _floats(cost_usd)
    keep = np.flatnonzero(is_complete(observed, paid))
    points = []
    for cost_weight, arms in zip(cost_weights, choices, strict=True):
        kept = arms[keep]
        points.append((paid[keep, kept].sum(), observed[keep, kept].sum(), cost_weight))
    cost, gained, swept = np.array(sorted(points), dtype=float).reshape(-1, 3).T
    with np.errstate(invalid="ignore"):
        n = np.float64(len(keep))
        return CostQualityCurve(swept, cost / n, gained / n, len(keep), len(observed) - len(keep))


def oracle(quality: ArrayLike, cost_usd: ArrayLike) -> Arms:
    """Choose per prompt the best observed quality, cheapest among ties.

    An upper bound that includes luck, not a competitor.

    `quality, cost_usd` (n_prompts, n_models): observed; NaN = not observed. An unknown cost
        loses ties.
    """
    observed, paid = _floats(quality), _floats(cost_usd)
    height = np.where(np.isnan(observed), -np.inf, observed)
    is_best = height == height.max(axis=1, keepdims=True)
    paid = np.where(np.isnan(paid), np.finfo(float).max, paid)
    arms = np.where(is_best, paid, np.inf).argmin(axis=1)
    return np.where(np.isnan(observed).all(axis=1), -1, arms)


def hull(cost_usd: ArrayLike, quality: ArrayLike) -> tuple[Floats, Floats]:
    """Return the corners of the non-decreasing upper hull of some points.

    Between two corners, mixing the two at random reaches every point of the straight line.

    `cost_usd, quality` (n_points,): mean cost and quality; points with a NaN are skipped.
    Returns shape (n_corners,): both strictly ascending; the slope falls from corner to corner.
    """
    costs, qualities = _floats(cost_usd), _floats(quality)
    known = is_complete(costs, qualities)
    if not known.any():
        return np.zeros(0), np.zeros(0)
    corners = hulls(costs[None, known], qualities[None, known])
    is_new = np.append(True, np.diff(corners.cost_usd[0]) > 0)
    return corners.cost_usd[0, is_new], corners.quality[0, is_new]


class Hulls(NamedTuple):
    """Corners of non-decreasing upper hulls, one hull per replicate.

    `cost_usd, quality` (n_replicates, n_points): corners from the left, both ascending; the
        last corner is repeated to the end of the row.
    """

    cost_usd: Floats
    quality: Floats


def hulls(cost_usd: ArrayLike, quality: ArrayLike) -> Hulls:
    """Return the hull of each row of points, all rows in one sweep.

    `cost_usd, quality` (n_replicates, n_points): points in any order, at least one, none of
        them NaN.
    """
    cost, height = _floats(cost_usd), _floats(quality)
    order = np.lexsort((-height, cost), axis=1)
    cost, height = (np.take_along_axis(values, order, axis=1) for values in (cost, height))
    corner_cost, corner_height = np.empty_like(cost), np.empty_like(height)
    n_corners = np.zeros(len(cost), dtype=np.intp)
    for point in range(cost.shape[1]):
        at = np.flatnonzero(_rises(corner_height, n_corners, height[:, point]))
        here = (cost[at, point], height[at, point])
        _pop_covered(corner_cost, corner_height, n_corners, at, here)
        corner_cost[at, n_corners[at]], corner_height[at, n_corners[at]] = here
        n_corners[at] += 1
    last = np.minimum(np.arange(cost.shape[1]), n_corners[:, None] - 1)
    return Hulls(
        np.take_along_axis(corner_cost, last, axis=1),
        np.take_along_axis(corner_height, last, axis=1),
    )


def _rises(corner_height: Floats, n_corners: NDArray[np.intp], height: Floats) -> NDArray[np.bool_]:
    """Tell for which rows a point is higher than the last corner."""
    last = corner_height[np.arange(len(height)), np.maximum(n_corners - 1, 0)]
    return np.asarray((n_corners == 0) | (height > last))


def _pop_covered(
    corner_cost: Floats,
    corner_height: Floats,
    n_corners: NDArray[np.intp],
    at: NDArray[np.intp],
    here: tuple[Floats, Floats],
) -> None:
    """Take back the corners that lie on or under the line to the new point, in place."""
    new_cost, new_height = here
    is_open = n_corners[at] > 1
    while is_open.any():
        rows = at[is_open]
        last, before = n_corners[rows] - 1, n_corners[rows] - 2
        rise = corner_height[rows, last] - corner_height[rows, before]
        run = corner_cost[rows, last] - corner_cost[rows, before]
        far_rise = new_height[is_open] - corner_height[rows, before]
        far_run = new_cost[is_open] - corner_cost[rows, before]
        is_covered = rise * far_run <= far_rise * run
        n_corners[rows[is_covered]] -= 1
        is_open[is_open] = is_covered
        is_open &= n_corners[at] > 1


def heights_at(found: Hulls, cost_usd: ArrayLike) -> Floats:
    """Return the quality that each hull reaches at a mean cost.

    `cost_usd` (n_replicates,): mean US dollars per prompt.
    """
    return _interpolate(found.cost_usd, found.quality, _floats(cost_usd))


def costs_at(found: Hulls, quality: ArrayLike) -> Floats:
    """Return the mean cost at which each hull first reaches a quality.

    `quality` (n_replicates,): mean quality.
    Returns shape (n_replicates,): US dollars; NaN where the hull never gets there.
    """
    wanted = _floats(quality)
    cost = _interpolate(found.quality, found.cost_usd, wanted)
    return np.where(wanted <= found.quality[:, -1], cost, np.nan)


def mean_heights(found: Hulls, low_usd: ArrayLike, high_usd: ArrayLike) -> Floats:
    """Return the mean height of each hull over a range of costs, the AIQ.

    `low_usd, high_usd` (n_replicates,): ends of the range; where they are equal, the height
        there.
    """
    low, high = (_floats(end)[:, None] for end in (low_usd, high_usd))
    ends = np.hstack(
        [heights_at(found, low[:, 0])[:, None], heights_at(found, high[:, 0])[:, None]]
    )
    inner = np.clip(found.cost_usd, low, high)
    heights = np.where(found.cost_usd < low, ends[:, :1], found.quality)
    heights = np.where(found.cost_usd > high, ends[:, 1:], heights)
    cost = np.hstack([low, inner, high])
    area = np.trapezoid(np.hstack([ends[:, :1], heights, ends[:, 1:]]), cost, axis=1)
    width = (high - low)[:, 0]
    return np.divide(area, width, out=ends[:, 1].copy(), where=width > 0)


def _interpolate(x: Floats, y: Floats, at: Floats) -> Floats:
    """Interpolate row by row; x ascends and is constant once it has reached its end."""
    rows = np.arange(len(x))
    right = np.minimum((x < at[:, None]).sum(axis=1), x.shape[1] - 1)
    left = np.maximum(right - 1, 0)
    run = x[rows, right] - x[rows, left]
    part = np.divide(at - x[rows, left], run, out=np.ones(len(at)), where=run > 0)
    part = np.clip(part, 0, 1)
    return np.asarray(y[rows, left] + part * (y[rows, right] - y[rows, left]))


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
