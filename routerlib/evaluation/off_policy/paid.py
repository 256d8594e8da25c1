"""Bound what decisions cost whose reply told no usage, by what others of their candidate cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.log.choices import LoggedChoices
from routerlib.records.arrays import Floats


class Paid(NamedTuple):
    """US dollars of each decision, shape (n,) each: the same three where its cost is known."""

    least: Floats
    usual: Floats
    most: Floats


def paid(logged: LoggedChoices) -> Paid:
    """Return what each decision cost, or may have.

    Raises
    ------
    ThinOverlap
        If no cost of some chosen candidate is known.
    """
    known = logged.cost_usd
    ends = Paid(known.copy(), known.copy(), known.copy())
    for arm in np.unique(logged.arms[np.isnan(known)]).tolist():
        of_arm = logged.arms == arm
        seen = known[of_arm & np.isfinite(known)]
        if not len(seen):
            raise ThinOverlap(
                f"no logged cost of {logged.models[arm]} is known, so utility can't be compared: "
                "name its price in candidates.yaml, or compare at cost weight 0"
            )
        for each, value in zip(ends, (seen.min(), seen.mean(), seen.max()), strict=True):
            each[of_arm & np.isnan(known)] = value
    return ends
