"""Ask whether quality and cost that a router expects of who it chooses are what is got and paid."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.outcomes.worlds import Kind, World, make_world
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.arrays import Floats
from routerlib.routers.lightgbm.router import LGBMRouter

_N_NEW = 1000
_USD_PER_TOKEN = np.array([1e-6, 3e-6, 9e-6])
# Tokens of a usual answer, how far their logarithms differ by topic and model, and by nothing.
_TOKENS, _BY_TOPIC, _BY_CHANCE = 100.0, 0.5, 0.3
# Of the way through the cost weights at which a choice changes.
_SHARES = (0.0, 0.25, 0.5)


def chosen(seed: int, kind: Kind, n: int) -> dict[str, float]:
    """Train on some prompts, and compare what is expected of those chosen for others."""
    world, usd = _with_answers_paid(seed, kind, n + _N_NEW)
    new, rows = np.arange(n, n + _N_NEW), np.arange(_N_NEW)
    router = LGBMRouter().fit(world.outcomes.take(np.arange(n)))
    found = router.predict(world.outcomes.take(new).prompts)
    weights = sweep_cost_weights(found)
    seen = {}
    for share in _SHARES:
        arms = choose_arms(found, float(weights[int(share * (len(weights) - 1))]))
        expected, true = found.cost_usd[rows, arms].mean(), usd[new][rows, arms].mean()
        seen[f"cost at {share:g}"] = float(expected / true - 1)
        too_good = (found.quality - world.expected_quality[new])[rows, arms]
        seen[f"quality at {share:g}"] = float(too_good.mean())
    return seen


def _with_answers_paid(seed: int, kind: Kind, n: int) -> tuple[World, Floats]:
    """Return a world whose answers cost, and the US dollars that are expected, (n_prompts, 3)."""
    world = make_world(n, len(_USD_PER_TOKEN), seed, kind)
    rng = np.random.default_rng([seed, n, 9])
    topics = np.unique(np.array(world.outcomes.topics), return_inverse=True)[1]
    by_topic = rng.normal(0, _BY_TOPIC, (topics.max() + 1, len(_USD_PER_TOKEN)))[topics]
    usual = world.outcomes.cost_usd + _TOKENS * _USD_PER_TOKEN * np.exp(by_topic)
    paid = usual * rng.lognormal(-(_BY_CHANCE**2) / 2, _BY_CHANCE, usual.shape)
    outcomes = in_groups(replace(world.outcomes, cost_usd=paid), np.arange(n))
    return World(outcomes, world.expected_quality), usual


_WORDS = {
    "skill": "each of three models is the best one of some topics",
    "price": "three models, prompts from easy to hard, the dearer the better on each",
}
# After few training prompts costs are known less well.
_COST_OFF = {100: 0.04, 500: 0.01}


def _claims(n: int) -> dict[str, Claim]:
    off = _COST_OFF[n]
    claims = {}
    for share in _SHARES:
        where = f"{share:g} of the way through the cost weights at which a choice changes"
        claims[f"cost at {share:g}"] = Claim(
            f"the chosen model's expected cost is within {off:.0%} of the true one, {where}",
            -off,
            off,
        )
        claims[f"quality at {share:g}"] = Claim(
            f"the chosen model's expected quality is at most a point too high, {where}",
            at_most=0.01,
        )
    return claims


STUDIES = {
    f"{kind}_{n}": Study(
        f"{words}, the length of answers by topic and model, and by chance; {n} training prompts",
        partial(chosen, kind=kind, n=n),
        _claims(n),
        n_quick=8,
        n_full=60,
    )
    for kind, words in _WORDS.items()
    for n in (100, 500)
}
