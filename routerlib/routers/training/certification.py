"""Certify a cost weight: a promise about quality on new prompts, kept with stated confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routerlib.metrics.pairs import is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates

# Share of what can be staked that is staked at most, so that no single loss ends the game.
_LARGEST_STAKE = 0.9
# Variance that is believed of differences before any was seen, with the weight of one draw.
_FIRST_VARIANCE = 0.25


@dataclass(frozen=True)
class Certificate:
    """What is promised of an operating point, or why nothing is.

    The promise: if new prompts come from where the calibration prompts came from, then with
    confidence ``1 - delta`` (over the draw of the calibration prompts) the router's expected
    quality at this cost weight is at most ``epsilon`` below that of *every* single candidate
    model, and so below the best one, whichever that truly is.

    `epsilon`: mean quality that may be lost, in [0, 1).
    `delta`: probability with which the promise may fail, in (0, 1).
    `cost_weight`: the certified cost weight; None = none could be certified.
    `quality_difference`: observed mean quality at that cost weight minus that of
        ``best_single`` on the calibration prompts; NaN without prompts.
    """

    epsilon: float
    delta: float
    cost_weight: float | None
    best_single: str
    n_prompts: int
    n_groups: int
    p_value: float
    quality_difference: float

    @property
    def is_certified(self) -> bool:
        """Whether a cost weight is promised anything."""
        return self.cost_weight is not None

    @property
    def sentence(self) -> str:
        """The promise in words, or why there is none."""
        if self.cost_weight is None:
            return f"Not certified, so it keeps to {self.best_single}: {self.shortage}."
        return (
            f"Certified with {self._confidence} on {self.n_prompts} calibration prompts: at cost "
            f"weight {self.cost_weight:.4g} the router is at most {100 * self.epsilon:g} points of "
            "quality below the best single candidate model, whichever that is."
        )

    @property
    def shortage(self) -> str:
        """What could not be shown."""
        return (
            f"no cost weight could be certified to lose at most {100 * self.epsilon:g} points of "
            f"quality with {self._confidence} on {self.n_prompts} calibration prompts"
        )

    @property
    def _confidence(self) -> str:
        return f"{100 * (1 - self.delta):g} % confidence"


def gain_p_values(
    gains: Floats, groups: NDArray[np.intp] | Sequence[int], epsilon: float, delta: float
) -> Floats:
    """Test for each column whether its mean is above ``-epsilon``, by betting.

    Somebody bets against "the mean gain is at most -epsilon", one group of near-duplicates after
    the other in an order drawn in advance, and stakes by what was seen so far. If the hypothesis
    holds, no stake makes a coin grow on average, so that it ever reaches x with probability at
    most 1 / x. Unlike Hoeffding's and Bentkus' bounds the bet profits from a small variance,
    which paired differences have: two ways of choosing agree on most prompts.

    Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting,
    Journal of the Royal Statistical Society B 86, https://doi.org/10.1093/jrsssb/qkad009

    `gains` (n_prompts, n_columns): paired differences in quality, each in [-1, 1].
    `groups` (length n_prompts): prompts of a group count as one draw; groups are independent.
    `epsilon`: loss of mean quality allowed, in [0, 1).
    `delta`: level of the test for which the stakes are sized, in (0, 1); valid at any other
        too.
    Returns shape (n_columns,): p-values, valid for any number of prompts and any distribution
        in [-1, 1].
    """
    drawn = _group_sums(np.asarray(gains, dtype=float) + epsilon, groups)
    n = len(drawn)
    if not n:
        return np.ones(drawn.shape[1])
    drawn = drawn[np.random.default_rng(0).permutation(n)]
    seen = np.arange(1, n + 1)[:, None]
    mean = np.cumsum(drawn, axis=0) / (seen + 1)
    variance = (_FIRST_VARIANCE + np.cumsum((drawn - mean) ** 2, axis=0)) / (seen + 1)
    # A stake may only know what came before it.
    before = np.vstack([np.full((1, drawn.shape[1]), _FIRST_VARIANCE), variance[:-1]])
    stakes = np.sqrt(2 * np.log(1 / delta) / (n * before))
    stakes = np.minimum(stakes, _LARGEST_STAKE / (1 - epsilon))
    log_wealth = np.cumsum(np.log1p(stakes * drawn), axis=0)
    return np.exp(-np.maximum(log_wealth.max(axis=0), 0.0))


def _group_sums(values: Floats, groups: NDArray[np.intp] | Sequence[int]) -> Floats:
    """Add up the values of each group, in units of the largest group's size."""
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, group_of, values)
    return sums / max(np.bincount(group_of).max(initial=0), 1)


