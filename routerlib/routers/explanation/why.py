"""Say in a few sentences why a router chose as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from routerlib.records.decision import Decision
    from routerlib.routers.explanation.margin import MarginExplanation
    from routerlib.routers.lightgbm.router import LGBMRouter
    from routerlib.routers.router import Router

# A difficulty of less isn't worth a word.
_FEWEST_POINTS = 1.5


def why(router: Router, prompt: str, decision: Decision, task: str | None = None) -> str:
    """Say why a model was chosen and not the next best, in a few sentences."""
    margin = margin_of(router, prompt, decision, task)
    if margin is None or not is_explainable(router):
        return decision.reason
    return f"{margin.sentence} {how_hard(router, prompt, task)}"


def how_hard(router: LGBMRouter, prompt: str, task: str | None = None) -> str:
    """Say whether a prompt is easier or harder than usual, for all candidates alike."""
    difficulty = router.steps([prompt], None if task is None else [task]).difficulty[0]
    points = 100 * float(difficulty.mean())
    if abs(points) < _FEWEST_POINTS:
        return "The prompt is about as hard as usual for all of them."
    word = "easier" if points > 0 else "harder"
    return f"The prompt is {word} than usual: {points:+.0f} points for all of them, on average."


def margin_of(
    router: Router, prompt: str, decision: Decision, task: str | None = None
) -> MarginExplanation | None:
    """Take a decision apart against the runner-up."""
    other = runner_up(decision)
    keeps_to_best = router.fallback_ is not None and decision.reason.endswith(router.fallback_)
    if other is None or keeps_to_best or not is_explainable(router):
        return None
    from routerlib.routers.explanation.margin import explain_margin

    return explain_margin(
        router, prompt, decision.model, other, cost_weight=decision.cost_weight, task=task
    )


def by_estimates(router: Router, prompt: str, task: str | None = None) -> str | None:
    """Say what the estimates of a router would say that keeps to the best single model."""
    is_alone = len(router.models_) < 2
    if router.fallback_ is None or is_alone or not is_explainable(router):
        return None
    from routerlib.routers.explanation.margin import explain_margin

    weight = router.cost_weight_
    best = router.best_single_
    margin = explain_margin(router, prompt, best, cost_weight=weight, task=task)
    return f"Its estimates alone: {margin.sentence}"


def is_explainable(router: Router) -> TypeGuard[LGBMRouter]:
    """Tell whether a router's estimates are made by trees of their own per candidate model."""
    from routerlib.routers.lightgbm.router import LGBMRouter

    return isinstance(router, LGBMRouter) and router.objective == "quality"


def runner_up(decision: Decision) -> str | None:
    """Return the model with the next best utility."""
    weight = decision.cost_weight
    utilities = {
        name: each["quality"] - (weight * each["cost_usd"] if weight else 0.0)
        for name, each in decision.estimates.items()
        if name != decision.model
    }
    known = {name: value for name, value in utilities.items() if np.isfinite(value)}
    return max(known, key=lambda name: known[name], default=None)
