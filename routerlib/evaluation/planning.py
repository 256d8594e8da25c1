"""Plan how many held-out prompts a verdict takes, by trying its rule on prompts drawn anew.

What a few prompts say of the effect is mostly noise, and a plan made from it is too. So the effect
is the user's: the smallest one that matters. From the prompts comes only how much they differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from routerlib.metrics.intervals import Interval
from routerlib.metrics.sample_size import plan_sample_size
from routerlib.records.arrays import Floats

# How often the verdict shall be decided at the planned number of prompts, whatever the effect is
# between none and the smallest that matters; in the middle it is decided least often.
DECIDED = 0.82
# What is guessed of the share of prompts on which scores differ, where none was seen.
_DISAGREEMENTS = (0.1, 0.2, 0.3)
# Where so many were not enough, it takes at least a quarter more.
_AT_LEAST_MORE = 1.25
_TRUTHS = (0.0, 0.5, 1.0)
_N_REPEATS = 400
# Where to look, as shares of a first guess.
_GRID = np.geomspace(0.25, 16, 13)
# Spread of a mean at which the rule decides about so often, as a share of the smallest effect.
_GUESSED = 3.3
_Z95, _Z80 = 1.96, 1.28

# What a rule says: that routing gains, that it gains nothing, or neither.
Said = Literal["gain", "none", "open"]
# Intervals by name, and independent prompts, to what they say.
Rule = Callable[[Mapping[str, Interval], int], Said]


class Plan(NamedTuple):
    """How many held-out prompts the verdict takes, those at hand among them.

    Attributes
    ----------
    n : int
        Prompts at which the rule decides in about 82 of 100 cases.
    low, high : int
        The same at the ends of an 80 % interval of how much prompts differ.
    effect : float
        Smallest gain in mean quality that matters.
    """

    n: int
    low: int
    high: int
    effect: float

    def beyond(self, n: int) -> Plan:
        """Return the same where `n` prompts have not decided: then it takes a quarter more."""
        least = math.ceil(_AT_LEAST_MORE * n)
        return self._replace(
            n=max(self.n, least), low=max(self.low, n + 10), high=max(self.high, least)
        )

    def more(self, n: int) -> str:
        """Say how many more than `n` prompts these are, such as ``1400 to 2100``.

        >>> Plan(1900, 1500, 2300, 0.03).more(100)
        '1400 to 2200'
        """
        low, high = _missing(self.low, n), _missing(self.high, n)
        if low is None:
            return f"up to {high}"
        return f"{high}" if low == high else f"{low} to {high}"


def numbers_of(plan: Plan | None, n: int, effect: float) -> dict[str, float | None]:
    """Return a plan as numbers: prompts in all, and those missing beyond `n`, in two digits."""
    numbers: dict[str, float | None] = {"smallest_effect": effect}
    ends = (None, None, None) if plan is None else (plan.n, plan.low, plan.high)
    for name, in_all in zip(("", "_low", "_high"), ends, strict=True):
        numbers[f"prompts_needed{name}"] = in_all
        numbers[f"more_prompts_needed{name}"] = _missing(in_all, n)
    return numbers


def _missing(needed: int | None, n: int) -> int | None:
    if needed is None or needed <= n:
        return None
    more = needed - n
    two_digits = min(1 - math.floor(math.log10(more)), -1)
    return max(round(round(more, two_digits)), 10)


def guess_plan(effect: float) -> Plan:
    """Plan where nothing was measured, by a guess on which share of prompts scores differ."""
    low, n, high = (
        plan_sample_size(effect, disagreement=max(each, effect**2)) for each in _DISAGREEMENTS
    )
    return Plan(n, low, high, effect)


def guess_told(effect: float) -> str:
    """Say what was guessed."""
    low, _, high = (f"{100 * each:.0f}" for each in _DISAGREEMENTS)
    points = f"a difference of {100 * effect:g} points"
    return f"{points}, if scores differ on {low} to {high} % of the prompts"


class PromptColumns(NamedTuple):
    """What was seen on each held-out prompt.

    `groups` (n_prompts,): those of one group are drawn together.
    `difference` (n_prompts,): quality minus that of best single.
    `gain` (n_prompts,): quality minus that of mixing at the same cost; NaN = costs are unknown.
    `cost_usd, best_cost_usd` (n_prompts,): of the choice, and of best single.
    """

    groups: np.ndarray
    difference: Floats
    gain: Floats
    cost_usd: Floats
    best_cost_usd: Floats


def plan_held_out(
    columns: PromptColumns, effect: float, rule: Rule, error: float = 0.0
) -> Plan | None:
    """Find how many prompts decide a verdict; None where even many more wouldn't.

    Truths between no gain and the smallest gain that matters are made by weighing the groups of
    prompts at hand (exponential tilting); prompts are drawn anew from each, and the rule is asked:
    the gain that matters it shall find, of less it may say either.

    `effect`: smallest gain in mean quality that matters, in (0, 1].
    `rule`: the verdict's.
    `error`: standard error of what decides on the prompts at hand; where it is larger than that of
        a mean, since it holds more than the draw of prompts, all drawn intervals are so much wider.
    """
    if not 0 < effect <= 1:
        raise ValueError(f"the smallest effect of interest must lie in (0, 1], got {effect!r}")
    groups = _Groups.of(columns).stretched(error)
    worlds = [(truth < 1, groups.weighed(effect * truth)) for truth in groups.truths()]
    spread = groups.stretch * math.sqrt(groups.variance(groups.even))
    sizes = np.unique(np.maximum(np.round(_GRID * (_GUESSED * spread / effect) ** 2), 2))

    def decided(size: float) -> float:
        return min(
            groups.share_said(chances, int(size), rule, ("gain", "none") if either else ("gain",))
            for either, chances in worlds
        )

    n_groups = _first(decided, sizes)
    if n_groups is None:
        return None
    off = _Z80 * groups.relative_error()
    prompts = groups.size * n_groups
    low, high = prompts / (1 + off), prompts * (1 + off)
    return Plan(math.ceil(prompts), math.ceil(low), math.ceil(high), effect)


def _first(decided: Callable[[float], float], sizes: Floats) -> float | None:
    """Look up where a share that rises with the size reaches `DECIDED`; None = beyond all."""
    low, high = -1, len(sizes) - 1
    shares = {high: decided(sizes[high])}
    if shares[high] < DECIDED:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        shares[middle] = decided(sizes[middle])
        low, high = (low, middle) if shares[middle] >= DECIDED else (middle, high)
    if low < 0:
        return float(sizes[0])
    ends = [low, high]
    at = np.interp(DECIDED, [shares[end] for end in ends], np.log(sizes[ends]))
    return float(np.exp(at))


class _Groups(NamedTuple):
    """Sums over each group, and half a win and half a loss of which none may have been seen.

    `sums` (n_groups + 2, 5): prompts, difference, gain, cost, best single's cost.
    `even` (n_groups + 2,): share of each.
    `deciding`: column of what decides, 1 or 2.
    """

    sums: Floats
    even: Floats
    deciding: int
    has_costs: bool
    saves: bool
    stretch: float = 1.0

    @classmethod
    def of(cls, columns: PromptColumns) -> _Groups:
        _, group_of = np.unique(columns.groups, return_inverse=True)
        has_costs = not np.isnan(columns.gain).any()
        gain = columns.gain if has_costs else columns.difference
        costs = (columns.cost_usd, columns.best_cost_usd) if has_costs else (0 * gain, 0 * gain)
        seen = np.column_stack(
            [
                np.bincount(group_of, weights=each)
                for each in (np.ones(len(gain)), columns.difference, gain, *costs)
            ]
        )
        usual = seen.mean(axis=0)
        unseen = np.vstack([usual, usual])
        largest = np.abs(seen[:, 1:3]).max(axis=0)
        unseen[:, 1:3] = np.outer([1.0, -1.0], np.where(largest > 0, largest, 1.0))
        even = np.append(np.ones(len(seen)), [0.5, 0.5])
        saves = has_costs and usual[3] < usual[4]
        deciding = 2 if saves else 1
        return cls(np.vstack([seen, unseen]), even / even.sum(), deciding, has_costs, saves)

    def stretched(self, error: float) -> _Groups:
        """Widen what is drawn as the interval at hand is wider than that of a mean."""
        n_groups = len(self.even) - 2
        # What the sample can't show is in the interval at hand, and in each that is drawn.
        plain = math.hypot(math.sqrt(self.variance(self.even) / n_groups), 1 / (n_groups + 2))
        return self._replace(stretch=max(1.0, error / plain))

    @property
    def size(self) -> float:
        """Prompts of a group, on average."""
        return float(self.even @ self.sums[:, 0])

    def truths(self) -> tuple[float, ...]:
        """Return what may be true, as shares of the smallest effect.

        Where routing is dearer than best single, less than a gain that matters may stay open.
        """
        return _TRUTHS if self.saves or not self.has_costs else (-1.0, 1.0)

    def _apart(self, truth: float) -> Floats:
        return self.sums[:, self.deciding] - truth * self.sums[:, 0]

    def weighed(self, truth: float) -> Floats:
        """Weigh the groups so that what decides has this mean, as evenly as that allows."""
        from scipy.optimize import brentq

        apart = self._apart(truth)

        def mean(tilt: float) -> float:
            weights = self.even * np.exp(tilt * apart - np.abs(tilt * apart).max())
            return float(weights @ apart / weights.sum())

        limit = 1.0
        while mean(-limit) > 0 or mean(limit) < 0:
            limit *= 2
        tilt = brentq(mean, -limit, limit)
        weights = self.even * np.exp(tilt * apart - np.abs(tilt * apart).max())
        return np.asarray(weights / weights.sum())

    def variance(self, chances: Floats) -> float:
        """Return the variance of what decides, of one group, in prompts' means."""
        mean = float(chances @ self.sums[:, self.deciding] / (chances @ self.sums[:, 0]))
        return float(chances @ self._apart(mean) ** 2) / float(chances @ self.sums[:, 0]) ** 2

    def relative_error(self) -> float:
        """Return the standard error of the variance as a share of it."""
        mean = float(self.even @ self.sums[:, self.deciding] / self.size)
        squares = self._apart(mean) ** 2
        variance = float(self.even @ squares)
        spread = float(self.even @ squares**2) - variance**2
        return math.sqrt(max(spread, 0.0) / (len(self.even) - 1)) / variance

    def share_said(
        self, chances: Floats, n_groups: int, rule: Rule, wanted: tuple[Said, ...]
    ) -> float:
        """Draw so many groups again and again; return how often the rule says what is wanted."""
        rng = np.random.default_rng(n_groups)
        drawn = rng.multinomial(n_groups, chances, size=_N_REPEATS).astype(float)
        n, difference, gain, cost, best = (drawn @ self.sums).T
        measured = {
            "quality_difference": self._mean(drawn, 1, difference / n, n),
            "gain_over_zero": self._mean(drawn, 2, gain / n, n),
            "saving": self._saving(drawn, cost, best),
        }
        if not self.has_costs:
            measured["gain_over_zero"] = measured["saving"]
        rows = zip(*(each.tolist() for each in measured.values()), strict=True)
        said = [
            rule({name: Interval(*one) for name, one in zip(measured, row, strict=True)}, n_groups)
            for row in rows
        ]
        return float(np.isin(said, wanted).mean())

    def _saving(self, drawn: Floats, cost: Floats, best: Floats) -> Floats:
        """Return saving, its ends and its error by the logarithm of the share of the cost."""
        if not self.has_costs:
            return np.full((len(drawn), 4), np.nan)
        own, strong = self.sums[:, 3], self.sums[:, 4]
        squares = drawn @ np.column_stack([own**2, own * strong, strong**2])
        variance = squares[:, 0] / cost**2 + squares[:, 2] / best**2
        variance -= 2 * squares[:, 1] / (cost * best)
        log, error = np.log(cost / best), np.sqrt(np.maximum(variance, 0.0))
        ends = (1 - np.exp(log + sign * _Z95 * error) for sign in (1, -1))
        return np.column_stack([1 - cost / best, *ends, error])

    def _mean(self, drawn: Floats, column: int, mean: Floats, n: Floats) -> Floats:
        """Return means, their 95 % ends and their errors, shape (n_repeats, 4)."""
        values, prompts = self.sums[:, column], self.sums[:, 0]
        squares = drawn @ np.column_stack([values**2, values * prompts, prompts**2])
        variance = squares[:, 0] - 2 * mean * squares[:, 1] + mean**2 * squares[:, 2]
        unseen = 1 / (drawn.sum(axis=1) + 2)
        error = np.hypot(self.stretch * np.sqrt(np.maximum(variance, 0.0)) / n, unseen)
        return np.column_stack([mean, mean - _Z95 * error, mean + _Z95 * error, error])
