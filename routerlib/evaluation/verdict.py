"""Say in one sentence whether routing pays, and claim no more than the intervals carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from routerlib.evaluation.bounds import MissingCells
from routerlib.evaluation.headlines import (
    VerdictKind,
    headline_of,
    percent_of,
    plain,
    points_of,
    signed_points_of,
)
from routerlib.evaluation.planning import (
    Plan,
    PromptColumns,
    Said,
    guess_plan,
    guess_told,
    numbers_of,
    plan_held_out,
)
from routerlib.metrics.clusters import FEW_GROUPS
from routerlib.metrics.intervals import Interval
from routerlib.records.canonical import finite_or_none
from routerlib.routers.training.operating_points import QUALITY_MARGIN

# Ends of 95 % intervals move in by so many standard errors to be those of a test at 5 %: whether
# a loss is smaller than the margin is asked on one side, and so is whether a gain is.
_TO_ONE_SIDED = 1.96 - 1.645
MIN_PROMPTS = FEW_GROUPS


@dataclass(frozen=True)
class Verdict:
    """Whether routing pays on these prompts.

    `numbers`: what the sentence was made from; None = unknown. ``prompts_needed`` is how many
        decide in about 82 of 100 cases, where these don't, ``prompts_needed_low`` and
        ``prompts_needed_high`` the range that these allow, for ``smallest_effect``.
    `fallback`: why the router keeps to the best single model; None = it doesn't.
    `best_single`: what it is compared with.
    """

    kind: VerdictKind
    sentence: str
    numbers: Mapping[str, float | None]
    fallback: str | None = None

    best_single: str = ""

    @property
    def headline(self) -> str:
        """The finding in at most twelve words; the sentence beside it holds the intervals."""
        return headline_of(self.kind, self.numbers, self.fallback)


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
    columns: PromptColumns | None = None,
    smallest_effect: float | None = None,
) -> Verdict:
    """Decide by intervals alone; where the router fell back, there is nothing to decide by.

    What is claimed of the prompts with nothing missing must hold on all held-out prompts too, with
    what is missing as bad for the claim as it can be.

    `margin`: mean quality that counts as none; `QUALITY_MARGIN`, or what training was allowed.
    `fallback`: why the router keeps to the best single model whatever it estimates; None = it
        doesn't.
    `missing`: None = every candidate has a quality and a cost on each held-out prompt.
    `n_bought`: prompts whose labels were bought with a known chance.
    `columns`: what was seen on each prompt, to plan from; None = no plan.
    `smallest_effect`: smallest gain in mean quality that matters, for the plan; None = `margin`, or
        that of training where this is 0.
    """
    effect = (margin or QUALITY_MARGIN) if smallest_effect is None else smallest_effect
    if fallback is not None:
        kind: VerdictKind = "not_measurable"
        plan, sentence = _kept(best_single, fallback, n, n_groups, effect)
        of_complete = kind
    else:
        kind = _kind(measured, share_of_best_single, n_groups, margin)
        plan = _planned(measured, columns, share_of_best_single, n, n_groups, margin, effect)
        of_complete = kind
        if missing is not None:
            kind = _kind_on_all(kind, missing, n_groups, margin)
            if kind in _CLAIMS and kind != of_complete:  # then all held-out prompts decide
                measured = {**measured, **missing.bounds[best_single]}
                n = missing.lacking.n
        sentence = _WRITERS[kind if kind in _CLAIMS else of_complete](
            measured, best_single, n, _label(plan, n, n_groups), margin
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
    numbers |= numbers_of(plan, n if fallback is None else n_groups, effect)
    if missing is not None:
        numbers |= _numbers_of(missing)
        numbers["holds_on_complete_only"] = float(fallback is None and kind != of_complete)
    for name in ("quality_difference", "saving", "gain_over_zero", "zero_difference"):
        ends = measured[name].columns(name)
        numbers |= {column: finite_or_none(value) for column, value in ends.items()}
    return Verdict(kind, sentence, numbers, fallback, best_single)


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


def _planned(
    measured: Mapping[str, Interval],
    columns: PromptColumns | None,
    share_of_best_single: float,
    n: int,
    n_groups: int,
    margin: float,
    effect: float,
) -> Plan | None:
    """Try this very rule on more prompts; with too few to try it on, by a guess."""
    if _kind(measured, share_of_best_single, n_groups, margin) != "not_measurable":
        return None
    if n_groups < MIN_PROMPTS:
        return guess_plan(effect)
    if columns is None:
        return None
    deciding = measured["gain_over_zero"]
    if math.isnan(deciding.value) or not measured["saving"].value > 0:
        deciding = measured["quality_difference"]

    def rule(found: Mapping[str, Interval], n_drawn: int) -> Said:
        kind = _kind(found, share_of_best_single, n_drawn, margin)
        return _SAID.get(kind, "gain")

    plan = plan_held_out(columns, effect, rule, deciding.se)
    return None if plan is None else plan.beyond(n)


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
    measured: Mapping[str, Interval], best_single: str, n: int, label: str, margin: float
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
    measured: Mapping[str, Interval], best_single: str, n: int, label: str, margin: float
) -> str:
    difference, saving = measured["quality_difference"], measured["saving"]
    price = f"for {points_of(difference, -1)} less quality"
    if difference.value >= 0:
        price = f"and quality differs by {signed_points_of(difference)}, so a loss isn't excluded"
    elif difference.high >= 0:
        price += ", a loss that isn't certain"
    return (
        f"Routing saves {percent_of(saving)} of the cost of always calling {best_single} "
        f"{price}; {_mixing(measured)} {_sample(n)}."
    )


def _no(
    measured: Mapping[str, Interval], best_single: str, n: int, label: str, margin: float
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


def _label(plan: Plan | None, n: int, n_groups: int) -> str:
    """Say what to label: where prompts stand in groups, more of the same kinds tell little."""
    if n_groups < min(MIN_PROMPTS, n):
        effect = QUALITY_MARGIN if plan is None else plan.effect
        return f" To tell, label prompts of {_more_kinds(n_groups, effect)}."
    if n < MIN_PROMPTS:
        effect = QUALITY_MARGIN if plan is None else plan.effect
        return (
            f" Label {MIN_PROMPTS - n} more held-out prompts to begin with, and about "
            f"{guess_plan(effect).more(n)} in all to tell ({guess_told(effect)})."
        )
    kinds = " of other kinds than these" if n_groups < n else ""
    if plan is None or plan.high <= n:
        return f" Label more prompts{kinds} to tell."
    label = f" Label about {plan.more(n)} more held-out prompts{kinds} to tell"
    return f"{label}, if a gain of {100 * plan.effect:g} points matters."


def _more_kinds(n_groups: int, effect: float) -> str:
    """Say both what groups are needed to begin with, and what a verdict takes."""
    return (
        f"at least {MIN_PROMPTS - n_groups} more kinds (templates, documents, users) than these "
        f"{n_groups}, since more of the same kinds tell little, and about "
        f"{guess_plan(effect).more(n_groups)} more prompts in all ({guess_told(effect)})"
    )


def _undecided(
    measured: Mapping[str, Interval], best_single: str, n: int, label: str, margin: float
) -> str:
    start = "Not measurable yet: "
    difference, gain = measured["quality_difference"], measured["gain_over_zero"]
    if math.isnan(difference.low):
        return f"{start}{n} test prompts have an answer from every candidate model.{label}"
    seen = f"against always calling {best_single}, quality differs by "
    seen += signed_points_of(difference)
    if not math.isnan(gain.value):
        seen += f" at a saving of {percent_of(measured['saving'])}, and against mixing models "
        seen += f"at random by {signed_points_of(gain)}"
    return f"{start}{seen} {_sample(n)}.{label}"


def _kept(
    best_single: str, fallback: str, n: int, n_groups: int, effect: float
) -> tuple[Plan | None, str]:
    """Return a plan by a guess, and the sentence, where nothing was measured."""
    plan = guess_plan(effect)
    start = f"Not measurable yet: the router keeps to always calling {best_single}, because "
    start += f"{fallback}; {n} held-out prompts were looked at."
    if n_groups < min(MIN_PROMPTS, n):
        kinds = _more_kinds(n_groups, effect)
        return plan, f"{start} To tell, label prompts of {kinds}; then train again."
    kinds = ", each of another kind," if n_groups < n else ""
    if n_groups >= plan.high:
        return None, f"{start} Label more prompts{kinds} and train again to tell."
    more = f"Label about {plan.more(n_groups)} more prompts{kinds} and train again to tell "
    more += f"({guess_told(effect)})."
    return plan, f"{start} {more}"


def _on_all(
    sentence: str, kind: VerdictKind, of_complete: VerdictKind, n: int, missing: MissingCells
) -> str:
    """Add to a sentence about complete prompts what the others could change of it."""
    lacking = missing.lacking.told("held-out")
    if kind in _CLAIMS or kind == of_complete:
        how = "what is missing counts at its worst" if kind != of_complete else _ALSO
        how = missing.lacking.counted(n, how if kind in _CLAIMS else "")
        return f"{sentence} {lacking}{how}."
    claim = sentence[0].lower() + sentence[1:].rstrip(".")
    low, high = (100 * end for end in missing.quality_difference)
    failed = " (a failed call counts as a wrong answer)" if missing.lacking.n_failed else ""
    return (
        f"Not measurable yet: on the {n} held-out prompts with nothing missing{failed}, {claim}. "
        f"But {lacking}; on all {missing.lacking.n} the difference in quality lies between "
        f"{plain(low, 1)} and {plain(high, 1)} points. Have these answered and judged (a larger "
        "max_tokens where answers were cut off) to tell."
    )


def _numbers_of(missing: MissingCells) -> dict[str, float | None]:
    low, high = missing.quality_difference
    numbers: dict[str, float | None] = {
        "n_held_out": missing.lacking.n,
        "n_skipped": missing.lacking.n_skipped,
        "n_failed": missing.lacking.n_failed,
        "quality_difference_at_worst": finite_or_none(low),
        "quality_difference_at_best": finite_or_none(high),
    }
    if missing.adjusted is not None:
        columns = missing.adjusted.columns("quality_difference_adjusted")
        numbers |= {column: finite_or_none(value) for column, value in columns.items()}
    return numbers


_ALSO = "it holds also with all that is missing at its worst"
_SAID: dict[str, Said] = {"does_not_pay": "none", "not_measurable": "open"}

# What may only be said if it holds on all held-out prompts.
_CLAIMS = ("pays", "saves_at_a_price", "does_not_pay")

_WRITERS = {
    "pays": _pays,
    "saves_at_a_price": _saves,
    "does_not_pay": _no,
    "not_measurable": _undecided,
}
