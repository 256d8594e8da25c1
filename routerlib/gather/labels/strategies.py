"""Choose which (prompt, candidate) cells to ask and judge next, under a budget.

A label is worth what it changes: it matters where the best candidate is in doubt, on prompts that
stand for many others, and per US dollar. Every chosen cell comes with the probability with which
it was drawn, and every cell with the chance that it had in all draws together, so that what was
bought can be reweighed later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from routerlib.evaluation.off_policy.posterior import Design, Posterior
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats

Strategy = Literal["random", "whole prompts", "cheap first", "close calls", "expected gain"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)

# Prompts on which the gain in the decision is looked at.
_N_TARGETS = 200
# Draws between two looks at what they have taught, at least so many, or this share of all cells
# that are left: a batch of look-alikes teaches once.
_DRAWS_PER_LOOK = 25
_SHARE_PER_LOOK = 0.01
# Share of draws that are even among all cells: every cell keeps a chance, every propensity a floor.
_EVEN_SHARE = 0.1
# Sharpens how strongly the better cells are preferred.
_SHARPNESS = 2.0
_TINY = 1e-12


@dataclass(frozen=True)
class Purchase:
    """One cell to ask next.

    `propensity`: probability, in (0, 1], of this draw among the cells that were left.
    """

    row: int
    arm: int
    propensity: float
    expected_usd: float


class Buyer:
    """Choose cells of an incomplete table, one batch after another.

    `outcomes`: all prompts that may be asked; NaN in quality = not labelled yet.
    `expected_usd` (n_prompts, n_models): what each cell would cost, above 0.
    `is_open` (n_prompts, n_models): which cells may be bought; None = all without a label.

    `chances` (n_prompts, n_models): probability with which the last `choose` took each cell: of a
    cell that was bought before, or in it, the one that it would have had without its label.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        expected_usd: Floats,
        strategy: Strategy = "random",
        *,
        cost_weight: float = 0.0,
        is_open: np.ndarray | None = None,
        random_state: int = 0,
    ) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
        if expected_usd.shape != outcomes.quality.shape or not (expected_usd > 0).all():
            raise ValueError(
                f"expected_usd needs a cost above 0 for each of {outcomes.quality.shape} cells; "
                "give local models a nominal price"
            )
        self.outcomes, self.expected_usd, self.strategy = outcomes, expected_usd, strategy
        self.cost_weight = cost_weight
        self.quality = np.array(outcomes.quality)
        self.is_open = np.ones(self.quality.shape, bool) if is_open is None else is_open
        self.chances = np.zeros(self.quality.shape)
        self._rng = np.random.default_rng(random_state)
        _, self._columns = Design.fit_columns(outcomes.prompts)
        n_targets = min(_N_TARGETS, len(outcomes))
        self._targets = self._rng.choice(len(outcomes), n_targets, replace=False)

    def choose(self, budget_usd: float) -> list[Purchase]:
        """Draw cells until the next one would be over the budget."""
        if self.strategy == "whole prompts":
            return self._whole_prompts(budget_usd)
        left = np.isnan(self.quality) & self.is_open
        passed_over = np.ones(left.shape)
        bought: list[Purchase] = []
        score = self._scorer()
        while left.any():
            wanted = self._wanted(score(left), left)
            for _ in range(max(_DRAWS_PER_LOOK, int(_SHARE_PER_LOOK * left.sum()))):
                affordable = self.expected_usd <= budget_usd
                open_to_all = np.where(left & affordable, wanted, 0.0)
                total = open_to_all.sum()
                if total <= 0:
                    self.chances = 1 - passed_over if left.any() else np.ones(left.shape)
                    return bought
                probabilities = open_to_all / total
                # A cell that is gone would have stood beside those that are left.
                passed_over *= 1 - affordable * wanted / np.where(left, total, total + wanted)
                cell = int(self._rng.choice(probabilities.size, p=probabilities.ravel()))
                row, arm = divmod(cell, left.shape[1])
                usd = float(self.expected_usd[row, arm])
                bought.append(Purchase(row, arm, float(probabilities[row, arm]), usd))
                left[row, arm] = False
                budget_usd -= usd
        self.chances = np.ones(left.shape)
        return bought

    def learn(self, row: int, arm: int, quality: float) -> None:
        """Take in the label of a cell; NaN = no verdict, it may be bought again."""
        self.quality[row, arm] = quality

    def posterior(self) -> Posterior:
        """Return what the labels so far teach, as a linear posterior of quality."""
        known = np.isfinite(self.quality)
        prior = float(self.quality[known].mean()) if known.any() else 0.5
        posterior = Posterior(self._columns.shape[1], self.quality.shape[1], prior_mean=prior)
        for arm in range(self.quality.shape[1]):
            rows = np.flatnonzero(known[:, arm])
            arms = np.full(len(rows), arm)
            posterior.update(self._columns[rows], arms, self.quality[rows, arm])
        return posterior

    def _whole_prompts(self, budget_usd: float) -> list[Purchase]:
        missing = np.isnan(self.quality) & self.is_open
        rows = np.flatnonzero(missing.any(axis=1))
        bought: list[Purchase] = []
        n_rows = 0
        for position, row in enumerate(self._rng.permutation(rows)):
            arms = np.flatnonzero(missing[row])
            usd = self.expected_usd[row, arms]
            if usd.sum() > budget_usd:
                break
            chance = 1 / (len(rows) - position)
            bought += [
                Purchase(int(row), int(arm), chance, float(cost))
                for arm, cost in zip(arms, usd, strict=True)
            ]
            budget_usd -= float(usd.sum())
            n_rows += 1
        self.chances = np.full(missing.shape, n_rows / max(len(rows), 1))
        return bought

    def _scorer(self) -> Callable[[np.ndarray], Floats]:
        """Return how cells are scored, given which are left, shape (n_prompts, n_models)."""
        if self.strategy == "random":
            return lambda left: np.ones(left.shape)
        if self.strategy == "cheap first":
            return lambda left: 1 / self.expected_usd
        posterior = self.posterior()
        means, sds = posterior.means(self._columns), posterior.sds(self._columns)
        if self.strategy == "close calls":
            doubt = expected_gain(*self._without_own_label(means, sds, posterior.noise_sd))
            return lambda left: doubt / self.expected_usd
        return self._gains(posterior, utility(means, self.expected_usd, self.cost_weight))

    def _without_own_label(
        self, means: Floats, sds: Floats, noise_sd: float
    ) -> tuple[Floats, Floats]:
        """Return how far each cell is from its best rival, and in how much doubt, unlabelled.

        What a cell would be worth must not depend on what it turned out to be.
        """
        known = np.isfinite(self.quality)
        leverage = np.where(known, (sds / noise_sd) ** 2, 0.0)
        apart = np.where(known, means - self.quality, 0.0)
        alone = means + leverage * apart / (1 - leverage)
        own, others = (
            utility(each, self.expected_usd, self.cost_weight) for each in (alone, means)
        )
        return _distances(own, others), sds / np.sqrt(1 - leverage)

    def _gains(self, posterior: Posterior, means: Floats) -> Callable[[np.ndarray], Floats]:
        """Score by the gain over all targets; what was drawn meanwhile counts as known."""
        distances = _distances(means, means)[self._targets]
        drawn = np.isnan(self.quality) & self.is_open

        def score(left: np.ndarray) -> Floats:
            for arm in range(left.shape[1]):
                rows = np.flatnonzero(drawn[:, arm] & ~left[:, arm])
                expected = np.full(len(rows), posterior.prior_mean)
                posterior.update(self._columns[rows], np.full(len(rows), arm), expected)
            drawn[:] = left
            is_learnt = np.isfinite(self.quality) | (self.is_open & ~left)
            gains = np.zeros(left.shape)
            for arm in range(left.shape[1]):
                changes = posterior.changes(
                    self._columns[self._targets], self._columns, arm, is_learnt[:, arm]
                )
                gains[:, arm] = expected_gain(distances[:, [arm]], changes).mean(axis=0)
            return gains / self.expected_usd

        return score

    def _wanted(self, scores: Floats, left: np.ndarray) -> Floats:
        """Prefer high scores, and leave every cell a chance; over those that are left it sums to 1.

        What stands at a cell that is gone is on the same scale.
        """
        wanted = scores
        if self.strategy not in ("random", "cheap first"):
            highest = max(float(scores[left].max(initial=0)), _TINY)
            wanted = (scores / highest) ** _SHARPNESS
        even = np.full(left.shape, 1 / max(left.sum(), 1))
        total = wanted[left].sum()
        if total <= 0:
            return even
        return np.asarray((1 - _EVEN_SHARE) * wanted / total + _EVEN_SHARE * even)


