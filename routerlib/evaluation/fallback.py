"""Tell what a router that keeps to the best single model would have been worth without that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from routerlib.evaluation.audited import Audited, Auditor
from routerlib.evaluation.between_folds import CrossTested, held, held_with_missing
from routerlib.evaluation.bounds import Lacking, MissingCells, bound_missing, mixture_at
from routerlib.evaluation.clauses import with_groups
from routerlib.evaluation.contenders import TestedPrompts, take_arms
from routerlib.evaluation.planning import PromptColumns
from routerlib.evaluation.replicates import Measured
from routerlib.evaluation.routing import Routed
from routerlib.evaluation.verdict import Verdict, judge_by_intervals
from routerlib.metrics.clusters import Clustering, clustering
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Arms
from routerlib.routers.out_of_fold import UNKNOWN
from routerlib.routers.router import Router
from routerlib.routers.training.operating_points import QUALITY_MARGIN

_NOT_YET = "Not measurable yet: "
_NO = "Routing doesn't pay: "


class Tried(NamedTuple):
    """A way to choose, what was measured of it under a name, and what a person corrects of it.

    `n_groups_of_all`: of all held-out prompts, those that lack something among them.
    """

    measured: Measured
    name: str
    routed: Routed
    missing: MissingCells | None
    audited: Audited | None
    n_groups_of_all: int


class HeldOut(NamedTuple):
    """What ways to choose are tried on.

    `everything`: all held-out prompts, failed calls as quality 0 where they are known.
    `bootstrap`: replicates, and their seed.
    """

    tested: TestedPrompts
    everything: Outcomes
    lacking: Lacking
    auditor: Auditor
    bootstrap: tuple[int, int]

    def tried(
        self,
        measured: Measured,
        name: str,
        routed: Routed,
        everywhere: Routed,
        crossed: CrossTested | None,
    ) -> Tried:
        """Bound and correct what a way to choose is worth.

        `routed`: on tested prompts. `everywhere`: on all.
        `crossed`: None = it was learnt on none of these prompts.
        """
        n_bootstrap, random_state = self.bootstrap
        missing = bound_missing(
            self.everything,
            everywhere._replace(best=None) if self.auditor.has_other_best else everywhere,
            self.auditor.train,
            self.lacking,
            audit=self.auditor.audit,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        )
        audited = self.auditor.measure(routed.arms)
        n_groups = len(np.unique(self.everything.groups))
        return Tried(measured, name, routed, held_with_missing(missing, crossed), audited, n_groups)


def judge_router(
    router: Router,
    tested: TestedPrompts,
    in_use: Tried,
    without: Tried | None,
    crossed: CrossTested | None = None,
    smallest_effect: float | None = None,
) -> Verdict:
    """Judge a router as it is used and, where it keeps to the best single model, without that."""
    fallback = getattr(router, "fallback_", None)
    verdict = _judged(router, tested, in_use, fallback, crossed, smallest_effect)
    if len(tested.outcomes.models) == 1:
        return nothing_to_choose(verdict, tested.outcomes.models[0])
    if without is not None:
        tried = _judged(router, tested, without, None, crossed, smallest_effect)
        verdict = with_what_was_tried(verdict, tried, told_reach(tested, tried))
    verdict = with_groups(verdict, clustering_of(tested, in_use.routed.arms))
    if crossed is None:
        return verdict
    told = crossed.told(len(tested) + tested.n_skipped)
    numbers = {**verdict.numbers, "n_folds": crossed.n_folds}
    return replace(verdict, notes=(*verdict.notes, told), numbers=numbers)


def nothing_to_choose(verdict: Verdict, model: str) -> Verdict:
    """Say that one candidate model alone leaves nothing to measure, however many prompts."""
    numbers: dict[str, float | None] = {
        name: None if "prompts_needed" in name else value for name, value in verdict.numbers.items()
    }
    return replace(
        verdict,
        kind="not_measurable",
        finding=f"{_NOT_YET}{model} is the only candidate model, and with one there is nothing to "
        "choose: collect answers of another one to the same prompts, and judge them.",
        numbers={**numbers, "n_models": 1},
        notes=(),
        advice="",
    )


def clustering_of(tested: TestedPrompts, arms: Arms) -> dict[str, Clustering]:
    """Say how much the tested prompts of one group are alike.

    `arms` (n_prompts,): what the router chose.
    Returns ``quality``, and ``quality_difference`` to best single.
    """
    quality, groups = take_arms(tested.quality, arms), tested.outcomes.groups
    return {
        "quality": clustering(quality, groups),
        "quality_difference": clustering(quality - tested.best_quality, groups),
    }


def _judged(
    router: Router,
    tested: TestedPrompts,
    tried: Tried,
    fallback: str | None,
    crossed: CrossTested | None,
    smallest_effect: float | None,
) -> Verdict:
    arms, audited, n = tried.routed.arms, tried.audited, len(tested)
    n_groups = tried.measured.n_groups
    best = tested.outcomes.models[tested.strong]
    share = float((arms == tested.best_arms).sum()) / max(len(arms), 1)
    found = tried.measured.intervals(tried.name)
    if audited is not None:
        found |= audited.intervals
        best, share = audited.best_single, audited.share_of_best_single
    measured = held(found, crossed if fallback is None else None)
    if crossed is not None and tried.missing is not None:  # none is dropped: bounds speak for it
        measured = {**measured, **tried.missing.bounds[best]}
        n, n_groups = tried.missing.lacking.n, tried.n_groups_of_all
    return judge_by_intervals(
        measured,
        best_single=best,
        share_of_best_single=share,
        n=n,
        n_groups=n_groups,
        margin=margin_of(router),
        fallback=fallback,
        missing=tried.missing,
        n_bought=tested.n_bought,
        columns=columns_of(tested, arms, measured),
        smallest_effect=smallest_effect,
    )


def columns_of(
    tested: TestedPrompts, arms: Arms, measured: Mapping[str, Interval]
) -> PromptColumns:
    """Lay out what was seen on each prompt, beside best single and mixing at the same cost."""
    quality, cost_usd = take_arms(tested.quality, arms), take_arms(tested.cost_usd, arms)
    mixed = np.full(len(arms), np.nan)
    if tested.has_costs and len(arms):
        means = tested.quality.mean(axis=0), tested.cost_usd.mean(axis=0)
        mixed = tested.quality @ mixture_at(*means, float(measured["cost_usd"].value))
    return PromptColumns(
        groups=tested.outcomes.groups,
        difference=quality - tested.best_quality,
        gain=quality - mixed,
        cost_usd=cost_usd,
        best_cost_usd=tested.best_cost_usd,
    )


def _training(router: Router) -> dict[str, Any]:
    return getattr(router, "training_", {})


def margin_of(router: Router) -> float:
    """Return the mean quality that training was allowed to give up: the verdict's margin too."""
    allowed = _training(router).get("max_quality_loss", _training(router).get("epsilon"))
    return QUALITY_MARGIN if allowed is None else float(allowed)


