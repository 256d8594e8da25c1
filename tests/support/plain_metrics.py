"""Metrics once more, one curve at a time, as they are defined: what tests compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from routerlib.metrics.pairs import is_complete
from routerlib.records.arrays import Floats

# Two mean costs that differ by less than this share of the larger one are the same cost.
_SAME_COST = 1e-9


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def plain_hull(cost_usd: ArrayLike, quality: ArrayLike) -> tuple[Floats, Floats]:
    """Return the corners of the non-decreasing upper hull of some points.

    Between two corners, mixing the two at random reaches every point of the straight line.

    `cost_usd, quality` (n_points,): mean cost and quality; points with a NaN are skipped.
    Returns shape (n_corners,): both strictly ascending; the slope falls from corner to corner.
    """
    costs, qualities = _floats(cost_usd), _floats(quality)
    known = is_complete(costs, qualities)
    costs, qualities = costs[known], qualities[known]
    corners: list[tuple[float, float]] = []
    for point in np.lexsort((-qualities, costs)):
        here = (float(costs[point]), float(qualities[point]))
        if corners and here[1] <= corners[-1][1]:
            continue
        while len(corners) > 1 and _is_under(corners[-2], corners[-1], here):
            corners.pop()
        corners.append(here)
    corner_costs, corner_qualities = np.array(corners, dtype=float).reshape(-1, 2).T
    return corner_costs, corner_qualities


def _is_under(
    before: tuple[float, float], corner: tuple[float, float], after: tuple[float, float]
) -> bool:
    """Tell whether a corner lies on or under the line between its neighbours."""
    rise, run = corner[1] - before[1], corner[0] - before[0]
    return rise * (after[0] - before[0]) <= (after[1] - before[1]) * run


def aiq(cost_usd: ArrayLike, quality: ArrayLike, cost_range_usd: tuple[float, float]) -> float:
    """Return the average quality under the hull over a stated cost range.

    AIQ is the area under the non-decreasing upper hull divided by the width of the range. Two
    routers can be compared only on the same range. To the right of the last corner the hull
    is flat: a router never has to spend more.

    Hu et al. (2024), RouterBench, section 3.3 (average improvement in quality).

    `cost_usd, quality` (n_points,): a cost-quality curve, in any order.
    `cost_range_usd`: lowest and highest mean cost, US dollars per prompt. When they are equal
        the height of the hull there is returned.
    """
    costs, qualities = plain_hull(cost_usd, quality)
    if not len(costs):
        return float("nan")
    low, high = cost_range_usd
    slack = _SAME_COST * max(abs(high), abs(costs[0]))
    if costs[0] > low + slack:
        raise ValueError(
            f"the curve must reach down to the range's lower end {low!r} US dollars, "
            f"got {costs[0]!r} as its cheapest point; add the cheapest candidate model"
        )
    if high - low <= slack:
        return float(np.interp(high, costs, qualities))
    inside = (costs > low) & (costs < high)
    at = np.concatenate([[low], costs[inside], [high]])
    return float(np.trapezoid(np.interp(at, costs, qualities), at) / (high - low))


def zero_router_quality(
    at_cost_usd: ArrayLike, model_cost_usd: ArrayLike, model_quality: ArrayLike
) -> Floats:
    """Return what random mixing of the candidate models reaches at a given mean cost.

    The zero router mixes along the hull of the single candidate models. Under the cheapest of
    them there is nothing to mix: its quality is returned, to the disadvantage of the router.

    `at_cost_usd`: mean US dollars per prompt.
    `model_cost_usd, model_quality` (n_models,): mean cost and quality of each candidate model
        on the same prompts.
    """
    costs, qualities = plain_hull(model_cost_usd, model_quality)
    if not len(costs):
        return np.full(np.shape(at_cost_usd), np.nan)
    return np.asarray(np.interp(_floats(at_cost_usd), costs, qualities))


def regret(
    quality: ArrayLike, cost_usd: ArrayLike, arms: ArrayLike, cost_weight: float = 0.0
) -> float:
    """Return the oracle's mean utility minus the utility obtained, at the same cost weight.

    `quality, cost_usd` (n_prompts, n_models): observed; prompts with a NaN are skipped (NaN
        costs only matter when they are weighed).
    `arms` (n_prompts,): column of each choice.
    """
    utility = _floats(quality)
    if cost_weight:
        utility = utility - cost_weight * _floats(cost_usd)
    keep = np.flatnonzero(is_complete(utility))
    if not len(keep):
        return float("nan")
    obtained = utility[keep, np.asarray(arms, dtype=np.intp)[keep]]
    return float((utility[keep].max(axis=1) - obtained).mean())
