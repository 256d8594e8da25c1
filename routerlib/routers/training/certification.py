"""Certify a cost weight: a promise about quality on new prompts, kept with stated confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from routerlib.metrics.pairs import is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates
from routerlib.routers.training.bets import gain_p_values, saving_p_value

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
    `of`: what it is about, in a word: a router, or a cascade with all its calls.
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
    of: str = "router"

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
        if self.promises_saving and self.of != "router":
            cheaper += ", all calls paid"
        return (
            f"Certified with {self._confidence} on {self._prompts}: at cost "
            f"weight {self.cost_weight:.4g} the {self.of} is at most {100 * self.epsilon:g} points "
            f"of quality below the best single candidate model, whichever that is{cheaper}."
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


class Chosen(NamedTuple):
    """What a way of choosing does with each calibration prompt at one cost weight.

    `given` (n_prompts,): column of the candidate whose answer is given back.
    `asked` (n_prompts, n_models): who is called, and paid.
    `is_told` (n_prompts,): False where that can't be known, as an answer that would have been
        looked at wasn't kept: all counts at its worst there.
    """

    given: Arms
    asked: NDArray[np.bool_]
    is_told: NDArray[np.bool_]

    @classmethod
    def once(cls, arms: Arms, n_models: int) -> Self:
        """Return that of one call a prompt."""
        asked = np.asarray(arms)[:, None] == np.arange(n_models)
        return cls(arms, asked, np.ones(len(arms), dtype=bool))

    def take(self, rows: Arms) -> Self:
        """Return the same of some prompts."""
        return type(self)(self.given[rows], self.asked[rows], self.is_told[rows])


class Way(NamedTuple):
    """A way of choosing that is to be certified.

    `choose`: gives what is done with the calibration prompts at a cost weight.
    `most_calls`: calls that a prompt takes at most.
    `name`: what it is, in a word.
    """

    choose: Callable[[float], Chosen]
    most_calls: int
    name: str

    @classmethod
    def once(cls, estimates: Estimates) -> Self:
        """Return that of a router: one call a prompt, by the estimates."""
        n_models = len(estimates.models)
        return cls(lambda w: Chosen.once(choose_arms(estimates, w), n_models), 1, "router")

    def on(self, rows: Arms) -> Self:
        """Return the same of some prompts."""
        return self._replace(choose=lambda cost_weight: self.choose(cost_weight).take(rows))


class Observed(NamedTuple):
    """What calibration prompts say.

    `quality, cost_usd` (n_prompts, n_models): NaN = missing, and counted at its worst. None = costs
        are unknown and promised nothing of.
    `groups` (n_prompts,): group of near-duplicates of each prompt.
    `best`: column of the best single model, named before.
    """

    quality: Floats
    cost_usd: Floats | None
    groups: NDArray[np.intp]
    best: int


def certified_operating_point(
    estimates: Estimates,
    outcomes: Outcomes,
    *,
    epsilon: float,
    delta: float,
    best_single: str,
    cost_weights: Sequence[float] | Floats,
    starts: Sequence[float] = (),
    way: Way | None = None,
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
    `way`: how is chosen; None = one call, by the estimates. Of several calls all are paid, and what
        is bounded is the cost of each.
    """
    has_costs = _knows_costs(estimates, outcomes)
    needed = (outcomes.quality, outcomes.cost_usd) if has_costs else (outcomes.quality,)
    keep = np.flatnonzero(~np.isnan(outcomes.quality).all(axis=1))
    way = way or Way.once(estimates)
    observed = Observed(
        outcomes.quality[keep],
        outcomes.cost_usd[keep] if has_costs else None,
        outcomes.groups[keep],
        outcomes.models.index(best_single),
    )
    tested = try_in_order(
        way.on(keep),
        observed,
        epsilon=epsilon,
        delta=delta,
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
        n_groups=len(np.unique(observed.groups)),
        p_value=chosen.p_value,
        quality_difference=float(chosen.gains[observed.best]),
        promises_saving=has_costs,
        n_incomplete=int((~is_complete(*needed)[keep]).sum()),
        of=way.name,
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
    way: Way,
    observed: Observed,
    *,
    epsilon: float,
    delta: float,
    cost_weights: Sequence[float] | Floats,
    starts: Sequence[float] = (),
) -> list[Trial]:
    """Test cost weights from the lowest up, each at what it starts with or was handed on.

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
        tested.append(_tried(float(weight), level, way, observed, epsilon, delta))
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
    way: Way,
    observed: Observed,
    epsilon: float,
    delta: float,
) -> Trial:
    quality, cost_usd, groups, best = observed
    given, asked, is_told = way.choose(weight)
    rows = np.arange(len(quality))
    own = np.where(is_told, quality[rows, given], np.nan)[:, None]
    # What is missing counts at its worst; the choice beside itself is the same call.
    gains = np.where(np.isnan(own), 0.0, own) - np.where(np.isnan(quality), 1.0, quality)
    gains[rows[is_told], given[is_told]] = 0.0
    # "Worse than some model" is refuted only where "worse than it" is for each of them.
    p_value = float(gain_p_values(gains, groups, epsilon, delta).max())
    paid = 0.0
    if cost_usd is not None and len(rows):
        is_other = np.arange(quality.shape[1]) != best
        dearest_usd = float(np.nan_to_num(cost_usd[:, is_other]).max(initial=0.0))
        most_usd = _BEYOND_THE_DEAREST * dearest_usd
        loss_usd = way.most_calls * most_usd
        called_usd = np.where(asked, np.nan_to_num(cost_usd, nan=most_usd), 0.0)
        others_usd = np.where(is_told, called_usd[:, is_other].sum(axis=1), loss_usd)
        # Where the best single model is asked anyway, nothing of it is saved.
        is_saved = is_told & ~asked[:, best]
        savings = np.where(is_saved, np.nan_to_num(cost_usd[:, best]), 0.0) - others_usd
        # "Loses too much or isn't cheaper" is refuted only where both are.
        p_value = max(p_value, saving_p_value(savings, groups, loss_usd) if loss_usd else 1.0)
        paid = float((others_usd + called_usd[:, best]).mean())
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