def without_fallback(router: Router, routed: Routed) -> Routed | None:
    """Choose where training saw most promise, though the router keeps to the best single model.

    None = it doesn't, or training named no such cost weight.
    """
    cost_weight = _training(router).get("tried_cost_weight")
    if getattr(router, "fallback_", None) is None or cost_weight is None:
        return None
    if np.isnan(routed.estimates.quality).any():
        return None
    arms = choose_arms(routed.estimates, float(cost_weight))
    if routed.tried is not None:
        arms = np.where(routed.tried == UNKNOWN, arms, routed.tried)
    return routed._replace(arms=arms)


def told_reach(tested: TestedPrompts, tried: Verdict) -> str:
    """Say why an interval reaches beyond what any choice on its prompts could be; else nothing."""
    ends = [tried.numbers.get(f"quality_difference_{end}") for end in ("low", "high")]
    if tested.n_bought or not len(tested) or None in ends:
        return ""
    if tried.numbers.get("n") != len(tested):  # its interval is of others too
        return ""
    beside = tested.quality - tested.best_quality[:, None]
    low, high = float(beside.min(axis=1).mean()), float(beside.max(axis=1).mean())
    if not any(end is not None and not low <= end <= high for end in ends):
        return ""
    n_groups = tried.numbers.get("n_groups") or 0
    what = "prompts" if n_groups == len(tested) else "groups of prompts"
    return (
        f" Whatever were chosen on these {len(tested)}, quality would differ by {100 * low:.1f} to "
        f"{100 * high:.1f} points; the interval reaches beyond that because {n_groups:.0f} {what} "
        "say so little of the next ones."
    )


def with_what_was_tried(kept: Verdict, tried: Verdict, reach: str = "") -> Verdict:
    """Join the verdict on a router that keeps to the best single model and on it let loose.

    That it gains nothing is a finding. A gain isn't one of the router in use: its training has to
    show it, and not these prompts.

    `kept`: with its fallback.
    `tried`: without, on the same prompts.
    `reach`: what can be said of the width of its intervals.
    """
    numbers = {f"tried_{name}": value for name, value in tried.numbers.items()}
    both = {**kept.numbers, **numbers}
    if tried.numbers["share_of_best_single"] == 1:  # nothing was tried
        return kept
    if tried.kind == "does_not_pay":
        found = tried.finding.removeprefix(_NO)
        finding = f"{_NO}tried on these prompts without its fallback, {found} In use it keeps to "
        finding += f"the best single model, because {kept.fallback}."
        both |= {name: None for name in both if "prompts_needed" in name}
        return Verdict(
            "does_not_pay", finding, both, kept.fallback, kept.best_single, notes=tried.notes
        )
    found = tried.finding.removeprefix(_NOT_YET)
    said = f"Tried on these prompts without that: {found}{reach}"
    return replace(kept, tried=said, numbers=both)
