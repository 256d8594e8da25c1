"""Certify what a cascade does, followed over logged answers: its calls, and what it gives back."""

from __future__ import annotations

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.training.certification import Chosen, Way


def way_of(cascade: Cascade, calibration: Outcomes) -> Way:
    """Return how a cascade chooses on calibration prompts, as a certificate tests it.

    Where an answer wasn't kept that it would have asked for, nobody knows how it would have gone
    on, and everything counts at its worst.

    `calibration`: with `answers`, in the order of the cascade's candidate models.
    """
    bench = cascade.bench(calibration)
    n_models = len(cascade.models_)
    told = [[text is not None for text in row] for row in calibration.answers or ()]
    is_there = np.array(told, dtype=bool).reshape(len(calibration), n_models)
    looks = cascade.boldness_.share > 0 and cascade.most_calls > 1

    def choose(cost_weight: float) -> Chosen:
        followed = cascade.follow(bench, cost_weight)
        asked = followed.is_asked(n_models)
        is_told = ~(asked & ~is_there).any(axis=1) if looks else np.ones(len(asked), dtype=bool)
        return Chosen(followed.given, asked, is_told)

    return Way(choose, cascade.most_calls if looks else 1, "cascade")
