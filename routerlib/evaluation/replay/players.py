"""Ways to choose through a year of traffic, each seeing only the outcomes of its own choices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from routerlib.evaluation.off_policy.posterior import Posterior
from routerlib.evaluation.replay.traffic import WEEK, Year
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import Explorer
from routerlib.policies.policies import Choices
from routerlib.policies.vowpal import VowpalBandit
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router


class Player(ABC):
    """A way to choose, day after day, that sees only the outcomes of its own choices."""

    @abstractmethod
    def choose(self, rows: np.ndarray, day: int) -> Choices:
        """Return the choices for the prompts of one day."""

    @abstractmethod
    def learn(self, rows: np.ndarray, choices: Choices, day: int) -> None:
        """Take in, at the end of the day, the outcomes of what was chosen."""


class LinearPlayer(Player):
    """A policy over a linear posterior that learns every day and forgets slowly.

    `half_life_days`: after so many days an outcome counts half; None = never forget.
    """

    def __init__(
        self,
        year: Year,
        policy: Explorer,
        labelled: np.ndarray,
        *,
        half_life_days: float | None = 60,
        is_learning: bool = True,
    ) -> None:
        self.year, self.policy, self.is_learning = year, policy, is_learning
        self.decay = 0.0 if half_life_days is None else 1 - 0.5 ** (WEEK / half_life_days)
        n_models = len(year.models)
        self.posterior = Posterior(year.columns.shape[1], n_models, prior_mean=0.6)
        self.cost_usd = np.full(n_models, np.nan)
        for arm in np.flatnonzero(year.is_open(0)):
            arms = np.full(len(labelled), arm)
            self.posterior.update(year.columns[labelled], arms, year.quality[labelled, arm])
        # Prices are public: what a prompt of usual length costs is known before the first call.
        self.cost_usd = year.cost_usd[labelled].mean(axis=0)

    def choose(self, rows: np.ndarray, day: int) -> Choices:
        """Let the policy choose by the posterior, among the candidates that are there."""
        arms = np.flatnonzero(self.year.is_open(day if self.is_learning else 0))
        columns = self.year.columns[rows]
        estimates = Estimates(
            tuple(self.year.models[arm] for arm in arms),
            self.posterior.means(columns)[:, arms],
            np.tile(self.cost_usd[arms], (len(rows), 1)),
            self.posterior.sds(columns)[:, arms],
        )
        choices = self.policy.choose(estimates)
        return Choices(arms[choices.arms], choices.propensities)

    def learn(self, rows: np.ndarray, choices: Choices, day: int) -> None:
        """Update the posterior; once a week a share of what was learnt fades."""
        if not self.is_learning:
            return
        if self.decay and day % WEEK == 0:
            self.posterior.forget(self.decay)
        seen = self.year.quality[rows, choices.arms]
        self.posterior.update(self.year.columns[rows], choices.arms, seen)


class RouterPlayer(Player):
    """A policy over a router that is retrained on its own log every so many days.

    `every_days`: None = never retrained.
    """

    def __init__(
        self,
        year: Year,
        policy: Explorer,
        labelled: np.ndarray,
        make_router: Callable[[], Router],
        *,
        every_days: int | None = 28,
        window_days: int = 112,
    ) -> None:
        self.year, self.policy, self.make_router = year, policy, make_router
        self.every_days, self.window_days = every_days, window_days
        self._first, self._chosen = labelled, np.full(len(year), -1)
        self._router, self._arms = self._train(day=0)

    def choose(self, rows: np.ndarray, day: int) -> Choices:
        """Let the policy choose by the router; a new candidate is tried evenly until trained."""
        texts = [self.year.prompts[row] for row in rows]
        own = self._router.predict_with_spread if self.policy.needs_spread else self._router.predict
        choices = self.policy.choose(own(texts))
        arms = self._arms[choices.arms]
        return Choices(arms, choices.propensities)

    def learn(self, rows: np.ndarray, choices: Choices, day: int) -> None:
        """Log; retrain when it is time."""
        self._chosen[rows] = choices.arms
        if self.every_days is not None and day and day % self.every_days == 0:
            self._router, self._arms = self._train(day)

    def _train(self, day: int) -> tuple[Router, np.ndarray]:
        """Train on the first labels and on what was logged lately, for the candidates seen."""
        year = self.year
        quality = np.full(year.quality.shape, np.nan)
        quality[self._first] = np.where(year.is_open(0), year.quality[self._first], np.nan)
        recent = (self._chosen >= 0) & (year.days > day - self.window_days)
        rows = np.flatnonzero(recent)
        quality[rows, self._chosen[rows]] = year.quality[rows, self._chosen[rows]]
        kept = np.union1d(self._first, rows).astype(int)
        arms = np.flatnonzero(np.isfinite(quality[kept]).any(axis=0))
        known = Outcomes(
            prompts=[year.prompts[row] for row in kept],
            models=[year.models[arm] for arm in arms],
            quality=quality[np.ix_(kept, arms)],
            cost_usd=year.cost_usd[np.ix_(kept, arms)],
            prompt_ids=[f"row {row}" for row in kept],
        )
        return self.make_router().fit(known), arms


class BanditPlayer(Player):
    """Vowpal Wabbit, warmed up on the first training set, learning from every outcome."""

    def __init__(self, year: Year, bandit: VowpalBandit, labelled: np.ndarray) -> None:
        self.year, self.bandit = year, bandit
        open_arms = np.flatnonzero(year.is_open(0))
        for arm in open_arms:
            choices = Choices(
                np.full(len(labelled), arm), np.full(len(labelled), 1 / len(open_arms))
            )
            self._update(labelled, choices, day=0)

    def choose(self, rows: np.ndarray, day: int) -> Choices:
        """Let the bandit choose among the candidates that are there."""
        return self.bandit.choose(
            [self.year.prompts[row] for row in rows], self.year.is_open(day).tolist()
        )

    def learn(self, rows: np.ndarray, choices: Choices, day: int) -> None:
        """Learn from every outcome."""
        self._update(rows, choices, day)

    def _update(self, rows: np.ndarray, choices: Choices, day: int) -> None:
        self.bandit.update(
            [self.year.prompts[row] for row in rows],
            choices,
            self.year.quality[rows, choices.arms],
            self.year.cost_usd[rows, choices.arms],
            self.year.is_open(day).tolist(),
        )
