"""Find out of fold how far a cascade's estimates of gain may be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights, utility
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates
from routerlib.routers.cascades.replay import Bench

MIN_PROMPTS, MIN_GROUPS = 60, 15
_TRIED = (1.0, 0.75, 0.5)
# The best of a few is looked at, and a cascade that doesn't pay costs money: a gain is believed
# that exceeds two standard errors.
_STANDARD_ERRORS = 2.0
_N_WEIGHTS = 12


@dataclass(frozen=True)
class Boldness:
    """Share of the expected gain of further answers that is believed, and why.

    `share`: 0 = nothing beyond the router.
    `gain, standard_error`: mean utility above the router's over cost weights, out of fold; NaN =
        not measured.
    """

    share: float
    gain: float
    standard_error: float
    n_prompts: int
    reason: str


def complete_prompts(bench: Bench, outcomes: Outcomes) -> np.ndarray:
    """Return which prompts have every answer, its score and, where costs are known, its cost."""
    complete = bench.judged.is_there.all(axis=1) & np.isfinite(outcomes.quality).all(axis=1)
    if np.isfinite(bench.estimates.cost_usd).all():
        complete &= np.isfinite(outcomes.cost_usd).all(axis=1)
    return np.asarray(complete)


def choose_boldness(
    bench: Bench, outcomes: Outcomes, complete: np.ndarray, most_calls: int
) -> Boldness:
    """Compare with the router on prompts whose answers are all there and labelled.

    `bench`: estimates and judgements out of fold, of the prompts of `outcomes`.
    `complete` (n_prompts,): from `complete_prompts`.
    """
    estimates = bench.estimates
    has_cost = bool(np.isfinite(estimates.cost_usd).all())
    n_prompts, n_groups = int(complete.sum()), len(np.unique(outcomes.groups[complete]))
    nan = float("nan")
    if n_prompts < MIN_PROMPTS or n_groups < MIN_GROUPS:
        reason = (
            f"only {n_prompts} training prompts of {n_groups} groups have every answer and its "
            f"score; at least {MIN_PROMPTS} prompts in {MIN_GROUPS} groups are needed"
        )
        return Boldness(0.0, nan, nan, n_prompts, reason)
    if not has_cost:
        reason = "costs are unknown, so that nobody can say what a further answer is worth"
        return Boldness(0.0, nan, nan, n_prompts, reason)
    if len(outcomes.models) < 2 or most_calls < 2:
        return Boldness(0.0, nan, nan, n_prompts, "there is nobody else to ask")
    measured = [
        _measured(bench, estimates, outcomes, complete, share, most_calls) for share in _TRIED
    ]
    tried = [
        (float(gains.mean()), share, gains) for share, gains in zip(_TRIED, measured, strict=True)
    ]
    gain, share, gains = max(tried, key=lambda each: each[0])
    error = grouped_error(gains, outcomes.groups[complete])
    if gain > _STANDARD_ERRORS * error:
        return Boldness(share, gain, error, n_prompts, "a gain over the router was shown")
    reason = "no gain over the router could be shown on the training prompts"
    return Boldness(0.0, gain, error, n_prompts, reason)


def _measured(
    bench: Bench,
    estimates: Estimates,
    outcomes: Outcomes,
    complete: np.ndarray,
    share: float,
    most_calls: int,
) -> Floats:
    """Return mean utility above the router's over cost weights, shape (n_complete,)."""
    weights = sweep_cost_weights(estimates, _N_WEIGHTS)[1:-1]
    rows = np.arange(len(outcomes))
    gains = np.zeros(len(outcomes))
    for weight in weights:
        followed = bench.follow(float(weight), share, most_calls)
        arms = choose_arms(estimates, float(weight))
        gains += utility(
            followed.quality(outcomes.quality), followed.cost_usd(outcomes.cost_usd), float(weight)
        ) - utility(outcomes.quality[rows, arms], outcomes.cost_usd[rows, arms], float(weight))
    return np.asarray(gains[complete] / max(len(weights), 1))


def grouped_error(values: Floats, groups: np.ndarray) -> float:
    """Return the standard error of a mean whose prompts of one group are one draw."""
    numbers = np.unique(groups, return_inverse=True)[1].ravel()
    sums = np.bincount(numbers, values - values.mean())
    n_groups = len(sums)
    return float(np.sqrt((sums**2).sum() * n_groups / max(n_groups - 1, 1))) / len(values)
