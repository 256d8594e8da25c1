"""Means of candidate models, NaN where nothing was observed."""

from __future__ import annotations

from collections.abc import Sequence
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


def nanmean(matrix: np.ndarray, inclusion: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of what was observed in each column.

    A cell that was to be observed with a probability of 1/4 stands for four (Hajek's mean).

    Farquhar, Gal and Rainforth (2021), On statistical bias in active learning: how and when to fix
    it, ICLR, https://arxiv.org/abs/2101.11665

    `inclusion` (n_prompts, n_models): that probability, in (0, 1]; None = 1 everywhere.

    >>> nanmean(np.array([[1.0], [0.0], [np.nan]]), np.array([[0.25], [1.0], [1.0]])).tolist()
    [0.8]
    """
    known = np.isfinite(matrix)
    weights = known if inclusion is None else known / inclusion
    counts = weights.sum(axis=0)
    sums = np.where(known, matrix * weights, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.where(counts > 0, counts, 1.0), np.nan)


def compared_means(
    quality: np.ndarray, cost_usd: np.ndarray, inclusion: np.ndarray | None = None
) -> Means:
    """Return means over the prompts that all candidates answered, where these are enough.

    Where labels were bought, the prompts that all answered are no sample of all: then everything
    that was observed counts, by its probability.

    `quality, cost_usd` (n_prompts, n_models): NaN where unknown; US dollars.
    `inclusion` (n_prompts, n_models): probability with which a cell was to be observed; None = 1.
    """
    if inclusion is not None and (inclusion < 1).any():
        return Means(nanmean(quality, inclusion), nanmean(cost_usd, inclusion))
    complete = np.isfinite(quality).all(axis=1)
    n_complete = int(complete.sum())
    mean_cost_usd = nanmean(cost_usd)
    if n_complete < max(_MIN_COMPARED, _MIN_COMPARED_SHARE * len(quality)):
        return Means(nanmean(quality), mean_cost_usd)
    compared_usd = nanmean(cost_usd[complete])
    is_known = np.isfinite(compared_usd)
    return Means(nanmean(quality[complete]), np.where(is_known, compared_usd, mean_cost_usd))


class Averaged:
    """What outcomes say of candidate models on average, and which is the best and the cheapest."""

    models: Sequence[str]
    quality: np.ndarray
    cost_usd: np.ndarray
    inclusion: np.ndarray | None

    @property
    def mean_quality(self) -> np.ndarray:
        """Mean quality of each candidate by `inclusion`, shape (n_models,); NaN = never seen."""
        return nanmean(self.quality, self.inclusion)

    @property
    def mean_cost_usd(self) -> np.ndarray:
        """Mean known cost of one call, US dollars, shape (n_models,); NaN where unknown."""
        return nanmean(self.cost_usd, self.inclusion)

    def compared(self) -> Means:
        """Return means by which candidates can be compared fairly.

        A candidate that fails on hard prompts would look better on the rest than one that
        answers all of them.

        Returns
        -------
        Means
            Over the prompts on which every candidate was observed, if these are at least 30 and
            at least half of all; else, and where labels were bought, over all that was observed.

        Examples
        --------
        >>> from routerlib.outcomes.outcomes import Outcomes
        >>> quality = [[0.5, 0.4]] * 30 + [[0.0, np.nan]] * 10
        >>> outcomes = Outcomes([f"p{i}" for i in range(40)], ["small", "large"], quality)
        >>> outcomes.mean_quality.round(3).tolist(), outcomes.compared().quality.round(3).tolist()
        ([0.375, 0.4], [0.5, 0.4])
        """
        return compared_means(self.quality, self.cost_usd, self.inclusion)

    @property
    def best_single(self) -> str:
        """The candidate with the highest `compared` quality, the cheaper among ties."""
        means = self.compared()
        cost_usd = np.nan_to_num(means.cost_usd, nan=np.inf)
        quality = np.nan_to_num(means.quality, nan=-np.inf)
        return self.models[int(np.lexsort((cost_usd, -quality))[0])]

    @property
    def cheapest(self) -> str:
        """The candidate with the lowest `compared` cost, the first when costs are unknown."""
        return self.models[int(np.argmin(np.nan_to_num(self.compared().cost_usd, nan=np.inf)))]
