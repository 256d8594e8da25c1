"""Weigh quality against cost and time, and choose the candidate model with the best of them."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple, TypeVar

import numpy as np

from routerlib.records.amounts import check_amount
from routerlib.records.arrays import Arms, Bools, Floats
from routerlib.records.decision import LATENCY_NAMES, Estimates

Numbers = TypeVar("Numbers", float, Floats)


class Haste(NamedTuple):
    """What an answer's time counts.

    Parameters
    ----------
    latency_weight : float, default=0
        Quality given up per second saved, at least 0.
    max_latency_s : float or None, default=None
        Who is expected to take longer in one call of ten, or more, isn't chosen: seconds above 0.
        Who isn't known to may be. Where all are too slow, the quickest is; None = no cap.

    Examples
    --------
    >>> Haste(latency_weight=0.01).latency_weight
    0.01
    """

    latency_weight: float = 0.0
    max_latency_s: float | None = None


NO_HASTE = Haste()


def utility(
    quality: Numbers,
    cost_usd: Numbers,
    cost_weight: float,
    latency_s: Numbers | None = None,
    latency_weight: float = 0.0,
) -> Numbers:
    """Return ``quality - cost_weight * cost_usd - latency_weight * latency_s``.

    At weight 0 an unknown cost, or time, doesn't matter.

    `quality, cost_usd, latency_s`: numbers, or arrays of one shape; NaN = unknown.
    `cost_weight`: quality given up per US dollar saved, at least 0.
    `latency_weight`: quality given up per second saved, at least 0.

    >>> utility(0.9, 0.01, 10), utility(0.9, float("nan"), 0)
    (0.8, 0.9)
    >>> utility(0.9, 0.01, 10, latency_s=5.0, latency_weight=0.1).__round__(3)
    0.3
    """
    left = quality - (cost_weight * cost_usd if cost_weight else 0.0)
    return left - latency_weight * latency_s if latency_weight and latency_s is not None else left


def utilities(estimates: Estimates, cost_weight: float, haste: Haste = NO_HASTE) -> Floats:
    """Return the expected utility of each choice; what is weighed must be known.

    `cost_weight`: quality given up per US dollar saved, at least 0.
    Returns shape (n_prompts, n_models): minus infinity for who is too slow.
    """
    check_amount("cost_weight", cost_weight)
    if cost_weight > 0:
        check_costs_known(estimates)
    if haste == NO_HASTE:
        return utility(estimates.quality, estimates.cost_usd, cost_weight)
    weight = check_haste(haste).latency_weight
    seconds = _weighed_seconds(estimates) if weight else None
    worth = utility(estimates.quality, estimates.cost_usd, cost_weight, seconds, weight)
    return np.where(in_time(estimates, haste.max_latency_s), worth, -np.inf)


def in_time(estimates: Estimates, max_latency_s: float | None) -> Bools:
    """Tell who is in time by the 90 % quantile of its latency; unknown is in time.

    `max_latency_s`: seconds above 0; None = all are.
    Returns shape (n_prompts, n_models): where all are too slow, only the quickest is.

    >>> from routerlib.records.decision import Latencies
    >>> seconds = np.array([[1.0, 4.0], [5.0, 4.0]])
    >>> latency = Latencies(seconds, seconds, seconds, seconds)
    >>> in_time(Estimates(("a", "b"), seconds, seconds, latency=latency), 3.0).tolist()
    [[True, False], [False, True]]
    """
    is_in_time = np.ones(estimates.quality.shape, dtype=bool)
    if max_latency_s is None or estimates.latency is None or not is_in_time.size:
        return is_in_time
    p90_s = estimates.latency.p90_s
    is_in_time = ~(p90_s > max_latency_s)
    nobody = ~is_in_time.any(axis=1)
    is_in_time[nobody, np.argmin(p90_s[nobody], axis=1)] = True
    return is_in_time


def check_haste(haste: Haste) -> Haste:
    """Return it, or say which number is none."""
    check_amount("latency_weight", haste.latency_weight)
    cap_s = haste.max_latency_s
    if cap_s is not None and not (np.isfinite(cap_s) and cap_s > 0):
        raise ValueError(f"max_latency_s must be seconds above 0, got {cap_s!r}")
    return haste


def _weighed_seconds(estimates: Estimates) -> Floats:
    """Return the mean seconds of each choice, or say whose are unknown."""
    known = None if estimates.latency is None else estimates.latency.mean_s
    if known is not None and np.isfinite(known).all():
        return known
    names = estimates.models
    name = names[0] if known is None else names[int(np.isnan(known).any(axis=0).argmax())]
    raise ValueError(
        f"the latency of {name!r} is unknown, so it can't be weighed; train on a log with at "
        "least 20 complete calls of each candidate, or use latency_weight=0"
    )


def choose_arms(estimates: Estimates, cost_weight: float, haste: Haste = NO_HASTE) -> Arms:
    """Choose per prompt the largest expected utility; ties go to the cheaper.

    `cost_weight`: quality given up per US dollar saved, at least 0.
    Returns shape (n_prompts,): column of each choice.
    """
    expected = utilities(estimates, cost_weight, haste)
    is_best = expected == expected.max(axis=1, keepdims=True)
    known = np.where(np.isnan(estimates.cost_usd) | ~is_best, np.inf, estimates.cost_usd)
    # Among the best the cheapest; where no cost is known at all, the first.
    return np.lexsort((known, ~is_best), axis=1)[:, 0]


def choose_arm(estimates: Estimates, cost_weight: float, haste: Haste = NO_HASTE) -> int:
    """Return what `choose_arms` does of the first prompt, which is the only one, in fewer steps.

    >>> choose_arm(Estimates(("a", "b"), np.array([[0.5, 0.5]]), np.array([[0.2, 0.1]])), 0.0)
    1
    """
    quality, cost_usd = estimates.quality[0].tolist(), estimates.cost_usd[0].tolist()
    is_plain = haste == NO_HASTE and isfinite(cost_weight) and cost_weight >= 0
    if not (is_plain and all(map(isfinite, quality)) and all(map(isfinite, cost_usd))):
        return int(choose_arms(estimates, cost_weight, haste)[0])
    worth = [utility(*both, cost_weight) for both in zip(quality, cost_usd, strict=True)]
    most = max(worth)
    best = [arm for arm, own in enumerate(worth) if own == most]
    return min(best, key=cost_usd.__getitem__)


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
    is_unknown = np.isnan(estimates.cost_usd)
    if is_unknown.any():
        name = estimates.models[int(np.argmax(is_unknown.any(axis=0)))]
        raise ValueError(
            f"the cost of {name!r} is unknown, so it can't be weighed; train on outcomes with "
            "cost_usd (token counts and prices), or use cost_weight=0"
        )


def names_in_time(estimates: Estimates, haste: Haste) -> list[str] | None:
    """Return who is in time for the first prompt, at least one; None = there is no cap."""
    cap_s = check_haste(haste).max_latency_s
    if cap_s is None:
        return None
    kept = np.flatnonzero(in_time(estimates, cap_s)[0])
    return [estimates.models[each] for each in kept]


def reason_of(estimates: Estimates, arm: int, latency_weight: float = 0.0) -> str:
    """Say in words why a candidate was chosen for the first prompt.

    `latency_weight`: quality given up per second saved.
    """
    told = _reason_of(estimates, arm)
    if not latency_weight or estimates.latency is None:
        return told
    mean_s = estimates.latency.mean_s[0]
    best = int(np.argmax(estimates.quality[0]))
    against = "" if best == arm else f" against {mean_s[best]:.2g} s of {estimates.models[best]}"
    return f"{told}; expected to take {mean_s[arm]:.2g} s{against}"


def told_drawn(propensity: float, instead_of: str = "") -> str:
    """Say in words that chance chose, and what would have been chosen else.

    `instead_of`: who, and why; empty = the same, and this is said after the reason.

    >>> told_drawn(0.25, "small: cheaper"), told_drawn(0.75), told_drawn(1.0)
    ('drawn with probability 0.25; else small: cheaper', '; drawn with probability 0.75', '')
    """
    drawn = f"drawn with probability {propensity:.2g}"
    if instead_of:
        return f"{drawn}; else {instead_of}"
    return f"; {drawn}" if propensity < 1 else ""


def told_of_cap(estimates: Estimates, model: str, max_latency_s: float) -> str:
    """Say in words who isn't in time for the first prompt, and of whom that isn't known.

    `model`: who was chosen.
    `max_latency_s`: seconds.
    """
    if estimates.latency is None:
        return "; how long anybody takes is unknown"
    known = dict(zip(estimates.models, estimates.latency.p90_s[0].tolist(), strict=True))
    if known[model] > max_latency_s:
        return f"; {told_too_slow(max_latency_s)}, the quickest within {known[model]:.2g} s"
    slow = [f"{name} {p90_s:.2g} s" for name, p90_s in known.items() if p90_s > max_latency_s]
    unknown = [name for name, p90_s in known.items() if np.isnan(p90_s)]
    told = f"; too slow for {max_latency_s:g} s: {', '.join(slow)}" if slow else ""
    return told + (f"; how long {', '.join(unknown)} takes is unknown" if unknown else "")


def told_too_slow(max_latency_s: float) -> str:
    """Say that all are too slow, wherever that is found.

    >>> told_too_slow(0.5)
    'nobody is expected within 0.5 s in nine of ten calls'
    """
    return f"nobody is expected within {max_latency_s:g} s in nine of ten calls"


def _reason_of(estimates: Estimates, arm: int) -> str:
    if len(estimates.models) == 1:
        return "the only candidate model"
    quality, cost_usd = estimates.quality[0].tolist(), estimates.cost_usd[0].tolist()
    best = max(range(len(quality)), key=quality.__getitem__)
    if quality[arm] < quality[best]:
        share = _cost_share(cost_usd[arm], cost_usd[best])
        return (
            f"expected quality {quality[arm]:.2f} against {quality[best]:.2f} of "
            f"{estimates.models[best]}{share}"
        )
    others = (each for each in range(len(quality)) if each != arm)
    rival = max(others, key=quality.__getitem__)
    share = _cost_share(cost_usd[rival], cost_usd[arm])
    return (
        f"highest expected quality, {quality[arm]:.2f}; next is {estimates.models[rival]} "
        f"with {quality[rival]:.2f}{share}"
    )


def _cost_share(cost_usd: float, reference_usd: float) -> str:
    if not (isfinite(cost_usd) and isfinite(reference_usd) and reference_usd > 0):
        return ""
    return f" at {100 * cost_usd / reference_usd:.0f} % of its cost"


def by_model(estimates: Estimates) -> dict[str, dict[str, float]]:
    """Return the estimates of the first prompt by candidate name, as builtins."""
    found = {
        model: {"quality": quality, "cost_usd": cost_usd}
        for model, quality, cost_usd in zip(
            estimates.models,
            estimates.quality[0].tolist(),
            estimates.cost_usd[0].tolist(),
            strict=True,
        )
    }
    if estimates.latency is not None:
        rows = np.stack([each[0] for each in estimates.latency.arrays], axis=1)
        for known, row in zip(found.values(), rows, strict=True):
            # What isn't known is left out, as in decisions before there were latencies.
            told = zip(LATENCY_NAMES, row, strict=True)
            known |= {name: float(each) for name, each in told if np.isfinite(each)}
    return found
