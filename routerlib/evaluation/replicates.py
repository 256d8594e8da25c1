"""Measure several ways of choosing on the same prompts, replicate by replicate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from routerlib.evaluation.contenders import Field, Line
from routerlib.metrics.hulls import costs_at, heights_at, hulls, mean_heights
from routerlib.metrics.intervals import (
    Interval,
    cluster_weights,
    percentile_interval,
    widen_for_unseen,
)
from routerlib.metrics.pairs import Floats, pair_metrics, pgr

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

    def intervals(self, line: str) -> dict[str, Interval]:
        """Return each metric of one line with its 95 % interval."""
        found = {
            name: percentile_interval(value, self.replicates[line][name])
            for name, value in self.values[line].items()
        }
        if line not in self.unvaried:
            for name in ("quality_difference", "gain_over_zero"):
                found[name] = widen_for_unseen(found[name], self.n_groups)
        return found

    def differences(self, line: str, to: str) -> dict[str, Interval]:
        """Return each metric of one line minus that of another, both on the same prompts."""
        found = {}
        for name in METRICS:
            value = round(self.values[line][name] - self.values[to][name], _EXACT_DIGITS)
            drawn = self.replicates[line][name] - self.replicates[to][name]
            found[name] = percentile_interval(value + 0.0, _exact(drawn))
        if found["quality"].se > 0:
            found["quality"] = widen_for_unseen(found["quality"], self.n_groups)
        return found


def measure(
    field: Field,
    lines: Mapping[str, Line],
    *,
    n_bootstrap: int,
    random_state: int,
    cost_weight: float = 0.0,
) -> Measured:
    """Measure each line on the same resampled prompts."""
    groups = field.outcomes.groups if len(field) else np.zeros(0)
    once = replicates_of(field, lines, np.ones((1, len(field))), cost_weight)
    blocks = [
        replicates_of(field, lines, weights, cost_weight)
        for weights in cluster_weights(groups, n_bootstrap, random_state)
    ]
    return Measured(
        values={
            line: {name: float(values[0]) for name, values in metrics.items()}
            for line, metrics in once.items()
        },
        replicates={
            line: {
                name: np.concatenate([block[line][name] for block in blocks] or [np.zeros(0)])
                for name in METRICS
            }
            for line in lines
        },
        n_groups=len(np.unique(groups)),
        unvaried=frozenset(
            name for name, line in lines.items() if line.is_single or line.is_zero_router
        ),
    )


def replicates_of(
    field: Field, lines: Mapping[str, Line], weights: Floats, cost_weight: float = 0.0
) -> dict[str, dict[str, Floats]]:
    """Measure each line on prompts that were drawn so many times.

    `weights` (n_replicates, n_prompts): how often each prompt of the field was drawn.
    """
    shared = _Shared.of(field, weights, cost_weight)
    return {name: _statistics(field, line, shared) for name, line in lines.items()}


METRICS = (
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
)


@dataclass(frozen=True)
class _Shared:
    """What all lines need of one block of replicates."""

    weights: Floats
    mean: Floats
    model_quality: Floats
    model_cost_usd: Floats
    oracle_quality: Floats
    oracle_utility: Floats
    cost_weight: float

    @classmethod
    def of(cls, field: Field, weights: Floats, cost_weight: float) -> _Shared:
        n = weights.sum(axis=1, keepdims=True)
        mean = weights / np.where(n > 0, n, np.nan)
        utility = field.quality
        if cost_weight:
            utility = utility - cost_weight * field.cost_usd
        best, highest = (values.max(axis=1, initial=-np.inf) for values in (field.quality, utility))
        return cls(
            weights,
            mean,
            mean @ field.quality,
            mean @ field.cost_usd,
            mean @ best,
            mean @ highest,
            cost_weight,
        )


def _statistics(field: Field, line: Line, shared: _Shared) -> dict[str, Floats]:
    if not len(field):  # a sum over no prompts is 0, but nothing was measured
        return dict.fromkeys(METRICS, np.full(len(shared.weights), np.nan))
    mean = shared.mean
    best = shared.model_quality[:, field.strong]
    quality, cost = mean @ line.quality, mean @ line.cost_usd
    zero = _zero_router(shared, cost)
    if line.is_zero_router:
        quality = zero
    weighed = shared.cost_weight * cost if shared.cost_weight else 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = cost / shared.model_cost_usd[:, field.strong]
        headroom = shared.oracle_quality - best
        closed = (quality - best) / np.where(headroom > _NO_HEADROOM, headroom, np.nan)
    pair = pair_metrics(
        field.quality[:, field.weak], field.quality[:, field.strong], line.score, shared.weights
    )
    return {
        "quality": quality,
        "cost_usd": cost,
        "cost_share": _exact(share),
        "saving": _exact(1 - share),
        "quality_difference": _exact(quality - best),
        "zero_difference": _exact(zero - best),
        "gain_over_zero": _exact(quality - zero),
        **_along_the_curve(field, line, shared),
        "regret": _exact(shared.oracle_utility - (quality - weighed)),
        "gap_closed": _exact(closed),
        "PGR": pgr(quality, shared.model_quality[:, field.weak], best),
        "APGR": pair.apgr,
        "CPT50": pair.cpt50,
        "CPT80": pair.cpt80,
    }


def _along_the_curve(field: Field, line: Line, shared: _Shared) -> dict[str, Floats]:
    """Measure the hull of a line's curve; anybody can always call the cheapest model."""
    if not field.has_costs:
        unknown = np.full(len(shared.mean), np.nan)
        names = ("AIQ", "cost_at_equal_quality", "quality_at_equal_cost")
        return dict.fromkeys(names, unknown)
    rows = np.arange(len(shared.mean))
    cheapest = shared.model_cost_usd.argmin(axis=1)
    low_usd = shared.model_cost_usd[rows, cheapest]
    found = hulls(
        np.hstack([shared.mean @ line.curve_cost_usd, low_usd[:, None]]),
        np.hstack(
            [shared.mean @ line.curve_quality, shared.model_quality[rows, cheapest][:, None]]
        ),
    )
    best_usd = shared.model_cost_usd[:, field.strong]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = costs_at(found, shared.model_quality[:, field.strong] - _SAME_QUALITY) / best_usd
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
