"""Ask whether a verdict says the right word where the truth is known, at 3,000 prompts."""

from __future__ import annotations

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.evaluate import evaluate
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.train import at_operating_point

_N = 3000
_USD = (0.1, 1.0)
# Chances to be right of the small and the large model, by half of the topics.
_NOTHING = ((0.55, 0.80), (0.55, 0.80))
_SAVES = ((0.85, 0.85), (0.30, 0.85))
_GAINS = ((0.92, 0.78), (0.45, 0.80))


def _said(seed: int, chances: tuple[tuple[float, float], ...], word: str) -> dict[str, float]:
    """Draw prompts whose topics tell the chances, train, judge, and compare the word."""
    rng = np.random.default_rng(seed)
    drawn = make_world(n_prompts=_N, n_models=2, seed=seed).outcomes
    names = sorted(set(drawn.topics or ()))
    half = np.array([names.index(topic) % 2 for topic in drawn.topics or ()])
    # Within a topic prompts differ in ways that no words tell.
    chance = np.clip(np.array(chances)[half] + rng.uniform(-0.1, 0.1, (_N, 1)), 0, 1)
    quality = (rng.random(chance.shape) < chance).astype(float)
    usd = np.array(_USD) * rng.lognormal(0, 0.3, (_N, 1))
    outcomes = Outcomes(drawn.prompts, ("small", "large"), quality, usd, topics=drawn.topics)
    train, test = outcomes.split(random_state=seed)
    router = at_operating_point(KNNRouter(), train)
    verdict = evaluate(router, test, n_bootstrap=200).verdict
    return {
        "right": float(verdict.kind == word),
        "wrong": float(verdict.kind in {"pays", "does_not_pay"} - {word}),
    }


def nothing_to_gain(seed: int) -> dict[str, float]:
    """Draw a world in which no words tell which model is right."""
    return _said(seed, _NOTHING, "does_not_pay")


def saves(seed: int) -> dict[str, float]:
    """Draw a world in which half of the prompts lose nothing at a tenth of the cost."""
    return _said(seed, _SAVES, "pays")


def gains(seed: int) -> dict[str, float]:
    """Draw a world in which each model is the better one of half of the prompts."""
    return _said(seed, _GAINS, "pays")


_CLAIMS = {
    "right": Claim("the verdict says the right word", at_least=0.8),
    "wrong": Claim("it says the opposite", at_most=0.05),
}

STUDIES = {
    "nothing": Study(
        "3,000 prompts, 30 % held out; two models, no words tell which is right: does not pay",
        nothing_to_gain,
        _CLAIMS,
        n_quick=12,
        n_full=200,
    ),
    "saves": Study(
        "The same sizes; on half of the prompts the small model is as good at a tenth of the "
        "cost, -45 % at equal quality: pays",
        saves,
        _CLAIMS,
        n_quick=12,
        n_full=200,
    ),
    "gains": Study(
        "The same sizes; each model is the better one of half of the prompts: pays",
        gains,
        _CLAIMS,
        n_quick=12,
        n_full=200,
    ),
}
