"""Compare a router's estimates of quality with what was observed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from routerlib.metrics.calibration import (
    Reliability,
    brier,
    ece,
    ece_by_chance,
    mean_brier_interval,
    reliability,
)
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats


class Calibration(NamedTuple):
    """Whether estimated quality means what it says.

    `ece, brier`: per candidate model; NaN = it has no estimates.
    """

    reliability: Reliability
    ece: Mapping[str, float]
    brier: Mapping[str, float]
    mean_ece: float
    mean_ece_by_chance: float
    mean_brier: Interval


def calibration_of(
    expected: Floats, test: Outcomes, *, n_bootstrap: int, random_state: int
) -> Calibration | None:
    """Compare estimates with every observed cell, also of prompts that aren't complete.

    `expected` (n_prompts, n_models): expected quality; None is returned where there is none.
    """
    expected = np.where(np.isfinite(expected), expected, np.nan)
    if np.isnan(expected).all():
        return None
    columns = list(zip(test.models, expected.T, test.quality.T, strict=True))
    eces = {name: ece(column, observed) for name, column, observed in columns}
    chances = {
        name: ece_by_chance(column, observed, groups=test.groups, random_state=random_state)
        for name, column, observed in columns
    }
    return Calibration(
        reliability=reliability(expected, test.quality),
        ece=eces,
        brier={name: brier(column, observed) for name, column, observed in columns},
        mean_ece=_mean_known(eces),
        mean_ece_by_chance=_mean_known(chances),
        mean_brier=mean_brier_interval(
            expected,
            test.quality,
            test.groups,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        ),
    )


def _mean_known(values: Mapping[str, float]) -> float:
    known = [value for value in values.values() if not math.isnan(value)]
    return sum(known) / len(known) if known else float("nan")
