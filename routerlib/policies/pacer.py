"""Hold a mean cost per prompt while prompts arrive one by one."""

from __future__ import annotations

import numpy as np

from routerlib.policies.exploration import Explorer, mixed
from routerlib.policies.policies import one_hot
from routerlib.policies.utility import check_costs_known, choose_arms
from routerlib.records.amounts import check_amount, check_share
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates


class BudgetPacer(Explorer):
    """Raise the cost weight when too much was paid, lower it when there is money left.

    After each payment the cost weight moves by ``step * (paid - budget) / budget**2`` and never
    under 0 (stochastic dual descent: the cost weight is the price of the budget). Summed up, the
    mean overspending after n payments is at most ``budget**2 * (weight_n - weight_0) /
    (step * n)``, whatever arrives; and the weight stays bounded where the cheapest candidate
    costs less than the budget.

    Parameters
    ----------
    budget_usd : float
        Mean cost of one prompt to hold, US dollars, above 0.
    cost_weight : float, default=0
        Where to begin, such as a router's operating point.
    step : float, default=0.05
        How fast it reacts, above 0.
    epsilon : float, default=0
        Share of prompts that explore evenly, in [0, 1]; their cost is paced, too.
    random_state : int or None, default=None
        Seed of the draws.

    Examples
    --------
    >>> estimates = Estimates(("a", "b"), np.array([[0.5, 0.9]]), np.array([[0.01, 0.1]]))
    >>> pacer = BudgetPacer(0.05)
    >>> paid = []
    >>> for _ in range(200):
    ...     arm = pacer.choose(estimates).arms[0]
    ...     paid.append(float(estimates.cost_usd[0, arm]))
    ...     pacer.update(paid[-1])
    >>> round(sum(paid) / len(paid), 2)
    0.05
    """

    def __init__(
        self,
        budget_usd: float,
        *,
        cost_weight: float = 0.0,
        step: float = 0.05,
        epsilon: float = 0.0,
        random_state: int | None = None,
    ) -> None:
        super().__init__(cost_weight, random_state)
        for name, value in (("budget_usd", budget_usd), ("step", step)):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be finite and above 0, got {value!r}")
        check_share("epsilon", epsilon)
        self.budget_usd = budget_usd
        self.step = step
        self.epsilon = epsilon

    def probabilities(self, estimates: Estimates) -> Floats:
        """Return the choice at the present cost weight, with exploration mixed in.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            Probabilities in [0, 1]; each row sums to 1.
        """
        check_costs_known(estimates)
        arms = choose_arms(estimates, self.cost_weight)
        return mixed(one_hot(arms, len(estimates.models)), self.epsilon)

    def update(self, cost_usd: float) -> None:
        """Learn what one answered prompt cost.

        Parameters
        ----------
        cost_usd : float
            US dollars that were paid, at least 0.

        Raises
        ------
        ValueError
            If the cost is unknown or negative.
        """
        check_amount("cost_usd", cost_usd)
        overspent = (cost_usd - self.budget_usd) / self.budget_usd**2
        with self._lock:
            self.cost_weight = max(0.0, self.cost_weight + self.step * overspent)
