"""Look three answers ahead, before the first one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.records.arrays import Arms, Floats
from routerlib.routers.cascades.evidence import Evidence, exact_logits, normal_points, possible
from routerlib.routers.cascades.limits import Room

# With more candidates it would take megabytes a prompt, and two answers ahead have to do.
MOST_MODELS = 6
_FIRST, _SECOND, _THIRD = normal_points(6), normal_points(4), normal_points(2)
_CHUNK = 250


class Deep(NamedTuple):
    """What a second and a third answer would add, at each possible judgement of those before.

    `second` (n_prompts, n_models, n_nodes, n_models): of the second, by the first and how it is
        judged.
    `third` (n_prompts, n_models, n_nodes, n_models, n_nodes, n_models): of the third, by the first
        two and how these are judged.
    """

    second: np.ndarray
    third: np.ndarray

    @classmethod
    def of(cls, quality: Floats, evidence: Evidence) -> Self:
        """Work it out; `quality` (n_prompts, n_models) is what the router expects."""
        starts = range(0, max(len(quality), 1), _CHUNK)
        parts = [_looked(quality[start : start + _CHUNK], evidence) for start in starts]
        return cls(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def take(self, rows: Arms | slice) -> Deep:
        """Return the same of some prompts."""
        return Deep(self.second[rows], self.third[rows])

    def worth(
        self,
        least: Floats,
        boldness: float,
        closed: Sequence[int],
        room: Room | None = None,
    ) -> Floats:
        """Return what asking on after each first answer is worth, shape (n_prompts, n_models).

        `least` (n_prompts, n_models): what a call must bring to be made.
        `closed`: columns of candidates that can't be asked.
        `room`: what the calls may take together; None = anything.
        """
        prices = least.astype(np.float32)
        prices[:, list(closed)] = np.inf
        last = boldness * self.third - prices[:, None, None, None, None, :]
        if room is not None:
            fits = room.fits_third()[:, :, None, :, None, :]
            last = np.where(fits, last, np.float32(-np.inf))
        on = np.maximum(last.max(axis=5), 0) @ _SECOND[1].astype(np.float32)
        net = boldness * self.second + on - prices[:, None, None, :]
        if room is not None:
            net = np.where(room.fits_after()[:, :, None, :], net, -np.inf)
        own = np.arange(least.shape[1])
        net[:, own, :, own] = 0.0
        return np.asarray(np.maximum(net.max(axis=3), 0) @ _FIRST[1], dtype=float)


def _looked(quality: Floats, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    base, own = exact_logits(quality), np.arange(quality.shape[1])
    first = possible(base, evidence.first, _FIRST[0])
    best = sigmoid(first)
    pulled = (first - base[:, :, None])[..., None] * evidence.pull[:, None, :]
    second = possible(base[:, None, None, :] + pulled, evidence.later, _SECOND[0])
    better = np.maximum(best[..., None, None], sigmoid(second))
    gain = better @ _SECOND[1] - best[..., None]
    # What the second one's judgement adds to the surprise of the first.
    surprise = second - base[:, None, None, :, None]
    both = pulled[:, :, :, None, None, :] + surprise[..., None] * evidence.pull[:, None, :]
    moved = base[:, None, None, None, None, :] + both / evidence.sharing(2)
    reached = np.zeros(moved.shape)
    for point, weight in zip(*_THIRD, strict=True):
        seen = sigmoid(possible(moved, evidence.later, np.array([point]))[..., 0])
        reached += weight * np.maximum(better[..., None], seen)
    third = reached - better[..., None]
    third[:, own, :, :, :, own] = 0.0
    third[:, :, :, own, :, own] = 0.0
    return gain.astype(np.float32), third.astype(np.float32)
