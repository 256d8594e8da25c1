"""Measure several ways of choosing on the same prompts, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from routerlib.evaluation.contenders import Contender, TestedPrompts
from routerlib.evaluation.curve_metrics import CURVE_METRICS, Between
from routerlib.evaluation.resampled import (
    METRICS,
    RATIOS,
    Laid,
    Metric,
    Replicates,
    exact,
    replicates_of,
)
from routerlib.metrics.intervals import (
    Interval,
    cluster_weights,
    percentile_interval,
    widen_for_unseen,
    within_possible,
)
from routerlib.metrics.tails import (
    interval_between,
    lognormal_ends,
    ratio_interval,
    widen_below_few,
)
from routerlib.records.arrays import Floats
from routerlib.records.progress import watched


@dataclass(frozen=True, eq=False)
class Measured:
    """Several ways of choosing, measured on the same resampled prompts.

    `once`: per contender, one replicate: the prompts as they are.
    `drawn`: per contender, resampled prompts.
    `largest`: per contender, what the farthest group adds to the logarithms of `RATIOS`.
    `lognormal`: per contender that always calls best single, ends of its mean cost by that law.
    """

    once: Mapping[str, Replicates]
    drawn: Mapping[str, Replicates]
    largest: Mapping[str, Mapping[str, float]]
    lognormal: Mapping[str, tuple[float, float]]
    n_groups: int
    unvaried: frozenset[str]

    @property
    def values(self) -> dict[str, dict[str, float]]:
        """Each metric of each contender."""
        return {
            contender: {name: float(values[0]) for name, values in found.metrics.items()}
            for contender, found in self.once.items()
        }

    @property
    def replicates(self) -> dict[str, Mapping[str, Floats]]:
        """The same on resampled prompts, shape (n_bootstrap,)."""
        return {contender: found.metrics for contender, found in self.drawn.items()}

    def intervals(self, contender: str) -> dict[str, Interval]:
        """Return each metric of one contender with its 95 % interval."""
        drawn = self.drawn[contender]
        found = {
            name: percentile_interval(float(value[0]), drawn.metrics[name])
            for name, value in self.once[contender].metrics.items()
        }
        for name, each in found.items():
            is_share = name in ("quality", "zero_difference")
            found[name] = widen_below_few(each, self.n_groups, is_share=is_share)
        for name in CURVE_METRICS:
            found[name] = interval_between(found[name].value, *drawn.curve[name], self.n_groups)
            if name != "cost_at_equal_quality":
                found[name] = widen_for_unseen(found[name], self.n_groups)
        equal = found["cost_at_equal_quality"]
        found["cost_at_equal_quality"] = equal._replace(
            low=float(np.maximum(equal.low, 0.0)), high=float(np.minimum(equal.high, 1.0))
        )
        for name in RATIOS:
            found[name] = self._ratio(contender, name)
        if contender in self.lognormal:
            low, high = self.lognormal[contender]
            bill = found["cost_usd"]
            found["cost_usd"] = bill._replace(
                low=float(np.fmin(bill.low, low)), high=float(np.fmax(bill.high, high))
            )
        share = found["cost_share"]
        found["saving"] = Interval(found["saving"].value, 1 - share.high, 1 - share.low, share.se)
        if contender not in self.unvaried:
            for name in ("quality_difference", "gain_over_zero"):
                found[name] = widen_for_unseen(found[name], self.n_groups)
        return {name: within_possible(name, each) for name, each in found.items()}

    def _ratio(self, contender: str, name: str) -> Interval:
        once, drawn = self.once[contender], self.drawn[contender]
        return ratio_interval(
            float(once.metrics[name][0]),
            drawn.metrics[name],
            float(once.spreads[name][0]),
            drawn.spreads[name],
            self.largest[contender][name],
            self.n_groups,
        )

    def correlation(self, one: tuple[str, Metric], other: tuple[str, Metric]) -> float:
        """Correlate two metrics over the draws, each of a contender; 0 where one doesn't vary."""
        drawn = np.array([self.drawn[name].metrics[metric] for name, metric in (one, other)])
        drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
        if drawn.shape[1] < 2 or not (np.ptp(drawn, axis=1) > 0).all():
            return 0.0
        return float(np.clip(np.corrcoef(drawn)[0, 1], -1.0, 1.0))

    def differences(self, contender: str, to: str) -> dict[str, Interval]:
        """Return each metric of one contender minus that of another, both on the same prompts."""
        found: dict[str, Interval] = {}
        ours, others = self.drawn[contender], self.drawn[to]
        for name in METRICS:
            apart_once = self.once[contender].metrics[name] - self.once[to].metrics[name]
            value = float(exact(apart_once)[0])
            if name in CURVE_METRICS:
                apart = _apart(ours.curve[name], others.curve[name])
                found[name] = interval_between(value, *apart, self.n_groups)
            else:
                drawn = ours.metrics[name] - others.metrics[name]
                found[name] = widen_below_few(
                    percentile_interval(value, exact(drawn)), self.n_groups, is_share=False
                )
        if found["quality"].se > 0:
            found["quality"] = widen_for_unseen(found["quality"], self.n_groups)
        return found


def _apart(ours: Between, others: Between) -> Between:
    """Return what a difference lies between, for both curves are too low or too high alike."""
    ends = [exact(mine - theirs) for mine, theirs in zip(ours, others, strict=True)]
    return Between(np.minimum(*ends), np.maximum(*ends))


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
    laid = Laid.of(tested, contenders)
    once = replicates_of(laid, np.ones((1, len(tested))), cost_weight)
    blocks = [
        replicates_of(laid, weights, cost_weight)
        for weights in watched(
            cluster_weights(groups, n_bootstrap, random_state), "blocks of replicates"
        )
    ] or [replicates_of(laid, np.ones((0, len(tested))), cost_weight)]
    return Measured(
        once=once,
        drawn={name: Replicates.joined([block[name] for block in blocks]) for name in contenders},
        largest={name: laid.largest(contender) for name, contender in contenders.items()},
        lognormal={
            name: lognormal_ends(contender.cost_usd, groups)
            for name, contender in contenders.items()
            if contender.is_single
        },
        n_groups=len(np.unique(groups)),
        unvaried=frozenset(
            name
            for name, contender in contenders.items()
            if contender.is_single or contender.is_zero_router
        ),
    )
