"""Put a verdict into words, with intervals and n, and say what to label where it is open."""

from __future__ import annotations

import math
from collections.abc import Mapping

from routerlib.evaluation.bounds import MissingCells
from routerlib.evaluation.headlines import (
    VerdictKind,
    percent_of,
    plain,
    points_of,
    signed_points_of,
)
from routerlib.evaluation.planning import Plan, guess_plan, guess_told
from routerlib.metrics.clusters import FEW_GROUPS
from routerlib.metrics.intervals import Interval
from routerlib.routers.training.operating_points import QUALITY_MARGIN

MIN_PROMPTS = FEW_GROUPS


def _sample(n: int) -> str:
    return f"(95 % intervals, n = {n}; 100 points = always right)"


def _mixing(measured: Mapping[str, Interval]) -> str:
    zero = measured["zero_difference"]
    if math.isnan(zero.value):
        return "costs are unknown, so only quality was compared"
    if zero.value > 0:
        return f"mixing models at random at that cost would gain {points_of(zero)}"
    return f"mixing models at random at that cost would lose {points_of(zero, -1)}"


def _pays(measured: Mapping[str, Interval], best_single: str, n: int, margin: float) -> str:
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


def _saves(measured: Mapping[str, Interval], best_single: str, n: int, margin: float) -> str:
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


def _no(measured: Mapping[str, Interval], best_single: str, n: int, margin: float) -> str:
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


def advice_of(
    kind: VerdictKind, of_complete: VerdictKind, plan: Plan | None, n: int, n_groups: int
) -> str:
    """Say what would decide an open verdict: what is missing, where that alone keeps it open."""
    if kind in CLAIMS:
        return ""
    return _COMPLETE_THEM if of_complete in CLAIMS else _label_of(plan, n, n_groups)


def _label_of(plan: Plan | None, n: int, n_groups: int) -> str:
    """Say what to label: where prompts stand in groups, more of the same kinds tell little."""
    if n_groups < min(MIN_PROMPTS, n):
        effect = QUALITY_MARGIN if plan is None else plan.effect
        return f"To tell, label prompts of {_more_kinds(n_groups, effect)}."
    if n < MIN_PROMPTS:
        effect = QUALITY_MARGIN if plan is None else plan.effect
        return (
            f"Label {MIN_PROMPTS - n} more held-out prompts to begin with, and about "
            f"{guess_plan(effect).more(n)} in all to tell ({guess_told(effect)})."
        )
    kinds = " of other kinds than these" if n_groups < n else ""
    if plan is None or plan.high <= n:
        return f"Label more prompts{kinds} to tell."
    label = f"Label about {plan.more(n)} more held-out prompts{kinds} to tell"
    return f"{label}, if a gain of {100 * plan.effect:g} points matters."


def _more_kinds(n_groups: int, effect: float) -> str:
    """Say both what groups are needed to begin with, and what a verdict takes."""
    return (
        f"at least {MIN_PROMPTS - n_groups} more kinds (templates, documents, users) than these "
        f"{n_groups}, since more of the same kinds tell little, and about "
        f"{guess_plan(effect).more(n_groups)} more prompts in all ({guess_told(effect)})"
    )


def _undecided(measured: Mapping[str, Interval], best_single: str, n: int, margin: float) -> str:
    start = "Not measurable yet: "
    difference, gain = measured["quality_difference"], measured["gain_over_zero"]
    if math.isnan(difference.low):
        return f"{start}{n} test prompts have an answer from every candidate model."
    seen = f"against always calling {best_single}, quality differs by "
    seen += signed_points_of(difference)
    if not math.isnan(gain.value):
        seen += f" at a saving of {percent_of(measured['saving'])}, and against mixing models "
        seen += f"at random by {signed_points_of(gain)}"
    return f"{start}{seen} {_sample(n)}."


def told_kept(best_single: str, fallback: str, n: int) -> str:
    """Say what a router keeps to, where nothing was measured."""
    return (
        f"Not measurable yet: the router keeps to always calling {best_single}, because "
        f"{fallback}; {n} held-out prompts were looked at."
    )


def label_of_kept(n: int, n_groups: int, effect: float) -> tuple[Plan | None, str]:
    """Return a plan by a guess, and what to label, where a router keeps to the best single."""
    plan = guess_plan(effect)
    if n_groups < min(MIN_PROMPTS, n):
        kinds = _more_kinds(n_groups, effect)
        return plan, f"To tell, label prompts of {kinds}; then train again."
    kinds = ", each of another kind," if n_groups < n else ""
    if n_groups >= plan.high:
        return None, f"Label more prompts{kinds} and train again to tell."
    more = f"Label about {plan.more(n_groups)} more prompts{kinds} and train again to tell "
    return plan, f"{more}({guess_told(effect)})."


def told_on_all(
    finding: str, kind: VerdictKind, of_complete: VerdictKind, n: int, missing: MissingCells
) -> tuple[str, str]:
    """Return a finding on complete prompts, and a note on what the others could change of it."""
    lacking = missing.lacking.told("held-out")
    if kind in CLAIMS or kind == of_complete:
        how = "what is missing counts at its worst" if kind != of_complete else _ALSO
        how = missing.lacking.counted(n, how if kind in CLAIMS else "")
        return finding, f"{lacking}{how}."
    claim = finding[0].lower() + finding[1:].rstrip(".")
    low, high = (100 * end for end in missing.quality_difference)
    failed = " (a failed call counts as a wrong answer)" if missing.lacking.n_failed else ""
    return (
        f"Not measurable yet: on the {n} held-out prompts with nothing missing{failed}, {claim}.",
        f"But {lacking}; on all {missing.lacking.n} the difference in quality lies between "
        f"{plain(low, 1)} and {plain(high, 1)} points.",
    )


_COMPLETE_THEM = (
    "Have these answered and judged (a larger max_tokens where answers were cut off) to tell."
)
_ALSO = "it holds also with all that is missing at its worst"
# What may only be said if it holds on all held-out prompts.
CLAIMS = ("pays", "saves_at_a_price", "does_not_pay")
WRITERS = {
    "pays": _pays,
    "saves_at_a_price": _saves,
    "does_not_pay": _no,
    "not_measurable": _undecided,
}
