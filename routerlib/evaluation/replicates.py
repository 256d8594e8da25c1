"""Measure several ways of choosing on the same prompts, replicate by replicate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from routerlib.evaluation.contenders import Contender, TestedPrompts
from routerlib.metrics.curves import costs_at, heights_at, hulls, mean_heights
from routerlib.metrics.intervals import (
    Interval,
    cluster_weights,
    percentile_interval,
    widen_for_unseen,
)
from routerlib.metrics.pairs import pair_metrics, pgr
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats

# The one list of what is measured of a contender; every selection elsewhere is checked against it.
Metric = Literal[
    "quality",
    "cost_usd",
    "cost_share",
    "saving",
    "quality_difference",
    "zero_difference",
    "gain_over_zero",
    "AIQ",
    "cost_at_equal_quality",
    "quality_at_equal_cost",
    "regret",
    "gap_closed",
    "PGR",
    "APGR",
    "CPT50",
    "CPT80",
]
METRICS: tuple[Metric, ...] = get_args(Metric)
_EXACT_DIGITS = 12
# Sums in another order differ by about this much.
_SAME_QUALITY = _NO_HEADROOM = 1e-12


@dataclass(frozen=True)
class Measured:
    """Several ways of choosing, measured on the same resampled prompts.

    `replicates` (n_bootstrap,): the same on resampled prompts.
    """

    values: Mapping[str, Mapping[str, float]]
    replicates: Mapping[str, Mapping[str, Floats]]
    n_groups: int
    unvaried: frozenset[str]

    def intervals(self, contender: str) -> dict[str, Interval]:
        """Return each metric of one contender with its 95 % interval."""
        found = {
            name: percentile_interval(value, self.replicates[contender][name])
            for name, value in self.values[contender].items()
        }
        if contender not in self.unvaried:
            for name in ("quality_difference", "gain_over_zero"):
                found[name] = widen_for_unseen(found[name], self.n_groups)
        return found

    def differences(self, contender: str, to: str) -> dict[str, Interval]:
        """Return each metric of one contender minus that of another, both on the same prompts."""
        found: dict[str, Interval] = {}
        for name in METRICS:
            value = round(self.values[contender][name] - self.values[to][name], _EXACT_DIGITS)
            drawn = self.replicates[contender][name] - self.replicates[to][name]
            found[name] = percentile_interval(value + 0.0, _exact(drawn))
        if found["quality"].se > 0:
            found["quality"] = widen_for_unseen(found["quality"], self.n_groups)
        return found


def measure(
    tested: TestedPrompts,
    contenders: Mapping[str, Contender],
    *,
    n_bootstrap: int,
    random_state: int,
    cost_weight: float = 0.0,
) -> Measured:
    """Measure each contender on the same resampled prompts."""
    groups = tested.outcomes.groups if len(tested) else np.zeros(0)
    once = replicates_of(tested, contenders, np.ones((1, len(tested))), cost_weight)
    blocks = [
        replicates_of(tested, contenders, weights, cost_weight)
        for weights in cluster_weights(groups, n_bootstrap, random_state)
    ]
    return Measured(
        values={
            contender: {name: float(values[0]) for name, values in metrics.items()}
            for contender, metrics in once.items()
        },
        replicates={
            contender: {
                name: np.concatenate([block[contender][name] for block in blocks] or [np.zeros(0)])
                for name in METRICS
            }
            for contender in contenders
        },
        n_groups=len(np.unique(groups)),
        unvaried=frozenset(
            name
            for name, contender in contenders.items()
            if contender.is_single or contender.is_zero_router
        ),
    )


def replicates_of(
    tested: TestedPrompts,
    contenders: Mapping[str, Contender],
    weights: Floats,
    cost_weight: float = 0.0,
) -> dict[str, dict[str, Floats]]:
    """Measure each contender on prompts that were drawn so many times.

    `weights` (n_replicates, n_prompts): how often each tested prompt was drawn.
    """
    shared = _Shared.of(tested, weights, cost_weight)
    return {name: _statistics(tested, contender, shared) for name, contender in contenders.items()}


@dataclass(frozen=True)
class _Shared:
    """What all contenders need of one block of replicates."""

    weights: Floats
    mean: Floats
    model_quality: Floats
    model_cost_usd: Floats
    oracle_quality: Floats
    oracle_utility: Floats
    cost_weight: float

    @classmethod
    def of(cls, tested: TestedPrompts, weights: Floats, cost_weight: float) -> _Shared:
        n = weights.sum(axis=1, keepdims=True)
        mean = weights / np.where(n > 0, n, np.nan)
        weighed = utility(tested.quality, tested.cost_usd, cost_weight)
        best, highest = (
            values.max(axis=1, initial=-np.inf) for values in (tested.quality, weighed)
        )
        return cls(
            weights,
            mean,
            mean @ tested.quality,
            mean @ tested.cost_usd,
            mean @ best,
            mean @ highest,
            cost_weight,
        )


def _statistics(tested: TestedPrompts, contender: Contender, shared: _Shared) -> dict[str, Floats]:
    if not len(tested):  # a sum over no prompts is 0, but nothing was measured
        return dict.fromkeys(METRICS, np.full(len(shared.weights), np.nan))
    mean = shared.mean
    best = shared.model_quality[:, tested.strong]
    quality, cost = mean @ contender.quality, mean @ contender.cost_usd
    zero = _zero_router(shared, cost)
    if contender.is_zero_router:
        quality = zero
    with np.errstate(invalid="ignore", divide="ignore"):
        share = cost / shared.model_cost_usd[:, tested.strong]
        headroom = shared.oracle_quality - best
        closed = (quality - best) / np.where(headroom > _NO_HEADROOM, headroom, np.nan)
    pair = pair_metrics(
        tested.quality[:, tested.weak],
        tested.quality[:, tested.strong],
        contender.score,
        shared.weights,
    )
    return {
        "quality": quality,
        "cost_usd": cost,
        "cost_share": _exact(share),
        "saving": _exact(1 - share),
        "quality_difference": _exact(quality - best),
        "zero_difference": _exact(zero - best),
        "gain_over_zero": _exact(quality - zero),
        **_along_the_curve(tested, contender, shared),
        "regret": _exact(shared.oracle_utility - utility(quality, cost, shared.cost_weight)),
        "gap_closed": _exact(closed),
        "PGR": pgr(quality, shared.model_quality[:, tested.weak], best),
        "APGR": pair.apgr,
        "CPT50": pair.cpt50,
        "CPT80": pair.cpt80,
    }


def _along_the_curve(
    tested: TestedPrompts, contender: Contender, shared: _Shared
) -> dict[str, Floats]:
    """Measure the hull of a contender's curve; anybody can always call the cheapest model."""
    if not tested.has_costs:
        unknown = np.full(len(shared.mean), np.nan)
        names = ("AIQ", "cost_at_equal_quality", "quality_at_equal_cost")
        return dict.fromkeys(names, unknown)
    rows = np.arange(len(shared.mean))
    cheapest = shared.model_cost_usd.argmin(axis=1)
    low_usd = shared.model_cost_usd[rows, cheapest]
    found = hulls(
        np.hstack([shared.mean @ contender.curve_cost_usd, low_usd[:, None]]),
        np.hstack(
            [shared.mean @ contender.curve_quality, shared.model_quality[rows, cheapest][:, None]]
        ),
    )
    best_usd = shared.model_cost_usd[:, tested.strong]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = costs_at(found, shared.model_quality[:, tested.strong] - _SAME_QUALITY) / best_usd
    return {
        "AIQ": mean_heights(found, low_usd, shared.model_cost_usd.max(axis=1)),
        "cost_at_equal_quality": np.fmin(_exact(share), 1.0),
        "quality_at_equal_cost": heights_at(found, best_usd),
    }


def _zero_router(shared: _Shared, cost_usd: Floats) -> Floats:
    """Return what random mixing of the candidate models reaches at these mean costs."""
    if np.isnan(shared.model_cost_usd).any():
        return np.full(len(cost_usd), np.nan)
    return heights_at(hulls(shared.model_cost_usd, shared.model_quality), cost_usd)


def _exact(values: Floats) -> Floats:
    """Drop rounding noise, so that the same choices differ by 0 and not by 1e-16."""
    return np.round(values, _EXACT_DIGITS) + 0.0
