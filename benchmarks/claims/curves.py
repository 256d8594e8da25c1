"""Ask whether the intervals of what is read off a curve cover the truth."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.bands import curve_band
from routerlib.evaluation.contenders import (
    TestedPrompts,
    arms_contender,
    estimates_contender,
    take_arms,
)
from routerlib.evaluation.replicates import measure
from routerlib.metrics.curves import costs_at, heights_at, hulls, mean_heights
from routerlib.metrics.intervals import product_interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates

_N_TRUE = 200_000
_N_BOOTSTRAP = 500
_PER_FAMILY = 4
_ROUNDING = 1e-9
N_LOOKS = 12


class Drawn(NamedTuple):
    """Prompts of one world: what was observed, what a fixed router expected, and families."""

    quality: Floats
    cost_usd: Floats
    estimates: Estimates
    family: np.ndarray


class World(NamedTuple):
    """How prompts differ; all on the scale of log odds, costs on that of logarithms.

    `dearest`: what the dearest model is better by than the row of the others tells.
    """

    n_models: int = 4
    lowest: float = -0.6
    highest: float = 1.4
    skill: float = 0.9
    difficulty: float = 1.2
    noise: float = 0.8
    tail: float = 0.3
    price_range: float = 27.0
    shared_luck: float = 0.0
    per_family: int = 1
    dearest: float = 0.0


WORLDS = {
    "few": World(n_models=2),
    "many": World(n_models=9),
    "heavy": World(tail=1.5),
    "nothing": World(skill=0, difficulty=0, noise=0.3),
    "small": World(skill=0.2),
    "correlated": World(
        lowest=0.8, highest=0.95, skill=0.3, difficulty=0.6, price_range=1.4, shared_luck=0.9
    ),
    "easy": World(lowest=1.5, highest=3.0, noise=0.5),
    "clustered": World(per_family=_PER_FAMILY),
}
_WORDS = {
    "few": "two models",
    "many": "nine models",
    "heavy": "four models, costs lognormal with sigma 1.5",
    "nothing": "four models, nothing to learn",
    "small": "four models, small gains",
    "correlated": "four models of nearly the same price and quality, wrong together",
    "easy": "four models, hardly any wrong answer",
    "clustered": "four models, families of four prompts",
}


def drawn_of(world: World, n: int, rng: np.random.Generator) -> Drawn:
    """Draw prompts; the router's estimates are shrunken and noisy, and blind to tails."""
    family = np.arange(n) // world.per_family
    shape = (family[-1] + 1, world.n_models)
    ability = np.linspace(world.lowest, world.highest, world.n_models)
    ability[-1] += world.dearest
    skill = world.skill * rng.normal(size=shape)[family]
    hard = world.difficulty * rng.normal(size=shape[0])[family][:, None]
    chance = 1 / (1 + np.exp(-(ability + skill - hard)))
    luck = np.where(
        rng.random((n, 1)) < world.shared_luck, rng.random((n, 1)), rng.random(chance.shape)
    )
    price = 1e-4 * world.price_range ** np.linspace(0, 1, world.n_models)
    length = 0.8 * rng.normal(size=shape[0])[family][:, None]
    own = 0.6 * rng.normal(size=chance.shape)
    noise = world.noise * rng.normal(size=shape)[family]
    expected = 1 / (1 + np.exp(-(ability + 0.6 * skill - 0.6 * hard + noise)))
    expected_usd = price * np.exp(0.5 * world.tail * length)
    names = tuple(f"m{arm}" for arm in range(world.n_models))
    return Drawn(
        (luck < chance).astype(float),
        price * np.exp(world.tail * (length + own)),
        Estimates(names, expected, expected_usd),
        family,
    )


def tested_of(drawn: Drawn, strong: int) -> TestedPrompts:
    """Lay out drawn prompts; those of a family differ in a number."""
    models = drawn.estimates.models
    words = np.random.default_rng(0).integers(10**8, size=(drawn.family[-1] + 1, 12)).astype(str)
    prompts = [f"{' '.join(words[family])} {at}" for at, family in enumerate(drawn.family)]
    outcomes = Outcomes(prompts, models, drawn.quality, drawn.cost_usd)
    return TestedPrompts.of(outcomes, models[strong], models[0])


