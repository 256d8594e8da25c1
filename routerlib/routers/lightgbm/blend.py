"""From log-odds of several learners to expected quality: level, difficulty, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.features.learners.log_odds import LogOddsScale, sigmoid
from routerlib.records.arrays import pack_array, unpack_array


@dataclass(frozen=True, eq=False)
class Blend:
    """A ladder of explanations, from coarse to fine, each believed as far as it predicts.

    A candidate's final log-odds are the sum of three steps:

    1. its *level*: how good it is on the usual prompt;
    2. the *difficulty* of the prompt, the same for all candidates: mean log-odds over candidates
       and parts;
    3. *differences*: what each part says of this candidate beyond its level and the prompt's
       difficulty, times the part's share of belief. A handful of labels leaves next to nothing of
       it, thousands all that there is.

    `fit_blend` learns all of it out of fold. Each step is linear in the parts' log-odds, so
    contributions of features stay exact sums.

    `levels` (n_models,): log-odds at the origin of the parts.
    `difficulties` (n_parts,): what a unit of a part's mean log-odds adds to every candidate.
    `shares` (n_parts,): what a unit of a part's difference adds to its candidate; at least 0.
    `centres` (n_parts, n_models): mean log-odds of each part in training, the base of its
        contributions.
    `pooled`: mean quality over all candidates, in (0, 1).
    `doubt`: standard deviation of log-odds errors that prompts of one label share.
    `n_labels`: topics or clusters that it was measured on, at least 1.
    """

    levels: np.ndarray
    difficulties: np.ndarray
    shares: np.ndarray
    centres: np.ndarray
    pooled: float
    doubt: float
    n_labels: int

    def final(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return final log-odds, shape (n_prompts, n_models), of those of each part."""
        together = np.array(parts)
        common = np.add.reduce(together, axis=2, keepdims=True) / together.shape[2]
        together -= common
        together *= self.shares[:, np.newaxis, np.newaxis]
        together += self.difficulties[:, np.newaxis, np.newaxis] * common
        final = together[0] + self.levels
        for added in together[1:]:  # one after the other: sums depend on the order
            final += added
        return final

    def usual(self) -> np.ndarray:
        """Return final log-odds on the usual prompt, shape (n_models,)."""
        return np.asarray(self.final(list(self.centres[:, np.newaxis]))[0])

    def difficulty(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return what a prompt adds to all candidates' usual log-odds, shape (n_prompts,)."""
        above = [
            part.mean(axis=1) - centre.mean()
            for part, centre in zip(parts, self.centres, strict=True)
        ]
        return weighed(self.difficulties, above)

    def quality(self, final: np.ndarray) -> np.ndarray:
        """Return expected quality in (0, 1) of final log-odds."""
        return sigmoid(final)

    def mixing(self, number: int) -> np.ndarray:
        """Return what a unit of one part's log-odds adds to final ones.

        Shape (n_models, n_models): row = candidate that is estimated, column = of whom the part
        speaks.
        """
        n_models = len(self.levels)
        spread = self.difficulties[number] - self.shares[number]
        return np.asarray(spread / n_models + self.shares[number] * np.eye(n_models))

    def final_scale(self) -> LogOddsScale:
        """Return how final log-odds become expected quality."""
        return LogOddsScale(1.0, 0.0, 1.0, self.pooled)

    def half_width(self, parts: Sequence[np.ndarray], level: float) -> np.ndarray:
        """Return half the width of an interval of final log-odds, shape (n_prompts, n_models).

        By Student's t with a degree of freedom a label: a few topics don't settle how far off
        the estimates are. Level in (0, 1).
        """
        from scipy.special import stdtrit

        return np.asarray(stdtrit(self.n_labels, 0.5 + level / 2) * self.disagreement(parts))

    def disagreement(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the standard deviation of final log-odds, shape (n_prompts, n_models)."""
        slope = self.difficulties.sum()
        weights = self.difficulties / slope if slope > 0 else np.zeros(len(parts))
        blended = weighed(weights, parts)
        squares = [
            weight * (part - blended) ** 2 for weight, part in zip(weights, parts, strict=True)
        ]
        between = np.sum(squares, axis=0) / max(len(parts) - 1, 1) * slope**2
        return np.asarray(np.sqrt(between + self.doubt**2))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            **{name: pack_array(getattr(self, name)) for name in _ARRAYS},
            "pooled": float(self.pooled),
            "doubt": float(self.doubt),
            "n_labels": int(self.n_labels),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(**{**state, **{name: unpack_array(state[name]) for name in _ARRAYS}})


_ARRAYS = ("levels", "difficulties", "shares", "centres")


def weighed(weights: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the weighed sum of arrays of one shape."""
    return np.asarray(sum(weight * part for weight, part in zip(weights, parts, strict=True)))


class Steps(NamedTuple):
    """Expected quality from coarse to fine; the three add up to it.

    Attributes
    ----------
    usual : ndarray of shape (n_models,)
        On the usual prompt, in [0, 1].
    difficulty : ndarray of shape (n_prompts, n_models)
        What a prompt that is easy or hard for all adds to that, in quality.
    differences : ndarray of shape (n_prompts, n_models)
        What the prompt adds for this candidate beyond that, in quality.
    """

    usual: np.ndarray
    difficulty: np.ndarray
    differences: np.ndarray