def certified_operating_point(
    estimates: Estimates,
    outcomes: Outcomes,
    *,
    epsilon: float,
    delta: float,
    best_single: str,
    cost_weights: Sequence[float] | Floats,
) -> Certificate:
    """Choose the cheapest cost weight of which a bounded loss can be promised.

    Learn then test: each cost weight is a hypothesis "the loss against some single candidate
    model exceeds epsilon". They are tested in the order of rising cost weight, each at level
    ``delta``, until one can't be rejected (fixed sequence); so the probability that any accepted
    one is wrong is at most ``delta``, and among them the one with the lowest observed cost is
    free to be chosen. A hypothesis over several candidates is rejected only if it is for each of
    them, so the promise holds against the truly best single model, not only against the one
    named.

    Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then test, arXiv:2110.01052.

    `epsilon`: mean quality that may be lost, in [0, 1).
    `delta`: probability with which the promise may fail, in (0, 1).
    `cost_weights`: to be tested, each at least 0, fixed without looking at the calibration
        prompts: of `sweep_cost_weights` on other prompts, say.
    """
    keep = np.flatnonzero(is_complete(outcomes.quality))
    has_costs = bool(len(estimates)) and bool(np.isfinite(estimates.cost_usd).all())
    groups = outcomes.groups[keep]
    tested = try_in_order(
        Estimates(estimates.models, estimates.quality[keep], estimates.cost_usd[keep]),
        outcomes.quality[keep],
        outcomes.cost_usd[keep],
        groups,
        epsilon=epsilon,
        delta=delta,
        cost_weights=cost_weights if has_costs else [0.0],
    )
    shown = [each for each in tested if each.p_value <= delta]
    chosen = min(shown, key=lambda each: each.cost_usd, default=tested[0])
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        cost_weight=chosen.cost_weight if shown else None,
        best_single=best_single,
        n_prompts=len(keep),
        n_groups=len(np.unique(groups)),
        p_value=chosen.p_value,
        quality_difference=float(chosen.gains[outcomes.models.index(best_single)]),
    )


class Trial(NamedTuple):
    """One cost weight as the calibration prompts saw it.

    `cost_usd`: mean US dollars of its choices; 0 where costs are unknown.
    `gains` (n_models,): mean quality of its choices minus that of each candidate model; NaN
        without prompts.
    """

    cost_weight: float
    p_value: float
    cost_usd: float
    gains: Floats


def try_in_order(
    estimates: Estimates,
    quality: Floats,
    cost_usd: Floats,
    groups: NDArray[np.intp],
    *,
    epsilon: float,
    delta: float,
    cost_weights: Sequence[float] | Floats,
) -> list[Trial]:
    """Test cost weights from the lowest up, until one fails at level delta.

    `quality, cost_usd` (n_prompts, n_models): observed on them; no quality missing.
    `groups` (n_prompts,): group of near-duplicates of each prompt.
    """
    check_probabilities(epsilon, delta)
    if not len(cost_weights):
        raise ValueError("at least one cost weight must be tested, got none")
    rows = np.arange(len(quality))
    tested: list[Trial] = []
    for weight in np.unique(np.asarray(cost_weights, dtype=float)):
        arms = choose_arms(estimates, float(weight))
        gains = quality[rows, arms][:, None] - quality
        # "Worse than some model" is refuted only where "worse than it" is for each of them.
        p_value = float(gain_p_values(gains, groups, epsilon, delta).max())
        paid = np.nan_to_num(cost_usd[rows, arms])
        n = max(len(rows), 1)
        means = gains.sum(axis=0) / n if len(rows) else np.full(quality.shape[1], np.nan)
        tested.append(Trial(float(weight), p_value, float(paid.sum()) / n, means))
        if p_value > delta:
            break
    return tested


def check_probabilities(epsilon: float, delta: float) -> None:
    """Raise ValueError unless epsilon lies in [0, 1) and delta in (0, 1)."""
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon must lie in [0, 1), got {epsilon!r}")
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie in (0, 1), got {delta!r}")
