"""Let a fitted router choose for many prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routerlib.metrics.pairs import is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates
from routerlib.routers.out_of_fold import UNKNOWN, OutOfFold
from routerlib.routers.router import Router

# A prompt, and its topic where that is told.
Asked = tuple[str, str | None]


class Routed(NamedTuple):
    """What a router expects and chooses, in the columns of the outcomes.

    `estimates`: one column per candidate model of the outcomes; NaN = the router estimates
        nothing.
    `arms` (n_prompts,): column chosen at the router's operating point.
    `tried` (n_prompts,): column that was chosen out of fold where nobody keeps to the best single
        model, or `UNKNOWN`; None = none was.
    `best` (n_prompts,): column of the best single model; None = the router's own on each.
    """

    estimates: Estimates
    arms: Arms
    tried: Arms | None = None
    best: Arms | None = None

    def take(self, rows: NDArray[np.intp]) -> Routed:
        """Return the same of some prompts."""
        quality, cost_usd = self.estimates.quality[rows], self.estimates.cost_usd[rows]
        tried, best = (None if arms is None else arms[rows] for arms in (self.tried, self.best))
        part = Estimates(self.estimates.models, quality, cost_usd)
        return Routed(part, self.arms[rows], tried, best)


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


def out_of_fold_of(router: Router) -> OutOfFold | None:
    """Return what is known of a router's training prompts by others that haven't seen them."""
    return getattr(router, "out_of_fold_", None)


def check_held_out(router: Router, outcomes: Outcomes) -> None:
    """Refuse prompts that a router was trained on and has no choices out of fold for."""
    record = out_of_fold_of(router)
    known = () if record is None else record.prompt_ids
    seen = set(router.train_prompt_ids_).difference(known).intersection(outcomes.prompt_ids)
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
    found = means.estimates(outcomes.topics)
    record = out_of_fold_of(router)
    if record is not None:
        rows = record.rows_of(outcomes.prompt_ids)
        is_known = (rows != UNKNOWN)[:, None]
        found = Estimates(
            found.models,
            np.where(is_known, record.topic_quality[rows], found.quality),
            np.where(is_known, record.topic_cost_usd[rows], found.cost_usd),
        )
    return _spread(found, _columns(router, outcomes), tuple(outcomes.models))


def route_unseen(
    router: Router,
    several: Sequence[Outcomes],
    *,
    use_topics: bool = False,
    cost_weight: float | None = None,
) -> list[Routed]:
    """Do as `route_each`, but for no prompt by a router that has seen it.

    A training prompt gets what a router gave it that was trained alike on other prompts.
    """
    record = out_of_fold_of(router)
    if record is None:
        return route_each(router, several, use_topics=use_topics, cost_weight=cost_weight)
    places = [record.rows_of(outcomes.prompt_ids) for outcomes in several]
    new = [
        outcomes.take(np.flatnonzero(rows == UNKNOWN))
        for outcomes, rows in zip(several, places, strict=True)
    ]
    routed = route_each(router, new, use_topics=use_topics, cost_weight=cost_weight)
    joined = [
        _joined(router, record, _columns(router, outcomes), rows, own)
        for outcomes, rows, own in zip(several, places, routed, strict=True)
    ]
    if cost_weight is None:
        return joined
    return [each._replace(arms=choose_arms(each.estimates, cost_weight)) for each in joined]


def best_unseen(router: Router, outcomes: Outcomes) -> Arms | None:
    """Return per prompt the best single model that other prompts chose; None = the router's own."""
    record = out_of_fold_of(router)
    if record is None:
        return None
    rows, columns = record.rows_of(outcomes.prompt_ids), _columns(router, outcomes)
    own = outcomes.models.index(router.best_single_)
    return np.where(rows == UNKNOWN, own, columns[record.best_arms[rows]])


