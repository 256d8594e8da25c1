"""Ask what held-out decisions would be worth at another cost weight, or at other prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.evaluation.routing import route_unseen
from routerlib.metrics.intervals import cluster_weights
from routerlib.metrics.pairs import is_complete
from routerlib.metrics.tails import joint_width
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router

_N_WEIGHTS = 48
# Prices at which each candidate is tried, at a part of the cost weights, for the joint width.
_TRIED_FACTORS = (0.1, 0.32, 3.2, 10.0)
_N_BOOTSTRAP = 500
_Z95 = 1.96
# What a page holds must stay small: at most so many prompts times candidate models.
MAX_CELLS = 20_000
# Tenths of a decade, rounded as people expect them.
_STEPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
PRICE_FACTORS = (*(step / 10 for step in _STEPS), *_STEPS, 10.0)


class WhatIf(NamedTuple):
    """What the decisions are worth under one supposition.

    `half_width`: of the band of 95 % round the difference that holds wherever the sliders stand.
    """

    quality: float
    cost_usd: float
    shares: dict[str, float]
    best_quality: float
    best_cost_usd: float
    saving: float
    quality_difference: float
    half_width: float
    n_changed: int


@dataclass(frozen=True)
class HeldOutDecisions:
    """Estimates and outcomes of held-out prompts, on which suppositions can be tried.

    `expected_quality, expected_cost_usd` (n_prompts, n_models): what the router expects.
    `quality, cost_usd` (n_prompts, n_models): what was observed.
    `groups` (n_prompts,): group of near-duplicates of each prompt; None = each by itself.
    `tested` (n_prompts,): column that was chosen as the verdict counts it, by a router that hasn't
        seen the prompt; None = where the estimates' utility is largest.
    `best` (n_prompts,): column of the best single model that other prompts chose; None = that of
        `best_single`.
    """

    models: tuple[str, ...]
    best_single: str
    cost_weight: float
    expected_quality: Floats
    expected_cost_usd: Floats
    quality: Floats
    cost_usd: Floats
    n_left_out: int
    keeps_to_best: bool = False
    groups: Arms | None = None
    tested: Arms | None = None
    best: Arms | None = None

    @classmethod
    def of(cls, router: Router, test: Outcomes, max_cells: int = MAX_CELLS) -> Self | None:
        """Gather what a router expects and what was observed on prompts it has not seen.

        `max_cells`: prompts times candidate models that are kept at most.
        """
        known = test.take(is_complete(test.quality, test.cost_usd))
        kept = known.take(np.arange(len(known))[: max(max_cells // len(test.models), 1)])
        if not len(kept):
            return None
        routed = route_unseen(router, [kept])[0]
        expected = routed.estimates
        if not is_complete(expected.quality, expected.cost_usd).all():
            return None
        return cls(
            models=tuple(kept.models),
            best_single=router.best_single_,
            cost_weight=float(router.cost_weight_),
            expected_quality=expected.quality,
            expected_cost_usd=expected.cost_usd,
            quality=kept.quality,
            cost_usd=kept.cost_usd,
            n_left_out=len(test) - len(kept),
            keeps_to_best=router.fallback_ is not None,
            groups=np.unique(kept.groups, return_inverse=True)[1],
            tested=routed.arms,
            best=routed.best,
        )

    def __len__(self) -> int:
        return len(self.quality)

    def at(
        self, cost_weight: float | None = None, price_factors: Mapping[str, float] | None = None
    ) -> WhatIf:
        """Choose again, and say what that would have been worth.

        `cost_weight`: quality given up per US dollar saved; None = as the router stands: what was
            tested, at other prices its own cost weight, or the best single model where it keeps to
            that.
        """
        factors = np.array([(price_factors or {}).get(model, 1.0) for model in self.models])
        arms = self._arms(cost_weight, factors)
        rows, best = np.arange(len(self)), self._best_arms
        paid = self.cost_usd * factors
        gains = self.quality[rows, arms] - self.quality[rows, best]
        cost, best_cost = float(paid[rows, arms].mean()), float(paid[rows, best].mean())
        counts = np.bincount(arms, minlength=len(self.models)) / len(self)
        return WhatIf(
            quality=float(self.quality[rows, arms].mean()),
            cost_usd=cost,
            shares=dict(zip(self.models, map(float, counts), strict=True)),
            best_quality=float(self.quality[rows, best].mean()),
            best_cost_usd=best_cost,
            saving=1 - cost / best_cost if best_cost else float("nan"),
            quality_difference=float(gains.mean()),
            half_width=self.joint_width * float(self._se(gains, arms)),
            n_changed=int((arms != self._arms(None, np.ones(len(factors)))).sum()),
        )

    def is_best_single(
        self, cost_weight: float | None = None, price_factors: Mapping[str, float] | None = None
    ) -> bool:
        """Tell whether that is the best single model on every prompt, as `at` is asked."""
        factors = np.array([(price_factors or {}).get(model, 1.0) for model in self.models])
        return bool((self._arms(cost_weight, factors) == self._best_arms).all())

    @cached_property
    def joint_width(self) -> float:
        """Standard errors that hold wherever the sliders stand: for all cost weights at once.

        And for a price of each candidate that is others' multiple, at some of the cost weights.
        """
        best, weights = self._best_arms, self.cost_weights()
        tried = {}
        for factors, taken in self._tried(weights):
            for weight in taken:
                arms = self._arms(weight, factors)
                tried[arms.tobytes()] = arms
        chosen = [arms for arms in tried.values() if (arms != best).any()]
        if not chosen or len(self) < 2:
            return _Z95
        rows = np.arange(len(self))
        gains = np.stack([self.quality[rows, arms] for arms in chosen], axis=1)
        gains = gains - self.quality[rows, best][:, None]
        se = np.array([self._se(gains[:, at], arms) for at, arms in enumerate(chosen)])
        blocks = [
            weights @ gains / weights.sum(axis=1, keepdims=True)
            for weights in cluster_weights(self._group_of, _N_BOOTSTRAP, 0)
        ]
        return max(_Z95, joint_width(np.concatenate(blocks) - gains.mean(axis=0), se))

    def _tried(self, weights: list[float]) -> Iterator[tuple[Floats, list[float]]]:
        """Yield price factors, and the cost weights to try at them."""
        yield np.ones(len(self.models)), weights
        for arm in range(len(self.models)):
            for factor in _TRIED_FACTORS:
                yield np.where(np.arange(len(self.models)) == arm, factor, 1.0), weights[::4]

    @property
    def _best_arms(self) -> Arms:
        if self.best is not None:
            return self.best
        return np.full(len(self), self.models.index(self.best_single))

    @property
    def _group_of(self) -> Arms:
        return np.arange(len(self)) if self.groups is None else self.groups

    def _se(self, gains: Floats, arms: Arms) -> float:
        """Return the standard error of a mean gain, whole groups at a time.

        One loss more than was seen: a few rerouted prompts without a loss are no proof.
        """
        sums = np.bincount(self._group_of, weights=gains - gains.mean())
        if len(sums) < 2:
            return float("nan")
        is_rerouted = bool((arms != self._best_arms).any())
        squares = float((sums**2).sum()) + is_rerouted
        return float(np.sqrt(squares * len(sums) / (len(sums) - 1))) / len(gains)

    def cost_weights(self) -> list[float]:
        """Return the cost weights worth trying: 0, the router's own, and where choices change."""
        sweep = sweep_cost_weights(self._estimates(np.ones(len(self.models))), _N_WEIGHTS)
        useful = sweep[np.isfinite(sweep) & (sweep > 0)]
        tried = {0.0, self.cost_weight}
        if len(useful):
            spread = np.geomspace(useful.min() / 2, useful.max() * 2, _N_WEIGHTS)
            tried.update(map(float, spread))
        return sorted(tried)

    def as_dict(self) -> dict[str, Any]:
        """Return everything that a page needs to ask by itself, as plain builtins."""
        matrices: Sequence[str] = ("expected_quality", "expected_cost_usd", "quality", "cost_usd")
        return {
            "models": list(self.models),
            "best_single": self.best_single,
            "keeps_to_best": self.keeps_to_best,
            "cost_weight": self.cost_weight,
            "cost_weights": self.cost_weights(),
            "price_factors": list(PRICE_FACTORS),
            "groups": self._group_of.tolist(),
            "joint_width": self.joint_width,
            "tested": self._arms(None, np.ones(len(self.models))).tolist(),
            "best": self._best_arms.tolist(),
            **{name: getattr(self, name).tolist() for name in matrices},
        }

    def _arms(self, cost_weight: float | None, factors: Floats) -> np.ndarray:
        if cost_weight is None and self.keeps_to_best:
            return self._best_arms
        if cost_weight is None and self.tested is not None and (factors == 1).all():
            return self.tested
        weight = self.cost_weight if cost_weight is None else cost_weight
        return choose_arms(self._estimates(factors), weight)

    def _estimates(self, factors: Floats) -> Estimates:
        return Estimates(self.models, self.expected_quality, self.expected_cost_usd * factors)
