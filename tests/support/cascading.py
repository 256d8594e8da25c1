"""A small world in which an answer shows whether it is right, and a cascade that has learnt it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scripted_server import GOOD_ANSWER, Reply

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.rivals import KNNRouter

SURE, UNSURE = "Answer: 4", "I am not sure, it may be anything, sorry."
MODELS = ["small", "large"]
N_LEARNT = 240  # prompts that the cascade has seen; the rest is held out


def telling_outcomes(n_prompts: int = N_LEARNT + 120) -> Outcomes:
    """The small model is right half the time, and says so; the large one always, at 20 times."""
    rng = np.random.default_rng(7)
    is_right = rng.random(n_prompts) < 0.5
    prompts = [f"Question {i}: {a} of {b}?" for i, (a, b) in enumerate(
        rng.integers(100, 999, (n_prompts, 2)))]  # fmt: skip
    return Outcomes(
        prompts,
        MODELS,
        quality=np.column_stack([is_right, np.ones(n_prompts)]),
        cost_usd=np.tile([1e-4, 2e-3], (n_prompts, 1)),
        answers=[[SURE if right else UNSURE, SURE] for right in is_right],
    )


@cache
def telling_cascade() -> Cascade:
    """A cascade that asks the small model first, and the large one where it isn't sure."""
    outcomes = telling_outcomes().take(range(N_LEARNT))
    cascade = Cascade(KNNRouter().fit(outcomes)).fit(outcomes)
    cascade.stand_at(100.0, None, {})
    return cascade


def says(text: str) -> Callable[[dict[str, Any]], Reply]:
    """Return a server's part: it says the same to everything."""
    choice = {**GOOD_ANSWER["choices"][0], "message": {"content": text}}
    return lambda body: Reply(body={**GOOD_ANSWER, "choices": [choice]})
