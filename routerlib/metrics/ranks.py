"""How well a number tells good from bad, whatever its scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def auc(scores: ArrayLike, is_good: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the chance that a good one has the higher score; ties count half.

    J. Hanley, B. McNeil, The meaning and use of the area under a receiver operating
    characteristic (ROC) curve, Radiology 143, 1982.

    `scores` (n,): any scale.
    `is_good` (n,): True or False.
    `weights` (n,): how often each counts, such as bootstrap multiplicities; None = once.

    Returns NaN where there is no good or no bad one.

    >>> auc([0.9, 0.4, 0.4, 0.1], [True, True, False, False])
    0.875
    """
    good = np.asarray(is_good, dtype=bool)
    counts = np.ones(len(good)) if weights is None else np.asarray(weights, dtype=np.float64)
    _, rank = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    n_ranks = int(rank.max(initial=-1)) + 1
    goods = np.bincount(rank, weights=counts * good, minlength=n_ranks)
    bads = np.bincount(rank, weights=counts * ~good, minlength=n_ranks)
    pairs = goods.sum() * bads.sum()
    below = np.cumsum(bads) - bads
    return float((goods * (below + bads / 2)).sum() / pairs) if pairs > 0 else float("nan")
