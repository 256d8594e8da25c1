"""Value a target policy from choices that another policy logged: plain functions on arrays.

Symbols: row i is a prompt x_i; the logging policy chose arm a_i with propensity p_i and the
outcome r_i was observed; the target policy would have chosen a_i with probability t_i. The
importance weight is w_i = t_i / p_i, whose expectation is 1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from routerlib.metrics.intervals import Interval
from routerlib.records.arrays import Floats

# Below this effective sample size intervals stop covering the truth.
_MIN_EFFECTIVE = 50
# Importance weights average 1; further away, much of what the target would do is unseen.
_MAX_OFF_ONE = 0.25
_MAX_OFF_ONE_SE = 4.0
_ROUNDING = 0.01

Method = Literal["dr", "snips", "ips"]


class Rows(NamedTuple):
    """An estimate, and how much each row moves it.

    `influence` (n,): mean 0; the standard error is that of their mean.
    """

    value: float
    influence: Floats


def ips(outcomes: ArrayLike, weights: ArrayLike) -> Rows:
    """Weigh each outcome by its importance weight (inverse propensity score).

    Unbiased where the propensities are right and never 0 where the target chooses; its spread
    is large where weights are.

    Horvitz and Thompson (1952), A generalization of sampling without replacement from a finite
    universe, JASA 47.

    `outcomes` (n,): of the logged choices.
    `weights` (n,): importance weights, at least 0.
    """
    weighed = _floats(weights) * _floats(outcomes)
    return Rows(float(weighed.mean()), weighed - weighed.mean())


def snips(outcomes: ArrayLike, weights: ArrayLike) -> Rows:
    """Take the weighted mean of the outcomes (self-normalised inverse propensity score).

    Its bias vanishes with n, and it never leaves the range of the outcomes.

    Swaminathan and Joachims (2015), The self-normalized estimator for counterfactual learning,
    NeurIPS.

    `outcomes` (n,): of the logged choices.
    `weights` (n,): importance weights, at least 0, not all 0.
    """
    w, r = _floats(weights), _floats(outcomes)
    value = float((w * r).sum() / w.sum())
    return Rows(value, w * (r - value) / w.mean())


def doubly_robust(
    outcomes: ArrayLike,
    weights: ArrayLike,
    expected_of_logged: ArrayLike,
    expected_of_target: ArrayLike,
) -> Rows:
    """Let a quality model predict, and weigh only what it got wrong.

    Unbiased where the propensities are right, whatever the model; and its spread is small where
    the model is good. The model must not have seen the row (cross-fitting).

    Dudik, Langford and Li (2011), Doubly robust policy evaluation and learning, ICML.

    `outcomes` (n,): of the logged choices.
    `weights` (n,): importance weights, at least 0.
    `expected_of_logged` (n,): the model's expectation for the logged arm.
    `expected_of_target` (n,): the model's expectation for the target policy: the mean over its
        probabilities.
    """
    residuals = _floats(outcomes) - _floats(expected_of_logged)
    rows = _floats(expected_of_target) + _floats(weights) * residuals
    return Rows(float(rows.mean()), rows - rows.mean())


def effective_sample_size(weights: ArrayLike) -> float:
    """Return how many evenly weighed rows would tell as much (Kish).

    Kish (1965), Survey Sampling, section 11.7.

    `weights` (n,): importance weights, at least 0.
    """
    w = _floats(weights)
    squares = float((w**2).sum())
    return float(w.sum() ** 2 / squares) if squares > 0 else 0.0


def why_too_thin(weights: ArrayLike) -> str:
    """Say why logged choices overlap too little with the target's, or nothing where they do.

    `weights` (n,): importance weights.
    """
    w = _floats(weights)
    effective = effective_sample_size(w)
    if effective < _MIN_EFFECTIVE:
        return (
            f"effective sample size {effective:.0f} of {len(w)} decisions, at least "
            f"{_MIN_EFFECTIVE} are needed: the target seldom chooses as the log did (largest "
            f"weight {w.max(initial=0):.0f}); log more, explore more, or value a policy nearer to "
            "it"
        )
    off, se = abs(float(w.mean()) - 1), float(w.std(ddof=1)) / np.sqrt(len(w))
    if off <= _MAX_OFF_ONE and off <= _MAX_OFF_ONE_SE * se + _ROUNDING:
        return ""
    return (
        f"the importance weights average {w.mean():.2f} where they must average 1 (standard error "
        f"{se:.2f}): the logged propensities are not those of this log, or what the target would "
        "do was hardly ever tried"
    )


def interval(
    rows: Rows,
    weights: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    scale: float = 1.0,
    level: float = 0.95,
) -> Interval:
    """Put an interval round an off-policy value that holds what the sample could not show.

    Student's t on the influence of each group of rows, with two cautions without which it covers
    far too seldom where propensities are small (in a world where one choice in twenty explores,
    0.7 instead of 0.95): the degrees of freedom are those of the effective sample size, and one
    win and one loss of the largest weight, off by `scale`, are added to the variance. A good
    policy seldom fails, so that the one failure with a large weight is often not in the sample.

    `weights` (n,): importance weights.
    `groups` (n,): rows that belong together, such as those of one prompt; None = all
        independent.
    `level`: confidence, in (0, 1).
    """
    from scipy.stats import t

    w = _floats(weights)
    n = len(w)
    keys = np.arange(n) if groups is None else np.asarray(groups)
    _, group_of = np.unique(keys, return_inverse=True)
    sums = np.bincount(group_of.ravel(), weights=rows.influence)
    n_groups = len(sums)
    if n_groups < 2:
        return Interval(rows.value, np.nan, np.nan, np.nan)
    unseen = 2 * (float(np.bincount(group_of.ravel(), weights=w).max()) * scale) ** 2
    squares = (float((sums**2).sum()) + unseen) * n_groups / (n_groups - 1)
    se = float(np.sqrt(squares)) / n
    freedom = max(min(effective_sample_size(w), n_groups) - 1, 1.0)
    half = float(t.ppf((1 + level) / 2, freedom)) * se
    return Interval(rows.value, rows.value - half, rows.value + half, se)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
