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
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates

# Share of what can be staked that is staked at most, so that no single loss ends the game.
_LARGEST_STAKE = 0.9
# Stakes of the bet on costs, each half of the one before.
_N_STAKES = 10
# No call is believed to cost more than so many times the dearest that was seen. Of calls to others
# than the best single model: calling it is no loss.
_BEYOND_THE_DEAREST = 2.0
# Where a sequence begins if nothing is known of the choices, as shares of the way through the cost
# weights: from the bottom, where the quality is, and higher up, for the bottom may be as dear as
# the best single model or dearer.
_STARTS = (0, 1 / 8, 3 / 8)
# Where one begins otherwise: the first cost weights at which no more than this share of prompts is
# sent to the best single model; of fewer changes a saving is hard to show.
_STARTING_SHARES = (2 / 3, 1 / 3)
# Variance that is believed of differences before any was seen, with the weight of one draw.
_FIRST_VARIANCE = 0.25


@dataclass(frozen=True)
class Certificate:
    """What is promised of an operating point, or why nothing is.

    The promise: if new prompts come from where the calibration prompts came from, then with
    confidence ``1 - delta`` (over the draw of the calibration prompts) the router's expected
    quality at this cost weight is at most ``epsilon`` below that of *every* single candidate
    model, and so below the best one, whichever that truly is; and its expected cost is below that
    of ``best_single``, which would be called otherwise, provided that no call to another
    candidate costs more than twice the dearest among the calibration prompts. Without some such
    bound nothing can be said of the mean of costs.

    `epsilon`: mean quality that may be lost, in [0, 1).
    `delta`: probability with which the promise may fail, in (0, 1).
    `cost_weight`: the certified cost weight; None = none could be certified.
    `n_prompts, n_incomplete`: calibration prompts with nothing missing, and those that miss a
        quality or a cost, which then counts at its worst: nothing for the choice, all for the
        others.
    `promises_saving`: whether costs were known, so that "cheaper" is part of it.
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
    promises_saving: bool = True
    n_incomplete: int = 0

    @property
    def is_certified(self) -> bool:
        """Whether a cost weight is promised anything."""
        return self.cost_weight is not None

    @property
    def sentence(self) -> str:
        """The promise in words, or why there is none."""
        if self.cost_weight is None:
            return f"Not certified, so it keeps to {self.best_single}: {self.shortage}."
        cheaper = f", and cheaper than {self.best_single}" if self.promises_saving else ""
        return (
            f"Certified with {self._confidence} on {self._prompts}: at cost "
            f"weight {self.cost_weight:.4g} the router is at most {100 * self.epsilon:g} points of "
            f"quality below the best single candidate model, whichever that is{cheaper}."
        )

    @property
    def shortage(self) -> str:
        """What could not be shown."""
        cheaper = " and to cost less" if self.promises_saving else ""
        return (
            f"no cost weight could be certified to lose at most {100 * self.epsilon:g} points of "
            f"quality{cheaper} with {self._confidence} on {self._prompts}"
        )

    @property
    def _prompts(self) -> str:
        missing = f" ({self.n_incomplete} more with something missing, counted at its worst)"
        return f"{self.n_prompts} calibration prompts" + missing * bool(self.n_incomplete)

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


def saving_p_value(
    savings: Floats, groups: NDArray[np.intp] | Sequence[int], most_usd: float
) -> float:
    """Test whether the mean saving is above 0, by betting.

    Costs have heavy tails, so the stakes are the smallest and the largest that a bound allows, and
    many between, each with a part of the coins: what the best of them wins remains, without
    a guess about the spread. Savings may be as large as they like; only the loss needs a bound.

    `savings` (n_prompts,): US dollars saved, each at least ``-most_usd``.
    `groups` (length n_prompts): as in `gain_p_values`.
    `most_usd`: largest loss on one prompt.
    Returns a p-value, valid for any number of prompts and any distribution above that bound.
    """
    drawn = _group_sums(np.asarray(savings, dtype=float)[:, None] / most_usd, groups)[:, 0]
    if not len(drawn):
        return 1.0
    drawn = drawn[np.random.default_rng(0).permutation(len(drawn))]
    stakes = _LARGEST_STAKE / 2.0 ** np.arange(_N_STAKES)
    log_wealth = np.cumsum(np.log1p(stakes * drawn[:, None]), axis=0)
    largest = log_wealth.max(axis=1)
    together = largest + np.log(np.exp(log_wealth - largest[:, None]).mean(axis=1))
    return float(np.exp(-max(together.max(), 0.0)))


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
    starts: Sequence[float] = (),
) -> Certificate:
    """Choose the cheapest cost weight of which a bounded loss and a saving can be promised.

    Learn then test: each cost weight is a hypothesis "the loss against some single candidate
    model exceeds epsilon, or it isn't cheaper than the best single one". It is rejected only if
    each of its parts is, so the promise holds against the truly best single model, not only
    against the one named; the costs are those of the one named, which would be called otherwise.
    They are tested in the order of rising cost weight (fallback procedure): the starts share
    ``delta``, each accepted cost weight hands what it was tested at on to the next, so one that
    fails ends a sequence and another begins at the next start. The probability that any accepted
    one is wrong is at most ``delta``, so the one with the lowest observed cost is free to be
    chosen.

    Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then test, arXiv:2110.01052.
    Wiens and Dmitrienko (2005), The fallback procedure for evaluating a single family of
    hypotheses, Journal of Biopharmaceutical Statistics 15.

    `epsilon`: mean quality that may be lost, in [0, 1).
    `delta`: probability with which the promise may fail, in (0, 1).
    `cost_weights`: to be tested, each at least 0, fixed without looking at the calibration
        prompts: of `sweep_cost_weights` on other prompts, say.
    `starts`: those at which a sequence begins, fixed in the same way, as by `starts_of`; none =
        shares of the way through them.
    """
    has_costs = _knows_costs(estimates, outcomes)
    needed = (outcomes.quality, outcomes.cost_usd) if has_costs else (outcomes.quality,)
    keep = np.flatnonzero(~np.isnan(outcomes.quality).all(axis=1))
    groups = outcomes.groups[keep]
    best = outcomes.models.index(best_single)
    tested = try_in_order(
        Estimates(estimates.models, estimates.quality[keep], estimates.cost_usd[keep]),
        outcomes.quality[keep],
        outcomes.cost_usd[keep] if has_costs else None,
        groups,
        epsilon=epsilon,
        delta=delta,
        best=best,
        cost_weights=cost_weights if has_costs else [0.0],
        starts=starts if has_costs else (),
    )
    shown = [each for each in tested if each.is_accepted]
    chosen = min(shown, key=lambda each: each.cost_usd, default=tested[0])
    return Certificate(
        epsilon=epsilon,
        delta=delta,
        cost_weight=chosen.cost_weight if shown else None,
        best_single=best_single,
        n_prompts=int(is_complete(*needed).sum()),
        n_groups=len(np.unique(groups)),
        p_value=chosen.p_value,
        quality_difference=float(chosen.gains[best]),
        promises_saving=has_costs,
        n_incomplete=int((~is_complete(*needed)[keep]).sum()),
    )


def _knows_costs(estimates: Estimates, outcomes: Outcomes) -> bool:
    is_expected = bool(len(estimates)) and bool(np.isfinite(estimates.cost_usd).all())
    return is_expected and bool((~np.isnan(outcomes.cost_usd)).any(axis=0).all())


class Trial(NamedTuple):
    """One cost weight as the calibration prompts saw it.

    `level`: what its p-value was compared with.
    `cost_usd`: mean US dollars of its choices; 0 where costs are unknown.
    `gains` (n_models,): mean quality of its choices minus that of each candidate model; NaN
        without prompts.
    """

    cost_weight: float
    p_value: float
    level: float
    cost_usd: float
    gains: Floats

    @property
    def is_accepted(self) -> bool:
        """Whether the hypothesis that it loses too much, or saves nothing, is rejected."""
        return self.p_value <= self.level


def try_in_order(
    estimates: Estimates,
    quality: Floats,
    cost_usd: Floats | None,
    groups: NDArray[np.intp],
    *,
    epsilon: float,
    delta: float,
    best: int,
    cost_weights: Sequence[float] | Floats,
    starts: Sequence[float] = (),
) -> list[Trial]:
    """Test cost weights from the lowest up, each at what it starts with or was handed on.

    `quality, cost_usd` (n_prompts, n_models): observed on them; NaN = missing, and counted at its
        worst. None = costs are unknown and promised nothing of.
    `groups` (n_prompts,): group of near-duplicates of each prompt.
    `best`: column of the best single model, named before.
    `starts`: as in `certified_operating_point`.
    """
    check_probabilities(epsilon, delta)
    if not len(cost_weights):
        raise ValueError("at least one cost weight must be tested, got none")
    weights = np.unique(np.asarray(cost_weights, dtype=float))
    tested: list[Trial] = []
    handed_on = 0.0
    for weight, own in zip(weights, _levels(weights, starts, delta), strict=True):
        level = own + handed_on
        if level == 0:
            continue
        arms = choose_arms(estimates, float(weight))
        tested.append(
            _tried(float(weight), level, arms, quality, cost_usd, groups, (epsilon, delta, best))
        )
        handed_on = level if tested[-1].is_accepted else 0.0
    return tested


def starts_of(
    estimates: Estimates, best_single: str, cost_weights: Sequence[float] | Floats
) -> list[float]:
    """Return the cost weights at which to begin, by what is chosen for other prompts.

    `estimates`: of prompts that play no part in the tests.
    """
    best, found = estimates.models.index(best_single), list[float]()
    for weight in np.unique(np.asarray(cost_weights, dtype=float)):
        share = float((choose_arms(estimates, float(weight)) == best).mean())
        while len(found) < len(_STARTING_SHARES) and share <= _STARTING_SHARES[len(found)]:
            found.append(float(weight))
    return sorted(set(found))


def _levels(weights: Floats, starts: Sequence[float], delta: float) -> list[float]:
    """Share delta among the starts, length n_weights; what is no start gets nothing."""
    begun = {int(np.argmin(np.abs(weights - start))) for start in starts}
    if not begun:
        begun = {int(share * len(weights)) for share in _STARTS}
    return [delta / len(begun) if at in begun else 0.0 for at in range(len(weights))]


def _tried(
    weight: float,
    level: float,
    arms: Arms,
    quality: Floats,
    cost_usd: Floats | None,
    groups: NDArray[np.intp],
    promised: tuple[float, float, int],
) -> Trial:
    epsilon, delta, best = promised
    rows = np.arange(len(quality))
    own = quality[rows, arms][:, None]
    # What is missing counts at its worst; the choice beside itself is the same call.
    gains = np.where(np.isnan(own), 0.0, own) - np.where(np.isnan(quality), 1.0, quality)
    gains[rows, arms] = 0.0
    # "Worse than some model" is refuted only where "worse than it" is for each of them.
    p_value = float(gain_p_values(gains, groups, epsilon, delta).max())
    paid = 0.0
    if cost_usd is not None and len(rows):
        others = np.nan_to_num(np.delete(cost_usd, best, axis=1))
        most_usd = _BEYOND_THE_DEAREST * float(others.max(initial=0.0))
        own_usd = np.nan_to_num(cost_usd[rows, arms], nan=most_usd)
        savings = np.where(arms == best, 0.0, np.nan_to_num(cost_usd[:, best]) - own_usd)
        # "Loses too much or isn't cheaper" is refuted only where both are.
        p_value = max(p_value, saving_p_value(savings, groups, most_usd) if most_usd else 1.0)
        paid = float(own_usd.mean())
    return Trial(weight, p_value, level, paid, _known_means(own - quality))


def _known_means(values: Floats) -> Floats:
    """Return the mean of each column over what is known; NaN where nothing is."""
    n_known = (~np.isnan(values)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.nansum(values, axis=0) / np.where(n_known, n_known, np.nan)


def check_probabilities(epsilon: float, delta: float) -> None:
    """Raise ValueError unless epsilon lies in [0, 1) and delta in (0, 1)."""
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon must lie in [0, 1), got {epsilon!r}")
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie in (0, 1), got {delta!r}")
