"""Put one band round a router at all its cost weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.evaluation.contenders import Contender, TestedPrompts
from routerlib.metrics.intervals import cluster_weights
from routerlib.metrics.tails import joint_band
from routerlib.records.arrays import Floats


class CurveBand(NamedTuple):
    """What a router gives at each cost weight, with 95 % bands that hold at all of them at once.

    So whichever point is picked after looking, its interval holds. Sorted by cost.

    `cost_usd` (n_points,): mean US dollars per prompt; NaN = unknown.
    `quality, quality_low, quality_high` (n_points,): mean quality in [0, 1], and its band.
    `difference, difference_low, difference_high` (n_points,): mean quality minus that of best
        single, in [-1, 1], and its band.
    """

    cost_usd: Floats
    quality: Floats
    quality_low: Floats
    quality_high: Floats
    difference: Floats
    difference_low: Floats
    difference_high: Floats


def curve_band(
    tested: TestedPrompts, contender: Contender, *, n_bootstrap: int, random_state: int
) -> CurveBand:
    """Measure a contender at each point of its curve."""
    best = tested.quality[:, [tested.strong]]
    each = np.hstack([contender.curve_quality, contender.curve_quality - best])
    n = np.float64(len(each))
    with np.errstate(invalid="ignore"):
        cost_usd = contender.curve_cost_usd.sum(axis=0) / n
        means = each.sum(axis=0) / n
    groups = tested.outcomes.groups if len(tested) else np.zeros(0)
    blocks = [
        weights @ each / weights.sum(axis=1, keepdims=True)
        for weights in cluster_weights(groups, n_bootstrap, random_state)
    ] or [np.zeros((0, each.shape[1]))]
    drawn, n_groups = np.concatenate(blocks), len(np.unique(groups))
    half = len(cost_usd)
    order = np.lexsort((means[:half], cost_usd))
    # A few rerouted prompts that lost nothing are no proof, as in `widen_for_unseen`.
    is_rerouted = (contender.curve_cost_usd != tested.cost_usd[:, [tested.strong]]).any(axis=0)
    unseen = is_rerouted[order] / (n_groups + 2)
    bands = []
    for part, share in ((order, 0.0), (half + order, unseen)):
        bands.extend([means[part], *joint_band(means[part], drawn[:, part], n_groups, share)])
    return CurveBand(cost_usd[order], *bands)
