"""Measure routers with pure functions on arrays.

Missing values are NaN. They are skipped, never read as 0, and curves count what they skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.metrics.calibration import Reliability, brier, ece, reliability
from routerlib.metrics.pairs import Floats, apgr, cpt, is_complete, pgr, share_quality_curve

__all__ = [
    "CostQualityCurve",
    "Reliability",
    "aiq",
    "apgr",
    "brier",
    "choose_arms",
    "cost_quality_curve",
    "cpt",
    "ece",
    "hull",
    "is_complete",
    "oracle",
    "pgr",
    "regret",
    "reliability",
    "share_quality_curve",
    "sweep_cost_weights",
    "zero_router_quality",
]

Arms = NDArray[np.intp]

# Two mean costs that differ by less than this share of the larger one are the same cost.
_SAME_COST = 1e-9


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


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def choose_arms(est_quality: ArrayLike, est_cost_usd: ArrayLike, cost_weight: float) -> Arms:
    """Choose per prompt the arm with the highest estimated utility, cheapest among ties.

    `est_quality, est_cost_usd` (n_prompts, n_models): estimates; costs in US dollars may be NaN
        when `cost_weight` is 0.
    `cost_weight`: quality given up per US dollar saved, at least 0.
    """
    quality, cost = _floats(est_quality), _floats(est_cost_usd)
    if cost_weight and np.isnan(cost).any():
        raise ValueError(
            f"a cost weight of {cost_weight!r} needs every estimated cost, got NaN; "
            "use cost_weight=0, or train on outcomes with costs"
        )
    utility = quality if cost_weight == 0 else quality - cost_weight * cost
    is_best = utility == utility.max(axis=1, keepdims=True)
    known = np.where(np.isnan(cost) | ~is_best, np.inf, cost)
    # Among the best the cheapest; where no cost is known at all, the first.
    return np.lexsort((known, ~is_best), axis=1)[:, 0]


def sweep_cost_weights(
    est_quality: ArrayLike, est_cost_usd: ArrayLike, n_points: int = 64
) -> Floats:
    """Find the cost weights at which a router's choices change, thinned out evenly.

    Each pair of candidate models flips at ``(quality difference) / (cost difference)``; quantiles
    of those flip points sweep the curve evenly, whatever the currency.

    `est_quality, est_cost_usd` (n_prompts, n_models): estimates.
    """
    quality, cost = _floats(est_quality), _floats(est_cost_usd)
    left, right = np.triu_indices(quality.shape[1], k=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        flips = (quality[:, left] - quality[:, right]) / (cost[:, left] - cost[:, right])
    flips = flips[np.isfinite(flips) & (flips > 0)]
    if not len(flips):
        return np.zeros(1)
    inner = np.quantile(flips, np.linspace(0, 1, n_points)) if n_points > 1 else flips.min()
    return np.unique(np.concatenate([[0.0], np.atleast_1d(inner), [2 * flips.max()]]))


def cost_quality_curve(
    quality: ArrayLike,
    cost_usd: ArrayLike,
    est_quality: ArrayLike,
    est_cost_usd: ArrayLike,
    cost_weights: Sequence[float] | Floats,
) -> CostQualityCurve:
    """Sweep the cost weight and measure the mean cost and quality of what is chosen.

    `quality, cost_usd` (n_prompts, n_models): observed; prompts with a NaN are skipped and
        counted.
    `est_quality, est_cost_usd` (n_prompts, n_models): estimates that decide.
    `cost_weights`: quality given up per US dollar saved, each at least 0.
    """
    observed, paid = _floats(quality), _floats(cost_usd)
    keep = np.flatnonzero(is_complete(observed, paid))
    points = []
    for cost_weight in cost_weights:
        arms = choose_arms(est_quality, est_cost_usd, cost_weight)[keep]
        points.append((paid[keep, arms].sum(), observed[keep, arms].sum(), cost_weight))
    cost, gained, swept = np.array(sorted(points), dtype=float).reshape(-1, 3).T
    with np.errstate(invalid="ignore"):
        n = np.float64(len(keep))
        return CostQualityCurve(swept, cost / n, gained / n, len(keep), len(observed) - len(keep))


def hull(cost_usd: ArrayLike, quality: ArrayLike) -> tuple[Floats, Floats]:
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
    costs, qualities = hull(cost_usd, quality)
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
    costs, qualities = hull(model_cost_usd, model_quality)
    if not len(costs):
        return np.full(np.shape(at_cost_usd), np.nan)
    return np.asarray(np.interp(_floats(at_cost_usd), costs, qualities))


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
