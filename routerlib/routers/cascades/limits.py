"""Keep the calls of one prompt together within what they may cost, and within their time."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from routerlib.policies.policies import QualityFloor
from routerlib.records.arrays import Floats

# Room for rounding when sums are compared with a limit.
_SLACK = 1e-9


class Room(NamedTuple):
    """What is left for further calls of each prompt, and what each of them is expected to take.

    `taken` (n_limits, n_prompts, n_models): US dollars, or seconds, of a call.
    `left` (n_limits, n_prompts): the same unit.
    """

    taken: Floats
    left: Floats

    @classmethod
    def of(
        cls,
        cost_usd: Floats,
        left_usd: Floats | float,
        latency_s: Floats,
        left_s: Floats | float,
    ) -> Self | None:
        """Return the room that is left; None = there is no limit.

        `cost_usd` (n_prompts, n_models): expected of a call.
        `left_usd, left_s` (n_prompts,) or a number: what further calls of a prompt may take
            together; infinite = any.
        `latency_s` (n_models,): what a call takes at most nine times out of ten; NaN = not known,
            which is believed to be in time.
        """
        n_prompts = len(cost_usd)
        taken = [cost_usd, np.broadcast_to(np.nan_to_num(latency_s), cost_usd.shape)]
        left = [np.broadcast_to(each, n_prompts) for each in (left_usd, left_s)]
        limited = [at for at in range(2) if np.isfinite(left[at]).all()]
        if not limited:
            return None
        kept = np.stack([left[at] for at in limited])
        return cls(np.stack([taken[at] for at in limited]), kept + _SLACK * np.abs(kept))

    def fits(self) -> np.ndarray:
        """Return which calls fit, shape (n_prompts, n_models)."""
        return np.asarray((self.taken <= self.left[:, :, None]).all(axis=0))

    def fits_after(self) -> np.ndarray:
        """Return which second calls fit after which first, (n_prompts, n_models, n_models)."""
        both = self.taken[:, :, :, None] + self.taken[:, :, None, :]
        return np.asarray((both <= self.left[:, :, None, None]).all(axis=0))

    def fits_third(self) -> np.ndarray:
        """Return the same of third calls, one more axis of length n_models."""
        two = self.taken[:, :, :, None, None] + self.taken[:, :, None, :, None]
        three = two + self.taken[:, :, None, None, :]
        return np.asarray((three <= self.left[:, :, None, None, None]).all(axis=0))


class Terms(NamedTuple):
    """By what further answers are weighed.

    `most_usd`: what all calls of a prompt may be expected to cost together.
    `floor`: the rule by which an answer is good enough; None = expected utility decides.
    """

    cost_weight: float
    most_usd: float = math.inf
    floor: QualityFloor | None = None


def seconds_of(max_latency_s: float | None) -> float:
    """Return the seconds that calls may take together; infinite = any."""
    if max_latency_s is None:
        return math.inf
    if not (np.isfinite(max_latency_s) and max_latency_s > 0):
        raise ValueError(f"max_latency_s must be seconds above 0, got {max_latency_s!r}")
    return float(max_latency_s)


def latencies_of(models: Sequence[str], latency_s: Mapping[str, float] | None) -> Floats:
    """Return seconds by candidate, shape (n_models,); NaN = not known."""
    known = latency_s or {}
    return np.array([known.get(name, np.nan) for name in models], dtype=float)


def in_time(
    models: Sequence[str], among: Collection[str] | None, latency_s: Floats, most_s: float
) -> tuple[Collection[str] | None, float, str]:
    """Return who may be asked, the seconds that there are, and what is to be told of them.

    Where all are too slow, the quickest is in time, and nobody after it.

    `among`: who can answer; None = all. Of `latency_s` and `most_s` see `Room.of`.
    """
    can = [arm for arm, name in enumerate(models) if among is None or name in among]
    if not can or not math.isfinite(most_s):
        return among, most_s, ""
    kept = [arm for arm in can if not latency_s[arm] > most_s]
    if kept:
        return [models[arm] for arm in kept], most_s, ""
    arm = min(can, key=lambda each: float(latency_s[each]))
    needed_s = float(latency_s[arm])
    told = f"nobody answers within {most_s:g} s, the quickest, {models[arm]}, in {needed_s:.3g} s"
    return [models[arm]], needed_s, f"; {told}"
