"""Who answers: the router, with or without exploration, the caller, or the conversation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from routerlib.router import Choosing
from routerlib.routers import Router, RuleRouter
from routerlib.types import Decision, Estimates, Prompt

# Makes the policy for a cost weight; new for each decision, so it must be cheap.
Exploration: TypeAlias = Callable[[float], Choosing]

_EPSILON_GREEDY = "epsilon-greedy"


def read_exploration(text: str | None) -> Exploration | None:
    """Read what ``--explore`` says.

    Parameters
    ----------
    text : str or None
        ``epsilon-greedy:0.1``: one prompt in ten goes to any candidate, evenly. None = never.

    Returns
    -------
    callable or None
        Makes the policy for a cost weight.

    Raises
    ------
    ValueError
        If it is nothing that is known.
    """
    if text is None:
        return None
    name, _, share = text.partition(":")
    try:
        epsilon = float(share or "0.1")
    except ValueError:
        epsilon = float("nan")
    if name != _EPSILON_GREEDY or not 0 <= epsilon <= 1:
        raise ValueError(
            f"exploration must be {_EPSILON_GREEDY}:SHARE with a share in [0, 1], got {text!r}"
        )
    from routerlib.exploration import EpsilonGreedy

    rng = np.random.default_rng()

    def policy(cost_weight: float) -> Choosing:
        return EpsilonGreedy(cost_weight, epsilon=epsilon, random_state=int(rng.integers(2**63)))

    return policy


def decide(
    router: Router,
    prompt: Prompt,
    cost_weight: float | None,
    exploration: Exploration | None,
) -> Decision:
    """Choose a candidate for a prompt.

    Parameters
    ----------
    router : Router
        Who estimates.
    prompt : Prompt
        What is asked.
    cost_weight : float or None
        Quality given up per US dollar saved; None = the router's own operating point.
    exploration : callable or None
        Makes the policy that draws the choice; None = the best expected utility, always.

    Returns
    -------
    Decision
        With the exact probability of its choice.

    Raises
    ------
    ValueError
        If a cost is weighed that isn't known.
    """
    if exploration is None:
        return router.route(prompt.text, cost_weight=cost_weight, task=prompt.task)
    weight = router.cost_weight_ if cost_weight is None else cost_weight
    if isinstance(router, RuleRouter) or (cost_weight is None and router.fallback_ is not None):
        usual = router.route(prompt.text, cost_weight=cost_weight, task=prompt.task)
        return _around(usual, router.models_, exploration(0.0))
    drawn = router.route(prompt.text, policy=exploration(weight), task=prompt.task)
    return replace(drawn, cost_weight=weight)


def _around(usual: Decision, models: tuple[str, ...], policy: Choosing) -> Decision:
    """Explore around a choice that no estimate was weighed for: that of a rule."""
    arm = models.index(usual.model)
    certain = np.zeros((1, len(models)))
    certain[0, arm] = 1.0
    choices = policy.choose(Estimates(models, certain, np.zeros_like(certain)))
    drawn, propensity = models[int(choices.arms[0])], float(choices.propensities[0])
    if drawn == usual.model:
        return replace(usual, propensity=propensity)
    known = usual.estimates.get(drawn, {})
    return replace(
        usual,
        model=drawn,
        expected_quality=known.get("quality", float("nan")),
        expected_cost_usd=known.get("cost_usd", float("nan")),
        propensity=propensity,
        reason=f"explores; else {usual.model}: {usual.reason}",
    )
