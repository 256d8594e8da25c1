"""What an answer tells of the candidates that weren't asked yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from routerlib.records.arrays import Floats, pack_array, unpack_array
from routerlib.routers.cascades.judged import JudgedPrompts
from routerlib.routers.cascades.judged_odds import sigmoid

# How many prompts it takes to believe one pair of candidates, and all pairs together.
_PAIR_COUNT, _POOL_COUNT = 100.0, 30.0
_NEWTON_STEPS = 30
_SHARED = 0.5
_SMALLEST_ODDS_SHARE = 0.002


def exact_logits(quality: Floats) -> Floats:
    """Return log-odds of expected quality; only 0 and 1 themselves are drawn in."""
    inside = np.clip(quality, _SMALLEST_ODDS_SHARE, 1 - _SMALLEST_ODDS_SHARE)
    return np.asarray(np.log(inside / (1 - inside)))


@dataclass(frozen=True, eq=False)
class Evidence:
    """How far the judgement of one answer moves what is expected of the others.

    One hidden difficulty stands behind all answers to a prompt: an answer that looks worse than
    expected makes the prompt harder for every candidate. In log-odds the others move by
    `pull` times the surprise; several surprises tell less than their sum, as they share the cause.

    `pull` (n_models, n_models): from the one that was judged (row) to the other (column).
    `first, later` (n_models,): standard deviation, in log-odds, of what a judgement adds to what
        was expected, with no answer at hand and with one.
    """

    pull: Floats
    first: Floats
    later: Floats

    @classmethod
    def nothing(cls, n_models: int) -> Self:
        """Return that of judgements which tell nothing: the router stays as it is."""
        return cls(np.zeros((n_models, n_models)), np.zeros(n_models), np.zeros(n_models))

    @classmethod
    def fit(cls, judged: JudgedPrompts, expected: Floats, quality: Floats) -> Self:
        """Fit on judgements out of fold.

        `expected` (n_prompts, n_models): quality that the router expects, out of fold.
        `quality` (n_prompts, n_models): observed; NaN = not.
        """
        n_models = quality.shape[1]
        base = exact_logits(expected)
        surprises = np.column_stack([judged.odds((arm,))[:, arm] for arm in range(n_models)]) - base
        pull = _pulls(surprises, base, quality)
        first = np.array([_spread(surprises[:, arm]) for arm in range(n_models)])
        later = np.zeros(n_models)
        for arm in range(n_models):
            added = []
            for other in range(n_models):
                if other != arm:
                    both = judged.odds(tuple(sorted((arm, other))))[:, arm]
                    added.append(both - base[:, arm] - pull[other, arm] * surprises[:, other])
            later[arm] = _spread(np.concatenate(added)) if added else 0.0
        return cls(pull, first, later)

    def moved(self, base: Floats, surprises: Floats) -> Floats:
        """Return log-odds of every candidate in the light of the answers at hand.

        `base` (n_prompts, n_models): log-odds that the router expects.
        `surprises` (n_prompts, n_models): judged minus expected log-odds; 0 = not at hand.
        """
        n_held = np.maximum((surprises != 0).sum(axis=1), 1)
        return base + self.sum_of(surprises) / self.sharing(n_held)[:, None]

    def sum_of(self, surprises: Floats) -> Floats:
        """Return the sum of all pulls, same shape."""
        return surprises @ self.pull

    @staticmethod
    def sharing(n_held: np.ndarray | int) -> np.ndarray:
        """Return what the sum of the pulls of so many answers is divided by."""
        return np.asarray(1 + _SHARED * (np.maximum(n_held, 1) - 1), dtype=float)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {name: pack_array(getattr(self, name)) for name in ("pull", "first", "later")}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(*(unpack_array(state[name]) for name in ("pull", "first", "later")))


def _pulls(surprises: Floats, base: Floats, quality: Floats) -> Floats:
    """Return how far each candidate's surprise moves each other one, few prompts by all pairs."""
    n_models = quality.shape[1]
    pairs = [
        (source, target)
        for source in range(n_models)
        for target in range(n_models)
        if source != target
    ]
    pull = np.zeros((n_models, n_models))
    if not pairs:
        return pull
    found = [_known(surprises[:, j], base[:, k], quality[:, k]) for j, k in pairs]
    surprise, odds, labels = (np.concatenate(each) for each in zip(*found, strict=True))
    pooled = _slope(surprise, odds, labels, 0.0, _POOL_COUNT)
    for (source, target), each in zip(pairs, found, strict=True):
        pull[source, target] = _slope(*each, pooled, _PAIR_COUNT)
    return pull


def _known(surprise: Floats, base: Floats, quality: Floats) -> tuple[Floats, Floats, Floats]:
    keep = np.isfinite(surprise) & np.isfinite(quality)
    return surprise[keep], base[keep], quality[keep]


def _slope(surprise: Floats, base: Floats, quality: Floats, usual: float, count: float) -> float:
    """Fit quality = sigmoid(base + slope x surprise), the slope drawn towards the usual one."""
    slope = usual
    prior = count * (float((surprise**2).mean()) if len(surprise) else 1.0) / 4 + 1e-9
    for _ in range(_NEWTON_STEPS):
        probability = sigmoid(base + slope * surprise)
        gradient = float(surprise @ (probability - quality)) + prior * (slope - usual)
        curve = float((surprise**2) @ (probability * (1 - probability))) + prior
        step = float(np.clip(gradient / curve, -0.5, 0.5))
        slope -= step
        if abs(step) < 1e-9:
            break
    return max(slope, 0.0)


def _spread(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) > 1 else 0.0
