"""A small neural network of several outputs, trained on noisy labels and read with numpy alone."""

from __future__ import annotations

import math
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
DECAY = 1e-3
# Of 256: a byte is drawn for each.
_DROPPED_INPUTS, _DROPPED_HIDDEN = 26, 77
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

    def as_float32(self) -> Labels:
        """Return the same as half as many bytes."""
        start = None if self.start is None else self.start.astype(np.float32)
        return Labels(self.quality.astype(np.float32), self.topics.astype(np.float32), start)


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
        trained = _train(columns.astype(np.float32), labels, np.random.default_rng(random_state))
        return cls(
            np.hstack(list(trained.first)),
            trained.first_constants.ravel(),
            np.vstack(list(trained.second[:, :, :n_models])) / _N_NETWORKS,
            trained.second_constants[:, 0, :n_models].mean(axis=0),
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


class _Weights(NamedTuple):
    """Weights of all networks, or what belongs to them, as views of one array.

    `all` (n_networks, n_weights), `first` (n_networks, n_columns, n_hidden), `first_constants`
    (n_networks, 1, n_hidden), `second` (n_networks, n_hidden, n_outputs), `second_constants`
    (n_networks, 1, n_outputs).
    """

    all: np.ndarray
    first: np.ndarray
    first_constants: np.ndarray
    second: np.ndarray
    second_constants: np.ndarray

    @classmethod
    def zeros(cls, n_columns: int, n_outputs: int) -> Self:
        shapes = [(n_columns, _HIDDEN), (1, _HIDDEN), (_HIDDEN, n_outputs), (1, n_outputs)]
        ends = np.cumsum([height * width for height, width in shapes])
        everything = np.zeros((_N_NETWORKS, int(ends[-1])), dtype=np.float32)
        parts = np.split(everything, ends[:-1], axis=1)
        views = [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
        return cls(everything, *views)


def _train(columns: np.ndarray, labels: Labels, rng: np.random.Generator) -> _Weights:
    """Train all networks side by side, each on batches and under dropout of its own."""
    n_rows, n_columns = columns.shape
    batch = min(_BATCH, n_rows)
    n_outputs = labels.quality.shape[1] + labels.topics.shape[1]
    labels = labels.as_float32()
    weights, slopes, *moments = (_Weights.zeros(n_columns, n_outputs) for _ in range(4))
    _begin(weights, labels, rng)
    n_steps = int(np.clip(_STEPS_AT_1000 * np.sqrt(n_rows / 1000), _LEAST_STEPS, _MOST_STEPS))
    order = np.zeros((_N_NETWORKS, 0), dtype=int)
    for step in range(n_steps):
        if order.shape[1] < batch:
            order = np.array([rng.permutation(n_rows) for _ in range(_N_NETWORKS)])
        rows, order = order[:, :batch], order[:, batch:]
        _find_slopes(slopes, weights, columns[rows], labels.take(rows), rng)
        rate = _LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / n_steps))
        adam_step(weights.all, slopes.all, (moments[0].all, moments[1].all), step + 1, rate)
        for each in (weights.first, weights.second):
            each -= np.float32(rate * DECAY) * each
    return weights


def _begin(weights: _Weights, labels: Labels, rng: np.random.Generator) -> None:
    for part, spread in (
        (weights.first, np.sqrt(1 / weights.first.shape[1])),
        (weights.second, _START / np.sqrt(_HIDDEN)),
    ):
        part[:] = rng.normal(0, spread, part.shape)
    if labels.start is None:
        means = np.clip(np.nanmean(labels.quality, axis=0), 0.02, 0.98)
        weights.second_constants[:, 0, : len(means)] = np.log(means / (1 - means))


def _find_slopes(
    slopes: _Weights,
    weights: _Weights,
    columns: np.ndarray,
    labels: Labels,
    rng: np.random.Generator,
) -> None:
    """Put down the gradients of the mean log loss of each network's batch, under dropout.

    `columns` (n_networks, n_batch, n_columns); labels likewise.
    """
    seen = columns * _mask(columns.shape, _DROPPED_INPUTS, rng)
    before = seen @ weights.first + weights.first_constants
    mask = _mask(before.shape, _DROPPED_HIDDEN, rng)
    mask *= before > 0
    hidden = before * mask
    errors = _errors(hidden @ weights.second + weights.second_constants, labels)
    errors /= np.float32(columns.shape[1])
    back = errors @ weights.second.transpose(0, 2, 1)
    back *= mask
    np.matmul(seen.transpose(0, 2, 1), back, out=slopes.first)
    np.sum(back, axis=1, keepdims=True, out=slopes.first_constants)
    np.matmul(hidden.transpose(0, 2, 1), errors, out=slopes.second)
    np.sum(errors, axis=1, keepdims=True, out=slopes.second_constants)


def _errors(outputs: np.ndarray, labels: Labels) -> np.ndarray:
    n_models = labels.quality.shape[-1]
    log_odds = outputs[..., :n_models]
    expected = sigmoid(log_odds if labels.start is None else log_odds + labels.start)
    errors = np.zeros_like(outputs)
    is_seen = ~np.isnan(labels.quality)
    np.subtract(expected, labels.quality, out=errors[..., :n_models], where=is_seen)
    if labels.topics.shape[-1]:
        shares = outputs[..., n_models:]
        shares = np.exp(shares - shares.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        shares -= labels.topics
        errors[..., n_models:] = shares * labels.topics.any(axis=-1, keepdims=True)
    return errors


def _mask(shape: tuple[int, ...], n_dropped: int, rng: np.random.Generator) -> np.ndarray:
    """Return 0 for `n_dropped` of 256 cells, drawn byte by byte, and what makes up for them."""
    n_cells = math.prod(shape)
    words = rng.integers(2**64 - 1, size=-(-n_cells // 8), dtype=np.uint64, endpoint=True)
    drawn = words.view(np.uint8)[:n_cells].reshape(shape)
    return (drawn >= n_dropped) * np.float32(256 / (256 - n_dropped))


def adam_step(
    weights: np.ndarray,
    slopes: np.ndarray,
    moments: tuple[np.ndarray, np.ndarray],
    count: int,
    rate: float,
) -> None:
    """Change weights by one step of Adam, and the running moments with them."""
    first, second = moments
    first += (1 - _FIRST_MOMENT) * (slopes - first)
    second += (1 - _SECOND_MOMENT) * (slopes * slopes - second)
    spread = np.sqrt(second)
    spread *= (1 - _SECOND_MOMENT**count) ** -0.5
    spread += _TINY
    weights -= first / spread * np.float32(rate / (1 - _FIRST_MOMENT**count))
