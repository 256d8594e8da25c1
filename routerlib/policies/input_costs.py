"""Count what a conversation's input costs each candidate, and what its provider has cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from routerlib.policies.policies import Choices, Policy
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Decision, Estimates


class InputCost(NamedTuple):
    """What the input of one request costs at one candidate.

    `full_usd`: US dollars of all of it, at the price of what isn't cached, or is kept for the
        next request.
    `saved_usd`: US dollars less, for what its provider has cached of it.
    `cached_tokens`: how many tokens that is thought to be.
    `lost_usd`: US dollars that would be saved besides, had it been asked before in place of
        whoever was: what a switch to it throws away.
    """

    full_usd: float
    saved_usd: float = 0.0
    cached_tokens: int = 0
    lost_usd: float = 0.0

    def expected_usd(self, cost_usd: float) -> float:
        """Return what a call costs, of which `cost_usd` was expected by the prompt's text.

        A text tells little of the history before it: no call is cheaper than its own input.
        """
        return max(cost_usd, self.full_usd) - self.saved_usd


@dataclass(frozen=True)
class InputCosts(Policy):
    """Decide by another policy, with costs that count input and caches.

    `inputs`: by candidate; who isn't there costs what was expected.

    >>> from routerlib.policies.policies import CostWeight
    >>> estimates = Estimates(("a", "b"), np.array([[0.8, 0.9]]), np.array([[0.01, 0.02]]))
    >>> inputs = {"a": InputCost(0.03, saved_usd=0.02), "b": InputCost(0.06)}
    >>> [InputCosts(CostWeight(w), inputs).choose(estimates).arms.item() for w in (0, 5)]
    [1, 0]
    """

    policy: Policy
    inputs: Mapping[str, InputCost]

    @property
    def needs_spread(self) -> bool:  # type: ignore[override]
        """As the other policy does."""
        return self.policy.needs_spread

    @property
    def present_cost_weight(self) -> float | None:
        """As the other policy's."""
        return self.policy.present_cost_weight

    def choose(self, estimates: Estimates) -> Choices:
        """Return the choices for n_prompts prompts of one conversation."""
        return self.policy.choose(self.counted(estimates))

    def probabilities(self, estimates: Estimates) -> Floats:
        """Return the probability of each candidate, shape (n_prompts, n_models)."""
        return self.policy.probabilities(self.counted(estimates))

    def without_draw(self, estimates: Estimates) -> Arms:
        """Return whom it would choose without chance, shape (n_prompts,)."""
        return self.policy.without_draw(self.counted(estimates))

    def counted(self, estimates: Estimates) -> Estimates:
        """Return the estimates with input and caches counted; an unknown cost stays unknown."""
        cost_usd = np.array(estimates.cost_usd, dtype=float)
        for arm, name in enumerate(estimates.models):
            if name in self.inputs:
                known = self.inputs[name]
                cost_usd[:, arm] = np.maximum(cost_usd[:, arm], known.full_usd) - known.saved_usd
        return replace(estimates, cost_usd=cost_usd)

    def told(self, decision: Decision) -> Decision:
        """Return a decision that was made by this policy with the costs it was made by."""
        estimates = {
            name: {
                **known,
                "cost_usd": self.inputs[name].expected_usd(known["cost_usd"]),
                "cached_input_tokens": self.inputs[name].cached_tokens,
            }
            if name in self.inputs
            else dict(known)
            for name, known in decision.estimates.items()
        }
        own = estimates.get(decision.model, {}).get("cost_usd", decision.expected_cost_usd)
        return replace(decision, estimates=estimates, expected_cost_usd=own)