def expected_gain(distances: Floats, sds: Floats) -> Floats:
    """Return how much a decision gains when one candidate's utility becomes known better.

    With the candidate's mean `distance` away from the point where the decision flips, and its
    mean about to move by a normal step of standard deviation `sd`, the gain is
    ``sd * phi(d / sd) - d * Phi(-d / sd)``.

    Frazier, Powell and Dayanik (2009), The knowledge-gradient policy for correlated normal
    beliefs, INFORMS Journal on Computing 21.

    `distances` (...): at least 0; infinite where nothing rivals the candidate.
    `sds`: at least 0.
    """
    from scipy.special import ndtr

    is_open = np.isfinite(distances)  # with a single candidate there is nothing to decide
    finite = np.where(is_open, distances, 0.0)
    steps = np.maximum(sds, _TINY)
    ratio = finite / steps
    density = np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
    gains = np.maximum(steps * density - finite * ndtr(-ratio), 0.0)
    return np.asarray(np.where(is_open, gains, 0.0))


def _distances(own: Floats, others: Floats) -> Floats:
    """Return how far each candidate's utility is from the best of the others."""
    if others.shape[1] == 1:
        return np.full(others.shape, np.inf)
    ordered = np.sort(others, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1]
    rival = np.where(others == best, second, best)
    return np.asarray(np.abs(own - rival))
