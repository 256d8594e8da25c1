"""Bayesian linear regression of each candidate's outcome on the prompt, in closed form.

It learns row by row within microseconds and says how uncertain it is: the quick stand-in for the
boosted trees where thousands of decisions are replayed, and the cross-fitted quality model of
off-policy values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from routerlib.features.tasks import detect_task
from routerlib.records.arrays import Floats
from routerlib.records.prompt import TASKS
from routerlib.weights.embedding import encode, unit_rows

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

_TASK_WEIGHT = 0.7
_LENGTH_WEIGHT = 0.3
_EVERY_LENGTH = 5.0  # log of about 150 characters


class Design:
    """Turn prompts into the few columns of a linear model."""

    def __init__(self, reduction: PCA, scale: float) -> None:
        self.reduction = reduction
        self.scale = scale

    @classmethod
    def fit(cls, prompts: Sequence[str], n_components: int = 24) -> Self:
        """Find the main directions of some prompts' meaning.

        `prompts` (length n_prompts): at least one.
        """
        return cls._of(unit_rows(encode(prompts).vectors), n_components)

    @classmethod
    def fit_columns(cls, prompts: Sequence[str], n_components: int = 24) -> tuple[Self, Floats]:
        """Fit, and return the columns of the same prompts, which are embedded only once."""
        vectors = unit_rows(encode(prompts).vectors)
        design = cls._of(vectors, n_components)
        return design, design._columns(prompts, vectors)

    @classmethod
    def _of(cls, vectors: Floats, n_components: int) -> Self:
        from sklearn.decomposition import PCA

        kept = min(n_components, max(len(vectors) - 1, 1), vectors.shape[1])
        reduction = PCA(kept, svd_solver="covariance_eigh").fit(vectors)
        variance = float(reduction.transform(vectors).var(axis=0).sum())
        return cls(reduction, 1 / np.sqrt(variance) if variance > 0 else 1.0)

    def columns(self, prompts: Sequence[str]) -> Floats:
        """Return the columns: a constant, the task, the length, the meaning.

        `prompts` (length n_prompts): any texts.
        """
        return self._columns(prompts, unit_rows(encode(prompts).vectors))

    def _columns(self, prompts: Sequence[str], vectors: Floats) -> Floats:
        tasks = np.array([TASKS.index(detect_task(text)) for text in prompts], dtype=int)
        is_task = (tasks[:, None] == np.arange(len(TASKS))) * _TASK_WEIGHT
        lengths = np.log1p([[len(text)] for text in prompts]).reshape(-1, 1) - _EVERY_LENGTH
        meaning = self.reduction.transform(vectors) * self.scale
        parts = [np.ones((len(tasks), 1)), is_task, lengths * _LENGTH_WEIGHT, meaning]
        return np.hstack(parts).astype(float)


class Posterior:
    """What is known of each candidate's outcome as a linear function of the columns.

    Each candidate has normal prior weights; the constant is drawn towards `prior_mean`, all
    others towards 0. Noise has a known standard deviation, so that the posterior is normal and
    exact: ``precision = prior + X'X / noise**2``.

    `noise_sd`: of one outcome round its expectation; right-or-wrong outcomes have at most 0.5.
    """

    def __init__(
        self,
        n_columns: int,
        n_models: int,
        *,
        prior_mean: float = 0.5,
        prior_sd: float = 0.35,
        noise_sd: float = 0.4,
    ) -> None:
        self.prior_mean = prior_mean
        self.noise_sd = noise_sd
        self._prior = np.eye(n_columns) / prior_sd**2
        self._precision = np.repeat(self._prior[np.newaxis], n_models, axis=0)
        self._shift = np.zeros((n_models, n_columns))
        self._covariance = np.linalg.inv(self._precision)

    def update(self, columns: Floats, arms: np.ndarray, outcomes: Floats) -> None:
        """Learn from the outcomes of chosen candidates.

        `columns` (n_rows, n_columns): of the prompts.
        `arms` (n_rows,): which candidate each outcome is of.
        `outcomes` (n_rows,): NaN = not observed, nothing is learnt from it.
        """
        for arm in np.unique(arms):
            seen = (arms == arm) & np.isfinite(outcomes)
            rows = columns[seen]
            self._precision[arm] += rows.T @ rows / self.noise_sd**2
            self._shift[arm] += rows.T @ (outcomes[seen] - self.prior_mean) / self.noise_sd**2
            self._covariance[arm] = np.linalg.inv(self._precision[arm])

    def forget(self, share: float) -> None:
        """Let a share of what was learnt fade, so that what changes is learnt anew."""
        self._precision = self._prior + (1 - share) * (self._precision - self._prior)
        self._shift = (1 - share) * self._shift
        self._covariance = np.linalg.inv(self._precision)

    def means(self, columns: Floats) -> Floats:
        """Return expected outcomes, shape (n_rows, n_models)."""
        weights = np.einsum("kij,kj->ki", self._covariance, self._shift)
        return np.asarray(self.prior_mean + columns @ weights.T)

    def sds(self, columns: Floats) -> Floats:
        """Return the standard deviations of the expected outcomes, shape (n_rows, n_models)."""
        variances = np.einsum("ni,kij,nj->nk", columns, self._covariance, columns, optimize=True)
        return np.asarray(np.sqrt(variances))

    def changes(
        self, columns: Floats, asked: Floats, arm: int, is_learnt: np.ndarray | None = None
    ) -> Floats:
        """Return by how much one more outcome of a candidate is expected to move its means.

        `columns` (n_rows, n_columns): prompts whose means are looked at.
        `asked` (n_asked, n_columns): prompts of which the outcome may be asked, one at a time.
        `is_learnt` (n_asked,): of which it was learnt already; what it moved counts there.
        """
        covariance = self._covariance[arm]
        together = columns @ covariance @ asked.T
        own = np.einsum("ni,ij,nj->n", asked, covariance, asked, optimize=True)
        if is_learnt is not None:  # as it was before that outcome
            leverage = np.where(is_learnt, own / self.noise_sd**2, 0.0)
            together, own = together / (1 - leverage), own / (1 - leverage)
        return np.asarray(np.abs(together) / np.sqrt(own + self.noise_sd**2))
