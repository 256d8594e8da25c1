"""Measure what a router chose wherever its own choice is scored, whatever others lack there."""

from __future__ import annotations

from typing import Any

import numpy as np

from routerlib.evaluation.between_folds import CrossTested, held
from routerlib.evaluation.contenders import TestedPrompts, arms_contender, take_arms
from routerlib.evaluation.pseudo_outcomes import filled
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.routing import Routed, TrainMeans
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Arms, Floats

_CHOICES = "choices"


def own_scores(
    test: Outcomes,
    routed: Routed,
    train: TrainMeans,
    crossed: CrossTested | None,
    bootstrap: tuple[int, int],
) -> dict[str, Any]:
    """Measure quality alone: a failed call often has no known cost.

    A prompt counts for ``quality`` where the choice has a score, and for ``quality_difference``
    where the best single model has one too: what a third candidate lacks changes neither.

    `routed`: choices on `test`.
    `bootstrap`: replicates, and their seed.
    Returns both intervals, and the prompts that they are about as ``n`` and ``n_difference``.
    """
    quality = filled(test, routed.estimates).quality
    strong = test.models.index(train.strong)
    best = np.full(len(test), strong) if routed.best is None else routed.best
    is_chosen = ~np.isnan(take_arms(quality, routed.arms))
    is_both = is_chosen & ~np.isnan(take_arms(quality, best))
    found = {}
    for name, is_kept in (("quality", is_chosen), ("quality_difference", is_both)):
        kept = np.flatnonzero(is_kept)
        tested = _tested(test, quality, best, train, kept)
        found[name] = _measured(tested, routed.arms[kept], crossed, bootstrap)[name]
    return {**found, "n": int(is_chosen.sum()), "n_difference": int(is_both.sum())}


def _tested(
    test: Outcomes, quality: Floats, best: Arms, train: TrainMeans, kept: Arms
) -> TestedPrompts:
    unknown = np.full((len(kept), len(test.models)), np.nan)
    return TestedPrompts(
        outcomes=test.take(kept),
        quality=quality[kept],
        cost_usd=unknown,
        n_skipped=len(test) - len(kept),
        has_costs=False,
        strong=test.models.index(train.strong),
        weak=test.models.index(train.weak),
        kept=kept,
        best=best[kept],
    )


def _measured(
    tested: TestedPrompts, arms: Arms, crossed: CrossTested | None, bootstrap: tuple[int, int]
) -> dict[str, Interval]:
    n_bootstrap, random_state = bootstrap
    contender = {_CHOICES: arms_contender(tested, arms)}
    measured = measure(tested, contender, n_bootstrap=n_bootstrap, random_state=random_state)
    return dict(held(measured.intervals(_CHOICES), crossed))