def _joined(
    router: Router, record: OutOfFold, columns: NDArray[np.intp], rows: Arms, new: Routed
) -> Routed:
    """Lay what is recorded out of fold beside what the router itself gives new prompts."""
    is_new = rows == UNKNOWN
    models = new.estimates.models
    known = Estimates(router.models_, record.quality[rows], record.cost_usd[rows])
    estimates = _spread(known, columns, models)
    estimates.quality[is_new] = new.estimates.quality
    estimates.cost_usd[is_new] = new.estimates.cost_usd
    tried, best = columns[record.arms[rows]], columns[record.best_arms[rows]]
    arms = (best if router.fallback_ is not None else tried).copy()
    own = models.index(router.best_single_)
    arms[is_new], tried[is_new], best[is_new] = new.arms, UNKNOWN, own
    return Routed(estimates, arms, tried, best)


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
    return route_each(router, [outcomes], use_topics=use_topics, cost_weight=cost_weight)[0]


def route_each(
    router: Router,
    several: Sequence[Outcomes],
    *,
    use_topics: bool = False,
    cost_weight: float | None = None,
) -> list[Routed]:
    """Do as `route_all` for several outcomes; what stands in more than one is estimated once."""
    columns = [_columns(router, outcomes) for outcomes in several]
    asked = [_asked(outcomes, use_topics) for outcomes in several]
    row_of = {each: row for row, each in enumerate(dict.fromkeys(chain.from_iterable(asked)))}
    own = _estimates(router, list(row_of))
    arms = _arms(router, list(row_of), own, cost_weight)
    found = []
    for outcomes, its_columns, questions in zip(several, columns, asked, strict=True):
        rows = np.array([row_of[each] for each in questions], dtype=np.intp)
        part = Estimates(own.models, own.quality[rows], own.cost_usd[rows])
        estimates = _spread(part, its_columns, tuple(outcomes.models))
        found.append(Routed(estimates, its_columns[arms[rows]]))
    return found


def _asked(outcomes: Outcomes, use_topics: bool) -> list[Asked]:
    topics: Sequence[str | None] = [None] * len(outcomes)
    if use_topics and outcomes.topics is not None:
        topics = outcomes.topics
    return list(zip(outcomes.prompts, topics, strict=True))


def _estimates(router: Router, asked: Sequence[Asked]) -> Estimates:
    """Return estimates in the router's own columns; prompts with a topic are estimated apart."""
    quality = np.full((len(asked), len(router.models_)), np.nan)
    cost_usd = quality.copy()
    is_told = np.array([topic is not None for _, topic in asked], dtype=bool)
    topics = [topic for _, topic in asked if topic is not None]
    for rows, told in ((np.flatnonzero(~is_told), None), (np.flatnonzero(is_told), topics)):
        if len(rows):
            found = router.predict([asked[int(row)][0] for row in rows], topics=told)
            quality[rows], cost_usd[rows] = found.quality, found.cost_usd
    return Estimates(tuple(router.models_), quality, cost_usd)


def _arms(
    router: Router, asked: Sequence[Asked], own: Estimates, cost_weight: float | None
) -> Arms:
    """Choose in the router's own columns; one that estimates nothing is asked prompt by prompt."""
    models = list(router.models_)
    if cost_weight is None and getattr(router, "fallback_", None) is not None:
        return np.full(len(asked), models.index(router.best_single_), dtype=np.intp)
    if is_complete(own.quality).all():
        weight = router.cost_weight_ if cost_weight is None else cost_weight
        return choose_arms(own, weight)
    chosen = [models.index(router.route(prompt, task=task).model) for prompt, task in asked]
    return np.array(chosen, dtype=np.intp)


def _spread(own: Estimates, columns: NDArray[np.intp], models: tuple[str, ...]) -> Estimates:
    """Give candidate models that the router doesn't know an estimate that is never chosen."""
    quality = np.full((len(own), len(models)), -np.inf)
    cost = np.zeros(quality.shape)
    quality[:, columns] = own.quality
    cost[:, columns] = own.cost_usd
    return Estimates(models, quality, cost)
