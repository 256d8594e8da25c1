"""Say in one sentence whether routing pays, and claim no more than the intervals carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from routerlib.evaluation.bounds import MissingCells
from routerlib.metrics.intervals import Interval
from routerlib.metrics.sample_size import plan_sample_size, sd_of
from routerlib.records.canonical import finite_or_none
from routerlib.routers.training.operating_points import QUALITY_MARGIN

VerdictKind = Literal["pays", "saves_at_a_price", "does_not_pay", "not_measurable"]

# Ends of 95 % intervals move in by so many standard errors to be those of a test at 5 %: whether
# a loss is smaller than the margin is asked on one side, and so is whether a gain is.
_TO_ONE_SIDED = 1.96 - 1.645
# With fewer independent prompts a percentile interval is too narrow to be believed.
MIN_PROMPTS = 30
# A router that keeps to the best single model shows no difference to plan from, so a guess is made
# and said: the loss that training allows by default, and a fifth of the scores differing.
_PLANNED_POINTS = round(100 * QUALITY_MARGIN)
_PLANNED_DISAGREEMENT = 0.2


@dataclass(frozen=True)
class Verdict:
    """Whether routing pays on these prompts.

    `numbers`: what the sentence was made from; None = unknown. ``prompts_needed`` is how many
        would tell with 80 % power, where these don't.
    """

    kind: VerdictKind
    sentence: str
    numbers: Mapping[str, float | None]
    fallback: str | None = None

    @property
    def headline(self) -> str:
        """The finding in a few words, for titles; the sentence beside it holds the intervals."""
        saving, difference = (self.numbers.get(key) for key in ("saving", "quality_difference"))
        if self.kind == "does_not_pay":
            return "Routing doesn't pay on these prompts"
        if self.fallback is not None:
            return "Not measurable yet: the router keeps to the best single model"
        if self.kind == "not_measurable" and self.numbers.get("holds_on_complete_only"):
            return f"Not measurable yet: {self.numbers['n_skipped']} prompts lack a score"
        if self.kind == "not_measurable":
            return f"Not measurable yet with {self.numbers['n']} prompts"
        if self.kind == "saves_at_a_price":
            start = f"Routing saves {_plain(100 * (saving or 0), 0)} % of the cost"
            if (difference or 0) >= 0:
                return f"{start}, a loss of quality isn't excluded"
            return f"{start} for {_plain(-100 * (difference or 0), 1)} points less quality"
        if (self.numbers.get("quality_difference_low") or 0) > 0:
            return f"Routing pays: {_plain(100 * (difference or 0), 1)} points more quality"
        return f"Routing pays: {_plain(100 * (saving or 0), 0)} % cheaper at about the same quality"


def judge_by_intervals(
    measured: Mapping[str, Interval],
    *,
    best_single: str,
    share_of_best_single: float,
    n: int,
    n_groups: int,
    margin: float = QUALITY_MARGIN,
    fallback: str | None = None,
    missing: MissingCells | None = None,
    n_bought: int = 0,
) -> Verdict:
    """Decide by intervals alone; where the router fell back, there is nothing to decide by.

    What is claimed of the prompts with nothing missing must hold on all held-out prompts too, with
    what is missing as bad for the claim as it can be.

    `margin`: mean quality that counts as none; `QUALITY_MARGIN`, or what training was allowed.
    `fallback`: why the router keeps to the best single model whatever it estimates; None = it
        doesn't.
    `missing`: None = every candidate has a quality and a cost on each held-out prompt.
    `n_bought`: prompts whose labels were bought with a known chance.
    """
    if fallback is not None:
        kind: VerdictKind = "not_measurable"
        needed: int | None
        needed, more, sentence = _kept(best_single, fallback, n, n_groups)
        of_complete = kind
    else:
        kind = _kind(measured, share_of_best_single, n_groups, margin)
        needed = _n_needed(measured, n, margin) if kind == "not_measurable" else None
        more = _more_prompts(needed, n)
        of_complete = kind
        if missing is not None:
            kind = _kind_on_all(kind, missing, n_groups, margin)
            if kind in _CLAIMS and kind != of_complete:  # then all held-out prompts decide
                measured = {**measured, **missing.bounds[best_single]}
                n = missing.lacking.n
        sentence = _WRITERS[kind if kind in _CLAIMS else of_complete](
            measured, best_single, n, more, margin
        )
    if missing is not None:
        sentence = _on_all(sentence, kind, of_complete, n, missing)
    if n_bought:
        sentence = (
            f"{sentence} Labels of {n_bought} of them were bought: each counts by its chance."
        )
    numbers: dict[str, float | None] = {"n": n, "n_groups": n_groups, "margin": margin}
    numbers["n_bought"] = n_bought
    numbers["share_of_best_single"] = finite_or_none(share_of_best_single)
    numbers["more_prompts_needed"], numbers["prompts_needed"] = more, needed
    if missing is not None:
        numbers |= _numbers_of(missing)
        numbers["holds_on_complete_only"] = float(fallback is None and kind != of_complete)
    for name in ("quality_difference", "saving", "gain_over_zero", "zero_difference"):
        columns = measured[name].columns(name)
        numbers |= {column: finite_or_none(value) for column, value in columns.items()}
    return Verdict(kind, sentence, numbers, fallback)


def _kind(
    measured: Mapping[str, Interval], share_of_best_single: float, n_groups: int, margin: float
) -> VerdictKind:
    difference, saving = measured["quality_difference"], measured["saving"]
    gain = measured["gain_over_zero"]
    if math.isnan(difference.value):
        return "not_measurable"
    if share_of_best_single == 1:  # true of every prompt, so it needs no sample
        return "does_not_pay"
    if n_groups < MIN_PROMPTS or math.isnan(difference.low):
        return "not_measurable"
    # Without costs there is no mixing at equal cost: only quality can decide.
    beats_mixing = gain.low > 0 or math.isnan(gain.value)
    is_cheaper = saving.low > 0
    if beats_mixing and (difference.low > 0 or (is_cheaper and _at_least(difference) >= -margin)):
        return "pays"
    if beats_mixing and is_cheaper:
        return "saves_at_a_price"
    if _is_hopeless(difference, saving, gain, margin):
        return "does_not_pay"
    return "not_measurable"


def _kind_on_all(
    kind: VerdictKind, missing: MissingCells, n_groups: int, margin: float
) -> VerdictKind:
    """Keep of a verdict what holds against every candidate that may be the best single one."""
    if kind == "not_measurable":
        return kind
    kinds = {
        _kind(each, missing.share_of_best_single, n_groups, margin)
        for each in missing.bounds.values()
    }
    if kinds == {kind}:
        return kind
    if {kind, *kinds} <= {"pays", "saves_at_a_price"}:
        return "saves_at_a_price"
    return "not_measurable"


def _is_hopeless(difference: Interval, saving: Interval, gain: Interval, margin: float) -> bool:
    """Tell whether the intervals exclude that routing is worth its trouble."""
    if math.isnan(gain.value):
        return _at_most(difference) < margin
    return _at_most(gain) < margin or (difference.high < 0 and saving.high <= 0)


def _at_least(interval: Interval) -> float:
    return min(interval.low + _TO_ONE_SIDED * interval.se, interval.value)


def _at_most(interval: Interval) -> float:
    return max(interval.high - _TO_ONE_SIDED * interval.se, interval.value)


def _n_needed(measured: Mapping[str, Interval], n: int, margin: float) -> int | None:
    """Estimate how many prompts would decide, at 80 % power; None where nothing can be said."""
    deciding = measured["gain_over_zero"]
    if math.isnan(deciding.value) or deciding.low > 0:
        deciding = measured["quality_difference"]
    if n < MIN_PROMPTS or not deciding.se > 0:
        return MIN_PROMPTS if n < MIN_PROMPTS else None
    effect = min(max(abs(deciding.value), margin or QUALITY_MARGIN), 1.0)
    return max(plan_sample_size(effect, sd=sd_of(deciding, n)), n + 1)


def _more_prompts(needed: int | None, n: int) -> int | None:
    """Return the prompts that are missing, in two digits, for a sentence."""
    if needed is None or n < MIN_PROMPTS:
        return None if needed is None else max(needed - n, 0) or None
    more = needed - n
    two_digits = min(1 - math.floor(math.log10(more)), -1)
    return max(round(round(more, two_digits)), 10)


def percent_of(interval: Interval) -> str:
    """Write a share with its interval, such as ``32 % [29, 35]``."""
    value, low, high = (_plain(100 * x, 0) for x in interval[:3])
    return f"{value} % [{low}, {high}]"


def points_of(interval: Interval, sign: int = 1) -> str:
    """Write a quality difference in points of a hundred, such as ``2.3 points [1.1, 3.4]``."""
    ends = sorted((sign * interval.low, sign * interval.high))
    value, low, high = (_plain(100 * x, 1) for x in (sign * interval.value, *ends))
    return f"{value} points [{low}, {high}]"


def _plain(value: float, digits: int) -> str:
    """Round without a negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _sample(n: int) -> str:
    return f"(95 % intervals, n = {n}; 100 points = always right)"


