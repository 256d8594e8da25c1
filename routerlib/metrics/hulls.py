"""Follow the upper hulls of many cost-quality curves at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.metrics.pairs import Floats


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
    cost, height = np.asarray(cost_usd, dtype=float), np.asarray(quality, dtype=float)
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
    return _interpolate(found.cost_usd, found.quality, np.asarray(cost_usd, dtype=float))


def costs_at(found: Hulls, quality: ArrayLike) -> Floats:
    """Return the mean cost at which each hull first reaches a quality.

    `quality` (n_replicates,): mean quality.
    Returns shape (n_replicates,): US dollars; NaN where the hull never gets there.
    """
    wanted = np.asarray(quality, dtype=float)
    cost = _interpolate(found.quality, found.cost_usd, wanted)
    return np.where(wanted <= found.quality[:, -1], cost, np.nan)


def mean_heights(found: Hulls, low_usd: ArrayLike, high_usd: ArrayLike) -> Floats:
    """Return the mean height of each hull over a range of costs, the AIQ.

    `low_usd, high_usd` (n_replicates,): ends of the range; where they are equal, the height
        there.
    """
    low, high = (np.asarray(end, dtype=float)[:, None] for end in (low_usd, high_usd))
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
