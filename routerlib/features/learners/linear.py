"""Ridge regression of several targets at once, with the penalty that predicts best out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.records.arrays import pack_array, unpack_array

# Ridge penalties tried, for columns whose variances sum to a small number.
_PENALTIES = tuple(float(penalty) for penalty in np.geomspace(0.05, 100, 10))
_ROWS_AT_ONCE = 8192


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
        moments = _Moments.of(columns, targets, folds)
        by_penalty = _cross_predict(columns, targets, folds, moments)
        errors = [np.nansum((predicted - targets) ** 2) for predicted in by_penalty]
        best = len(errors) - 1 - int(np.argmin(errors[::-1]))  # the strongest among ties
        slopes, constants = moments.ridge(np.unique(folds), (_PENALTIES[best],))[0]
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


def _cross_predict(
    columns: np.ndarray, targets: np.ndarray, folds: np.ndarray, moments: _Moments
) -> list[np.ndarray]:
    """Return out-of-fold predictions (n, n_targets) for each of the penalties.

    Every fold's constant is moved to the overall mean: the mean of the other folds is the lower,
    the higher the fold's own targets are, and a later learner would learn that.
    """
    predicted = [np.empty(targets.shape) for _ in _PENALTIES]
    overall = observed_means(targets)
    numbers = np.unique(folds)
    for fold in numbers:
        is_held_out = folds == fold
        if is_held_out.all():  # nothing to learn from: the means, whatever the penalty
            return [np.tile(overall, (len(targets), 1)) for _ in _PENALTIES]
        fits = moments.ridge(numbers[numbers != fold], _PENALTIES)
        drift = overall - observed_means(targets[~is_held_out])
        own = columns[is_held_out].astype(float)
        for (slopes, constants), into in zip(fits, predicted, strict=True):
            into[is_held_out] = own @ slopes + constants + drift
    return predicted


class _Sums(NamedTuple):
    """What a ridge regression needs to know of some rows, about a common origin.

    `n`: rows.
    `columns, targets` (n_columns,), (n_targets,): sums.
    `squares, products` (n_columns, n_columns), (n_columns, n_targets): sums of products.
    """

    n: int
    columns: np.ndarray
    targets: np.ndarray
    squares: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, columns: np.ndarray, targets: np.ndarray, origin: np.ndarray) -> _Sums:
        """Add up some rows at a time, so that no second table of all is made."""
        n_columns, n_targets = columns.shape[1], targets.shape[1]
        squares, products = np.zeros((n_columns, n_columns)), np.zeros((n_columns, n_targets))
        total = np.zeros(n_columns)
        for start in range(0, len(columns), _ROWS_AT_ONCE):
            some = columns[start : start + _ROWS_AT_ONCE] - origin
            squares += some.T @ some
            products += some.T @ targets[start : start + _ROWS_AT_ONCE]
            total += some.sum(axis=0)
        return cls(len(columns), total, targets.sum(axis=0), squares, products)


class _Moments(NamedTuple):
    """Sums of each fold, for targets that were observed in the same rows.

    `origin` (n_columns,): mean of all rows, near which sums of squares are exact.
    `patterns`: which targets, and their sums by fold.
    """

    origin: np.ndarray
    n_targets: int
    patterns: list[tuple[np.ndarray, dict[int, _Sums]]]

    @classmethod
    def of(cls, columns: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> _Moments:
        origin = columns.mean(axis=0, dtype=float)
        is_observed = ~np.isnan(targets)
        kinds, kind_of = np.unique(is_observed, axis=1, return_inverse=True)
        patterns = []
        for number, pattern in enumerate(kinds.T):
            group = np.flatnonzero(kind_of.ravel() == number)
            by_fold = {}
            for fold in np.unique(folds):
                rows = np.flatnonzero(pattern & (folds == fold))
                by_fold[int(fold)] = _Sums.of(columns[rows], targets[np.ix_(rows, group)], origin)
            patterns.append((group, by_fold))
        return cls(origin, targets.shape[1], patterns)

    def ridge(
        self, folds: np.ndarray, penalties: Sequence[float]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Fit to some folds: slopes (n_columns, n_targets) and constants for each penalty."""
        shape = len(self.origin), self.n_targets
        fits = [(np.zeros(shape), np.zeros(self.n_targets)) for _ in penalties]
        for group, by_fold in self.patterns:
            own = [by_fold[int(fold)] for fold in folds]
            n, columns, targets, squares, products = (sum(each) for each in zip(*own, strict=True))
            means = targets / max(n, 1)
            for _, constants in fits:
                constants[group] = means
            if n < 2:
                continue
            centre = columns / n
            values, axes = np.linalg.eigh(squares - n * np.outer(centre, centre))
            projected = axes.T @ (products - np.outer(centre, targets))
            for (slopes, constants), penalty in zip(fits, penalties, strict=True):
                shrunk = projected / (np.maximum(values, 0) + penalty)[:, np.newaxis]
                slopes[:, group] = axes @ shrunk
                constants[group] = means - (self.origin + centre) @ slopes[:, group]
        return fits


def observed_means(targets: np.ndarray) -> np.ndarray:
    """Return the mean of each column's observed cells, 0 where there are none.

    `targets` (n_rows, n_targets): NaN = not observed.

    >>> observed_means(np.array([[1.0, np.nan], [0.0, np.nan]]))
    array([0.5, 0. ])
    """
    counts = (~np.isnan(targets)).sum(axis=0)
    return np.nansum(targets, axis=0) / np.maximum(counts, 1)