def _mixing(measured: Mapping[str, Interval]) -> str:
    zero = measured["zero_difference"]
    if math.isnan(zero.value):
        return "costs are unknown, so only quality was compared"
    if zero.value > 0:
        return f"mixing models at random at that cost would gain {points_of(zero)}"
    return f"mixing models at random at that cost would lose {points_of(zero, -1)}"


def _pays(
    measured: Mapping[str, Interval], best_single: str, n: int, more: int | None, margin: float
) -> str:
    difference, saving = measured["quality_difference"], measured["saving"]
    if difference.low > 0:
        start = (
            f"Routing pays: {points_of(difference)} more quality than always calling {best_single}"
        )
        if not math.isnan(saving.value):
            share = Interval(1 - saving.value, 1 - saving.high, 1 - saving.low, saving.se)
            start += f", at {percent_of(share)} of its cost"
        return f"{start}; {_mixing(measured)} {_sample(n)}."
    return (
        f"Routing pays: it saves {percent_of(saving)} of the cost of always calling {best_single} "
        f"at about the same quality (difference {points_of(difference)}, "
        f"a loss above {100 * margin:g} points is excluded); "
        f"{_mixing(measured)} {_sample(n)}."
    )


def _saves(
    measured: Mapping[str, Interval], best_single: str, n: int, more: int | None, margin: float
) -> str:
    difference, saving = measured["quality_difference"], measured["saving"]
    price = f"for {points_of(difference, -1)} less quality"
    if difference.value >= 0:
        price = f"and quality differs by {points_of(difference)}, so a loss isn't excluded"
    elif difference.high >= 0:
        price += ", a loss that isn't certain"
    return (
        f"Routing saves {percent_of(saving)} of the cost of always calling {best_single} "
        f"{price}; {_mixing(measured)} {_sample(n)}."
    )


