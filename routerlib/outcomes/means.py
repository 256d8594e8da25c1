"""Means of candidate models, NaN where nothing was observed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Candidates are compared on prompts that all answered where these are at least so many ...
_MIN_COMPARED = 30
# ... and at least this share of all.
_MIN_COMPARED_SHARE = 0.5


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


def compared_means(quality: np.ndarray, cost_usd: np.ndarray) -> Means:
    """Return means over the prompts that all candidates answered, where these are enough.

    `quality, cost_usd` (n_prompts, n_models): NaN where unknown; US dollars.
    """
    complete = np.isfinite(quality).all(axis=1)
    n_complete = int(complete.sum())
    mean_cost_usd = nanmean(cost_usd)
    if n_complete < max(_MIN_COMPARED, _MIN_COMPARED_SHARE * len(quality)):
        return Means(nanmean(quality), mean_cost_usd)
    compared_usd = nanmean(cost_usd[complete])
    is_known = np.isfinite(compared_usd)
    return Means(nanmean(quality[complete]), np.where(is_known, compared_usd, mean_cost_usd))
