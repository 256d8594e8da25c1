"""Ask what held-out decisions would be worth at another cost weight, or at other prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.evaluation.routing import route_all
from routerlib.metrics.pairs import is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router

_Z95 = 1.96
_N_WEIGHTS = 48
# What a page holds must stay small: at most so many prompts times candidate models.
MAX_CELLS = 20_000
# Tenths of a decade, rounded as people expect them.
_STEPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
PRICE_FACTORS = (*(step / 10 for step in _STEPS), *_STEPS, 10.0)


class WhatIf(NamedTuple):
    """What the decisions are worth under one supposition."""

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

    @classmethod
    def of(cls, router: Router, test: Outcomes, max_cells: int = MAX_CELLS) -> Self | None:
        """Gather what a router expects and what was observed on prompts it has not seen.

        `max_cells`: prompts times candidate models that are kept at most.
        """
        known = test.take(is_complete(test.quality, test.cost_usd))
        kept = known.take(np.arange(len(known))[: max(max_cells // len(test.models), 1)])
        if not len(kept):
            return None
        expected = route_all(router, kept).estimates
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
        )

    def __len__(self) -> int:
        return len(self.quality)

    def at(
        self, cost_weight: float | None = None, price_factors: Mapping[str, float] | None = None
    ) -> WhatIf:
        """Choose again, and say what that would have been worth.

        `cost_weight`: quality given up per US dollar saved; None = as the router stands: its own
            cost weight, or the best single model where it keeps to that.
        """
        factors = np.array([(price_factors or {}).get(model, 1.0) for model in self.models])
        arms = self._arms(cost_weight, factors)
        rows, best = np.arange(len(self)), self.models.index(self.best_single)
        paid = self.cost_usd * factors
        gains = self.quality[rows, arms] - self.quality[:, best]
        cost, best_cost = float(paid[rows, arms].mean()), float(paid[:, best].mean())
        counts = np.bincount(arms, minlength=len(self.models)) / len(self)
        return WhatIf(
            quality=float(self.quality[rows, arms].mean()),
            cost_usd=cost,
            shares=dict(zip(self.models, map(float, counts), strict=True)),
            best_quality=float(self.quality[:, best].mean()),
            best_cost_usd=best_cost,
            saving=1 - cost / best_cost if best_cost else float("nan"),
            quality_difference=float(gains.mean()),
            half_width=_half_width(gains, is_rerouted=bool((arms != best).any())),
            n_changed=int((arms != self._arms(None, np.ones(len(factors)))).sum()),
        )

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
            **{name: getattr(self, name).tolist() for name in matrices},
        }

    def _arms(self, cost_weight: float | None, factors: Floats) -> np.ndarray:
        if cost_weight is None and self.keeps_to_best:
            return np.full(len(self), self.models.index(self.best_single))
        weight = self.cost_weight if cost_weight is None else cost_weight
        return choose_arms(self._estimates(factors), weight)

    def _estimates(self, factors: Floats) -> Estimates:
        return Estimates(self.models, self.expected_quality, self.expected_cost_usd * factors)


def _half_width(gains: Floats, *, is_rerouted: bool) -> float:
    n = len(gains)
    if n < 2:
        return float("nan")
    squares = float(((gains - gains.mean()) ** 2).sum()) + is_rerouted
    return _Z95 * float(np.sqrt(squares / (n - 1) / n))
