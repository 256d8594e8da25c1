"""Logged choices in small worlds whose truth is known."""

from __future__ import annotations

import numpy as np

from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.worlds import Kind, make_world
from routerlib.records.decision import Estimates


def make_log(
    n_prompts: int = 400,
    n_models: int = 3,
    seed: int = 0,
    kind: Kind = "skill",
    epsilon: float = 0.3,
) -> LoggedChoices:
    """Log choices in a small world: mostly the second best candidate, a share by chance.

    `epsilon` in (0, 1] is the share drawn evenly among all; estimates are the true expectations.
    """
    outcomes, expected = make_world(n_prompts, n_models, seed, kind)
    rng = np.random.default_rng([seed, 1])
    rows = np.arange(n_prompts)
    preferred = expected.argsort(axis=1, kind="stable")[:, -min(2, n_models)]
    probabilities = np.full(expected.shape, epsilon / n_models)
    probabilities[rows, preferred] += 1 - epsilon
    arms = (probabilities.cumsum(axis=1) < rng.random((n_prompts, 1))).sum(axis=1)
    arms = np.minimum(arms, n_models - 1)
    return LoggedChoices(
        prompts=outcomes.prompts,
        prompt_ids=outcomes.prompt_ids,
        models=tuple(outcomes.models),
        arms=arms,
        propensities=probabilities[rows, arms],
        quality=outcomes.quality[rows, arms],
        cost_usd=outcomes.cost_usd[rows, arms],
        estimates=Estimates(tuple(outcomes.models), expected, outcomes.cost_usd),
    )
