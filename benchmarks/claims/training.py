"""Ask whether a trained router loses where there is nothing to learn, or claims a gain there."""

from __future__ import annotations

from functools import partial

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.cross_fit import cross_evaluate
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import Kind, World, make_world
from routerlib.policies.utility import choose_arms
from routerlib.routers.training.operating_points import QUALITY_MARGIN
from routerlib.routers.training.train import train_router

_N_TRAIN, _N_NEW = 200, 1000
# True quality of three models that differ by less than so few prompts can tell.
_NEARLY_EQUAL = (0.6, 0.62, 0.63)


def trained(seed: int, world_of: str) -> dict[str, float]:
    """Train on 200 prompts, and ask the truth about 1,000 others."""
    world = _nearly_equal(seed) if world_of == "equal" else _usual(seed, world_of)
    new = np.arange(_N_TRAIN, _N_TRAIN + _N_NEW)
    router = train_router(world.outcomes.take(np.arange(_N_TRAIN)))
    estimates = router.predict(world.outcomes.take(new).prompts)
    truth, rows = world.expected_quality[new], np.arange(_N_NEW)
    best = truth[:, router.models_.index(router.best_single_)].mean()
    unweighed = choose_arms(estimates, 0.0)
    kept = np.full(_N_NEW, router.models_.index(router.best_single_))
    arms = choose_arms(estimates, router.cost_weight_) if router.fallback_ is None else kept
    return {
        "gain": float(truth[rows, unweighed].mean() - best),
        "too much": float(best - truth[rows, arms].mean() > QUALITY_MARGIN),
    }


def judged_on_noise(seed: int, world_of: str) -> dict[str, float]:
    """Train on 200 prompts and judge on the same, as the command `train` does with so few."""
    world = _nearly_equal(seed) if world_of == "equal" else _usual(seed, "nothing")
    log = world.outcomes.take(np.arange(_N_TRAIN))
    router, evaluation = cross_evaluate(log, n_bootstrap=300, random_state=seed)
    truth = world.expected_quality[0]  # the same on every prompt
    best = router.models_.index(router.best_single_)
    arms = np.full(_N_NEW, best)
    if router.fallback_ is None:
        new = world.outcomes.take(np.arange(_N_TRAIN, _N_TRAIN + _N_NEW))
        arms = choose_arms(router.predict(new.prompts), router.cost_weight_)
    return {
        "quality": float(truth[arms].mean() - truth[best]),
        "false": float(evaluation.verdict.kind in _GAINS),
    }


def _usual(seed: int, kind: Kind) -> World:
    return make_world(_N_TRAIN + _N_NEW, 3, seed, kind)


def _nearly_equal(seed: int) -> World:
    outcomes = _usual(seed, "nothing").outcomes
    truth = np.tile(_NEARLY_EQUAL, (len(outcomes), 1))
    drawn = (np.random.default_rng(seed).random(truth.shape) < truth).astype(float)
    texts = (outcomes.prompts, outcomes.models)
    return World(Outcomes(*texts, drawn, outcomes.cost_usd, topics=outcomes.topics), truth)


_LOSS = "mean quality lost at cost weight 0 against the best single model is at most 0.2 points"
_TOO_MUCH = "the chosen operating point loses more than 3 points with a probability of at most 10 %"
_GAIN = Claim(_LOSS, at_least=-0.002, is_share=False)
_GAINS = ("pays", "saves_at_a_price")
_NOISE_CLAIMS = {
    "quality": Claim(
        "the operating point is within 0.2 points of the best single model", -0.002, is_share=False
    ),
    "false": Claim("the verdict claims a gain that isn't there", at_most=0.05),
}
_WORDS = {
    "nothing": "three models, 10 points or more apart, no prompt different from others",
    "equal": "three models of quality .60, .62, .63 on each prompt",
    "price": "three models, prompts from easy to hard, the dearer the better on each",
}

STUDIES = {
    name: Study(
        world=f"{words}; {_N_TRAIN} training prompts",
        draw=partial(trained, world_of=name),
        claims={"gain": _GAIN, "too much": Claim(_TOO_MUCH, at_most=0.1)},
        n_quick=10,
        n_full=100,
    )
    for name, words in _WORDS.items()
} | {
    f"noise_{name}": Study(
        world=f"{_WORDS[name]}; {_N_TRAIN} prompts in all, each tested by routers of five folds",
        draw=partial(judged_on_noise, world_of=name),
        claims=_NOISE_CLAIMS,
        n_quick=10,
        n_full=100,
    )
    for name in ("nothing", "equal")
}
