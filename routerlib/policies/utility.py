"""Weigh quality against cost, and choose the candidate model with the best of both."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates

Numbers = TypeVar("Numbers", float, Floats)


def utility(quality: Numbers, cost_usd: Numbers, cost_weight: float) -> Numbers:
    """Return ``quality - cost_weight * cost_usd``; at weight 0 an unknown cost doesn't matter.

    `quality, cost_usd`: numbers, or arrays of one shape; NaN = unknown.
    `cost_weight`: quality given up per US dollar saved, at least 0.

    >>> utility(0.9, 0.01, 10), utility(0.9, float("nan"), 0)
    (0.8, 0.9)
    """
    return quality - (cost_weight * cost_usd if cost_weight else 0.0)


def utilities(estimates: Estimates, cost_weight: float) -> Floats:
    """Return the expected utility of each choice; costs that are weighed must be known.

    `cost_weight`: quality given up per US dollar saved, at least 0.
    Returns shape (n_prompts, n_models).
    """
    if not (np.isfinite(cost_weight) and cost_weight >= 0):
        raise ValueError(f"cost_weight must be finite and at least 0, got {cost_weight!r}")
    if cost_weight > 0:
        check_costs_known(estimates)
    return utility(estimates.quality, estimates.cost_usd, cost_weight)


def choose_arms(estimates: Estimates, cost_weight: float) -> Arms:
    """Choose per prompt the largest ``quality - cost_weight * cost_usd``; ties go to the cheaper.

    `cost_weight`: quality given up per US dollar saved, at least 0.
    Returns shape (n_prompts,): column of each choice.
    """
    expected = utilities(estimates, cost_weight)
    is_best = expected == expected.max(axis=1, keepdims=True)
    known = np.where(np.isnan(estimates.cost_usd) | ~is_best, np.inf, estimates.cost_usd)
    # Among the best the cheapest; where no cost is known at all, the first.
    return np.lexsort((known, ~is_best), axis=1)[:, 0]


def sweep_cost_weights(estimates: Estimates, n_points: int = 64) -> Floats:
    """Find the cost weights at which a router's choices change, thinned out evenly.

    Each pair of candidate models flips at ``(quality difference) / (cost difference)``; quantiles
    of those flip points sweep the curve evenly, whatever the currency.
    """
    quality, cost = estimates.quality, estimates.cost_usd
    left, right = np.triu_indices(quality.shape[1], k=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        flips = (quality[:, left] - quality[:, right]) / (cost[:, left] - cost[:, right])
        flips = flips[np.isfinite(2 * flips) & (flips > 0)]
    if not len(flips):
        return np.zeros(1)
    inner = np.quantile(flips, np.linspace(0, 1, n_points)) if n_points > 1 else flips.min()
    return np.unique(np.concatenate([[0.0], np.atleast_1d(inner), [2 * flips.max()]]))


def check_costs_known(estimates: Estimates) -> None:
    """Raise ValueError, naming a candidate, when an expected cost is NaN."""
    is_unknown = np.isnan(estimates.cost_usd).any(axis=0)
    if is_unknown.any():
        name = estimates.models[int(np.argmax(is_unknown))]
        raise ValueError(
            f"the cost of {name!r} is unknown, so it can't be weighed; train on outcomes with "
            "cost_usd (token counts and prices), or use cost_weight=0"
        )


def reason_of(estimates: Estimates, arm: int) -> str:
    """Say in words why a candidate was chosen for the first prompt."""
    quality, cost_usd = estimates.quality[0], estimates.cost_usd[0]
    if len(quality) == 1:
        return "the only candidate model"
    best = int(np.argmax(quality))
    if quality[arm] < quality[best]:
        share = _cost_share(cost_usd[arm], cost_usd[best])
        return (
            f"expected quality {quality[arm]:.2f} against {quality[best]:.2f} of "
            f"{estimates.models[best]}{share}"
        )
    others = np.where(np.arange(len(quality)) == arm, -np.inf, quality)
    rival = int(np.argmax(others))
    share = _cost_share(cost_usd[rival], cost_usd[arm])
    return (
        f"highest expected quality, {quality[arm]:.2f}; next is {estimates.models[rival]} "
        f"with {quality[rival]:.2f}{share}"
    )


def _cost_share(cost_usd: float, reference_usd: float) -> str:
    if not (np.isfinite(cost_usd) and np.isfinite(reference_usd) and reference_usd > 0):
        return ""
    return f" at {100 * cost_usd / reference_usd:.0f} % of its cost"


def by_model(estimates: Estimates) -> dict[str, dict[str, float]]:
    """Return the estimates of the first prompt by candidate name, as builtins."""
    return {
        model: {"quality": float(quality), "cost_usd": float(cost_usd)}
        for model, quality, cost_usd in zip(
            estimates.models, estimates.quality[0], estimates.cost_usd[0], strict=True
        )
    }
