"""Ask whether a judge that errs is corrected by what a person said of a random part."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.stats import norm

from claims.study import Claim, Study
from routerlib.evaluation.audited import Audited
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.pseudo_outcomes import corrected
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.audit import Audit
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.routers.router import Router

MODELS = ("small", "large")
# Always calling small loses 5.3 points against large; who forgives it 35 % of its wrong answers
# sees a loss of 0.2.
_LARGE, _SMALL = 0.905, 0.852
_FORGIVES = 0.35
_LOSS = _SMALL - _LARGE
# What a router gives up that sends easy prompts, which are half, to small.
_EASY = np.array([0.71, 0.815])
_HARD = np.array([0.2, 0.815])
_ROUTED_LOSS = 0.5 * (_EASY[0] - _EASY[1])


def _right(chance: Floats, family: int, rng: np.random.Generator) -> Floats:
    """Draw which answers are right; those to a family's prompts are so together."""
    n = len(chance)
    if family == 1:
        return (rng.random(chance.shape) < chance).astype(float)
    shared = np.repeat(rng.normal(size=(-(-n // family), 2)), family, axis=0)[:n]
    luck = np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=chance.shape)
    return (luck < norm.ppf(chance)).astype(float)


def _forgiven(right: Floats, share: float, rng: np.random.Generator) -> Floats:
    judged = right.copy()
    judged[(right[:, 0] == 0) & (rng.random(len(right)) < share), 0] = 1.0
    return judged


def _difference(
    seed: int, n: int, n_drawn: int, family: int = 1, forgives: float = _FORGIVES, noise: float = 0
) -> dict[str, float]:
    """Draw the difference of two models, by a judge and corrected."""
    rng = np.random.default_rng(seed)
    right = _right(np.tile([_SMALL, _LARGE], (n, 1)), family, rng)
    judged = _forgiven(right, forgives, rng)
    if noise:
        judged = np.where(rng.random(judged.shape) < noise, rng.random(judged.shape), judged)
    scored = np.full(n, np.nan)
    drawn = rng.choice(n, n_drawn, replace=False)
    scored[drawn] = right[drawn, 0] - right[drawn, 1]
    told = judged[:, 0] - judged[:, 1]
    groups = np.arange(n) // family
    found = corrected(told, scored, np.full(n, n_drawn / n), groups)
    by_judge = corrected(told, told, np.ones(n), groups).interval
    return {
        "before": float(_holds(by_judge, _LOSS)),
        "covers": float(_holds(found.interval, _LOSS)),
        "error": found.interval.value - _LOSS,
        "width": _width(found.interval) / _width(found.alone),
    }


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def _width(interval: Interval) -> float:
    return interval.high - interval.low


class _Easy(Router):
    """Sends easy prompts, which begin with "a", to the small model."""

    def _learn(self, outcomes: Outcomes) -> None:
        pass

    def _estimate(self, prompts: list[str], topics: object = None) -> tuple[Floats, Floats]:
        is_easy = np.array([prompt.startswith("a") for prompt in prompts])
        quality = np.where(is_easy[:, None], [0.9, 0.8], [0.1, 0.8])
        return quality, np.tile([0.1, 1.0], (len(prompts), 1))


def _judged(seed: int, n: int, n_drawn: int) -> dict[str, float]:
    """Draw a verdict by a judge who forgives, and one that a person corrects."""
    rng = np.random.default_rng(seed)
    is_easy = rng.random(2 * n) < 0.5
    words = rng.integers(10**9, size=(2 * n, 5))
    prompts = [
        f"{'a' if easy else 'b'} " + " ".join(f"w{word}" for word in row)
        for easy, row in zip(is_easy, words, strict=True)
    ]
    right = _right(np.where(is_easy[:, None], _EASY, _HARD), 1, rng)
    judged = _forgiven(right, _FORGIVES, rng)
    everything = Outcomes(prompts, MODELS, judged, np.tile([0.1, 1.0], (2 * n, 1)))
    router = _Easy()
    router.fit(everything.take(range(n)))
    test = everything.take(range(n, 2 * n))
    scored = np.full((n, 2), np.nan)
    drawn = rng.choice(n, n_drawn, replace=False)
    scored[drawn] = right[n:][drawn]
    by_judge = evaluate(router, test, n_bootstrap=100)
    found = evaluate(router, test, audit=Audit.of_random(test, scored), n_bootstrap=100)
    audited = found.audited
    assert isinstance(audited, Audited)
    quality = audited.quality["small"].interval
    return {
        "before": float(by_judge.verdict.kind == "pays"),
        "wrong": float(found.verdict.kind == "pays"),
        "covers": float(_holds(audited.difference.interval, _ROUTED_LOSS)),
        "quality": float(_holds(quality, (_EASY[0] + _HARD[0]) / 2)),
        "width": _width(audited.difference.interval) / _width(audited.difference.alone),
    }


_CORRECTED = {
    "before": Claim("before: the interval of the judge's own scores holds the true difference"),
    "covers": Claim("the corrected interval holds the true difference", at_least=0.93),
    "error": Claim("the corrected difference is right in the mean", at_least=-0.01, at_most=0.01),
    "width": Claim("width, as a share of that by the person's scores alone", at_most=1.0),
}
_VERDICT = {
    "before": Claim("before: 'pays' by the judge, where 5.3 points are lost"),
    "wrong": Claim("'pays' after the correction", at_most=0.05),
    "covers": Claim("the corrected interval holds the router's true difference", at_least=0.93),
    "quality": Claim("the corrected interval holds the small model's quality", at_least=0.93),
    "width": Claim("width, as a share of that by the person's scores alone", at_most=1.0),
}


def _study(world: str, draw: partial, claims: dict[str, Claim], quick: int, full: int) -> Study:
    return Study(world, draw, claims, n_quick=quick, n_full=full)


STUDIES = {
    name: _study(world, partial(_difference, **how), _CORRECTED, 1000, 4000)
    for name, world, how in (
        (
            "forgiving_100",
            "450 prompts, a judge that forgives one model 35 % of its wrong answers (-5.3 points "
            "become -0.2); a person scores 100 prompts",
            {"n": 450, "n_drawn": 100},
        ),
        ("forgiving_200", "The same, 200 of 1,500 prompts", {"n": 1500, "n_drawn": 200}),
        ("forgiving_50", "The same, 50 of 450 prompts", {"n": 450, "n_drawn": 50}),
        (
            "clustered",
            "The same, 150 of 900 prompts in families of five that are right or wrong together",
            {"n": 900, "n_drawn": 150, "family": 5},
        ),
        (
            "honest",
            "A judge that never errs; 100 of 450 prompts",
            {"n": 450, "n_drawn": 100, "forgives": 0.0},
        ),
        (
            "guessing",
            "A judge that forgives, and guesses any number on 60 % of answers; 100 of 450",
            {"n": 450, "n_drawn": 100, "noise": 0.6},
        ),
    )
} | {
    "verdict": _study(
        "A router that sends half of the prompts to the forgiven model; 1,500 held-out prompts, a "
        "person scores 150",
        partial(_judged, n=1500, n_drawn=150),
        _VERDICT,
        40,
        400,
    )
}
