"""Scale raw scores to expected quality, with few rows drawn towards a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from routerlib.records.arrays import pack_array, unpack_array

# Pseudo-counts: how many observations a prior mean is worth.
_MEAN_COUNT = 2.0
_POOL_COUNT = 5.0
_TOPIC_COUNT = 20.0
_SLOPE_COUNT = 5.0
_USUAL_SLOPE_COUNT = 30.0
_NEWTON_STEPS = 30
# Log-odds of a simpler learner's estimate are taken inside these bounds.
_SMALLEST_SHARE = 0.02


def shrunk_mean(values: np.ndarray, prior: float) -> float:
    """Return the mean of the observed values, drawn towards a prior worth two of them.

    `values`: NaN = not observed.

    >>> shrunk_mean(np.array([1.0, 1.0, np.nan]), prior=0.5)
    0.75
    """
    known = values[np.isfinite(values)]
    return float((known.sum() + _MEAN_COUNT * prior) / (known.size + _MEAN_COUNT))


def log_odds(share: float) -> float:
    """Return the natural logarithm of the odds of a share strictly between 0 and 1."""
    return float(np.log(share / (1 - share)))


def logits(shares: np.ndarray) -> np.ndarray:
    """Return log-odds of estimated quality, at most those of 0.98.

    `shares`: estimates, about in [0, 1].

    >>> logits(np.array([0.5, 2.0])).round(3).tolist()
    [0.0, 3.892]
    """
    inside = np.minimum(np.maximum(shares, _SMALLEST_SHARE), 1 - _SMALLEST_SHARE)
    return np.asarray(np.log(inside / (1 - inside)))


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """Return the shares in (0, 1) that log-odds stand for; those beyond 30 count as 30.

    >>> sigmoid(np.array([0.0, 3.892, -1000.0])).round(3).tolist()
    [0.5, 0.98, 0.0]
    """
    return np.asarray(1 / (1 + np.exp(-np.minimum(np.maximum(log_odds, -30.0), 30.0))))


@dataclass(frozen=True)
class LogOddsScale:
    """How raw log-odds become expected quality.

    Parameters
    ----------
    slope, offset : float
        Platt scaling; the slope is at least 0, and 0 where scores tell nothing.
    weight : float
        In [0, 1): share of the scaled estimate; the rest is the pooled mean.
    pooled : float
        Mean quality over all candidates, in (0, 1).

    Sources
    -------
    J. Platt, Probabilistic outputs for support vector machines, 1999 (with soft labels here).
    """

    slope: float
    offset: float
    weight: float
    pooled: float

    @classmethod
    def fit(
        cls, raw: np.ndarray, quality: np.ndarray, pooled: float, usual_slope: float | None = None
    ) -> Self:
        """Fit on raw scores and observed quality, both of shape (n,).

        The slope is drawn towards 0 a little, or towards the usual one where that is given.
        """
        mean = shrunk_mean(quality, pooled)
        centre = float(raw.mean())
        slope, level = _platt(raw - centre, quality, log_odds(mean), usual_slope)
        if slope <= 0:
            slope, level = 0.0, log_odds(mean)
        n = len(quality)
        return cls(slope, level - slope * centre, n / (n + _POOL_COUNT), pooled)

    def quality(self, raw: np.ndarray) -> np.ndarray:
        """Return expected quality in (0, 1), same shape as the raw scores."""
        scaled = sigmoid(self.slope * raw + self.offset)
        return self.weight * scaled + (1 - self.weight) * self.pooled

    def to_state(self) -> dict[str, float]:
        """Return plain builtins."""
        return asdict(self)


@dataclass(frozen=True)
class TopicShift:
    """What a known topic adds to expected quality, where no learner knows topics.

    `shifts` (n_models,): mean out-of-fold residual of the topic's prompts, drawn towards 0.
    """

    shifts: Mapping[str, np.ndarray]

    @classmethod
    def fit(cls, topics: Sequence[str], residuals: np.ndarray) -> Self:
        """Fit on residuals of shape (n_prompts, n_models); NaN = not observed."""
        labels = np.asarray(topics, dtype=object)
        shifts = {}
        for topic in sorted(set(topics)):
            rows = residuals[labels == topic]
            known = np.isfinite(rows)
            shifts[topic] = np.where(known, rows, 0).sum(axis=0) / (
                known.sum(axis=0) + _TOPIC_COUNT
            )
        return cls(shifts)

    def rows(self, topics: Sequence[str], n_models: int) -> np.ndarray:
        """Return shifts of shape (n_prompts, n_models); zeros for an unknown topic."""
        nothing = np.zeros(n_models)
        return np.array([self.shifts.get(topic, nothing) for topic in topics])

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {topic: pack_array(shift) for topic, shift in self.shifts.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls({topic: unpack_array(packed) for topic, packed in state.items()})


def _platt(
    raw: np.ndarray, quality: np.ndarray, level: float, usual_slope: float | None
) -> tuple[float, float]:
    """Return slope and level by Newton's method, the slope drawn towards 0 or the usual one."""
    usual = 0.0 if usual_slope is None else usual_slope
    count = _SLOPE_COUNT if usual_slope is None else _USUAL_SLOPE_COUNT
    slope = usual
    spread = float(raw.var()) + 1e-12
    prior = np.array([count * spread / 4, 1e-6])
    design = np.column_stack([raw, np.ones(len(raw))])
    for _ in range(_NEWTON_STEPS):
        expected = sigmoid(design @ (slope, level))
        gradient = design.T @ (expected - quality) + prior * (slope - usual, 0.0)
        curvature = (design * (expected * (1 - expected))[:, np.newaxis]).T @ design
        step = np.linalg.solve(curvature + np.diag(prior), gradient)
        step = np.clip(step, -2, 2)
        slope, level = slope - float(step[0]), float(np.clip(level - step[1], -6, 6))
        if np.abs(step).max() < 1e-9:
            break
    return slope, level
