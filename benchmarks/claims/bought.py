"""Ask whether what is reported is true where labels were bought, most of them close calls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.routing import route_all
from routerlib.gather.labels.strategies import Buyer
from routerlib.log.purchases import Purchases
from routerlib.outcomes.evaluation_share import in_evaluation_share
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.arrays import Floats
from routerlib.routers.rivals import KNNRouter

_N_POOL, _N_REST, _N_FIRST, _N_BATCHES = 700, 1500, 40, 4
# What is spent, as a share of the cost of all labels that may be bought.
_SPENT = 0.3
_MODELS = ("small", "medium", "large")
# Chances to be right on half of the topics each. Small and medium are a close call on the second
# half, so that is where their labels are bought, and there they are better than on the first.
_CHANCES = ((0.30, 0.30, 0.66), (0.88, 0.88, 0.64))
_USD = (0.6, 0.8, 1.0)


class _World(NamedTuple):
    """A pool of which everything is known, and what is expected of prompts that come later."""

    pool: Outcomes
    rest: Outcomes
    expected: Floats


def _world(seed: int) -> _World:
    rng = np.random.default_rng([seed, 7])
    n = _N_POOL + _N_REST
    drawn = make_world(n_prompts=n, n_models=2, seed=seed).outcomes
    names = sorted(set(drawn.topics or ()))
    half = np.array([names.index(topic) % 2 for topic in drawn.topics or ()])
    chances = np.clip(np.array(_CHANCES)[half] + rng.uniform(-0.1, 0.1, (n, 1)), 0, 1)
    quality = (rng.random(chances.shape) < chances).astype(float)
    usd = np.array(_USD) * rng.lognormal(0, 0.3, (n, 1))
    every = Outcomes(drawn.prompts, _MODELS, quality, usd, topics=drawn.topics)
    every = in_groups(every, np.arange(n))
    later = np.arange(_N_POOL, n)
    return _World(every.take(range(_N_POOL)), every.take(later), chances[later])


def _bought(pool: Outcomes, seed: int, share: float, with_chances: bool) -> Outcomes:
    """Ask some prompts of all models, buy among the others, and return what a log would hold."""
    rng = np.random.default_rng([seed, 8])
    kept = in_evaluation_share(pool.groups, pool.prompt_ids, share)
    seen = np.broadcast_to(kept[:, None], pool.quality.shape).copy()
    open_rows = np.flatnonzero(~kept)
    seen[rng.choice(open_rows, _N_FIRST, replace=False)] = True
    usd = np.array(pool.cost_usd)[open_rows]
    asked = _names(pool, seen)
    batches = []
    for batch in range(_N_BATCHES):
        part = pool.take(open_rows)
        table = Outcomes(
            part.prompts, part.models, np.where(seen[open_rows], part.quality, np.nan), usd
        )
        buyer = Buyer(table, usd, "close calls", random_state=seed * _N_BATCHES + batch)
        chosen = buyer.choose(_SPENT * float(usd.sum()) / _N_BATCHES)
        cells = [[part.prompt_ids[c.row], part.models[c.arm], c.propensity] for c in chosen]
        batches.append(
            {
                "cells": cells,
                "candidates": part.models,
                "prompts": part.prompt_ids,
                "chances": buyer.chances.tolist(),
            }
        )
        for cell in chosen:
            seen[open_rows[cell.row], cell.arm] = True
        asked |= {(key, name) for key, name, _ in cells}
    quality = np.where(seen, pool.quality, np.nan)
    inclusion = None
    if with_chances:
        inclusion = Purchases(batches, asked).inclusion(pool.prompt_ids, pool.models, quality)
    known = Outcomes(
        pool.prompts,
        pool.models,
        quality,
        np.where(seen, pool.cost_usd, np.nan),
        topics=pool.topics,
        inclusion=inclusion,
    )
    known = in_groups(known, pool.groups)
    return known.take(np.flatnonzero(seen.any(axis=1)))


def _names(pool: Outcomes, seen: np.ndarray) -> set[tuple[str, str]]:
    rows, arms = np.nonzero(seen)
    return {(pool.prompt_ids[row], pool.models[arm]) for row, arm in zip(rows, arms, strict=True)}


def _reported(seed: int, share: float, with_chances: bool) -> dict[str, float]:
    world = _world(seed)
    known = _bought(world.pool, seed, share, with_chances)
    truth = world.expected.mean(axis=0)
    train, test = known.split(random_state=seed)
    router = KNNRouter().fit(train)
    difference = evaluate(router, test, n_bootstrap=400).operating["quality_difference"]
    chosen = world.expected[np.arange(_N_REST), route_all(router, world.rest).arms].mean()
    real = chosen - truth[known.models.index(router.best_single_)]
    off = known.mean_quality - truth
    as_bought = np.nanmean(known.quality, axis=0) - truth
    return {
        **{f"off_{name}": float(each) for name, each in zip(_MODELS, off, strict=True)},
        "off_as_bought": float(as_bought[1]),
        "best_wrong": float(router.best_single_ != _MODELS[int(truth.argmax())]),
        "covers": float(difference.low <= real <= difference.high),
        "off_difference": float(difference.value - real),
        "width": float(difference.high - difference.low),
    }


def share_and_weights(seed: int) -> dict[str, float]:
    """Buy outside the evaluation share, and report by the chances."""
    return _reported(seed, 0.2, True)


def weights_alone(seed: int) -> dict[str, float]:
    """Buy among all prompts, and report by the chances."""
    return _reported(seed, 0.0, True)


_NONE = 0.015
_CLAIMS = {
    **{
        f"off_{name}": Claim(f"mean quality of {name} minus the truth", -_NONE, _NONE)
        for name in _MODELS
    },
    "best_wrong": Claim("another model than the best is called the best single", at_most=0.5),
    "covers": Claim("the interval of the quality difference holds the truth", at_least=0.93),
}

STUDIES = {
    "share": Study(
        "700 prompts, three models; a fifth is kept apart and answered by all, 40 prompts are "
        "asked of all, and 30 % of the other labels' cost is spent on close calls in four batches",
        share_and_weights,
        _CLAIMS,
        n_quick=40,
        n_full=400,
    ),
    "weights": Study(
        "The same without prompts kept apart: labels that were bought are held out too",
        weights_alone,
        _CLAIMS,
        n_quick=40,
        n_full=400,
    ),
}
