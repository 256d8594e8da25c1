"""Ask whether intervals of routers that are tested out of fold hold the router in use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.evaluation.cross_fit import cross_evaluate
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Arms, Floats
from routerlib.routers.router import Router
from routerlib.routers.training.train import at_operating_point

_SIZES = (150, 450, 1500)
_N_NEW = 3000
# A prompt is a word for each of so many traits; the word tells how much of it there is.
_N_TRAITS, _N_LEVELS = 10, 24
_STARTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_WORDS = [
    [f"{_STARTS[trait]}{_VOWELS[level % 5]}{_STARTS[level // 5]}o" for level in range(_N_LEVELS)]
    for trait in range(_N_TRAITS)
]
_TRAIT_OF = {
    word: (trait, (level - (_N_LEVELS - 1) / 2) / 6.9)
    for trait, words in enumerate(_WORDS)
    for level, word in enumerate(words)
}
_HARDNESS = 0.8


class _World(NamedTuple):
    """Abilities (n_models,), what each trait does (n_models, n_traits), and mean costs.

    `family`: prompts that are nearly the same. `together`: share of answers whose luck is shared.
    """

    ability: Floats
    skill: Floats
    usd: Floats
    family: int = 1
    together: float = 0.0


def _skills(n_models: int, size: float, n_traits: int = 3) -> Floats:
    drawn = np.random.default_rng(7).normal(0, size, (n_models, _N_TRAITS))
    return drawn * (np.arange(_N_TRAITS) < n_traits)


def _worlds() -> dict[str, tuple[str, _World]]:
    steep = 1e-3 * 3.0 ** np.arange(4)
    pair = np.zeros((2, _N_TRAITS))
    pair[0, :2] = 1.5, 0.5
    alike = np.tile(_skills(1, 1.0), (4, 1)) + _skills(4, 0.05)
    same = 1e-3 * np.linspace(1, 1.3, 4)
    return {
        "two": ("two models", _World(np.array([0.2, 1.2]), pair, steep[[0, 2]])),
        "many": (
            "nine models",
            _World(np.linspace(-0.3, 1.2, 9), _skills(9, 0.7), 1e-3 * np.linspace(1, 10, 9)),
        ),
        "nothing": (
            "four models, nothing to learn",
            _World(np.linspace(0, 1, 4), np.zeros((4, _N_TRAITS)), steep),
        ),
        "small": (
            "four models, small gains",
            _World(np.array([0.3, 0.6, 0.8, 1.0]), _skills(4, 0.35), steep),
        ),
        "alike": (
            "four models of nearly the same price and quality, wrong together",
            _World(np.full(4, 0.6), alike, same, together=0.8),
        ),
        "families": (
            "four models, families of four prompts",
            _World(np.array([0.2, 0.6, 0.9, 1.2]), _skills(4, 0.7), steep, family=4),
        ),
    }


WORLDS = _worlds()


def _prompts(n: int, family: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Write prompts, and name their families; those of one differ in a single word."""
    n_families = -(-n // family)
    levels = np.repeat(rng.integers(_N_LEVELS, size=(n_families, _N_TRAITS)), family, axis=0)[:n]
    if family > 1:
        levels[np.arange(n), rng.integers(_N_TRAITS, size=n)] = rng.integers(_N_LEVELS, size=n)
    texts = [" ".join(_WORDS[trait][level] for trait, level in enumerate(row)) for row in levels]
    return texts, [f"family {row // family}" for row in range(n)]


def _traits(texts: list[str]) -> Floats:
    return np.array([[_TRAIT_OF[word][1] for word in text.split()] for text in texts])


def drawn(world: _World, n: int, rng: np.random.Generator) -> tuple[Outcomes, Floats]:
    """Draw outcomes, and the true expected quality of each cell."""
    texts, families = _prompts(n, world.family, rng)
    hardness = np.repeat(rng.normal(size=(n, 1)), world.family, axis=0)[:n] * _HARDNESS
    expected = 1 / (1 + np.exp(-(world.ability + _traits(texts) @ world.skill.T + hardness)))
    luck = rng.random(expected.shape)
    luck = np.where(rng.random(expected.shape) < world.together, rng.random((n, 1)), luck)
    usd = world.usd * rng.lognormal(0, 0.4, (n, 1))
    models = [f"m{arm}" for arm in range(len(world.ability))]
    quality = (luck < expected).astype(float)
    outcomes = Outcomes(texts, models, quality, usd, group_ids=families)
    return in_groups(outcomes, np.arange(n) // world.family), expected


class Ridge(Router):
    """Expect quality to be linear in the traits, and each model to cost the same anywhere."""

    name = "ridge of traits"

    def _learn(self, outcomes: Outcomes) -> None:
        columns = self._columns(list(outcomes.prompts))
        penalty = 5 * np.eye(columns.shape[1])
        self._slopes = np.linalg.solve(columns.T @ columns + penalty, columns.T @ outcomes.quality)

    def _estimate(self, texts: list[str], topics: object) -> tuple[Floats, Floats]:
        quality = np.clip(self._columns(texts) @ self._slopes, 0, 1)
        return quality, np.tile(self.mean_cost_usd_, (len(texts), 1))

    @staticmethod
    def _columns(texts: list[str]) -> Floats:
        return np.column_stack([np.ones(len(texts)), _traits(texts)])


def _trained(outcomes: Outcomes) -> Router:
    return at_operating_point(Ridge(), outcomes)


def _greedy(outcomes: Outcomes) -> Router:
    """Choose by estimates alone, whatever chance they rest on."""
    return Ridge().fit(outcomes)


def _let_loose(router: Router, texts: list[str]) -> Arms:
    weight = router.cost_weight_
    if router.fallback_ is not None:
        weight = float(router.training_["tried_cost_weight"])
    return choose_arms(router.predict(texts), weight)


def _judged(seed: int, name: str, n: int, fit: Callable[[Outcomes], Router]) -> dict[str, float]:
    world = WORLDS[name][1]
    rng = np.random.default_rng([seed, n])
    outcomes, _ = drawn(world, n, rng)
    router, evaluation = cross_evaluate(outcomes, fit_router=fit, n_bootstrap=200)
    new, expected = drawn(world, _N_NEW, rng)
    best = new.models.index(router.best_single_)
    arms = _let_loose(router, list(new.prompts))
    truth = float((expected[np.arange(_N_NEW), arms] - expected[:, best]).mean())
    # Where it keeps to the best single model, what is told of it without that.
    tried = "tried_" if router.fallback_ is not None else ""
    numbers = evaluation.verdict.numbers
    low, high = (numbers.get(f"{tried}quality_difference_{end}", np.nan) for end in ("low", "high"))
    covers = float(low <= truth <= high) if low is not None and low == low else np.nan
    harm = evaluation.verdict.kind == "pays" and truth < -0.03
    return {"covers": covers, "wrong": float(harm)}


_CLAIMS = {
    "covers": Claim("the interval holds the difference of the router in use", at_least=0.93),
    "wrong": Claim("it is said to pay where it loses more than three points", at_most=0.05),
}

STUDIES = {
    f"{way}{name}_{n}": Study(
        f"{WORLDS[name][0]}; {n} prompts, all of them tested by routers of five folds{words}",
        partial(_judged, name=name, n=n, fit=fit),
        _CLAIMS,
        n_quick=6,
        n_full=200,
    )
    for way, fit, words in (
        ("", _trained, ""),
        ("greedy_", _greedy, "; cost plays no part, and what is by chance is believed"),
    )
    for name in (WORLDS if not way else ("nothing", "small"))
    for n in _SIZES
}
