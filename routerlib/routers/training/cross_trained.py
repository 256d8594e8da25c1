"""Train a router on all prompts, and others on parts of them by which it can be judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates
from routerlib.routers.out_of_fold import OutOfFold
from routerlib.routers.router import Router
from routerlib.routers.training.train import train_router

N_FOLDS = 5

AnyRouter = TypeVar("AnyRouter", bound=Router)


def cross_trained(
    outcomes: Outcomes,
    fit_router: Callable[[Outcomes], AnyRouter] = train_router,  # type: ignore[assignment]
    *,
    n_folds: int = N_FOLDS,
    random_state: int = 0,
) -> AnyRouter:
    """Train on all prompts, and once more for each fold on the prompts of the others.

    The router that comes back has learnt from every prompt. What it is worth is told by those of
    the folds, which were trained in the same way, operating point included, on fewer prompts: each
    prompt keeps what the one gave it that hasn't seen its group.

    Parameters
    ----------
    outcomes : Outcomes
        All prompts.
    fit_router : callable, default=train_router
        Takes outcomes, returns a router that was trained on them, such as `train_router`.
    n_folds : int, default=5
        Trainings beside the one on all prompts, at least 2.
    random_state : int, default=0
        Seed of the folds.

    Returns
    -------
    Router
        Trained on all, with ``out_of_fold_``.

    Raises
    ------
    ValueError
        If there are fewer groups than folds, or a candidate has no quality in some part.

    Examples
    --------
    >>> from routerlib.outcomes.worlds import make_world
    >>> from routerlib.routers.rivals import KNNRouter
    >>> outcomes = make_world(n_prompts=60).outcomes
    >>> router = cross_trained(outcomes, KNNRouter().fit)
    >>> len(router.train_prompt_ids_), router.out_of_fold_.n_folds
    (60, 5)
    """
    folds = grouped_folds(outcomes.groups, n_folds, random_state)
    found = [
        _OfFold.of(fit_router(outcomes.take(folds != fold)), outcomes) for fold in range(n_folds)
    ]
    router = fit_router(outcomes)  # last, for `KNNRouter().fit` fits one and the same object anew
    rows = np.arange(len(outcomes))
    quality, cost_usd, topic_quality, topic_cost_usd = (
        np.stack([getattr(each, name) for each in found])[folds, rows] for name in _MATRICES
    )
    router.out_of_fold_ = OutOfFold(
        prompt_ids=tuple(outcomes.prompt_ids),
        fold=folds,
        quality=quality,
        cost_usd=cost_usd,
        topic_quality=topic_quality,
        topic_cost_usd=topic_cost_usd,
        chosen=np.stack([each.chosen for each in found]),
        best=np.array([each.best for each in found], dtype=np.intp),
    )
    return router


_MATRICES = ("quality", "cost_usd", "topic_quality", "topic_cost_usd")


class _OfFold(NamedTuple):
    """What the router of one fold gives every prompt, as `OutOfFold` has it."""

    quality: Floats
    cost_usd: Floats
    topic_quality: Floats
    topic_cost_usd: Floats
    chosen: Arms
    best: int

    @classmethod
    def of(cls, router: Router, outcomes: Outcomes) -> _OfFold:
        estimates = router.predict(outcomes.prompts)
        if np.isnan(estimates.quality).any():
            raise ValueError(
                f"a {type(router).__name__} estimates no quality, so there is nothing to remember "
                "of its choices; judge it on held-out prompts with evaluate()"
            )
        best = router.models_.index(router.best_single_)
        kept = router.fallback_ is not None
        weight = router.training_.get("tried_cost_weight") if kept else router.cost_weight_
        chosen = np.full(len(outcomes), best)
        if weight is not None:
            chosen = choose_arms(estimates, float(weight))
        topics = _of_topics(router, outcomes)
        means = (topics.quality, topics.cost_usd)
        return cls(estimates.quality, estimates.cost_usd, *means, chosen, best)


def _of_topics(router: Router, outcomes: Outcomes) -> Estimates:
    if router.topic_means_ is not None and outcomes.topics is not None:
        return router.topic_means_.estimates(outcomes.topics)
    unknown = np.full(outcomes.quality.shape, np.nan)
    return Estimates(router.models_, unknown, unknown.copy())
