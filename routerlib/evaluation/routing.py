"""Let a fitted router choose for many prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routerlib.metrics.curves import Arms, choose_arms
from routerlib.metrics.pairs import Floats, is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router


class Routed(NamedTuple):
    """What a router expects and chooses, in the columns of the outcomes.

    `estimates`: one column per candidate model of the outcomes; NaN = the router estimates
        nothing.
    `arms` (n_prompts,): column chosen at the router's operating point.
    """

    estimates: Estimates
    arms: Arms


class TrainMeans(NamedTuple):
    """What train says about the candidate models, in the columns of the outcomes.

    `quality, cost_usd` (n_models,): means on train; NaN where unknown.
    """

    quality: Floats
    cost_usd: Floats
    strong: str
    weak: str


def _columns(router: Router, outcomes: Outcomes) -> NDArray[np.intp]:
    missing = [name for name in router.models_ if name not in outcomes.models]
    if missing:
        raise ValueError(
            f"the router may choose {missing[0]!r}, but the outcomes only have "
            f"{', '.join(outcomes.models)}; evaluate on outcomes of the router's candidate models"
        )
    return np.array([outcomes.models.index(name) for name in router.models_], dtype=np.intp)


def check_held_out(router: Router, outcomes: Outcomes) -> None:
    """Refuse prompts that a router was trained on."""
    seen = set(router.train_prompt_ids_).intersection(outcomes.prompt_ids)
    if seen:
        raise ValueError(
            f"evaluation needs prompts that the router was not trained on, got {len(seen)} of "
            f"{len(outcomes)} that it was; use the test half of outcomes.split(), or "
            "outcomes.without(router.train_prompt_ids_)"
        )


def means_on_train(router: Router, outcomes: Outcomes) -> TrainMeans:
    """Spread a router's means on train over the columns of some outcomes."""
    columns = _columns(router, outcomes)
    if np.isnan(router.mean_quality_).any():
        raise ValueError(
            f"this {type(router).__name__} was never fitted, so it doesn't know the best single "
            "candidate model to be compared with, and the test prompts must not choose it; "
            "call fit(train) first"
        )
    quality = np.full(len(outcomes.models), np.nan)
    cost = quality.copy()
    quality[columns] = router.mean_quality_
    cost[columns] = router.mean_cost_usd_
    by = quality if np.isnan(cost).all() else cost
    weak = outcomes.models[int(np.nanargmin(by))]
    return TrainMeans(quality, cost, router.best_single_, weak)


def topic_table_of(router: Router, outcomes: Outcomes) -> Estimates | None:
    """Look prompts up in the means that a router's training prompts had per topic."""
    means = getattr(router, "topic_means_", None)
    if means is None or outcomes.topics is None:
        return None
    return _spread(
        means.estimates(outcomes.topics), _columns(router, outcomes), tuple(outcomes.models)
    )


def route_all(
    router: Router,
    outcomes: Outcomes,
    *,
    use_topics: bool = False,
    cost_weight: float | None = None,
) -> Routed:
    """Estimate and choose for every prompt of some outcomes.

    `cost_weight`: quality given up per US dollar saved, at least 0; None = the router's
        operating point.
    """
    columns = _columns(router, outcomes)
    topics = outcomes.topics if use_topics else None
    own = router.predict(outcomes.prompts, topics=topics)
    estimates = _spread(own, columns, tuple(outcomes.models))
    if cost_weight is None and getattr(router, "fallback_", None) is not None:
        best = outcomes.models.index(router.best_single_)
        return Routed(estimates, np.full(len(outcomes), best, dtype=np.intp))
    if is_complete(own.quality).all():
        weight = router.cost_weight_ if cost_weight is None else cost_weight
        chosen = choose_arms(own.quality, own.cost_usd, weight)
        return Routed(estimates, columns[chosen])
    tasks: Sequence[str | None] = topics or [None] * len(outcomes)
    arms = [
        outcomes.models.index(router.route(prompt, task=task).model)
        for prompt, task in zip(outcomes.prompts, tasks, strict=True)
    ]
    return Routed(estimates, np.array(arms, dtype=np.intp))


def _spread(own: Estimates, columns: NDArray[np.intp], models: tuple[str, ...]) -> Estimates:
    """Give candidate models that the router doesn't know an estimate that is never chosen."""
    quality = np.full((len(own), len(models)), -np.inf)
    cost = np.zeros(quality.shape)
    quality[:, columns] = own.quality
    cost[:, columns] = own.cost_usd
    return Estimates(models, quality, cost)
