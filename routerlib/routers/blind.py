"""A router that chooses without estimating: what chance and rules have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from routerlib.records.decision import Decision
from routerlib.routers.router import Choosing, Router


class BlindChoice(NamedTuple):
    """What was chosen without estimates.

    `propensity`: probability of this choice, in (0, 1].
    """

    model: str
    propensity: float
    reason: str


class BlindRouter(Router):
    """Choose by something else than expected quality and cost.

    A policy has nothing to weigh here, and is refused.
    """

    def route(
        self,
        prompt: str,
        *,
        cost_weight: float | None = None,
        policy: Choosing | None = None,
        task: str | None = None,
    ) -> Decision:
        """Choose a candidate model for one prompt.

        Parameters
        ----------
        prompt : str
            The text.
        cost_weight : float or None, default=None
            Recorded, but changes nothing.
        policy : None
            Not accepted: nothing is estimated that a policy could weigh.
        task : str or None, default=None
            Known task; None = detected, where it plays a part.

        Returns
        -------
        Decision
            With NaN for expected quality and cost.

        Raises
        ------
        ValueError
            If the router isn't fitted, or a policy is given.
        """
        if policy is not None:
            name = type(self).__name__
            raise ValueError(f"{name} gives no estimates for a policy; leave policy out")
        model, propensity, reason = self._choose(prompt, task)
        return Decision(
            model=model,
            expected_quality=float("nan"),
            expected_cost_usd=float("nan"),
            propensity=propensity,
            reason=reason,
            cost_weight=self.cost_weight_ if cost_weight is None else cost_weight,
            router_hash=self.router_hash_,
        )

    @abstractmethod
    def _choose(self, prompt: str, task: str | None) -> BlindChoice:
        """Choose for one prompt."""
