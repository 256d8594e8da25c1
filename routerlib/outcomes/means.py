"""Means of candidate models, NaN where nothing was observed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Means(NamedTuple):
    """Means of each candidate model over the same prompts, where there are enough.

    Attributes
    ----------
    quality, cost_usd : ndarray of shape (n_models,)
        Mean quality in [0, 1] and mean US dollars of one call; NaN where unknown.
    """

    quality: np.ndarray
    cost_usd: np.ndarray


def nanmean(matrix: np.ndarray) -> np.ndarray:
    """Return the mean of what was observed in each column."""
    known = np.isfinite(matrix)
    counts = known.sum(axis=0)
    sums = np.where(known, matrix, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
