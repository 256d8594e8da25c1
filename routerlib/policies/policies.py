"""Turn estimates into choices, with the probability of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from routerlib.policies.utility import (
    NO_HASTE,
    Haste,
    check_costs_known,
    check_haste,
    choose_arms,
)
from routerlib.records.amounts import check_amount
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates

_BISECTIONS = 60
# Room for rounding when a mean is compared with a budget.
_BUDGET_SLACK = 1e-9


class Choices(NamedTuple):
    """What a policy chose.

    Parameters
    ----------
    arms : ndarray of int, shape (n_prompts,)
        Column of the chosen candidate model.
    propensities : ndarray of shape (n_prompts,)
        Probability, in (0, 1], with which it was chosen.
    """

    arms: np.ndarray
    propensities: np.ndarray


class Policy(Protocol):
    """A rule that turns estimates into choices; a new one derives from it and gives `choose`.

    `needs_spread`: whether the estimates must say how uncertain they are (``quality_sd``).
    """

    needs_spread: bool = False

    def choose(self, estimates: Estimates) -> Choices:
        """Return the choices for n_prompts prompts."""
        ...

    def probabilities(self, estimates: Estimates) -> Floats:
        """Return the probability of each candidate; a policy that draws must say its own.

        Returns shape (n_prompts, n_models): in [0, 1]; each row sums to 1.
        """
        return one_hot(self.choose(estimates).arms, len(estimates.models))

    def without_draw(self, estimates: Estimates) -> Arms:
        """Return whom it would choose if nothing were left to chance, shape (n_prompts,)."""
        return self.probabilities(estimates).argmax(axis=1)

    @property
    def present_cost_weight(self) -> float | None:
        """The cost weight it weighs by now; None = it has none, or finds one for some prompts."""
        return None


def one_hot(arms: Arms, n_models: int) -> Floats:
    """Return probability 1 at each row's arm."""
    certain = np.zeros((len(arms), n_models))
    certain[np.arange(len(arms)), arms] = 1.0
    return certain


@dataclass(frozen=True)
class CostWeight(Policy):
    """Choose the largest expected utility, by cost and time; ties go to the cheaper.

    Parameters
    ----------
    cost_weight : float
        Quality given up per US dollar saved, at least 0.
    haste : Haste, default=Haste()
        Quality given up per second saved, and a cap on seconds.

    Examples
    --------
    >>> estimates = Estimates(("a", "b"), np.array([[0.5, 0.9]]), np.array([[0.01, 0.1]]))
    >>> CostWeight(0.0).choose(estimates).arms.tolist()
    [1]
    >>> CostWeight(10.0).choose(estimates).arms.tolist()
    [0]
    """

    cost_weight: float
    haste: Haste = NO_HASTE

    def __post_init__(self) -> None:
        check_amount("cost_weight", self.cost_weight)
        check_haste(self.haste)

    def choose(self, estimates: Estimates) -> Choices:
        """Return the choices for n_prompts prompts.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        Choices
            The candidate model of each prompt, with its probability.
        """
        return _certain(choose_arms(estimates, self.cost_weight, self.haste))

    @property
    def present_cost_weight(self) -> float:
        """The cost weight."""
        return self.cost_weight


@dataclass(frozen=True)
class MeanBudget(Policy):
    """Choose the best quality whose mean expected cost stays within a budget.

    The smallest cost weight that keeps the mean over the given prompts within the budget is
    found by bisection. Where even the cheapest candidate everywhere is dearer, it refuses.

    Parameters
    ----------
    budget_usd : float
        Upper limit on the mean expected cost of one prompt, US dollars, at least 0.

    Examples
    --------
    >>> estimates = Estimates(("a", "b"), np.array([[0.5, 0.9], [0.5, 0.6]]),
    ...                       np.array([[0.1, 1.0], [0.1, 1.0]]))
    >>> MeanBudget(0.6).choose(estimates).arms.tolist()
    [1, 0]
    """

    budget_usd: float

    def __post_init__(self) -> None:
        check_amount("budget_usd", self.budget_usd)

    def choose(self, estimates: Estimates) -> Choices:
        """Return the choices for n_prompts prompts.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        Choices
            The candidate model of each prompt, with its probability.
        """
        return _certain(choose_arms(estimates, self.cost_weight(estimates)))

    def cost_weight(self, estimates: Estimates) -> float:
        """Return the smallest cost weight that holds the budget on these prompts.

        Parameters
        ----------
        estimates : Estimates
            Of the prompts that share the budget.

        Returns
        -------
        float
            At least 0, quality per US dollar.

        Raises
        ------
        ValueError
            If a cost is unknown or the budget can't be held.
        """
        check_costs_known(estimates)
        if len(estimates) == 0 or self._holds(estimates, 0.0):
            return 0.0
        high = _largest_useful_weight(estimates)
        if not self._holds(estimates, high):
            cheapest = float(estimates.cost_usd.min(axis=1).mean())
            raise ValueError(
                f"budget_usd {self.budget_usd!r} can't be held: the cheapest choice costs "
                f"{cheapest:.3g} US dollars a prompt; raise the budget or add a cheaper candidate"
            )
        low = 0.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._holds(estimates, middle) else (middle, high)
        return high

    def _holds(self, estimates: Estimates, cost_weight: float) -> bool:
        arms = choose_arms(estimates, cost_weight)
        mean_usd = float(estimates.cost_usd[np.arange(len(arms)), arms].mean())
        return mean_usd <= self.budget_usd * (1 + _BUDGET_SLACK)


