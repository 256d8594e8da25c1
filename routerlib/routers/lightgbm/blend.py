"""Blend the log-odds of all learners; a candidate of few labels follows the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from routerlib.features.learners.log_odds import LogOddsScale
from routerlib.records.arrays import pack_array, unpack_array

# Weights before anything was seen, and how far data may be expected to move them.
_TREES_WEIGHT = 0.5
_WEIGHT_SPREAD = 0.03
_PULLS = 500
# Before anything is seen: what is hard for the others is nearly as hard for one more.
_SHARED_SLOPE = 0.8


class Blend:
    """From the parts' log-odds to expected quality.

    1. *blended*: weighed mean of the parts; the weights are those that predict the differences
       between candidates best out of fold, drawn towards one half for the trees and equal
       shares of the rest.
    2. *scaled*: slope and offset of each candidate (Platt).
    3. *differences*: the distance of each candidate from the mean of all is shrunk by
       `spread`, from 1 (as estimated) to 0 (nothing to be learnt: the same for any prompt). It
       is 1 - 4 (standard error / slope)^4 of the slope of observed on estimated differences out
       of fold, and 0 within 1.4 standard errors: of logs that hold nothing but noise, about 8 in
       100 keep some of it. What is clearly more than noise is believed as estimated: the
       slope itself, which one trained on fewer prompts understates, is no factor.

    All three steps are linear in log-odds, so contributions of features stay exact sums.

    `weights` (n_parts,): sum to one.
    `centres` (n_parts, n_models): mean log-odds of each part in training, the base of its
        contributions.
    `scales` (length n_models): of the blended log-odds.
    `levels` (n_models,): mean scaled log-odds in training.
    `n_labels`: topics or clusters that it was measured on, at least 1.
    """

    def __init__(
        self,
        weights: np.ndarray,
        centres: np.ndarray,
        scales: Sequence[LogOddsScale],
        spread: float,
        levels: np.ndarray,
        doubt: float,
        n_labels: int,
    ) -> None:
        self.weights = weights
        self.centres = centres
        self.scales = list(scales)
        self.spread = spread
        self.levels = levels
        self.doubt = doubt
        self.n_labels = n_labels
        self._slopes = np.array([scale.slope for scale in scales])
        self._offsets = np.array([scale.offset for scale in scales])
        self._shares = np.array([scale.weight for scale in scales])
        self._pooled = np.array([scale.pooled for scale in scales])

    @classmethod
    def fit(
        cls, parts: Sequence[np.ndarray], quality: np.ndarray, pooled: float, labels: np.ndarray
    ) -> Self:
        """Fit on out-of-fold log-odds.

        `parts` (n_prompts, n_models): log-odds, those of the trees first.
        `quality` (n_prompts, n_models): observed; NaN = not observed.
        `pooled`: mean quality over all candidates, in (0, 1).
        `labels` (n_prompts,): topic or cluster, by which shared errors are measured.
        """
        weights = _weights(parts, quality)
        blended = _weighed(weights, parts)
        scales = []
        for arm, observed in enumerate(quality.T):
            seen = np.isfinite(observed)
            scales.append(LogOddsScale.fit(blended[seen, arm], observed[seen], pooled))
        centres = np.array([part.mean(axis=0) for part in parts])
        blend = cls(
            weights, centres, scales, 1.0, np.zeros(len(scales)), 0.0, len(np.unique(labels))
        )
        blend.levels = blend.scaled(parts).mean(axis=0)
        blend.spread = believed_share(blend.quality(blend.scaled(parts)), quality)
        blend.doubt = _doubt(blend.quality(blend.final(parts)), quality, labels)
        return blend

    def scaled(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return log-odds after step 2, shape (n_prompts, n_models)."""
        return _weighed(self.weights, parts) * self._slopes + self._offsets

    def final(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return log-odds after step 3, shape (n_prompts, n_models)."""
        scaled = self.scaled(parts)
        common = scaled.mean(axis=1, keepdims=True)
        typical = self.levels - self.levels.mean()
        return np.asarray(common + self.spread * (scaled - common) + (1 - self.spread) * typical)

    def quality(self, final: np.ndarray) -> np.ndarray:
        """Return expected quality in (0, 1) of final log-odds."""
        expected = 1 / (1 + np.exp(-final))
        return np.asarray(self._shares * expected + (1 - self._shares) * self._pooled)

    def mixing(self, arm: int) -> np.ndarray:
        """Return what a unit of each candidate's blended log-odds adds to one's final ones."""
        n_models = len(self.scales)
        mixing = np.full(n_models, (1 - self.spread) / n_models)
        mixing[arm] += self.spread
        return mixing * self._slopes

    def constant(self, arm: int) -> float:
        """Return the part of a candidate's final log-odds that no blended log-odds add."""
        n_models = len(self.scales)
        mixing = np.full(n_models, (1 - self.spread) / n_models)
        mixing[arm] += self.spread
        typical = self.levels[arm] - self.levels.mean()
        return float(mixing @ self._offsets + (1 - self.spread) * typical)

    def final_scale(self, arm: int) -> LogOddsScale:
        """Return how a candidate's final log-odds become expected quality."""
        scale = self.scales[arm]
        return LogOddsScale(1.0, 0.0, scale.weight, scale.pooled)

    def half_width(self, parts: Sequence[np.ndarray], level: float) -> np.ndarray:
        """Return half the width of an interval of final log-odds, shape (n_prompts, n_models).

        By Student's t with a degree of freedom a label: a few topics don't settle how far off
        the estimates are. Level in (0, 1).
        """
        from scipy.special import stdtrit

        return np.asarray(stdtrit(self.n_labels, 0.5 + level / 2) * self.disagreement(parts))

    def disagreement(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the standard deviation of final log-odds, shape (n_prompts, n_models)."""
        blended = _weighed(self.weights, parts)
        squares = [
            weight * (part - blended) ** 2 for weight, part in zip(self.weights, parts, strict=True)
        ]
        between = np.sum(squares, axis=0) / max(len(parts) - 1, 1) * self._slopes**2
        return np.asarray(np.sqrt(between + self.doubt**2))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "weights": pack_array(self.weights),
            "centres": pack_array(self.centres),
            "scales": [scale.to_state() for scale in self.scales],
            "spread": float(self.spread),
            "levels": pack_array(self.levels),
            "doubt": float(self.doubt),
            "n_labels": self.n_labels,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(
            unpack_array(state["weights"]),
            unpack_array(state["centres"]),
            [LogOddsScale(**scale) for scale in state["scales"]],
            state["spread"],
            unpack_array(state["levels"]),
            state["doubt"],
            state["n_labels"],
        )


def _weighed(weights: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(sum(weight * part for weight, part in zip(weights, parts, strict=True)))


def _weights(parts: Sequence[np.ndarray], quality: np.ndarray) -> np.ndarray:
    """Return weights that predict differences best, by projected gradient on a quadratic."""
    n_parts = len(parts)
    if n_parts == 1:
        return np.ones(1)
    rest = (1 - _TREES_WEIGHT) / (n_parts - 1)
    prior = np.array([_TREES_WEIGHT] + [rest] * (n_parts - 1))
    seen = np.isfinite(quality)
    columns = np.column_stack(
        [_differences(1 / (1 + np.exp(-part)), seen).ravel() for part in parts]
    )
    wanted = _differences(np.where(seen, quality, 0.0), seen).ravel()
    noise = max(float((wanted**2).sum() / max(seen.sum(), 1)), 1e-9)
    pull = noise / _WEIGHT_SPREAD**2
    gram = columns.T @ columns + pull * np.eye(n_parts)
    target = columns.T @ wanted + pull * prior
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    weights = prior.copy()
    for _ in range(_PULLS):
        weights = np.maximum(weights - step * (gram @ weights - target), 0)
    return np.asarray(weights / weights.sum() if weights.sum() > 0 else prior)


def _differences(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return deviations from the prompt's and the candidate's mean; 0 where not observed."""
    kept = np.where(seen, values, 0.0)
    rows = kept.sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    centred = np.where(seen, values - rows, 0.0)
    columns = centred.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return np.where(seen & (seen.sum(axis=1, keepdims=True) > 1), centred - columns, 0.0)


def believed_share(expected: np.ndarray, quality: np.ndarray) -> float:
    """Return how much of the estimated differences to believe, in [0, 1]."""
    seen = np.isfinite(quality)
    if not (seen.sum(axis=1) > 1).any():
        return 1.0  # never two candidates on a prompt: nothing contradicts the differences
    estimated = _differences(expected, seen)
    observed = _differences(np.where(seen, quality, 0.0), seen)
    squares = float((estimated**2).sum())
    if squares <= 1e-12:
        return 0.0
    slope = float((estimated * observed).sum()) / squares
    errors = (estimated * (observed - slope * estimated)).sum(axis=1)  # prompts are independent
    variance = float((errors**2).sum()) / squares**2
    if slope <= 0:
        return 0.0
    return float(max(1 - 4 * (variance / slope**2) ** 2, 0.0))


def _doubt(expected: np.ndarray, quality: np.ndarray, labels: np.ndarray) -> float:
    """Return the standard deviation of log-odds errors that prompts of one label share.

    What was seen out of fold beyond noise, and what so few labels can't settle anyway.
    """
    excess, sampling, counts = [], [], []
    for label in np.unique(labels):
        rows = labels == label
        for guess, truth in zip(expected[rows].T, quality[rows].T, strict=True):
            seen = np.isfinite(truth)
            if seen.sum() < 5:
                continue
            errors = truth[seen] - guess[seen]
            slope = float((guess[seen] * (1 - guess[seen])).mean())
            excess.append((errors.mean() ** 2 - errors.var() / len(errors)) / slope**2)
            sampling.append(1 / (len(errors) * slope))
            counts.append(len(errors))
    if not excess:
        return 1.0
    shared = max(float(np.average(excess, weights=counts)), 0.0)
    return float(np.sqrt(shared + np.average(sampling, weights=counts)))


@dataclass(frozen=True)
class Addition:
    """A candidate that was added, or has few labels.

    Its log-odds are ``slope * mean log-odds of the others + offset``: prompts share their
    difficulty, and its own level takes few labels to learn.

    `log_cost`: log of its cost over the geometric mean of the others'; None = unknown.
    """

    scale: LogOddsScale
    log_cost: float | None

    @classmethod
    def fit(
        cls,
        common: np.ndarray,
        quality: np.ndarray,
        pooled: float,
        common_log_cost: np.ndarray,
        log_cost: np.ndarray,
    ) -> Self:
        """Fit on prompts where it was observed.

        `common` (n_prompts,): mean log-odds of the other candidates.
        `quality` (n_prompts,): in [0, 1]; NaN = not observed, at least one observed.
        `pooled`: mean quality of the others, in (0, 1).
        `common_log_cost, log_cost` (n_prompts,): mean expected log cost of the others, and its own;
            NaN = unknown.
        """
        seen = np.isfinite(quality)
        scale = LogOddsScale.fit(common[seen], quality[seen], pooled, usual_slope=_SHARED_SLOPE)
        known = np.isfinite(log_cost) & np.isfinite(common_log_cost)
        above = float((log_cost - common_log_cost)[known].mean()) if known.any() else None
        return cls(scale, above)

    def final(self, common: np.ndarray) -> np.ndarray:
        """Return log-odds, shape (n_prompts,)."""
        return np.asarray(self.scale.slope * common + self.scale.offset)

    def quality(self, common: np.ndarray) -> np.ndarray:
        """Return expected quality, shape (n_prompts,)."""
        return self.scale.quality(common)

    def cost_usd(self, common_log_cost: np.ndarray) -> np.ndarray:
        """Return expected US dollars, shape (n_prompts,); NaN where unknown."""
        if self.log_cost is None:
            return np.full(len(common_log_cost), np.nan)
        return np.asarray(np.exp(common_log_cost + self.log_cost))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(LogOddsScale(**state["scale"]), state["log_cost"])
