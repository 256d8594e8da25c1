"""A small neural network of several outputs, trained on noisy labels and read with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.records.arrays import pack_array, unpack_array

_HIDDEN = 32
_N_NETWORKS = 3
_BATCH = 64
# Steps of one training: more labels bear more of them.
_STEPS_AT_1000, _LEAST_STEPS, _MOST_STEPS = 350, 150, 1500
_LEARNING_RATE = 3e-3
_DECAY = 1e-3
_DROPPED_INPUTS, _DROPPED_HIDDEN = 0.1, 0.3
_FIRST_MOMENT, _SECOND_MOMENT, _TINY = 0.9, 0.999, 1e-8
_START = 0.1


class Labels(NamedTuple):
    """What the network learns.

    `quality` (n_prompts, n_models): in [0, 1]; NaN = not observed.
    `topics` (n_prompts, n_topics): 0 or 1: a second task, which teaches the hidden units what
        kinds of prompts there are; no columns = no such task.
    `start` (n_prompts, n_models): log-odds of quality that another learner estimates, out of
        fold: the network learns what to add to them. None = it starts from the candidates'
        means.
    """

    quality: np.ndarray
    topics: np.ndarray
    start: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Labels:
        """Return the labels of some prompts."""
        start = None if self.start is None else self.start[rows]
        return Labels(self.quality[rows], self.topics[rows], start)


class Network:
    """Mean log-odds of three networks with one hidden layer of 32 units (ReLU).

    `first, first_constants` (n_columns, n_hidden): the hidden layers side by side.
    `second, second_constants` (n_hidden, n_models): log-odds of quality.
    """

    def __init__(
        self,
        first: np.ndarray,
        first_constants: np.ndarray,
        second: np.ndarray,
        second_constants: np.ndarray,
    ) -> None:
        self.first = first
        self.first_constants = first_constants
        self.second = second
        self.second_constants = second_constants

    @classmethod
    def fit(cls, columns: np.ndarray, labels: Labels, random_state: int) -> Self:
        """Train by Adam with weight decay, dropout and a cosine schedule.

        `columns` (n_prompts, n_columns): columns with mean 0 and standard deviation about 1.
        """
        n_models = labels.quality.shape[1]
        trained = [
            _train(
                columns.astype(np.float32), labels, np.random.default_rng([random_state, number])
            )
            for number in range(_N_NETWORKS)
        ]
        second = np.vstack([each[2][:, :n_models] for each in trained]) / _N_NETWORKS
        constants = np.mean([each[3][:n_models] for each in trained], axis=0)
        return cls(
            np.hstack([each[0] for each in trained]),
            np.concatenate([each[1] for each in trained]),
            second,
            constants,
        )

    def predict(self, columns: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Return expected quality in (0, 1), shape (n_prompts, n_models).

        `start` are the log-odds to add to, where it was trained with some.
        """
        log_odds = self.log_odds(columns)
        return sigmoid(log_odds if start is None else log_odds + start)

    def log_odds(self, columns: np.ndarray) -> np.ndarray:
        """Return log-odds without those that it adds to, shape (n_prompts, n_models)."""
        hidden = np.maximum(columns @ self.first + self.first_constants, 0)
        return np.asarray(hidden @ self.second + self.second_constants)

    def slopes_from_origin(self, columns: np.ndarray) -> np.ndarray:
        """Return what a unit of each column adds on the straight way from the origin to a prompt.

        Integrated gradients (M. Sundararajan, A. Taly, Q. Yan, ICML 2017). A unit of ReLU counts
        for the part of the way on which it is active, so that the integral is exact.

        `columns` (n_columns,): of one prompt.
        Returns shape (n_models, n_columns): of log-odds, without those that it adds to.
        """
        steps = columns.astype(float) @ self.first
        begun = np.maximum(self.first_constants, 0)
        risen = np.maximum(self.first_constants + steps, 0) - begun
        is_step = np.abs(steps) > _TINY
        active = np.where(is_step, risen, 0.0) / np.where(is_step, steps, 1.0)
        return np.asarray((self.second.T * active) @ self.first.T)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {name: pack_array(getattr(self, name)) for name in _ARRAYS}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(*(unpack_array(state[name]) for name in _ARRAYS))


