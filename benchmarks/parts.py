"""Divide prompts as published evaluations do: at random, and into smaller and smaller parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts


def random_parts(
    outcomes: Outcomes, n_train: int, seeds: Sequence[int], n_left_out: int = 0
) -> list[Parts]:
    """Draw training prompts at random, one draw for each seed; all others are tested.

    Near-duplicates may stand on both sides, as in published evaluations of this kind; use
    `routerlib.outcomes.splits.folds` where they must not.
    """
    if not 0 < n_train <= n_train + n_left_out < len(outcomes):
        raise ValueError(
            f"training prompts and those left out must leave some of the {len(outcomes)} prompts "
            f"to test, got {n_train!r} and {n_left_out!r}"
        )
    orders = [np.random.default_rng(seed).permutation(len(outcomes)) for seed in seeds]
    return [Parts(order[:n_train], order[n_train + n_left_out :]) for order in orders]


def smaller_train(parts: Parts, n_train: int, random_state: int = 0) -> Parts:
    """Keep fewer training prompts and the same test prompts."""
    order = np.random.default_rng(random_state).permutation(len(parts.train))
    return Parts(parts.train[np.sort(order[:n_train])], parts.test)
