"""Choose a candidate model by its estimates, with the reason in words."""

from __future__ import annotations

import numpy as np

from routerlib.metrics import curves
from routerlib.records.decision import Estimates


def choose_arms(estimates: Estimates, cost_weight: float) -> np.ndarray:
    """Choose per prompt the largest ``quality - cost_weight * cost_usd``; ties go to the cheaper.

    `cost_weight`: quality given up per US dollar saved, at least 0.
    """
    if not (np.isfinite(cost_weight) and cost_weight >= 0):
        raise ValueError(f"cost_weight must be finite and at least 0, got {cost_weight!r}")
    if cost_weight > 0:
        check_costs_known(estimates)
    return curves.choose_arms(estimates.quality, estimates.cost_usd, cost_weight)


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
