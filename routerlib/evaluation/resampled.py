"""Measure contenders on prompts that were drawn so many times, replicate by replicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from routerlib.evaluation.contenders import Contender, TestedPrompts
from routerlib.evaluation.curve_metrics import (
    CURVE_METRICS,
    Between,
    along_the_curve,
    careful,
    folds_of,
    mixtures_of,
)
from routerlib.metrics.curves import heights_at, hulls
from routerlib.metrics.mixtures import Mixtures
from routerlib.metrics.pairs import pair_metrics, pgr
from routerlib.metrics.tails import group_products
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
_NO_HEADROOM = _NO_SPREAD = 1e-12
# Ratios of mean costs, whose tails are heavy.
RATIOS = ("cost_usd", "cost_share")


class Replicates(NamedTuple):
    """What one contender gave on each of some resampled prompts.

    `metrics`: per metric, shape (n_replicates,).
    `curve`: the metrics of the curve, as what they lie between.
    `spreads`: standard error of the logarithm of ``cost_usd`` and ``cost_share``, shape
        (n_replicates,).
    """

    metrics: Mapping[str, Floats]
    curve: Mapping[str, Between]
    spreads: Mapping[str, Floats]

    @classmethod
    def joined(cls, blocks: Sequence[Replicates]) -> Replicates:
        """Join blocks of replicates, at least one."""
        return cls(
            {name: np.concatenate([each.metrics[name] for each in blocks]) for name in METRICS},
            {
                name: Between(
                    np.concatenate([each.curve[name].low for each in blocks]),
                    np.concatenate([each.curve[name].high for each in blocks]),
                )
                for name in CURVE_METRICS
            },
            {name: np.concatenate([each.spreads[name] for each in blocks]) for name in RATIOS},
        )


@dataclass(frozen=True, eq=False)
class Laid:
    """Contenders on tested prompts, with all that doesn't change from draw to draw.

    `mixtures`: per contender; None where costs are unknown.
    `products`: per contender, shape (n_prompts, 3): products of the sums of each group, of its
        cost with itself, with best single's, and with its number of prompts.
    `best_products` (n_prompts, 2): of best single's cost, and of the number, with itself.
    """

    tested: TestedPrompts
    contenders: Mapping[str, Contender]
    mixtures: Mapping[str, Mixtures | None]
    products: Mapping[str, Floats]
    best_products: Floats

    @property
    def n_groups(self) -> int:
        """Groups among the tested prompts: each has one product."""
        return int(np.count_nonzero(self.best_products[:, 1]))

    @classmethod
    def of(cls, tested: TestedPrompts, contenders: Mapping[str, Contender]) -> Laid:
        """Fix the mixtures and multiply the sums of each group."""
        if not len(tested):
            return cls(tested, contenders, {}, {}, np.zeros((0, 2)))
        folds, groups = folds_of(tested), tested.outcomes.groups
        best, one = tested.best_cost_usd, np.ones(len(tested))

        def with_each(cost: Floats, *others: Floats) -> Floats:
            return np.column_stack([group_products(groups, cost, other) for other in others])

        return cls(
            tested,
            contenders,
            {name: mixtures_of(tested, each, folds) for name, each in contenders.items()},
            {
                name: with_each(each.cost_usd, each.cost_usd, best, one)
                for name, each in contenders.items()
            },
            np.column_stack([group_products(groups, each, each) for each in (best, one)]),
        )

    def largest(self, contender: Contender) -> dict[str, float]:
        """Return what the farthest group adds to the logarithm of each ratio."""
        if not len(self.tested):
            return dict.fromkeys(RATIOS, np.nan)
        best, one = self.tested.best_cost_usd, np.ones(len(self.tested))
        _, group_of = np.unique(self.tested.outcomes.groups, return_inverse=True)
        shares = []
        for values in (contender.cost_usd, one, best):
            sums = np.bincount(group_of, weights=values)
            with np.errstate(invalid="ignore", divide="ignore"):
                shares.append(sums / sums.sum())
        own, even, strong = shares
        return {
            "cost_usd": float(np.abs(own - even).max()),
            "cost_share": float(np.abs(own - strong).max()),
        }


def replicates_of(laid: Laid, weights: Floats, cost_weight: float = 0.0) -> dict[str, Replicates]:
    """Measure each contender on prompts that were drawn so many times.

    `weights` (n_replicates, n_prompts): how often each tested prompt was drawn.
    """
    shared = _Shared.of(laid, weights, cost_weight)
    return {name: _replicates(laid, name, shared) for name in laid.contenders}


@dataclass(frozen=True)
class _Shared:
    """What all contenders need of one block of replicates."""

    weights: Floats
    mean: Floats
    model_quality: Floats
    model_cost_usd: Floats
    best_quality: Floats
    best_cost_usd: Floats
    oracle_quality: Floats
    oracle_utility: Floats
    best_products: Floats
    cost_weight: float

    @classmethod
    def of(cls, laid: Laid, weights: Floats, cost_weight: float) -> _Shared:
        tested = laid.tested
        n = weights.sum(axis=1, keepdims=True)
        mean = weights / np.where(n > 0, n, np.nan)
        weighed = utility(tested.quality, tested.cost_usd, cost_weight)
        best, highest = (
            np.full(len(tested), np.nan) if tested.n_bought else values.max(axis=1, initial=-np.inf)
            for values in (tested.quality, weighed)
        )
        return cls(
            weights,
            mean,
            mean @ tested.quality,
            mean @ tested.cost_usd,
            mean @ tested.best_quality,
            mean @ tested.best_cost_usd,
            mean @ best,
            mean @ highest,
            weights @ laid.best_products,
            cost_weight,
        )


def _replicates(laid: Laid, name: str, shared: _Shared) -> Replicates:
    if not len(laid.tested):  # a sum over no prompts is 0, but nothing was measured
        unknown = np.full(len(shared.weights), np.nan)
        return Replicates(
            dict.fromkeys(METRICS, unknown),
            dict.fromkeys(CURVE_METRICS, Between(unknown, unknown)),
            dict.fromkeys(RATIOS, unknown),
        )
    curve = along_the_curve(
        laid.mixtures[name],
        shared.mean,
        shared.model_cost_usd,
        (shared.best_quality, shared.best_cost_usd),
        laid.n_groups,
    )
    metrics = _at_the_point(laid.tested, laid.contenders[name], shared)
    along = {each: careful(each, between) for each, between in curve.items()}
    return Replicates(
        {each: (metrics | along)[each] for each in METRICS},
        curve,
        _spreads(metrics["cost_usd"], laid.products[name], shared),
    )


def _spreads(cost_usd: Floats, products: Floats, shared: _Shared) -> dict[str, Floats]:
    """Return the standard errors of the logarithms of mean cost and of its share."""
    n = shared.weights.sum(axis=1)
    own, with_best, with_one = (shared.weights @ products).T
    best, one = shared.best_products.T
    with np.errstate(invalid="ignore", divide="ignore"):
        total, best_total = cost_usd * n, shared.best_cost_usd * n
        squared = own / total**2
        of_share = squared - 2 * with_best / (total * best_total) + best / best_total**2
        of_cost = squared - 2 * with_one / (total * n) + one / n**2
    # What cancels leaves rounding noise, which is no spread.
    shares = {"cost_usd": of_cost, "cost_share": of_share}
    return {
        name: np.sqrt(np.where(value > _NO_SPREAD * squared, value, 0.0) + 0 * squared)
        for name, value in shares.items()
    }


def _at_the_point(
    tested: TestedPrompts, contender: Contender, shared: _Shared
) -> dict[str, Floats]:
    mean = shared.mean
    best = shared.best_quality
    quality, cost = mean @ contender.quality, mean @ contender.cost_usd
    zero = _zero_router(shared, cost)
    if contender.is_zero_router:
        quality = zero
    with np.errstate(invalid="ignore", divide="ignore"):
        share = cost / shared.best_cost_usd
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
        "cost_share": exact(share),
        "saving": exact(1 - share),
        "quality_difference": exact(quality - best),
        "zero_difference": exact(zero - best),
        "gain_over_zero": exact(quality - zero),
        "regret": exact(shared.oracle_utility - utility(quality, cost, shared.cost_weight)),
        "gap_closed": exact(closed),
        "PGR": pgr(quality, shared.model_quality[:, tested.weak], best),
        "APGR": pair.apgr,
        "CPT50": pair.cpt50,
        "CPT80": pair.cpt80,
    }


def _zero_router(shared: _Shared, cost_usd: Floats) -> Floats:
    """Return what random mixing of the candidate models reaches at these mean costs."""
    if np.isnan(shared.model_cost_usd).any():
        return np.full(len(cost_usd), np.nan)
    return heights_at(hulls(shared.model_cost_usd, shared.model_quality), cost_usd)


def exact(values: Floats) -> Floats:
    """Drop rounding noise, so that the same choices differ by 0 and not by 1e-16."""
    return np.round(values, _EXACT_DIGITS) + 0.0
