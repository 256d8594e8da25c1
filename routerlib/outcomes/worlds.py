"""Make small worlds whose true expected quality is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.amounts import check_share
from routerlib.records.arrays import Floats

Kind = Literal["skill", "price", "nothing"]

# Topic -> words that only its prompts have.
TOPICS = {
    "astronomy": "comet orbit telescope galaxy lunar nebula eclipse meteor planet quasar solar",
    "cooking": "simmer garlic oven butter whisk recipe pepper dough roast basil saucepan vinegar",
    "law": "contract clause tenant verdict statute appeal plaintiff lease witness tribunal deed",
    "gardening": "compost prune seedling trellis mulch tulip orchard weeds shovel ivy hedge",
    "sailing": "harbour mast rudder tide anchor jib keel buoy knots starboard regatta hull",
    "music": "chord violin tempo melody rhythm opera trumpet octave choir drummer sonata scale",
}
_FILLER_WORDS = (
    "please explain how the old new best worst first last many some with without under over near "
    "before after during because although whether which while into onto about around between kind "
    "reason example detail summary list step friend teacher student visitor morning evening winter "
    "summer village city bridge river corner letter story answer choice small large quick slow"
)
_WORDS_PER_PROMPT = (14, 30)
_TOPIC_WORDS_PER_PROMPT = 4
_CHARS_PER_TOKEN = 4
# Cheapest candidate model, US dollars per prompt token; each next one costs three times as much.
_CHEAPEST_USD_PER_TOKEN = 1e-6
_PRICE_STEP = 3.0
_WINNER_QUALITY, _OTHER_QUALITY = 0.9, 0.45
_FLAT_QUALITY = (0.4, 0.8)
_ABILITY = (-0.6, 2.2)
_EASE = (3.2, -1.6)


class World(NamedTuple):
    """Outcomes together with the truth behind them.

    `expected_quality` (n_prompts, n_models): the probability of each 1.
    """

    outcomes: Outcomes
    expected_quality: Floats


def make_world(
    n_prompts: int = 300, n_models: int = 3, seed: int = 0, kind: Kind = "skill"
) -> World:
    """Draw prompts whose words tell their topic, and outcomes from a known truth."""
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}")
    if n_prompts < 1 or n_models < 1:
        raise ValueError(f"a world needs prompts and models, got {n_prompts!r} and {n_models!r}")
    rng = np.random.default_rng(seed)
    names = list(TOPICS)
    topic_of = rng.permutation(np.arange(n_prompts) % len(TOPICS))
    prompts = tuple(_write_prompt(names[topic], rng) for topic in topic_of)
    expected = _topic_quality(kind, n_models)[topic_of]
    tokens = np.array([len(prompt) / _CHARS_PER_TOKEN for prompt in prompts])
    prices = _CHEAPEST_USD_PER_TOKEN * _PRICE_STEP ** np.arange(n_models)
    outcomes = Outcomes(
        prompts=prompts,
        models=tuple(f"m{arm}" for arm in range(n_models)),
        quality=(rng.random(expected.shape) < expected).astype(np.float64),
        cost_usd=tokens[:, None] * prices,
        topics=tuple(names[topic] for topic in topic_of),
    )
    return World(outcomes, expected)


def make_answer_world(
    n_prompts: int = 300,
    n_models: int = 2,
    seed: int = 0,
    *,
    tell: float = 1.0,
    price_step: float = 20.0,
    kind: Kind = "nothing",
) -> World:
    """Draw a world in which answers tell, more or less, whether they are wrong.

    A right answer holds a sum that is right; a wrong one a sum that is wrong, with probability
    `tell`, and otherwise looks like a right one. So with `tell` 1 somebody who looks at an answer
    knows all, and with 0 nothing.

    `price_step`: each candidate costs so many times what the one before it costs.
    """
    check_share("tell", tell)
    world = make_world(n_prompts, n_models, seed, kind)
    rng = np.random.default_rng([seed, 1])
    shows = rng.random(world.expected_quality.shape) < tell
    is_right = (world.outcomes.quality == 1) | ~shows
    numbers = rng.integers(2, 90, size=(*is_right.shape, 3))
    answers = [
        [
            _write_answer(int(cell[0]), int(cell[1]), int(cell[2]), is_right=bool(right))
            for cell, right in zip(row, rights, strict=True)
        ]
        for row, rights in zip(numbers, is_right, strict=True)
    ]
    prices = _CHEAPEST_USD_PER_TOKEN * price_step ** np.arange(n_models)
    tokens = np.array([len(prompt) / _CHARS_PER_TOKEN for prompt in world.outcomes.prompts])
    outcomes = replace(world.outcomes, cost_usd=tokens[:, None] * prices, answers=answers)
    return World(outcomes, world.expected_quality)


def _write_answer(left: int, right: int, off: int, *, is_right: bool) -> str:
    total = left + right + (0 if is_right else off)
    return f"We have {left} + {right} = {total}.\nAnswer: {total}"


def _write_prompt(topic: str, rng: np.random.Generator) -> str:
    about = rng.choice(TOPICS[topic].split(), _TOPIC_WORDS_PER_PROMPT, replace=False)
    n_filler = rng.integers(*_WORDS_PER_PROMPT)
    words = rng.permutation([*about, *rng.choice(_FILLER_WORDS.split(), n_filler)])
    return " ".join(words).capitalize() + "?"


def _topic_quality(kind: Kind, n_models: int) -> Floats:
    """Return the true expected quality, shape (n_topics, n_models)."""
    n_topics = len(TOPICS)
    if kind == "nothing":
        return np.tile(np.linspace(*_FLAT_QUALITY, n_models), (n_topics, 1))
    if kind == "skill":
        winner = np.arange(n_topics) % n_models
        is_winner = winner[:, None] == np.arange(n_models)
        return np.where(is_winner, _WINNER_QUALITY, _OTHER_QUALITY)
    ease = np.linspace(*_EASE, n_topics)
    ability = np.linspace(*_ABILITY, n_models)
    return 1 / (1 + np.exp(-(ease[:, None] + ability)))
