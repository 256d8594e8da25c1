"""Find out what a router would have expected of prompts that it hadn't seen."""

from __future__ import annotations

from copy import copy

import numpy as np

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.decision import Estimates
from routerlib.routers.cross_fitting import cross_fit
from routerlib.routers.held_out import HeldOut
from routerlib.routers.router import Router

_N_FOLDS = 5


def expected_without(router: Router, outcomes: Outcomes, random_state: int) -> HeldOut:
    """Return what is expected of each prompt by the router without it, in folds of groups.

    Prompts that the router never saw are estimated by itself. Of its training prompts it
    remembers what was expected out of fold; a router from a file forgot it, and is fitted anew on
    parts of these outcomes.

    `outcomes`: in the order of the router's candidate models.
    """
    seen = set(router.train_prompt_ids_)
    is_seen = np.array([each in seen for each in outcomes.prompt_ids], dtype=bool)
    known = router.held_out_
    if known is not None and tuple(router.train_prompt_ids_) == tuple(outcomes.prompt_ids):
        return known
    if is_seen.any():
        return cross_fit(lambda: copy(router), outcomes, _N_FOLDS, random_state)
    folds = grouped_folds(
        outcomes.groups, max(min(_N_FOLDS, len(np.unique(outcomes.groups))), 2), random_state
    )
    estimates = router.predict(outcomes.prompts)
    return HeldOut(Estimates(router.models_, estimates.quality, estimates.cost_usd), folds)
