"""Choose with chance, so that a log can teach: each choice comes with its exact probability.

A policy here first computes the probability of every candidate model, then draws from just
those numbers. The logged propensity is therefore exact by construction, also where the
probabilities themselves come from a numeric integral.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from routerlib.policies.policies import Choices, Policy, one_hot
from routerlib.policies.utility import (
    NO_HASTE,
    Haste,
    check_haste,
    choose_arms,
    in_time,
    utilities,
)
from routerlib.records.amounts import check_amount, check_share
from routerlib.records.arrays import Arms, Bools, Floats
from routerlib.records.decision import Estimates

# Equally likely values of each candidate's utility, over which Thompson's integral is summed.
_N_QUANTILES = 128
_LEAST_SD = 1e-9
# Far below any utility: who is too slow is never the best.
_HOPELESS = -1e9
_SUM_SLACK = 1e-9


class Explorer(Policy, ABC):
    """A policy that draws its choice.

    Parameters
    ----------
    cost_weight : float, default=0
        Quality given up per US dollar saved, at least 0.
    random_state : int or None, default=None
        Seed of the draws; None = fresh entropy, as a server needs.
    haste : Haste, default=Haste()
        Quality given up per second saved, and a cap on seconds, which chance keeps to as well.

    Attributes
    ----------
    needs_spread : bool
        Whether the estimates must say how uncertain they are (``quality_sd``).
    """

    def __init__(
        self,
        cost_weight: float = 0.0,
        random_state: int | None = None,
        haste: Haste = NO_HASTE,
    ) -> None:
        check_amount("cost_weight", cost_weight)
        self.cost_weight = float(cost_weight)
        self.haste = check_haste(haste)
        self._rng = np.random.default_rng(random_state)
        self._lock = threading.Lock()  # a generator must not be drawn from by two threads at once

    @abstractmethod
    def probabilities(self, estimates: Estimates) -> Floats:
        """Return the probability of each candidate model.

        Parameters
        ----------
        estimates : Estimates
            Of n_prompts prompts.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            In [0, 1]; each row sums to 1.
        """

    def choose(self, estimates: Estimates) -> Choices:
        """Draw one candidate model for each prompt.

        Parameters
        ----------
        estimates : Estimates
            Of n_prompts prompts.

        Returns
        -------
        Choices
            Arms, and the probability with which each was drawn.
        """
        probabilities = self.probabilities(estimates)
        with self._lock:
            return draw(probabilities, self._rng)

    def without_draw(self, estimates: Estimates) -> Arms:
        """Return the largest expected utility of each prompt, which is not explored.

        Parameters
        ----------
        estimates : Estimates
            Of n_prompts prompts.

        Returns
        -------
        ndarray of shape (n_prompts,)
            Columns.
        """
        return choose_arms(estimates, self.present_cost_weight, self.haste)

    @property
    def present_cost_weight(self) -> float:
        """The cost weight, as it is now."""
        return self.cost_weight

    def _in_time(self, estimates: Estimates) -> Bools:
        return in_time(estimates, self.haste.max_latency_s)


class EpsilonGreedy(Explorer):
    """Mostly the best expected utility; with probability epsilon any candidate, evenly.

    ``epsilon=0`` is the greedy policy: it never explores, and a log of it can value no other.

    Parameters
    ----------
    cost_weight : float, default=0
        Quality given up per US dollar saved, at least 0.
    epsilon : float, default=0.1
        Share of prompts that explore, in [0, 1].
    random_state : int or None, default=None
        Seed of the draws.
    haste : Haste, default=Haste()
        Quality given up per second saved, and a cap on seconds.

    Examples
    --------
    >>> estimates = Estimates(("a", "b"), np.array([[0.5, 0.9]]), np.array([[0.01, 0.1]]))
    >>> EpsilonGreedy(epsilon=0.1).probabilities(estimates).round(3).tolist()
    [[0.05, 0.95]]
    """

    def __init__(
        self,
        cost_weight: float = 0.0,
        *,
        epsilon: float = 0.1,
        random_state: int | None = None,
        haste: Haste = NO_HASTE,
    ) -> None:
        super().__init__(cost_weight, random_state, haste)
        check_share("epsilon", epsilon)
        self.epsilon = float(epsilon)

    def probabilities(self, estimates: Estimates) -> Floats:
        """Return ``epsilon / n_models`` everywhere, and the rest at the best utility.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            Probabilities in [0, 1]; each row sums to 1.
        """
        arms = choose_arms(estimates, self.cost_weight, self.haste)
        return mixed(one_hot(arms, len(estimates.models)), self.epsilon, self._in_time(estimates))


class Greedy(EpsilonGreedy):
    """Always the best expected utility, as a routed call without exploration.

    Parameters
    ----------
    cost_weight : float, default=0
        Quality given up per US dollar saved, at least 0.

    Examples
    --------
    >>> estimates = Estimates(("a", "b"), np.array([[0.5, 0.9]]), np.array([[0.01, 0.1]]))
    >>> Greedy(10).choose(estimates)
    Choices(arms=array([0]), propensities=array([1.]))
    """

    def __init__(self, cost_weight: float = 0.0) -> None:
        super().__init__(cost_weight, epsilon=0.0, random_state=0)


class Thompson(Explorer):
    """Choose each candidate with the probability that its utility is the largest.

    Each candidate's utility is normal round its estimate, independent of the others. The
    probability that it is the largest is a one-dimensional integral, summed here over 128
    equally likely values: no Monte Carlo, and the drawn propensity is exactly that of the
    numbers that were drawn from.

    Parameters
    ----------
    cost_weight : float, default=0
        Quality given up per US dollar saved, at least 0.
    floor : float, default=0.02
        Share of prompts that choose evenly among all, in [0, 1]: keeps every candidate possible,
        so that a log of it can value other policies.
    scale : float, default=1
        Factor on the spread; above 1 explores more.
    random_state : int or None, default=None
        Seed of the draws.
    haste : Haste, default=Haste()
        Quality given up per second saved, and a cap on seconds.

    References
    ----------
    Thompson (1933), On the likelihood that one unknown probability exceeds another, Biometrika 25.

    Examples
    --------
    >>> sd = np.array([[0.1, 0.1]])
    >>> even = Estimates(("a", "b"), np.array([[0.7, 0.7]]), np.zeros((1, 2)), quality_sd=sd)
    >>> Thompson().probabilities(even).round(3).tolist()
    [[0.5, 0.5]]
    """

    needs_spread = True

    def __init__(
        self,
        cost_weight: float = 0.0,
        *,
        floor: float = 0.02,
        scale: float = 1.0,
        random_state: int | None = None,
        haste: Haste = NO_HASTE,
    ) -> None:
        super().__init__(cost_weight, random_state, haste)
        check_share("floor", floor)
        self.floor = float(floor)
        self.scale = scale

    def probabilities(self, estimates: Estimates) -> Floats:
        """Return the probability that each candidate's utility is the largest, with the floor.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            Probabilities in [0, 1]; each row sums to 1.
        """
        sd = self.scale * spread_of(estimates)
        means = utilities(estimates, self.cost_weight, self.haste)
        chances = best_probabilities(np.maximum(means, _HOPELESS), sd)
        return mixed(chances, self.floor, self._in_time(estimates))


class UpperConfidence(Explorer):
    """Choose the best utility at the upper end of its interval, as LinUCB does.

    Such a policy leaves nothing to chance, and its log could value no other: so a share of
    prompts chooses evenly.

    Parameters
    ----------
    cost_weight : float, default=0
        Quality given up per US dollar saved, at least 0.
    width : float, default=1
        Standard deviations added to the expected quality, at least 0.
    floor : float, default=0.02
        Share of prompts that choose evenly among all, in [0, 1].
    random_state : int or None, default=None
        Seed of the draws.
    haste : Haste, default=Haste()
        Quality given up per second saved, and a cap on seconds.

    References
    ----------
    Li, Chu, Langford and Schapire (2010), A contextual-bandit approach to personalized news
    article recommendation, WWW, https://doi.org/10.1145/1772690.1772758

    Examples
    --------
    >>> sd = np.array([[0.3, 0.0]])
    >>> unsure = Estimates(("a", "b"), np.array([[0.6, 0.7]]), np.zeros((1, 2)), quality_sd=sd)
    >>> UpperConfidence(floor=0).choose(unsure).arms.tolist()
    [0]
    """

    needs_spread = True

    def __init__(
        self,
        cost_weight: float = 0.0,
        *,
        width: float = 1.0,
        floor: float = 0.02,
        random_state: int | None = None,
        haste: Haste = NO_HASTE,
    ) -> None:
        super().__init__(cost_weight, random_state, haste)
        if not width >= 0:
            raise ValueError(f"width must be at least 0, got {width!r}")
        self.width = width
        check_share("floor", floor)
        self.floor = float(floor)

    def probabilities(self, estimates: Estimates) -> Floats:
        """Return ``floor / n_models`` everywhere, and the rest at the best upper end.

        Parameters
        ----------
        estimates : Estimates
            What is expected of every candidate model on n_prompts prompts.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            Probabilities in [0, 1]; each row sums to 1.
        """
        upper = estimates.quality + self.width * spread_of(estimates)
        hopeful = replace(estimates, quality=upper)
        arms = choose_arms(hopeful, self.cost_weight, self.haste)
        certain = one_hot(arms, len(estimates.models))
        return mixed(certain, self.floor, self._in_time(estimates))


def draw(probabilities: Floats, rng: np.random.Generator) -> Choices:
    """Draw one arm per row, and say with what probability.

    `probabilities` (n_prompts, n_models): in [0, 1]; each row sums to 1.
    """
    sums = probabilities.sum(axis=1)
    if (probabilities < 0).any() or not np.allclose(sums, 1, atol=_SUM_SLACK):
        raise ValueError("each prompt's probabilities must be at least 0 and sum to 1")
    levels = probabilities.cumsum(axis=1)
    # Drawn in [0, total): an arm of probability 0 has no width to be hit.
    drawn = rng.random((len(probabilities), 1)) * levels[:, -1:]
    arms = (levels <= drawn).sum(axis=1)
    return Choices(arms, np.minimum(probabilities[np.arange(len(arms)), arms], 1.0))


def best_probabilities(means: Floats, sds: Floats) -> Floats:
    """Return the probability that each of several independent normal variables is the largest.

    `means, sds` (n_prompts, n_models): means and standard deviations; an sd of 0 is a value
        known for sure.
    """
    from scipy.special import ndtr, ndtri

    sds = np.maximum(sds, _LEAST_SD)
    steps = ndtri((np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES)
    raw = np.empty(means.shape)
    for arm in range(means.shape[1]):
        values = means[:, arm, None] + sds[:, arm, None] * steps
        below = np.ones(values.shape)
        for rival in range(means.shape[1]):
            if rival != arm:
                below *= ndtr((values - means[:, rival, None]) / sds[:, rival, None])
        raw[:, arm] = below.mean(axis=1)
    # Where no value beats all rivals by more than rounding, the largest mean does.
    total = raw.sum(axis=1, keepdims=True)
    return np.asarray(raw / total)


def mixed(probabilities: Floats, share: float, is_allowed: Bools | None = None) -> Floats:
    """Give a share of the probability to all arms, or all that are allowed, evenly."""
    if is_allowed is None:
        return np.asarray((1 - share) * probabilities + share / max(probabilities.shape[1], 1))
    even = share / np.maximum(is_allowed.sum(axis=1, keepdims=True), 1)
    return np.asarray((1 - share) * probabilities + np.where(is_allowed, even, 0.0))


def spread_of(estimates: Estimates) -> Floats:
    """Return the estimates' standard deviations, or say what to do where there are none."""
    if estimates.quality_sd is None or np.isnan(estimates.quality_sd).any():
        raise ValueError(
            "these estimates don't say how uncertain they are (quality_sd), which this policy "
            "explores by; use a router with quality_interval, or EpsilonGreedy"
        )
    return estimates.quality_sd
