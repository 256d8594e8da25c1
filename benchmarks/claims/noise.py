"""Ask whether the share of the gap to the oracle that is luck is told rightly."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.noise import noise_ceiling
from routerlib.evaluation.repeats import Repeats
from routerlib.records.arrays import Floats

_N_PROMPTS, _N_REPEATS, _N_TRUE = 100, 4, 200_000
_ROUNDING = 1e-9
_MODELS = ("small", "middle", "large")
_ABILITY = np.array([0.1, 0.3, 0.5])
_TOPICS = ("law", "music", "sailing", "cooking", "chess")


class World(NamedTuple):
    """Spread of log odds over topics and over the prompts of a topic, and prompts of a family."""

    topic: float
    prompt: float
    family: int = 1


_WORLDS = {
    "mixed": ("topic and prompt matter", World(0.8, 0.8)),
    "luck": ("all is luck: three models equally good on each prompt but for 5 points", World(0, 0)),
    "families": ("topic and prompt matter, families of four prompts", World(0.8, 0.8, family=4)),
}


class Drawn(NamedTuple):
    """Chance of each right answer (n_prompts, n_models), topic and family (n_prompts,)."""

    chance: Floats
    topic: np.ndarray
    family: np.ndarray


def _drawn(world: World, n: int, rng: np.random.Generator) -> Drawn:
    family = np.arange(n) // world.family
    topic = rng.integers(len(_TOPICS), size=family[-1] + 1)[family]
    of_topic = world.topic * np.random.default_rng(3).normal(size=(len(_TOPICS), len(_MODELS)))
    own = world.prompt * rng.normal(size=(family[-1] + 1, len(_MODELS)))[family]
    return Drawn(1 / (1 + np.exp(-(_ABILITY + of_topic[topic] + own))), topic, family)


@lru_cache
def truth_of(name: str) -> dict[str, float]:
    """Return the mean qualities that hold on very many prompts, and the shares of the gap."""
    chance, topic, _ = _drawn(_WORLDS[name][1], _N_TRUE, np.random.default_rng(12345))
    single = float(chance.mean(axis=0).max())
    means = np.array([chance[topic == each].mean(axis=0) for each in range(len(_TOPICS))])
    by_topic = float(chance[np.arange(_N_TRUE), means.argmax(axis=1)[topic]].mean())
    by_prompt = float(chance.max(axis=1).mean())
    lucky = float(1 - (1 - chance).prod(axis=1).mean())
    gap = lucky - single
    return {
        "lucky oracle": lucky,
        "prompt oracle": by_prompt,
        "noise": (lucky - by_prompt) / gap,
        "topic": (by_topic - single) / gap,
        "prompt": (by_prompt - by_topic) / gap,
    }


def covered(seed: int, name: str) -> dict[str, float]:
    """Ask each prompt four times, and tell which intervals hold the truth."""
    truth, rng = truth_of(name), np.random.default_rng(seed)
    chance, topic, family = _drawn(_WORLDS[name][1], _N_PROMPTS, rng)
    quality = (rng.random((*chance.shape, _N_REPEATS)) < chance[:, :, None]).astype(float)
    words = rng.integers(10**9, size=(_N_PROMPTS, 6)).astype(str)
    repeats = Repeats(
        tuple(" ".join(each) for each in words),
        _MODELS,
        quality,
        tuple(_TOPICS[each] for each in topic),
        tuple(f"family {each}" for each in family),
    )
    found = noise_ceiling(repeats, n_bootstrap=500, random_state=seed)
    oracle = [found.values[f"prompt oracle, at {end}"] for end in ("least", "most")]
    ends = {name: (low.low, high.high) for name, (low, high) in found.parts.items()}
    ends |= {
        "lucky oracle": found.values["lucky oracle"][1:3],
        "prompt oracle": (oracle[0].low, oracle[1].high),
    }
    return {
        name: float(ends[name][0] - _ROUNDING <= value <= ends[name][1] + _ROUNDING)
        for name, value in truth.items()
    }


_CLAIMS = {
    "lucky oracle": Claim("the interval of the oracle holds the truth", at_least=0.93),
    "prompt oracle": Claim("the two ends hold the best that a router could reach", at_least=0.93),
    "noise": Claim("the share that is luck lies where it is said to lie", at_least=0.93),
    "topic": Claim("the share that is topic does", at_least=0.93),
    "prompt": Claim("the share that is the prompt within its topic does", at_least=0.93),
}

STUDIES = {
    name: Study(
        f"three models, five topics, {_N_PROMPTS} prompts asked {_N_REPEATS} times; {words}",
        partial(covered, name=name),
        _CLAIMS,
        n_quick=60,
        n_full=400,
    )
    for name, (words, _) in _WORLDS.items()
}
