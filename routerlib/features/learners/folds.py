"""Deal the prompts of outcomes into folds, near-duplicates together."""

from __future__ import annotations

import numpy as np

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes

_N_FOLDS = 5


def folds_of(outcomes: Outcomes, random_state: int, n_folds: int = _N_FOLDS) -> np.ndarray:
    """Deal near-duplicate groups into folds; all zeros when there is one group only.

    >>> folds_of(Outcomes(["cook rice"] * 2, ["small"], [[1], [1]]), random_state=0)
    array([0, 0])
    """
    n_groups = len(np.unique(outcomes.groups))
    if n_groups < 2:
        return np.zeros(len(outcomes), dtype=int)
    return grouped_folds(outcomes.groups, min(n_folds, n_groups), random_state)


def kept_by_folds(folds: np.ndarray) -> list[np.ndarray]:
    """Return masks of all prompts, and of those that each fold leaves.

    >>> [kept.tolist() for kept in kept_by_folds(np.array([0, 1, 1]))]
    [[True, True, True], [False, True, True], [True, False, False]]
    """
    return [np.ones(len(folds), dtype=bool), *(folds != fold for fold in np.unique(folds))]
