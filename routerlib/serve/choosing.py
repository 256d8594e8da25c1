"""Who answers: the router, with or without exploration, the caller, or the conversation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.gather.calls.steps import without_steps
from routerlib.policies.input_costs import InputCost, InputCosts
from routerlib.policies.policies import Choices, CostWeight, Policy
from routerlib.policies.utility import NO_HASTE, Haste, told_drawn
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Decision, Estimates
from routerlib.records.prompt import Prompt
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter

if TYPE_CHECKING:
    from routerlib.policies.exploration import Explorer

_DEFAULT_SHARES = {"epsilon-greedy": 0.1, "thompson": 0.02, "ucb": 0.02}


@dataclass(frozen=True)
class Exploration:
    """How choices are drawn by chance.

    `share`: share of prompts that go to any candidate, evenly, in [0, 1].
    """

    kind: str
    share: float

    def __str__(self) -> str:
        return f"{self.kind}:{self.share:g}"

    def policy(self, cost_weight: float, haste: Haste = NO_HASTE) -> Policy:
        """Return the policy for a cost weight; cheap enough to be made for each decision."""
        return _Exploring(self, cost_weight, haste)


class _Exploring(Policy):
    """Draw by the wanted policy; where no uncertainty is known, the best and the even share."""

    def __init__(self, exploration: Exploration, cost_weight: float, haste: Haste) -> None:
        from routerlib.policies.exploration import EpsilonGreedy, Thompson, UpperConfidence

        share = exploration.share
        self._even = EpsilonGreedy(cost_weight, epsilon=share, haste=haste)
        by_spread: dict[str, type[Thompson | UpperConfidence]] = {
            "thompson": Thompson,
            "ucb": UpperConfidence,
        }
        kind = by_spread.get(exploration.kind)
        wanted = None if kind is None else kind(cost_weight, floor=share, haste=haste)
        self._wanted: Explorer = wanted or self._even
        self.needs_spread = self._wanted.needs_spread

    def choose(self, estimates: Estimates) -> Choices:
        return self._fit_for(estimates).choose(estimates)

    def probabilities(self, estimates: Estimates) -> Floats:
        return self._fit_for(estimates).probabilities(estimates)

    def without_draw(self, estimates: Estimates) -> Arms:
        return self._fit_for(estimates).without_draw(estimates)

    def _fit_for(self, estimates: Estimates) -> Explorer:
        sd = estimates.quality_sd
        is_known = sd is not None and not np.isnan(sd).any()
        return self._wanted if is_known else self._even


def read_exploration(text: str | None) -> Exploration | None:
    """Read what ``--explore`` says.

    `text`: ``epsilon-greedy:0.1``: one prompt in ten goes to any candidate, evenly.

    >>> str(read_exploration("thompson")), str(read_exploration("epsilon-greedy:0.3"))
    ('thompson:0.02', 'epsilon-greedy:0.3')
    """
    if text is None:
        return None
    kind, _, told = text.partition(":")
    try:
        share = float(told) if told else _DEFAULT_SHARES.get(kind, float("nan"))
    except ValueError:
        share = float("nan")
    if kind not in _DEFAULT_SHARES or not 0 <= share <= 1:
        known = ", ".join(f"{name}:SHARE" for name in _DEFAULT_SHARES)
        raise ValueError(
            f"exploration must be one of {known}, with a share in [0, 1], got {text!r}"
        )
    return Exploration(kind, share)


def decide(
    router: Router,
    prompt: Prompt,
    cost_weight: float | None,
    exploration: Exploration | None,
    among: Collection[str] | None = None,
    *,
    haste: Haste = NO_HASTE,
    inputs: Mapping[str, InputCost] | None = None,
    cascades: bool = False,
    time: Mapping[str, Any] | None = None,
) -> Decision:
    """Choose a candidate for a prompt.

    `cost_weight`: quality given up per US dollar saved; None = the router's own operating
        point.
    `exploration`: how the choice is drawn; None = the best expected utility, always.
    `among`: who can answer; None = all. Where the router knows none of
        them, the first is chosen.
    `haste`: quality given up per second saved, and seconds that nine of ten answers must keep to.
    `inputs`: what the input costs candidates, caches counted; a choice without estimates, and a
        cascade, don't weigh it.
    `cascades`: whether others may be asked after the answer; else a cascade is the router in it.
    `time`: `latency_s` and `max_latency_s` of a cascade's calls together; None = any.
    """
    router = router if cascades else without_steps(router)
    if among is not None and not set(among).intersection(router.models_):
        return _unknown(router, next(iter(among)), cost_weight)
    known: dict[str, Any] = {"task": prompt.task, "among": among, "haste": haste}
    weight = router.cost_weight_ if cost_weight is None else cost_weight
    is_weighed = cost_weight is not None or haste.latency_weight > 0
    keeps_to_one = not is_weighed and router.fallback_ is not None
    is_plain = cascades or keeps_to_one or isinstance(router, RuleRouter)
    if inputs and not is_plain:
        own = CostWeight(weight, haste)
        policy = InputCosts(exploration.policy(weight, haste) if exploration else own, inputs)
        chosen = router.route(prompt.text, policy=policy, **known)
        return policy.told(replace(chosen, cost_weight=weight))
    if exploration is None:
        return _usual(router, prompt, cost_weight, {**known, **(time or {})})
    if is_plain:
        usual = _usual(router, prompt, cost_weight, {**known, **(time or {})})
        models = tuple(usual.estimates) or router.models_
        return _around(usual, models, exploration.policy(0.0))
    drawn = router.route(prompt.text, policy=exploration.policy(weight, haste), **known)
    return replace(drawn, cost_weight=weight)


def _usual(
    router: Router, prompt: Prompt, cost_weight: float | None, known: Mapping[str, Any]
) -> Decision:
    """Return the choice without exploration."""
    choose = router.start if isinstance(router, Cascade) else router.route
    return choose(prompt.text, cost_weight=cost_weight, **known)


def _unknown(router: Router, model: str, cost_weight: float | None) -> Decision:
    """Choose without knowing anything of whom to choose from."""
    nothing = float("nan")
    return Decision(
        model=model,
        expected_quality=nothing,
        expected_cost_usd=nothing,
        propensity=1.0,
        reason="the router knows nobody who can answer this",
        cost_weight=router.cost_weight_ if cost_weight is None else cost_weight,
        estimates={model: {"quality": nothing, "cost_usd": nothing}},
        router_hash=router.router_hash_,
    )


def _around(usual: Decision, models: tuple[str, ...], policy: Policy) -> Decision:
    """Explore around a choice that no estimate was weighed for: that of a rule."""
    arm = models.index(usual.model)
    certain = np.zeros((1, len(models)))
    certain[0, arm] = 1.0
    choices = policy.choose(Estimates(models, certain, np.zeros_like(certain)))
    drawn, propensity = models[int(choices.arms[0])], float(choices.propensities[0])
    if drawn == usual.model:
        return replace(usual, propensity=propensity, reason=usual.reason + told_drawn(propensity))
    known = usual.estimates.get(drawn, {})
    return replace(
        usual,
        model=drawn,
        expected_quality=known.get("quality", float("nan")),
        expected_cost_usd=known.get("cost_usd", float("nan")),
        propensity=propensity,
        reason=told_drawn(propensity, f"{usual.model}: {usual.reason}"),
    )