@dataclass(frozen=True)
class QualityFloor(Policy):
    """Choose the cheapest candidate that is nearly as good as another one on that prompt.

    Parameters
    ----------
    max_loss : float
        Expected quality that may be given up on a prompt, at least 0.
    model : str or None, default=None
        Candidate model that sets the floor, such as the best single one: "as good as it, at the
        least cost". None = whichever is expected to be best on that prompt.

    Examples
    --------
    >>> estimates = Estimates(("a", "b"), np.array([[0.85, 0.9], [0.5, 0.6]]),
    ...                       np.array([[0.1, 1.0], [0.1, 1.0]]))
    >>> QualityFloor(0.05).choose(estimates).arms.tolist()
    [0, 1]
    >>> QualityFloor(0.0, model="a").choose(estimates).arms.tolist()
    [0, 0]
    """

    max_loss: float
    model: str | None = None

    def __post_init__(self) -> None:
        check_amount("max_loss", self.max_loss)

    def choose(self, estimates: Estimates) -> Choices:
        """Return the choices for n_prompts prompts; costs must be known.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        Choices
            The candidate model of each prompt, with its probability.
        """
        check_costs_known(estimates)
        if self.model is None:
            yardstick = estimates.quality.max(axis=1, keepdims=True, initial=0.0)
        else:
            yardstick = estimates.quality[:, [_arm(estimates, self.model)]]
        is_good = estimates.quality >= yardstick - self.max_loss - 1e-12
        cost_usd = np.where(is_good, estimates.cost_usd, np.inf)
        # Cheapest first, and the better one where costs are equal.
        return _certain(np.lexsort((-estimates.quality, cost_usd), axis=1)[:, 0])


@dataclass(frozen=True)
class Threshold(Policy):
    """Choose the strong model of a pair where its expected gain reaches a threshold.

    Parameters
    ----------
    strong, weak : str
        The two candidate models; others are never chosen.
    threshold : float
        Expected quality that the strong model must add, in [-1, 1]; infinite = never strong.

    Examples
    --------
    >>> estimates = Estimates(("a", "b"), np.array([[0.85, 0.9], [0.5, 0.8]]), np.ones((2, 2)))
    >>> Threshold(strong="b", weak="a", threshold=0.1).choose(estimates).arms.tolist()
    [0, 1]
    """

    strong: str
    weak: str
    threshold: float

    def __post_init__(self) -> None:
        if np.isnan(self.threshold):
            raise ValueError("threshold must be a number, got nan")
        if self.strong == self.weak:
            raise ValueError(f"a pair needs two candidate models, got {self.strong!r} twice")

    def choose(self, estimates: Estimates) -> Choices:
        """Return the choices for n_prompts prompts.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        Choices
            The candidate model of each prompt, with its probability.
        """
        strong, weak = _arm(estimates, self.strong), _arm(estimates, self.weak)
        gain = estimates.quality[:, strong] - estimates.quality[:, weak]
        return _certain(np.where(gain >= self.threshold, strong, weak))


def _arm(estimates: Estimates, model: str) -> int:
    if model not in estimates.models:
        raise ValueError(f"model must be one of {', '.join(estimates.models)}, got {model!r}")
    return estimates.models.index(model)


def _certain(arms: np.ndarray) -> Choices:
    return Choices(arms, np.ones(len(arms)))


def _largest_useful_weight(estimates: Estimates) -> float:
    """Return a cost weight from which on every prompt gets its cheapest candidate."""
    dearer = estimates.cost_usd - estimates.cost_usd.min(axis=1, keepdims=True)
    gaps = dearer[dearer > 0]
    return 2.0 / float(gaps.min()) if gaps.size else 1.0
