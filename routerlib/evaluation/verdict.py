"""Say whether routing pays, and claim no more than the intervals carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from routerlib.evaluation.bounds import MissingCells
from routerlib.evaluation.headlines import (
    VerdictKind,
    headline_of,
)
from routerlib.evaluation.planning import (
    Plan,
    PromptColumns,
    Said,
    guess_plan,
    numbers_of,
    plan_held_out,
)
from routerlib.evaluation.verdict_words import (
    CLAIMS,
    MIN_PROMPTS,
    WRITERS,
    advice_of,
    label_of_kept,
    told_kept,
    told_on_all,
)
from routerlib.metrics.intervals import Interval
from routerlib.records.canonical import finite_or_none
from routerlib.routers.training.operating_points import QUALITY_MARGIN

# Ends of 95 % intervals move in by so many standard errors to be those of a test at 5 %: whether
# a loss is smaller than the margin is asked on one side, and so is whether a gain is.
_TO_ONE_SIDED = 1.96 - 1.645


@dataclass(frozen=True)
class Verdict:
    """Whether routing pays on these prompts.

    `finding`: whether it does, with intervals and n.
    `numbers`: what the finding was made from; None = unknown. ``prompts_needed`` is how many
        decide in about 82 of 100 cases, where these don't, ``prompts_needed_low`` and
        ``prompts_needed_high`` the range that these allow, for ``smallest_effect``.
    `fallback`: why the router keeps to the best single model; None = it doesn't.
    `best_single`: what it is compared with.
    `tried`: what its estimates would have been worth without the fallback; "" = nothing was tried.
    `notes`: sentences on what the finding stands on, such as prompts that lack a score.
    `advice`: what to label where the verdict is open; "" = it isn't.
    """

    kind: VerdictKind
    finding: str
    numbers: Mapping[str, float | None]
    fallback: str | None = None
    best_single: str = ""
    tried: str = ""
    notes: tuple[str, ...] = ()
    advice: str = ""

    @property
    def sentence(self) -> str:
        """All of it: the finding, what was tried, what they stand on, and what to label."""
        return " ".join(filter(None, (self.finding, self.tried, *self.notes, self.advice)))

    @property
    def headline(self) -> str:
        """The finding in at most twelve words, without intervals."""
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
        finding = told_kept(best_single, fallback, n)
        plan, advice = label_of_kept(n, n_groups, effect)
        of_complete = kind
    else:
        kind = _kind(measured, share_of_best_single, n_groups, margin)
        plan = _planned(measured, columns, share_of_best_single, n, n_groups, margin, effect)
        of_complete = kind
        if missing is not None:
            kind = _kind_on_all(kind, missing, n_groups, margin)
            if kind in CLAIMS and kind != of_complete:  # then all held-out prompts decide
                measured = {**measured, **missing.bounds[best_single]}
                n = missing.lacking.n
        said = kind if kind in CLAIMS else of_complete
        finding = WRITERS[said](measured, best_single, n, margin)
        advice = advice_of(kind, of_complete, plan, n, n_groups)
    notes: list[str] = []
    if missing is not None:
        finding, note = told_on_all(finding, kind, of_complete, n, missing)
        notes.append(note)
    if n_bought:
        notes.append(f"Labels of {n_bought} of them were bought: each counts by its chance.")
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
    return Verdict(kind, finding, numbers, fallback, best_single, notes=tuple(notes), advice=advice)


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
    if columns is None or not len(columns.groups):  # no prompt tells how much differences vary
        return None
    deciding = measured["gain_over_zero"]
    if math.isnan(deciding.value) or not measured["saving"].value > 0:
        deciding = measured["quality_difference"]

    def rule(found: Mapping[str, Interval], n_drawn: int) -> Said:
        kind = _kind(found, share_of_best_single, n_drawn, margin)
        return _SAID.get(kind, "gain")

    plan = plan_held_out(columns, effect, rule, deciding.se)
    return None if plan is None else plan.beyond(n)


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


_SAID: dict[str, Said] = {"does_not_pay": "none", "not_measurable": "open"}
