"""Measure a cascade as a way of choosing: every call that it makes is paid."""

from __future__ import annotations

import numpy as np

from routerlib.evaluation.contenders import Contender, TestedPrompts
from routerlib.policies.utility import sweep_cost_weights
from routerlib.records.arrays import Floats
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.cascades.replay import Bench

_N_POINTS = 64


def cascade_contender(
    tested: TestedPrompts, cascade: Cascade, *, use_topics: bool = False
) -> Contender:
    """Follow a cascade over tested prompts, along its cost weights too.

    The score, how much the strong model is wanted, is what is expected of it beyond the weak
    model's answer once that was looked at.
    """
    models = list(tested.outcomes.models)
    columns = [models.index(name) for name in cascade.models_]
    bench = cascade.bench(tested.outcomes.of_models(cascade.models_), use_topics=use_topics)
    quality, cost_usd = tested.quality[:, columns], tested.cost_usd[:, columns]
    own = cascade.follow(bench)
    weights = np.zeros(1)
    if tested.has_costs and np.isfinite(bench.estimates.cost_usd).all():
        weights = sweep_cost_weights(bench.estimates, _N_POINTS)
    along = [cascade.follow(bench, float(weight)) for weight in weights]
    arms = np.array(columns)[own.given]
    is_one_call = bool((own.is_asked(len(columns)).sum(axis=1) == 1).all())
    return Contender(
        quality=own.quality(quality),
        cost_usd=own.cost_usd(cost_usd),
        curve_quality=np.column_stack([each.quality(quality) for each in along]),
        curve_cost_usd=np.column_stack([each.cost_usd(cost_usd) for each in along]),
        score=_score(bench, columns, tested),
        cost_weights=weights,
        is_single=is_one_call and tested.is_single(arms),
    )


def _score(bench: Bench, columns: list[int], tested: TestedPrompts) -> Floats:
    if tested.strong not in columns or tested.weak not in columns:
        return np.full(len(tested), np.nan)
    strong, weak = columns.index(tested.strong), columns.index(tested.weak)
    if strong == weak or not len(tested):
        return np.zeros(len(tested))
    seen = bench.situation((weak,))
    return np.asarray(seen.expected[:, strong] - seen.best)
