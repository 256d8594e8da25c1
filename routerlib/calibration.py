"""Measure whether estimated quality means what it says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routerlib.pairs import Floats, is_complete


class Reliability(NamedTuple):
    """Expected against observed quality, in bins of equal width that hold something.

    Attributes
    ----------
    expected, observed : ndarray of shape (n_bins_used,)
        Mean of the estimates and of the observations in each bin, in [0, 1].
    counts : ndarray of shape (n_bins_used,)
        Observations in each bin.
    """

    expected: Floats
    observed: Floats
    counts: NDArray[np.int64]


def _pairs(expected: ArrayLike, observed: ArrayLike) -> tuple[Floats, Floats]:
    estimates = np.asarray(expected, dtype=np.float64).ravel()
    outcomes = np.asarray(observed, dtype=np.float64).ravel()
    known = is_complete(estimates, outcomes)
    return estimates[known], outcomes[known]


def reliability(expected: ArrayLike, observed: ArrayLike, n_bins: int = 15) -> Reliability:
    """Average estimates and observations in bins of equal width.

    Parameters
    ----------
    expected, observed : array of equal shape
        Estimated and observed quality in [0, 1]; pairs with a NaN are skipped.
    n_bins : int, default=15
        Bins over [0, 1].

    Returns
    -------
    Reliability
        Empty bins are left out.

    Examples
    --------
    >>> bins = reliability([0.1, 0.1, 0.9], [0, 1, 1])
    >>> bins.expected.tolist(), bins.observed.tolist(), bins.counts.tolist()
    ([0.1, 0.9], [0.5, 1.0], [2, 1])
    """
    estimates, outcomes = _pairs(expected, observed)
    bins = np.minimum((estimates * n_bins).astype(int), n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    used = count > 0
    mean_expected = np.bincount(bins, estimates, n_bins)[used] / count[used]
    mean_observed = np.bincount(bins, outcomes, n_bins)[used] / count[used]
    return Reliability(mean_expected, mean_observed, count[used])


def ece(expected: ArrayLike, observed: ArrayLike, n_bins: int = 15) -> float:
    """Return the expected calibration error.

    The mean distance between estimated and observed quality over bins, weighted by count. Read it
    beside `brier`: a constant guess at the mean has an ECE of nearly 0.

    Parameters
    ----------
    expected, observed : array of equal shape
        Estimated and observed quality in [0, 1]; pairs with a NaN are skipped.
    n_bins : int, default=15
        Bins over [0, 1].

    Returns
    -------
    float
        In [0, 1]; NaN when no pair is known.

    Examples
    --------
    >>> round(ece([0.1, 0.1, 0.9], [0, 1, 1]), 4)
    0.3
    """
    bins = reliability(expected, observed, n_bins)
    if not len(bins.counts):
        return float("nan")
    return float(np.average(np.abs(bins.expected - bins.observed), weights=bins.counts))


def brier(expected: ArrayLike, observed: ArrayLike) -> float:
    """Return the mean squared distance between estimated and observed quality.

    Parameters
    ----------
    expected, observed : array of equal shape
        In [0, 1]; pairs with a NaN are skipped.

    Returns
    -------
    float
        In [0, 1]; NaN when no pair is known.

    Examples
    --------
    >>> round(brier([0.5, 1.0, 0.3], [0, 1, np.nan]), 4)
    0.125
    """
    estimates, outcomes = _pairs(expected, observed)
    return float(np.mean((estimates - outcomes) ** 2)) if len(estimates) else float("nan")
