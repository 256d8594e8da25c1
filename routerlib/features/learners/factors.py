"""Learners that explain all candidates by few factors of the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.learners.linear import LinearFit, observed_means
from routerlib.features.learners.log_odds import LogOddsScale, log_odds, shrunk_mean, sigmoid
from routerlib.features.learners.network import DECAY, adam_step
from routerlib.features.text_space import Place
from routerlib.records.arrays import pack_array, unpack_array

# Factors of the field's matrix factorisation, and its training. More prompts bear more steps.
_DIMENSIONS = 32
_BATCH = 64
_STEPS_AT_1000, _LEAST_STEPS, _MOST_STEPS = 400, 200, 1500
_LEARNING_RATE = 3e-3
# Noise on the coordinates of a prompt, as in RouteLLM's training: a share of their own size.
_NOISE = 1.0
_START = 0.02


class OneFactor:
    """Ease of a prompt, linear in its coordinates, and how each candidate turns it into quality."""

    def __init__(self, ease: LinearFit, scales: Sequence[LogOddsScale]) -> None:
        self.ease = ease
        self.scales = list(scales)

    @classmethod
    def fit(cls, place: Place, quality: np.ndarray, folds: np.ndarray) -> Self:
        """Fit on quality of shape (n_prompts, n_models), NaN = not observed."""
        usual = observed_means(quality)
        is_observed = ~np.isnan(quality)
        n_observed = is_observed.sum(axis=1)
        better = np.where(is_observed, quality - usual, 0).sum(axis=1) / np.maximum(n_observed, 1)
        better = np.where(n_observed > 0, better, np.nan)[:, np.newaxis]
        ease, held_out = LinearFit.fit_out_of_fold(place.coordinates, better, folds)
        pooled = shrunk_mean(quality, 0.5)
        # A small change of a share changes log-odds by 1 / (share x (1 - share)) of it.
        usual_slope = 1 / max(pooled * (1 - pooled), 0.05)
        scales = [
            LogOddsScale.fit(held_out[seen, 0], quality[seen, arm], pooled, usual_slope)
            for arm, seen in enumerate(is_observed.T)
        ]
        return cls(ease, scales)

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models)."""
        ease = self.ease.predict(place.coordinates)[:, 0]
        return np.column_stack([scale.quality(ease) for scale in self.scales])

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"ease": self.ease.to_state(), "scales": [each.to_state() for each in self.scales]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        scales = [LogOddsScale(**each) for each in state["scales"]]
        return cls(LinearFit.from_state(state["ease"]), scales)


def reduced_rank(fit: LinearFit, columns: np.ndarray, rank: int) -> LinearFit:
    """Return a fit whose estimates differ from their mean in at most `rank` directions.

    `columns` (n_prompts, n_columns): of the training prompts, whose estimates are kept as well
        as that many directions can.

    >>> fit = LinearFit(np.array([[1.0, 1.0, 0.9], [0.0, 0.1, 0.0]]), np.array([0.5, 0.4, 0.3]))
    >>> columns = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> int(np.linalg.matrix_rank(reduced_rank(fit, columns, 1).slopes))
    1
    """
    estimated = fit.predict(columns)
    means = estimated.mean(axis=0)
    axes = np.linalg.svd(estimated - means, full_matrices=False)[2][:rank]
    onto = axes.T @ axes
    slopes = (fit.slopes @ onto).astype(np.float32, order="C")
    return LinearFit(slopes, means + (fit.constants - means) @ onto)


class Factorisation:
    """Log-odds of quality: a constant, and the product of vectors of prompt and candidate.

    `projection` (n_columns, n_dimensions): vector of a prompt per unit of each column.
    `vectors` (n_models, n_dimensions): of the candidates, weighed by dimension.
    `constants` (n_models,): log-odds of a prompt at the origin.
    """

    def __init__(self, projection: np.ndarray, vectors: np.ndarray, constants: np.ndarray) -> None:
        self.projection = projection
        self.vectors = vectors
        self.constants = constants

    @classmethod
    def fit(cls, place: Place, quality: np.ndarray, random_state: int) -> Self:
        """Train by Adam on quality of shape (n_prompts, n_models), NaN = not observed."""
        rng = np.random.default_rng(random_state)
        columns = place.coordinates
        noise = _NOISE * float(np.sqrt((columns**2).mean()))
        weights = _begin(columns.shape[1], quality, rng)
        moments = [(np.zeros_like(each), np.zeros_like(each)) for each in weights]
        n_steps = _n_steps(len(columns))
        order = np.zeros(0, dtype=int)
        for step in range(n_steps):
            if len(order) == 0:
                order = rng.permutation(len(columns))
            rows, order = order[:_BATCH], order[_BATCH:]
            seen = columns[rows] + noise * rng.standard_normal(
                (len(rows), columns.shape[1]), dtype=np.float32
            )
            slopes = _slopes(weights, seen, quality[rows])
            rate = _LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / n_steps))
            for weight, slope, each in zip(weights, slopes, moments, strict=True):
                adam_step(weight, slope, each, step + 1, rate)
                if weight.ndim == 2:
                    weight -= np.float32(rate * DECAY) * weight
        projection, vectors, by_dimension, constants = weights
        return cls(projection, _unit(vectors) * by_dimension, constants)

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models)."""
        log_odds = place.coordinates @ self.projection @ self.vectors.T + self.constants
        return sigmoid(log_odds)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {name: pack_array(getattr(self, name)) for name in _ARRAYS}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(*(unpack_array(state[name]) for name in _ARRAYS))


_ARRAYS = ("projection", "vectors", "constants")


def _n_steps(n_prompts: int) -> int:
    wanted = _STEPS_AT_1000 * np.sqrt(n_prompts / 1000)
    return int(np.clip(wanted, _LEAST_STEPS, _MOST_STEPS))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _begin(n_columns: int, quality: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return projection, vectors, weights of the dimensions, and the log-odds of the means."""
    projection = rng.normal(0, np.sqrt(1 / n_columns), (n_columns, _DIMENSIONS))
    vectors = rng.normal(0, 1, (quality.shape[1], _DIMENSIONS))
    by_dimension = rng.normal(0, _START, (1, _DIMENSIONS))
    pooled = shrunk_mean(quality, 0.5)
    means = [log_odds(shrunk_mean(observed, pooled)) for observed in quality.T]
    started = (projection, vectors, by_dimension, np.array(means))
    return [each.astype(np.float32) for each in started]


def _slopes(
    weights: list[np.ndarray], columns: np.ndarray, quality: np.ndarray
) -> list[np.ndarray]:
    """Return the gradient of the mean log loss of one batch."""
    projection, vectors, by_dimension, constants = weights
    prompts, unit = columns @ projection, _unit(vectors)
    weighed = unit * by_dimension
    expected = sigmoid(prompts @ weighed.T + constants)
    errors = np.where(np.isnan(quality), 0.0, expected - quality).astype(np.float32)
    errors /= np.float32(len(columns))
    by_model = errors.T @ prompts
    towards = by_model * by_dimension
    # Of a step of a candidate's vector only what turns it counts: its length is 1.
    turned = towards - unit * (towards * unit).sum(axis=1, keepdims=True)
    return [
        columns.T @ (errors @ weighed),
        turned / np.linalg.norm(vectors, axis=1, keepdims=True),
        (by_model * unit).sum(axis=0, keepdims=True),
        errors.sum(axis=0),
    ]
