"""Train a router on all prompts, and others on parts of them by which it can be judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates
from routerlib.routers.held_out import HeldOut
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.out_of_fold import OutOfFold
from routerlib.routers.router import Router
from routerlib.routers.training.operating_points import (
    QUALITY_MARGIN,
    choose_cost_weight,
    most_expected,
)
from routerlib.routers.training.train import train_router

N_FOLDS = 5
AnyRouter = TypeVar("AnyRouter", bound=Router)

# With more scored prompts a third of them held out tells enough, in one training.
FEW_PROMPTS = 1000


class Division(NamedTuple):
    """What a router learns from, and what it is judged on.

    `train, test`: all outcomes both, where every prompt is tested out of fold.
    `n_folds`: folds of that; 0 = `test` is held out from `train`.
    `random_state`: seed of the division.
    """

    train: Outcomes
    test: Outcomes
    n_folds: int
    random_state: int


def divide_for_test(
    outcomes: Outcomes,
    *,
    test_size: float = 0.3,
    n_folds: int | None = None,
    random_state: int = 0,
) -> Division:
    """Hold a part of the prompts out or, where they are few, deal all of them into folds.

    Parameters
    ----------
    outcomes : Outcomes
        All prompts.
    test_size : float, default=0.3
        Share to hold out where no folds are dealt, in (0, 1).
    n_folds : int or None, default=None
        0 = hold a part out; None = 5 with fewer than 1,000 scored prompts, unless labels were
        bought, or a candidate would be missing from a part that is learnt from.
    random_state : int, default=0
        Seed of the division.

    Returns
    -------
    Division
        What to train on and what to test on: all prompts both, where folds are dealt.

    Raises
    ------
    ValueError
        If a number is out of range, or the prompts can't be divided.
    """
    if n_folds == 1 or (n_folds or 0) < 0:
        raise ValueError(f"folds must be 2 or more, or 0 to hold a part out, got {n_folds!r}")
    if n_folds is None:
        # Where labels were bought, `Outcomes.split` tests on prompts that buying left alone.
        is_small = _n_scored(outcomes) < FEW_PROMPTS and outcomes.inclusion is None
        n_folds = N_FOLDS if is_small and _is_learnable(outcomes, N_FOLDS, random_state) else 0
    if n_folds:
        return Division(outcomes, outcomes, n_folds, random_state)
    train, test = outcomes.split(test_size, random_state)
    return Division(train, test, 0, random_state)


def train_for_test(division: Division, **options: Any) -> LGBMRouter:
    """Train a router, as `train_router` does, so that it can be judged on ``division.test``.

    Parameters
    ----------
    division : Division
        As of `divide_for_test`.
    **options : object
        What `train_router` takes beside the outcomes, such as ``cost_weight``.

    Returns
    -------
    LGBMRouter
        With ``out_of_fold_`` where folds were dealt.

    Raises
    ------
    ValueError
        As of `train_router` and `cross_trained`.
    """
    fit_router: Callable[[Outcomes], LGBMRouter] = partial(train_router, **options)
    if not division.n_folds:
        return fit_router(division.train)
    return cross_trained(
        division.train, fit_router, n_folds=division.n_folds, random_state=division.random_state
    )


def _n_scored(outcomes: Outcomes) -> int:
    return int(np.isfinite(outcomes.quality).any(axis=1).sum())


def _is_learnable(outcomes: Outcomes, n_folds: int, random_state: int) -> bool:
    """Tell whether every candidate has a quality in what each fold's router would learn from."""
    if len(np.unique(outcomes.groups)) < n_folds:
        return False
    folds = grouped_folds(outcomes.groups, n_folds, random_state)
    is_seen = np.isfinite(outcomes.quality)
    return all(is_seen[folds != fold].any(axis=0).all() for fold in range(n_folds))


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
    record = _joined(outcomes, folds, found)
    if router.fallback_ is not None and "tried_cost_weight" in router.training_:
        # One for all folds, and not chosen by what was seen: where nothing gains, each fold's own
        # is luck, and the luckiest of these very prompts would flatter.
        expected = Estimates(router.models_, record.quality, record.cost_usd)
        tried = most_expected(expected, router.training_.get("max_quality_loss", QUALITY_MARGIN))
        router.training_ = {**router.training_, "tried_cost_weight": tried}
        record = replace(record, chosen=np.stack([each.chosen_at(tried) for each in found]))
    router.out_of_fold_ = record
    return router


def cross_fitted(
    router: AnyRouter, outcomes: Outcomes, folds: Arms, *, max_quality_loss: float = QUALITY_MARGIN
) -> AnyRouter:
    """Do as `cross_trained` in a sixth of the time, for rivals that only stand beside a router.

    Each fold's operating point is chosen by the estimates that the other folds' prompts got out of
    fold, not in folds of its own.

    `folds` (n_prompts,): number of each prompt's fold, such as ``out_of_fold_.fold``.
    """
    n_folds = int(folds.max()) + 1
    own = []
    for fold in range(n_folds):
        router.fit(outcomes.take(folds != fold))
        own.append((router.predict(outcomes.prompts), _of_topics(router, outcomes)))
    rows = np.arange(len(outcomes))
    estimates = Estimates(
        tuple(outcomes.models),
        np.stack([each.quality for each, _ in own])[folds, rows],
        np.stack([each.cost_usd for each, _ in own])[folds, rows],
    )
    found = []
    for fold, (given, topics) in enumerate(own):
        others = np.flatnonzero(folds != fold)
        learnt = outcomes.take(others)
        out_of_fold = Estimates(
            estimates.models, estimates.quality[others], estimates.cost_usd[others]
        )
        point = choose_cost_weight(HeldOut(out_of_fold, folds[others]), learnt, max_quality_loss)
        best = outcomes.models.index(learnt.best_single)
        chosen = np.full(len(outcomes), best)
        if point.fallback is None:
            chosen = choose_arms(given, point.cost_weight)
        means = (topics.quality, topics.cost_usd)
        found.append(_OfFold(given.quality, given.cost_usd, *means, chosen, best))
    point = choose_cost_weight(HeldOut(estimates, folds), outcomes, max_quality_loss)
    router.fit(outcomes).stand_at(point.cost_weight, point.fallback)
    router.out_of_fold_ = _joined(outcomes, folds, found)
    return router


def _joined(outcomes: Outcomes, folds: Arms, found: Sequence[_OfFold]) -> OutOfFold:
    rows = np.arange(len(outcomes))
    quality, cost_usd, topic_quality, topic_cost_usd = (
        np.stack([getattr(each, name) for each in found])[folds, rows] for name in _MATRICES
    )
    return OutOfFold(
        prompt_ids=tuple(outcomes.prompt_ids),
        fold=folds,
        quality=quality,
        cost_usd=cost_usd,
        topic_quality=topic_quality,
        topic_cost_usd=topic_cost_usd,
        chosen=np.stack([each.chosen for each in found]),
        best=np.array([each.best for each in found], dtype=np.intp),
    )


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

    def chosen_at(self, cost_weight: float) -> Arms:
        """Choose at another cost weight, shape (n_prompts,)."""
        models = tuple(f"{arm}" for arm in range(self.quality.shape[1]))
        return choose_arms(Estimates(models, self.quality, self.cost_usd), cost_weight)


def _of_topics(router: Router, outcomes: Outcomes) -> Estimates:
    if router.topic_means_ is not None and outcomes.topics is not None:
        return router.topic_means_.estimates(outcomes.topics)
    unknown = np.full(outcomes.quality.shape, np.nan)
    return Estimates(router.models_, unknown, unknown.copy())
