"""Choose where a cascade stands whose router alone keeps to the best single model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import sweep_cost_weights
from routerlib.records.arrays import Floats
from routerlib.routers.cascades.boldness import grouped_error
from routerlib.routers.cascades.replay import Bench

# As for routers: see `routerlib.routers.training.operating_points`.
_MOST_LOSS, _STANDARD_ERRORS, _STANDARD_ERRORS_OF_LOSS = 0.03, 2.0, 1.64
_N_WEIGHTS = 24


class Standing(NamedTuple):
    """A cost weight, and what the cascade gave there out of fold.

    `quality, cost_usd`: means of the cascade; `best_single_quality`, `best_single_cost_usd`: of
        the best single model on the same prompts.
    """

    cost_weight: float
    quality: float
    cost_usd: float
    best_single_quality: float
    best_single_cost_usd: float


def surest_saving(
    bench: Bench, outcomes: Outcomes, complete: np.ndarray, share: float, most_calls: int
) -> Standing | None:
    """Return the cost weight that is most surely better than the best single model, if any is.

    A loss of three points of quality is excluded there (one-sided, 95 %), and so is chance, by two
    standard errors, as the reason why utility is higher.

    `complete` (n_prompts,): prompts with every quality and cost.
    `share`: of the gain of further answers that is believed.
    """
    groups = outcomes.groups[complete]
    best = outcomes.models.index(outcomes.best_single)
    single = outcomes.quality[complete, best]
    single_usd = outcomes.cost_usd[complete, best]
    found: list[tuple[float, Standing]] = []
    for weight in map(float, sweep_cost_weights(bench.estimates, _N_WEIGHTS)[1:-1]):
        followed = bench.follow(weight, share, most_calls)
        quality = followed.quality(outcomes.quality)[complete]
        cost_usd = followed.cost_usd(outcomes.cost_usd)[complete]
        change, saving = quality - single, single_usd - cost_usd
        least = change.mean() - _STANDARD_ERRORS_OF_LOSS * grouped_error(change, groups)
        sureness = _sureness(change + weight * saving, groups)
        if least >= -_MOST_LOSS and saving.mean() > 0 and sureness > _STANDARD_ERRORS:
            means = (float(each.mean()) for each in (quality, cost_usd, single, single_usd))
            found.append((sureness, Standing(weight, *means)))
    return max(found, default=(0.0, None), key=lambda each: each[0])[1]


def _sureness(gains: Floats, groups: np.ndarray) -> float:
    """Return by how many standard errors a mean gain exceeds 0; never certain."""
    error = grouped_error(gains, groups)
    return float(gains.mean()) / error if error > 0 else 0.0