_ARRAYS = ("first", "first_constants", "second", "second_constants")


def _train(columns: np.ndarray, labels: Labels, rng: np.random.Generator) -> list[np.ndarray]:
    n_rows, n_columns = columns.shape
    batch = min(_BATCH, n_rows)
    weights = _begin(n_columns, labels, rng)
    moments = [(np.zeros_like(each), np.zeros_like(each)) for each in weights]
    n_steps = int(np.clip(_STEPS_AT_1000 * np.sqrt(n_rows / 1000), _LEAST_STEPS, _MOST_STEPS))
    order = np.zeros(0, dtype=int)
    for step in range(n_steps):
        if len(order) < batch:
            order = rng.permutation(n_rows)
        rows, order = order[:batch], order[batch:]
        slopes = _slopes(weights, columns[rows], labels.take(rows), rng)
        rate = _LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / n_steps))
        adam_step(weights, slopes, moments, step + 1, rate)
    return weights


def _begin(n_columns: int, labels: Labels, rng: np.random.Generator) -> list[np.ndarray]:
    n_outputs = labels.quality.shape[1] + labels.topics.shape[1]
    first = rng.normal(0, np.sqrt(1 / n_columns), (n_columns, _HIDDEN))
    second = rng.normal(0, _START / np.sqrt(_HIDDEN), (_HIDDEN, n_outputs))
    constants = np.zeros(n_outputs)
    if labels.start is None:
        means = np.clip(np.nanmean(labels.quality, axis=0), 0.02, 0.98)
        constants[: len(means)] = np.log(means / (1 - means))
    return [each.astype(np.float32) for each in (first, np.zeros(_HIDDEN), second, constants)]


def _slopes(
    weights: list[np.ndarray], columns: np.ndarray, labels: Labels, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the gradient of the mean log loss of one batch, under dropout."""
    first, first_constants, second, second_constants = weights
    seen = columns * _mask(columns.shape, _DROPPED_INPUTS, rng)
    before = seen @ first + first_constants
    mask = _mask(before.shape, _DROPPED_HIDDEN, rng)
    hidden = np.maximum(before, 0) * mask
    errors = _errors(hidden @ second + second_constants, labels) / len(columns)
    back = (errors @ second.T) * mask * (before > 0)
    return [seen.T @ back, back.sum(axis=0), hidden.T @ errors, errors.sum(axis=0)]


def _errors(outputs: np.ndarray, labels: Labels) -> np.ndarray:
    n_models = labels.quality.shape[1]
    log_odds = outputs[:, :n_models] + (0.0 if labels.start is None else labels.start)
    expected = sigmoid(log_odds)
    quality = np.where(np.isnan(labels.quality), 0.0, expected - labels.quality)
    if not labels.topics.shape[1]:
        return quality.astype(np.float32)
    shares = np.exp(outputs[:, n_models:] - outputs[:, n_models:].max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    topics = (shares - labels.topics) * labels.topics.sum(axis=1, keepdims=True)
    return np.hstack([quality, topics]).astype(np.float32)


def _mask(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(shape, dtype=np.float32) >= share).astype(np.float32) / np.float32(1 - share)


def adam_step(
    weights: list[np.ndarray],
    slopes: list[np.ndarray],
    moments: list[tuple[np.ndarray, np.ndarray]],
    count: int,
    rate: float,
) -> None:
    """Change weights by one step of Adam with weight decay, and the running moments with them."""
    for weight, slope, (first, second) in zip(weights, slopes, moments, strict=True):
        first += (1 - _FIRST_MOMENT) * (slope - first)
        second += (1 - _SECOND_MOMENT) * (slope * slope - second)
        mean = first / (1 - _FIRST_MOMENT**count)
        spread = np.sqrt(second / (1 - _SECOND_MOMENT**count)) + _TINY
        weight -= (rate * mean / spread).astype(np.float32)
        if weight.ndim == 2:
            weight -= np.float32(rate * _DECAY) * weight
