"""Value a target policy from choices that another policy logged: plain functions on arrays.

Symbols: row i is a prompt x_i; the logging policy chose arm a_i with propensity p_i and the
outcome r_i was observed; the target policy would have chosen a_i with probability t_i. The
importance weight is w_i = t_i / p_i, whose expectation is 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from routerlib.evaluation.pseudo_outcomes import Rows, effective_sample_size
from routerlib.records.arrays import Floats

# Below this effective sample size intervals stop covering the truth.
_MIN_EFFECTIVE = 50
# Importance weights average 1; further away, much of what the target would do is unseen.
_MAX_OFF_ONE = 0.25
_MAX_OFF_ONE_SE = 4.0
_ROUNDING = 0.01

Method = Literal["dr", "snips", "ips"]


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


def why_too_thin(weights: ArrayLike) -> str:
    """Say why logged choices overlap too little with the target's, or nothing where they do.

    `weights` (n,): importance weights.
    """
    w = _floats(weights)
    effective = effective_sample_size(w)
    if effective < _MIN_EFFECTIVE:
        start = f"effective sample size {effective:.0f} of {len(w)} decisions, at least "
        start += f"{_MIN_EFFECTIVE} are needed: "
        if effective >= len(w) / 2:
            return f"{start}that is too few decisions; log more of them"
        return (
            f"{start}the target seldom chooses as the log did (largest weight "
            f"{w.max(initial=0):.0f}); log more, explore more, or value a policy nearer to it"
        )
    off, se = abs(float(w.mean()) - 1), float(w.std(ddof=1)) / np.sqrt(len(w))
    if off <= _MAX_OFF_ONE and off <= _MAX_OFF_ONE_SE * se + _ROUNDING:
        return ""
    return (
        f"the importance weights average {w.mean():.2f} where they must average 1 (standard error "
        f"{se:.2f}): the logged propensities are not those of this log, or what the target would "
        "do was hardly ever tried"
    )


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
