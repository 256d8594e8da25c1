"""Refuse outcomes that nothing can be learnt from, and estimates that no sound router makes."""

from __future__ import annotations

from math import inf

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.decision import Estimates

# A weighed mean of numbers in [0, 1] may leave it by this much.
_ROUNDING = 1e-9


def check_observed(outcomes: Outcomes) -> None:
    """Raise ValueError where a candidate was never scored, or there are no prompts."""
    if len(outcomes) == 0:
        raise ValueError("training needs at least one prompt, got none; collect and judge some")
    is_seen = np.isfinite(outcomes.quality).any(axis=0)
    if not is_seen.all():
        name = outcomes.models[int(np.argmin(is_seen))]
        raise ValueError(
            f"candidate {name!r} has no observed quality; collect and judge some of its answers, "
            "or leave it out of the outcomes"
        )


def check_possible(estimates: Estimates, n_prompts: int) -> None:
    """Refuse estimates that no sound router makes; NaN everywhere = it estimates no quality."""
    quality, cost_usd, latency = estimates.quality, estimates.cost_usd, estimates.latency
    shape = (n_prompts, len(estimates.models))
    if quality.shape != shape or cost_usd.shape != shape:
        found = f"estimates of shapes {quality.shape} and {cost_usd.shape} in place of {shape}"
    elif n_prompts == 1 and latency is None and _is_possible_row(quality, cost_usd):
        return
    elif not (np.abs(quality - 0.5) <= 0.5 + _ROUNDING).all() and not np.isnan(quality).all():
        found = f"an expected quality outside [0, 1] ({_worst(quality, np.abs(quality - 0.5))})"
    elif ((cost_usd < 0) | np.isinf(cost_usd)).any():
        found = f"an expected cost that is negative or endless ({_worst(cost_usd, -cost_usd)})"
    elif latency is not None and any(((s < 0) | np.isinf(s)).any() for s in latency.arrays):
        found = "an expected latency that is negative or endless"
    else:
        return
    raise ValueError(
        f"the router makes {found}, so what it learnt was damaged or altered; train it again"
    )


def _is_possible_row(quality: np.ndarray, cost_usd: np.ndarray) -> bool:
    """Tell of one prompt alone, in fewer steps, that all is known and possible."""
    return all(abs(each - 0.5) <= 0.5 + _ROUNDING for each in quality[0].tolist()) and all(
        0 <= each < inf for each in cost_usd[0].tolist()
    )


def _worst(values: np.ndarray, badness: np.ndarray) -> float:
    """Return the value that shows best what is wrong."""
    unknown = np.where(np.isfinite(values), badness, np.inf)
    return float(values.ravel()[int(np.argmax(unknown))])
