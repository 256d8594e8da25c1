"""Plan how many prompts a question about quality needs."""

from __future__ import annotations

import math
from statistics import NormalDist

from routerlib.metrics.intervals import Interval


def plan_sample_size(
    margin: float,
    *,
    disagreement: float | None = None,
    sd: float | None = None,
    level: float = 0.95,
    power: float = 0.8,
) -> int:
    """Return how many held-out prompts would tell a difference in mean quality from none.

    Two ways of choosing are compared on the same prompts, so what counts is the spread of the
    paired differences. Before any data it follows from a guess: on which share of prompts do the
    two differ at all? Where quality is right or wrong, the variance of the difference is at most
    that share. Afterwards `sd_of` gives it.

    Parameters
    ----------
    margin : float
        Difference in mean quality to be seen, in (0, 1]; 0.01 is one point of a hundred.
    disagreement : float or None, default=None
        Share of prompts on which the two differ in quality, in (0, 1]. Give this or `sd`.
    sd : float or None, default=None
        Standard deviation of the paired difference on one prompt.
    level : float, default=0.95
        Confidence of the two-sided interval that shall exclude 0.
    power : float, default=0.8
        Probability that it does, if the true difference is `margin`.

    Returns
    -------
    int
        Prompts; independent ones, so near-duplicates count as one.

    Raises
    ------
    ValueError
        If a number is out of range, or not exactly one of `disagreement` and `sd` is given.

    References
    ----------
    Miller (2024), Adding error bars to evals, arXiv:2411.00640, section 5 (power analysis of
    paired differences).

    Examples
    --------
    >>> plan_sample_size(0.02, disagreement=0.2)
    3917
    >>> plan_sample_size(0.05, disagreement=0.2)
    621
    """
    _check_share("margin", margin)
    for name, value in (("level", level), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie in (0, 1), got {value!r}")
    if (disagreement is None) == (sd is None):
        raise ValueError("give disagreement or sd, exactly one of them")
    if disagreement is not None:
        _check_share("disagreement", disagreement)
        variance = max(disagreement - margin**2, 0.0)
    else:
        variance = float(sd or 0.0) ** 2
    z = NormalDist().inv_cdf((1 + level) / 2) + NormalDist().inv_cdf(power)
    return max(math.ceil(variance * (z / margin) ** 2), 2)


def sd_of(difference: Interval, n: int) -> float:
    """Return the standard deviation of a paired difference on one prompt, from its interval."""
    return difference.se * math.sqrt(n)


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name} must lie in (0, 1], got {value!r}")