def _no(
    measured: Mapping[str, Interval], best_single: str, n: int, more: int | None, margin: float
) -> str:
    difference, gain = measured["quality_difference"], measured["gain_over_zero"]
    saving = measured["saving"]
    is_same = difference.value == difference.low == difference.high == 0
    if is_same and (saving.value == 0 or math.isnan(saving.value)):
        return (
            f"Routing doesn't pay: the router gives what always calling {best_single} gives, "
            f"so use {best_single} alone (n = {n})."
        )
    if math.isnan(gain.value):
        return (
            f"Routing doesn't pay: {points_of(difference)} of quality against always calling "
            f"{best_single}; {_mixing(measured)} {_sample(n)}."
        )
    more_cost = Interval(-saving.value, -saving.high, -saving.low, saving.se)
    cost = (
        f"saves {percent_of(saving)} of the cost of"
        if saving.value >= 0
        else f"costs {percent_of(more_cost)} more than"
    )
    change = f"gains {points_of(difference)}"
    if difference.value < 0:
        change = f"loses {points_of(difference, -1)}"
    return (
        f"Routing doesn't pay: it {cost} always calling {best_single} and {change} of quality; "
        f"mixing models at random at that cost does {_mixing_does(gain, margin)} "
        f"(routing's advantage {points_of(gain)}) {_sample(n)}."
    )


