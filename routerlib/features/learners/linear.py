"""Ridge regression of several targets at once, with the penalty that predicts best out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.records.arrays import pack_array, unpack_array

# Ridge penalties tried, for columns whose variances sum to a small number.
_PENALTIES = tuple(float(penalty) for penalty in np.geomspace(0.05, 100, 10))


class LinearFit:
    """Slopes and constants of a linear estimate.

    `slopes` (n_columns, n_targets): what one unit of each column adds.
    `constants` (n_targets,): estimate at the origin.
    """

    def __init__(self, slopes: np.ndarray, constants: np.ndarray) -> None:
        self.slopes = slopes
        self.constants = constants

    @classmethod
    def fit_out_of_fold(
        cls, columns: np.ndarray, targets: np.ndarray, folds: np.ndarray
    ) -> tuple[Self, np.ndarray]:
        """Fit on all rows, and predict each row from the other folds.

        `columns` (n_prompts, n_columns): inputs.
        `targets` (n_prompts, n_targets): NaN = not observed.
        `folds` (n_prompts,): near-duplicates share a fold.

        >>> columns = np.arange(8.0)[:, np.newaxis]
        >>> fit, held_out = LinearFit.fit_out_of_fold(columns, 2 * columns + 1, np.arange(8) % 4)
        >>> fit.predict(np.array([[3.5]])).round(1), held_out.shape
        (array([[8.]]), (8, 1))
        """
        columns = columns.astype(float)
        by_penalty = _cross_predict(columns, targets, folds)
        errors = [np.nansum((predicted - targets) ** 2) for predicted in by_penalty]
        best = len(errors) - 1 - int(np.argmin(errors[::-1]))  # the strongest among ties
        slopes, constants = _ridge(columns, targets, (_PENALTIES[best],))[0]
        return cls(slopes.astype(np.float32), constants), by_penalty[best]

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """Return predictions of shape (n_prompts, n_targets)."""
        return np.asarray(columns @ self.slopes + self.constants)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"slopes": pack_array(self.slopes), "constants": pack_array(self.constants)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(unpack_array(state["slopes"]), unpack_array(state["constants"]))


def observed_means(targets: np.ndarray) -> np.ndarray:
    """Return the mean of each column's observed cells, 0 where there are none.

    `targets` (n_rows, n_targets): NaN = not observed.

    >>> observed_means(np.array([[1.0, np.nan], [0.0, np.nan]]))
    array([0.5, 0. ])
    """
    counts = (~np.isnan(targets)).sum(axis=0)
    return np.nansum(targets, axis=0) / np.maximum(counts, 1)


def _cross_predict(columns: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> list[np.ndarray]:
    """Return out-of-fold predictions (n, n_targets) for each of the penalties.

    Every fold's constant is moved to the overall mean: the mean of the other folds is the lower,
    the higher the fold's own targets are, and a later learner would learn that.
    """
    predicted = [np.empty(targets.shape) for _ in _PENALTIES]
    overall = observed_means(targets)
    for fold in np.unique(folds):
        is_held_out = folds == fold
        if is_held_out.all():  # nothing to learn from: the means, whatever the penalty
            return [np.tile(overall, (len(targets), 1)) for _ in _PENALTIES]
        fits = _ridge(columns[~is_held_out], targets[~is_held_out], _PENALTIES)
        for (slopes, constants), into in zip(fits, predicted, strict=True):
            drift = overall - observed_means(targets[~is_held_out])
            into[is_held_out] = columns[is_held_out] @ slopes + constants + drift
    return predicted


def _ridge(
    columns: np.ndarray, targets: np.ndarray, penalties: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return slopes (n_columns, n_targets) and constants (n_targets,) for each penalty."""
    fits = [
        (np.zeros((columns.shape[1], targets.shape[1])), observed_means(targets)) for _ in penalties
    ]
    is_observed = ~np.isnan(targets)
    patterns, pattern_of = np.unique(is_observed, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        if pattern.sum() < 2:
            continue
        group = np.flatnonzero(pattern_of.ravel() == number)
        seen, wanted = columns[pattern], targets[np.ix_(pattern, group)]
        centre, means = seen.mean(axis=0), wanted.mean(axis=0)
        values, axes = np.linalg.eigh((seen - centre).T @ (seen - centre))
        projected = axes.T @ ((seen - centre).T @ (wanted - means))
        for (slopes, constants), penalty in zip(fits, penalties, strict=True):
            slopes[:, group] = axes @ (projected / (np.maximum(values, 0) + penalty)[:, np.newaxis])
            constants[group] = means - centre @ slopes[:, group]
    return fits
