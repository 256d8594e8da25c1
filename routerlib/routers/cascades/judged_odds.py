"""Turn scores of trees into log-odds that an answer is good, believed as far as they held up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.records.arrays import Floats

# How many observations it takes to believe trees more than the router, and the router not as it is.
_TREES_COUNT, _ROUTER_COUNT, _LEVEL_COUNT = 20.0, 60.0, 20.0
_NEWTON_STEPS = 40
LARGEST_ODDS = 6.0


@dataclass(frozen=True)
class JudgedOdds:
    """Log-odds = level + slope x the router's + share x the trees'.

    Platt scaling with two scores: with few answers it stays with the router.

    >>> JudgedOdds(slope=1.0, share=0.5, level=0.0).odds(np.array([1.0]), np.array([-2.0]))
    array([0.])
    """

    slope: float = 1.0
    share: float = 0.0
    level: float = 0.0

    @classmethod
    def fit(cls, expected: Floats, trees: Floats, quality: Floats) -> Self:
        """Fit on scores out of fold; each array of shape (n_rows,).

        `expected`: the router's log-odds.
        `trees`: what trees add, out of fold.
        """
        if not len(quality):
            return cls()
        design = np.column_stack([expected, trees, np.ones(len(expected))])
        usual = np.array([1.0, 0.0, 0.0])
        counts = np.array([_ROUTER_COUNT, _TREES_COUNT, _LEVEL_COUNT])
        spread = np.array([float(expected.var()), float(trees.var()), 1.0]) + 1e-9
        prior = counts * spread / 4
        found = usual.copy()
        for _ in range(_NEWTON_STEPS):
            probability = sigmoid(design @ found)
            gradient = design.T @ (probability - quality) + prior * (found - usual)
            curve = (design * (probability * (1 - probability))[:, None]).T @ design
            step = np.linalg.solve(curve + np.diag(prior), gradient)
            found = found - np.clip(step, -1, 1)
            if np.abs(step).max() < 1e-9:
                break
        return cls(float(max(found[0], 0.0)), float(max(found[1], 0.0)), float(found[2]))

    def odds(self, expected: Floats, trees: Floats) -> Floats:
        """Return log-odds, within bounds."""
        odds = self.level + self.slope * expected + self.share * trees
        return np.clip(odds, -LARGEST_ODDS, LARGEST_ODDS)

    def to_state(self) -> dict[str, float]:
        """Return plain builtins."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(**state)