def _mixing_does(gain: Interval, margin: float) -> str:
    """Say how mixing stands against routing, given that routing isn't clearly better."""
    if gain.high < 0:
        return "better"
    return "about as well" if gain.low >= -margin else "about as well or better"


def _undecided(
    measured: Mapping[str, Interval], best_single: str, n: int, more: int | None, margin: float
) -> str:
    start = "Not measurable yet: "
    label = (
        f" Label about {more} more held-out prompts to tell."
        if more
        else " Label more prompts to tell."
    )
    difference, gain = measured["quality_difference"], measured["gain_over_zero"]
    if math.isnan(difference.low):
        return f"{start}{n} test prompts have an answer from every candidate model.{label}"
    seen = f"against always calling {best_single}, quality differs by {points_of(difference)}"
    if not math.isnan(gain.value):
        seen += f" at a saving of {percent_of(measured['saving'])}, and against mixing models "
        seen += f"at random by {points_of(gain)}"
    return f"{start}{seen} {_sample(n)}.{label}"


def _kept(best_single: str, fallback: str, n: int, n_groups: int) -> tuple[int, int | None, str]:
    """Return the prompts needed, those missing, and the sentence, where nothing was measured."""
    needed = plan_sample_size(_PLANNED_POINTS / 100, disagreement=_PLANNED_DISAGREEMENT)
    # Two digits: a guess is no better than that, however few prompts there are.
    more = _more_prompts(needed, max(n_groups, MIN_PROMPTS)) if n_groups < needed else None
    start = f"Not measurable yet: the router keeps to always calling {best_single}, because "
    start += f"{fallback} (n = {n} held-out prompts)."
    if more is None:
        return needed, more, f"{start} Label more prompts and train again to tell."
    guess = f"a difference of {_PLANNED_POINTS} points, if scores differ on "
    guess += f"{100 * _PLANNED_DISAGREEMENT:.0f} % of the prompts"
    plan = f"Label at least {more} more prompts and train again to tell ({guess})."
    return needed, more, f"{start} {plan}"


def _on_all(
    sentence: str, kind: VerdictKind, of_complete: VerdictKind, n: int, missing: MissingCells
) -> str:
    """Add to a sentence about complete prompts what the others could change of it."""
    lacking = missing.lacking.told("held-out")
    if kind == of_complete == "not_measurable":
        return f"{sentence} {lacking} and were left out."
    if kind in _CLAIMS:
        how = "; what is missing counts at its worst" if kind != of_complete else ""
        how = how or "; it holds also with all that is missing at its worst"
        return f"{sentence} {lacking}{how}."
    claim = sentence[0].lower() + sentence[1:].rstrip(".")
    low, high = (100 * end for end in missing.quality_difference)
    return (
        f"Not measurable yet: on the {n} held-out prompts with nothing missing, {claim}. But "
        f"{lacking}; on all {missing.lacking.n} the difference in quality lies between "
        f"{_plain(low, 1)} and {_plain(high, 1)} points. Have these answered and judged (a larger "
        "max_tokens where answers were cut off) to tell."
    )


def _numbers_of(missing: MissingCells) -> dict[str, float | None]:
    low, high = missing.quality_difference
    numbers: dict[str, float | None] = {
        "n_held_out": missing.lacking.n,
        "n_skipped": missing.lacking.n_skipped,
        "quality_difference_at_worst": finite_or_none(low),
        "quality_difference_at_best": finite_or_none(high),
    }
    if missing.adjusted is not None:
        columns = missing.adjusted.columns("quality_difference_adjusted")
        numbers |= {column: finite_or_none(value) for column, value in columns.items()}
    return numbers


# What may only be said if it holds on all held-out prompts.
_CLAIMS = ("pays", "saves_at_a_price", "does_not_pay")

_WRITERS = {
    "pays": _pays,
    "saves_at_a_price": _saves,
    "does_not_pay": _no,
    "not_measurable": _undecided,
}
