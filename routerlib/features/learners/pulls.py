"""What moves a simpler learner's estimate away from its estimate of the usual prompt."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_SAME = 1e-9


class Pull(NamedTuple):
    """Why a learner estimates one prompt otherwise than the usual one, column by column.

    The usual prompt stands at the origin of coordinates and counts. Parts add up to the estimate:
    ``usual + slopes @ coordinates + count_slopes @ counts + topic + similar``, up to rounding.

    `usual` (n_columns,): estimates of the usual prompt.
    `slopes` (n_columns, n_dimensions): what a unit of each coordinate adds on the way from the
        usual prompt to this one.
    `count_slopes` (n_columns, n_counts): the same of the counts that are read directly.
    `topic` (n_columns,): what a topic with a name adds.
    `similar` (n_columns,): what the nearest training prompts add.
    """

    usual: np.ndarray
    slopes: np.ndarray
    count_slopes: np.ndarray
    topic: np.ndarray
    similar: np.ndarray

    @classmethod
    def nothing(cls, usual: np.ndarray, n_dimensions: int, n_counts: int) -> Pull:
        """Return the pull of an estimate that doesn't depend on the prompt."""
        n_columns = len(usual)
        shapes = [(n_columns, n_dimensions), (n_columns, n_counts), (n_columns,), (n_columns,)]
        return cls(usual, *(np.zeros(shape) for shape in shapes))

    def here(self, coordinates: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the estimates of the prompt that it is of, shape (n_columns,)."""
        moved = self.slopes @ coordinates + self.count_slopes @ counts
        return np.asarray(self.usual + moved + self.topic + self.similar)

    def scaled(self, factors: np.ndarray, usual: np.ndarray) -> Pull:
        """Return the pull on another scale, given what a unit of each column is on it."""
        rows = factors[:, np.newaxis]
        return Pull(
            usual,
            self.slopes * rows,
            self.count_slopes * rows,
            self.topic * factors,
            self.similar * factors,
        )

    def __add__(self, other: object) -> Pull:
        """Return the pull of the sum of two estimates."""
        if not isinstance(other, Pull):
            return NotImplemented
        return Pull(*(one + two for one, two in zip(self, other, strict=True)))


def secants(
    usual: np.ndarray, here: np.ndarray, at_usual: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """Return the mean slope of a function between two points of each column.

    `usual, here` (n_columns,): the points.
    `at_usual, at` (n_columns,): the function there.

    >>> secants(np.array([1.0]), np.array([3.0]), np.array([1.0]), np.array([9.0]))
    array([4.])
    """
    steps = here - usual
    is_step = np.abs(steps) > _SAME
    return np.asarray(np.where(is_step, at - at_usual, 0.0) / np.where(is_step, steps, 1.0))