class Truth(NamedTuple):
    """What holds on very many prompts.

    `cost_weights` (12,): of a slider, the router stands at the middle one.
    `differences` (12,): true gains in quality over the best model there.
    `metrics`: true value of each metric.
    `saved_usd`: US dollars saved, mean per prompt.
    """

    strong: int
    cost_weights: Floats
    differences: Floats
    metrics: dict[str, float]
    saved_usd: float


@lru_cache
def truth_of(name: str) -> Truth:
    """Draw very many prompts, and measure them without a bootstrap."""
    drawn = drawn_of(WORLDS[name], _N_TRUE, np.random.default_rng(12345))
    quality, cost = drawn.quality.mean(axis=0), drawn.cost_usd.mean(axis=0)
    strong, rows = int(quality.argmax()), np.arange(_N_TRUE)
    own = drawn.estimates
    weights = sweep_cost_weights(Estimates(own.models, own.quality[:5000], own.cost_usd[:5000]))
    chosen = [choose_arms(own, weight) for weight in weights]
    points_usd = np.array([drawn.cost_usd[rows, arms].mean() for arms in chosen])
    points = np.array([drawn.quality[rows, arms].mean() for arms in chosen])
    found = hulls([[*points_usd, cost.min()]], [[*points, quality[cost.argmin()]]])
    equal = float(costs_at(found, [quality[strong]])[0]) / cost[strong]
    at = np.linspace(0, len(weights) - 1, N_LOOKS).round().astype(int)
    metrics = {
        "AIQ": float(mean_heights(found, [cost.min()], [cost.max()])[0]),
        "cost_at_equal_quality": float(np.fmin(equal, 1.0)),
        "quality_at_equal_cost": float(heights_at(found, [cost[strong]])[0]),
        "saving": float(1 - points_usd[at[N_LOOKS // 2]] / cost[strong]),
    }
    saved_usd = metrics["saving"] * float(cost[strong])
    return Truth(strong, weights[at], points[at] - quality[strong], metrics, saved_usd)


def covered(name: str, n: int, seed: int) -> dict[str, float]:
    """Measure one router on few prompts, and tell which intervals hold the truth."""
    truth = truth_of(name)
    drawn = drawn_of(WORLDS[name], n, np.random.default_rng([seed, n]))
    tested = tested_of(drawn, truth.strong)
    looks = np.stack([choose_arms(drawn.estimates, each) for each in truth.cost_weights], axis=1)
    router = estimates_contender(tested, drawn.estimates, looks[:, N_LOOKS // 2])
    how = {"n_bootstrap": _N_BOOTSTRAP, "random_state": seed}
    best = arms_contender(tested, np.full(n, truth.strong))
    measured = measure(tested, {"router": router, "best single": best}, **how)
    found = measured.intervals("router")
    saved = product_interval(
        found["saving"],
        measured.intervals("best single")["cost_usd"],
        measured.correlation(("router", "saving"), ("best single", "cost_usd")),
    )
    looked = replace(
        router,
        curve_quality=take_arms(tested.quality, looks),
        curve_cost_usd=take_arms(tested.cost_usd, looks),
    )
    means = looked.curve_quality.mean(axis=0), looked.curve_cost_usd.mean(axis=0)
    true = truth.differences[np.lexsort(means)]
    band = curve_band(tested, looked, **how)
    flatters = band.difference_low > true + _ROUNDING
    return {
        metric: float(found[metric].low - _ROUNDING <= value <= found[metric].high + _ROUNDING)
        for metric, value in truth.metrics.items()
    } | {
        "dollars": float(saved.low <= truth.saved_usd <= saved.high),
        "looks": float(flatters.any()),
    }


CLAIMS = {
    metric: Claim(f"the interval of `{metric}` covers the truth", at_least=0.93)
    for metric in ("AIQ", "cost_at_equal_quality", "quality_at_equal_cost", "saving")
} | {
    "dollars": Claim("the interval of the dollars saved covers the truth", at_least=0.93),
    "looks": Claim("some of 12 cost weights is said to gain more than it does", at_most=0.05),
}
STUDIES = {
    f"{name}_{n}": Study(f"{_WORDS[name]}; {n} prompts", partial(covered, name, n), CLAIMS, 60, 500)
    for name in WORLDS
    for n in (100, 400)
}
