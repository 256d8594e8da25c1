"""Ask whether a certified operating point loses more, or costs more, than it promised."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from claims.curves import World, drawn_of
from claims.study import Claim, Study
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.decision import Estimates
from routerlib.routers.training.certification import certified_operating_point

_EPSILON, _DELTA = 0.03, 0.1
_N_CALIBRATED, _N_NEW = 500, 4000


def overstated(seed: int) -> dict[str, float]:
    """Certify a router whose estimates of quality are off by much noise, then ask the truth."""
    world = make_world(_N_CALIBRATED + _N_NEW, seed=seed, kind="skill")
    rng = np.random.default_rng(seed)
    noisy = world.expected_quality + rng.normal(scale=0.3, size=world.expected_quality.shape)
    models = world.outcomes.models
    estimates = Estimates(models, np.clip(noisy, 0, 1), world.outcomes.cost_usd)
    used = np.arange(_N_CALIBRATED)
    new = np.arange(_N_CALIBRATED, _N_CALIBRATED + _N_NEW)
    calibrated = _rows(estimates, used)
    certificate = certified_operating_point(
        calibrated,
        world.outcomes.take(used),
        epsilon=_EPSILON,
        delta=_DELTA,
        best_single=world.outcomes.best_single,
        cost_weights=sweep_cost_weights(_rows(estimates, new))[::10],
    )
    if certificate.cost_weight is None:
        return {"violated": 0.0}
    arms = choose_arms(_rows(estimates, new), certificate.cost_weight)
    truth = world.expected_quality[new]
    rows, cost_usd = np.arange(_N_NEW), world.outcomes.cost_usd[new]
    lost = truth.mean(axis=0).max() - truth[rows, arms].mean()
    best_usd = cost_usd[:, models.index(world.outcomes.best_single)].mean()
    return {"violated": float(lost > _EPSILON or cost_usd[rows, arms].mean() >= best_usd)}


_WORLDS = {
    "gains": World(skill=2.0, noise=0.5),
    "heavy": World(skill=2.0, noise=0.5, tail=1.5),
    "edge": World(tail=0.8),
    "dearest": World(dearest=-0.8, skill=1.2),
    "rarely": World(dearest=-0.5, skill=1.2, tail=1.5),
    "cheapest": World(lowest=1.2, highest=0.8, skill=1.5, noise=0.4),
    "wrong": World(noise=2.5),
    "clustered": World(skill=2.0, noise=0.5, per_family=4),
}
_WORDS = {
    "gains": "four models, much to gain",
    "heavy": "the same with costs that are lognormal with sigma 1.5",
    "edge": "four models, little can be saved within epsilon",
    "dearest": "the dearest model is not the best: at small cost weights routing is dearer than it",
    "rarely": "the same with heavy tails: a few long calls to the dearest decide",
    "cheapest": "the best single model is the cheapest: routing gains quality, for more",
    "wrong": "estimates are hardly more than noise",
    "clustered": "much to gain, families of four prompts",
}
_N_TRUE = 100_000


@lru_cache
def true_points(name: str) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Return the best model, cost weights to test, and what each loses and costs in truth.

    Costs are shares of those of the best model.
    """
    drawn = drawn_of(_WORLDS[name], _N_TRUE, np.random.default_rng(12345))
    quality, cost = drawn.quality.mean(axis=0), drawn.cost_usd.mean(axis=0)
    best, rows = int(quality.argmax()), np.arange(_N_TRUE)
    weights = sweep_cost_weights(_rows(drawn.estimates, np.arange(2000)), 24)
    chosen = [choose_arms(drawn.estimates, weight) for weight in weights]
    lost = [quality[best] - drawn.quality[rows, arms].mean() for arms in chosen]
    share = [drawn.cost_usd[rows, arms].mean() / cost[best] for arms in chosen]
    return best, weights, np.array(lost), np.array(share)


def certified(name: str, seed: int) -> dict[str, float]:
    """Certify a fixed router on few prompts, then look the truth up."""
    best, weights, lost, share = true_points(name)
    drawn = drawn_of(_WORLDS[name], _N_CALIBRATED, np.random.default_rng([seed, 3]))
    words = np.random.default_rng(0).integers(10**9, size=(_N_CALIBRATED, 6)).astype(str)
    prompts = [" ".join(words[family]) + f" {at}" for at, family in enumerate(drawn.family)]
    names = drawn.estimates.models
    certificate = certified_operating_point(
        drawn.estimates,
        Outcomes(prompts, names, drawn.quality, drawn.cost_usd),
        epsilon=_EPSILON,
        delta=_DELTA,
        best_single=names[best],
        cost_weights=weights,
    )
    if certificate.cost_weight is None:
        return {"violated": 0.0, "dearer": 0.0, "certified": 0.0, "saved": 0.0}
    at = int(np.flatnonzero(weights == certificate.cost_weight)[0])
    return {
        "violated": float(lost[at] > _EPSILON or share[at] >= 1),
        "dearer": float(share[at] >= 1),
        "certified": 1.0,
        "saved": 1 - share[at],
    }


def _rows(estimates: Estimates, rows: np.ndarray) -> Estimates:
    return Estimates(estimates.models, estimates.quality[rows], estimates.cost_usd[rows])


_PROMISED = Claim("a certified point loses more than epsilon, or isn't cheaper", at_most=_DELTA)
_CLAIMS = {
    "violated": _PROMISED,
    "dearer": Claim("a certified point isn't cheaper than best single", at_most=_DELTA),
    "certified": Claim("certified (no promise: how often it is)"),
    "saved": Claim("saving kept, 0 where none is certified (no promise)", is_share=False),
}
STUDIES = {
    "overstated": Study(
        "Three models, six topics, estimates with noise of .3; 500 prompts to certify, 4,000 new",
        overstated,
        {"violated": _PROMISED},
        n_quick=60,
        n_full=500,
    ),
    **{
        name: Study(f"{_WORDS[name]}; 500 prompts", partial(certified, name), _CLAIMS, 100, 500)
        for name in _WORLDS
    },
}
