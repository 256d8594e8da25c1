"""What an answer tells of the candidates that weren't asked yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.records.arrays import Floats, pack_array, unpack_array
from routerlib.routers.cascades.judged import JudgedPrompts

# How many prompts it takes to believe one pair of candidates, and all pairs together.
_PAIR_COUNT, _POOL_COUNT = 100.0, 30.0
_NEWTON_STEPS = 30
_SHARED = 0.5
# Pairs of answers that it takes to believe a candidate's own gain.
_GAIN_COUNT = 200.0
_LARGEST_SPREAD, _BISECTIONS = 3.0, 25
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
    `first` (n_models,): standard deviation, in log-odds, of what a judgement adds to what was
        expected, with no answer at hand.
    `later` (n_models,): the same with an answer at hand, set so that the gain of asking on is on
        average the gain in quality that was seen. (The judgements' own spread promises far more:
        where two answers agree, both are judged higher, and nothing is gained.)
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
        later = _later(judged, base, surprises, pull, quality)
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


def _later(
    judged: JudgedPrompts, base: Floats, surprises: Floats, pull: Floats, quality: Floats
) -> Floats:
    """Return the spread of a further judgement by which expected gains are right on average."""
    n_models = quality.shape[1]
    cases = [
        _Cases.of(judged, base, surprises, pull, quality, target) for target in range(n_models)
    ]
    together = _Cases(*(np.concatenate(each) for each in zip(*cases, strict=True)))
    if not len(together.gain):
        return np.zeros(n_models)
    pooled = together.spread(float(together.gain.mean()))
    spreads = np.full(n_models, pooled)
    for target, each in enumerate(cases):
        if len(each.gain):
            usual = float(expected_gain(each.best, each.odds, pooled).mean())
            seen = each.gain.sum() + _GAIN_COUNT * usual
            spreads[target] = each.spread(float(seen) / (len(each.gain) + _GAIN_COUNT))
    return spreads


class _Cases(NamedTuple):
    """One candidate asked after another one: pairs of answers whose quality is known.

    `best` (n_cases,): quality believed of the answer at hand.
    `odds` (n_cases,): log-odds expected of the one asked next.
    `gain` (n_cases,): quality of the answer believed better, less that of the one at hand.
    """

    best: Floats
    odds: Floats
    gain: Floats

    @classmethod
    def of(
        cls,
        judged: JudgedPrompts,
        base: Floats,
        surprises: Floats,
        pull: Floats,
        quality: Floats,
        target: int,
    ) -> Self:
        parts = [(np.zeros(0), np.zeros(0), np.zeros(0))]
        for source in range(quality.shape[1]):
            if source == target:
                continue
            both = judged.odds((min(source, target), max(source, target)))
            seen = np.isfinite(both[:, [source, target]]).all(axis=1)
            seen &= np.isfinite(quality[:, [source, target]]).all(axis=1)
            is_better = both[:, target] > both[:, source]
            gain = np.where(is_better, quality[:, target] - quality[:, source], 0.0)
            surprise = surprises[:, source]
            best = sigmoid(np.nan_to_num(base[:, source] + surprise))
            odds = base[:, target] + pull[source, target] * surprise
            parts.append((best[seen], odds[seen], gain[seen]))
        return cls(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def spread(self, gain: float) -> float:
        """Return the spread at which this mean gain is expected, by bisection."""
        low, high = 0.0, _LARGEST_SPREAD
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            is_less = float(expected_gain(self.best, self.odds, middle).mean()) < gain
            low, high = (middle, high) if is_less else (low, middle)
        return (low + high) / 2


def possible(odds: Floats, spread: Floats | float, points: Floats) -> Floats:
    """Return log-odds that a judgement may come to, one more axis; their mean is what is expected.

    D. MacKay, The evidence framework applied to classification networks, Neural Computation 4,
    1992: the mean of a sigmoid of a normal variable.
    """
    spreads = np.asarray(spread)
    widened = odds * np.sqrt(1 + np.pi * spreads**2 / 8)
    return np.asarray(widened[..., None] + spreads[..., None] * points)


def expected_gain(best: Floats, odds: Floats, spread: float) -> Floats:
    """Return what asking a candidate is expected to add to the answer at hand, shape (n,)."""
    points, weights = normal_points(7)
    seen = sigmoid(possible(odds, spread, points))
    return np.asarray(np.maximum(seen, best[:, None]) @ weights - best)


def normal_points(n: int) -> tuple[Floats, Floats]:
    """Return points and weights by which the mean of a function of a normal variable is taken."""
    points, weights = np.polynomial.hermite_e.hermegauss(n)
    return points, weights / weights.sum()


def _spread(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) > 1 else 0.0
