"""From what trees say of log costs to expected costs: level, what all share, differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from routerlib.features.inputs import log_cost_usd
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.routers.lightgbm.fit_blend import level_between_folds

# Before anything was seen: what trees say of all candidates together holds, of what they say of
# one beyond the others half does; each give or take a quarter. Differences of boosters that were
# trained apart are mostly noise where prompts are few.
_USUAL = np.array([1.0, 0.5])
_SPREAD = np.array([0.25, 0.25])
_MAX_STEPS = 50
# Errors never agree with what is expected to the last digit.
_LEAST_INFLATION = 1e-3
# The factor of a free candidate is 0, whose logarithm is not finite.
_SMALLEST_SMEAR = 1e-300


@dataclass(frozen=True, eq=False)
class CostScale:
    """How far log costs by trees are believed: of all candidates, and of one beyond the others.

    Who is chosen for being cheap is more often believed too cheap than too dear. So differences
    between candidates count only as far as they showed in what was paid out of fold; then the
    expected cost of the chosen one holds too, and not only that of each.

    `levels` (n_costed,): mean log cost.
    `own` (n_costed,): share of a candidate's own deviations from its level to believe, at least 0.
    `common`: what a unit of the mean deviation of all candidates adds to each, beside.
    `smear` (n_costed,): the exponential of a mean logarithm lies under the mean: factors to the
        mean that was paid, out of fold as well; 0 = free.
    """

    levels: np.ndarray
    own: np.ndarray
    common: float
    smear: np.ndarray

    @classmethod
    def fit(
        cls, raw: np.ndarray, cost_usd: np.ndarray, folds: np.ndarray, groups: np.ndarray
    ) -> Self:
        """Fit on out-of-fold log costs, by the score equations of a mean with a log link.

        These hold for any spread of costs around the mean, so nothing has to be known of it; each
        candidate's mean is met exactly. Both shares are drawn to what is usual, as far as errors
        that prompts of one group have in common leave them open.

        `raw` (n_prompts, n_costed): log costs by trees of the other folds.
        `cost_usd` (n_prompts, n_costed): US dollars; NaN = unknown, but not of every prompt.
        `folds, groups` (n_prompts,): folds, and near-duplicates, which are one draw.

        Sources
        -------
        C. Gourieroux, A. Monfort, A. Trognon, Pseudo maximum likelihood methods: applications to
        Poisson models, 1984; N. Duan, Smearing estimate, 1983.
        """
        known = np.isfinite(cost_usd)
        if not known.any():
            return cls(np.zeros(0), np.zeros(0), 0.0, np.zeros(0))
        logs = np.where(known, log_cost_usd(cost_usd), 0.0)
        levels = logs.sum(axis=0) / known.sum(axis=0)
        deviations = level_between_folds(raw, folds) - levels
        shared = deviations.mean(axis=1, keepdims=True)
        common, own = _shares(
            np.stack([shared + 0 * deviations, deviations - shared], axis=-1), cost_usd, groups
        )
        scale = cls(levels, np.full(len(levels), own), common - own, np.ones(len(levels)))
        expected = np.where(known, scale.cost_usd(raw), 0.0)
        smear = np.where(known, cost_usd, 0.0).sum(axis=0) / expected.sum(axis=0)
        return cls(scale.levels, scale.own, scale.common, smear)

    def cost_usd(self, raw: np.ndarray) -> np.ndarray:
        """Return expected US dollars of log costs by trees, both of shape (n_prompts, n_costed)."""
        deviations = raw - self.levels
        n_costed = max(len(self.levels), 1)
        shared = np.add.reduce(deviations, axis=1, keepdims=True) / n_costed
        believed = self.levels + self.own * deviations + self.common * shared
        return np.asarray(np.exp(believed) * self.smear)

    def contributions(self, values: np.ndarray) -> np.ndarray:
        """Turn SHAP values of log costs by trees into those of expected ones.

        `values` (n_prompts, n_costed, n_columns + 1): the base last.
        """
        believed = self.own[:, np.newaxis] * values
        believed += self.common * values.mean(axis=1, keepdims=True)
        smear = np.log(np.maximum(self.smear, _SMALLEST_SMEAR))
        believed[:, :, -1] += (
            (1 - self.own) * self.levels - self.common * self.levels.mean() + smear
        )
        return np.asarray(believed)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        arrays = {"levels": self.levels, "own": self.own, "smear": self.smear}
        return {**{name: pack_array(of) for name, of in arrays.items()}, "common": self.common}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`.

        What is `own` here was `shares` in older files, which have no `common`. So older versions,
        which would leave it out and expect other costs, find no shares and refuse newer files.
        """
        own = state["own"] if "own" in state else state["shares"]
        levels, own, smear = (unpack_array(each) for each in (state["levels"], own, state["smear"]))
        return cls(levels, own, float(state.get("common", 0.0)), smear)


def _shares(steps: np.ndarray, cost_usd: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return how much of each step to believe, at least 0.

    `steps` (n_prompts, n_costed, 2): what trees say of all candidates, and of each beyond.
    """
    rows, arms = np.nonzero(np.isfinite(cost_usd) & (np.nan_to_num(cost_usd).sum(axis=0) > 0))
    seen, draws = steps[rows, arms], np.unique(groups, return_inverse=True)[1].ravel()[rows]
    paid = cost_usd[rows, arms]

    def means(values: np.ndarray) -> np.ndarray:
        """Return the sums of each candidate, shape (n_costed,)."""
        return np.bincount(arms, values, cost_usd.shape[1])

    paid = paid / (means(paid) / np.maximum(means(np.ones(len(paid))), 1))[arms]
    shares = _USUAL
    for _ in range(_MAX_STEPS):
        expected = np.exp(seen @ shares)
        expected *= (means(paid) / np.maximum(means(expected), 1e-300))[arms]
        totals = np.maximum(means(expected), 1e-300)
        usual = np.column_stack([means(expected * step) / totals for step in seen.T])
        centred = seen - usual[arms]
        errors = paid - expected
        information = (centred * expected[:, np.newaxis]).T @ centred
        scores = np.column_stack([np.bincount(draws, step * errors) for step in centred.T])
        alone = np.maximum(np.diag(information), 1e-12)
        inflation = np.maximum((scores**2).sum(axis=0) / alone, _LEAST_INFLATION)
        pull = inflation / _SPREAD**2
        change = np.linalg.solve(
            information + np.diag(pull), centred.T @ errors - pull * (shares - _USUAL)
        )
        shares = shares + np.clip(change, -0.5, 0.5)
        if np.abs(change).max() < 1e-8:
            break
    common, own = np.maximum(shares, 0.0).tolist()
    return common, own
