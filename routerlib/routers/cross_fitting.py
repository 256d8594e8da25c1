"""Estimate training prompts by routers that saw neither them nor what is like them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.decision import Estimates
from routerlib.routers.held_out import HeldOut
from routerlib.routers.router import Router


def cross_fit(
    router_factory: Callable[[], Router],
    outcomes: Outcomes,
    n_folds: int = 5,
    random_state: int = 0,
) -> HeldOut:
    """Estimate each prompt by a router that saw neither it nor its near-duplicates."""
    n_groups = len(np.unique(outcomes.groups))
    folds = grouped_folds(outcomes.groups, max(min(n_folds, n_groups), 2), random_state)
    quality = np.full(outcomes.quality.shape, np.nan)
    cost_usd = quality.copy()
    for fold in np.unique(folds):
        held_out = np.flatnonzero(folds == fold)
        router = router_factory().fit(outcomes.take(folds != fold))
        estimates = router.predict(outcomes.take(held_out).prompts)
        quality[held_out], cost_usd[held_out] = estimates.quality, estimates.cost_usd
    return HeldOut(Estimates(tuple(outcomes.models), quality, cost_usd), folds)
