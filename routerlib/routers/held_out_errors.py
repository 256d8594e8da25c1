"""Remember how wrong a router's estimates were on prompts that it hadn't learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from routerlib.records.arrays import Floats

_MIN_KNOWN = 20
# Standard deviation of the slope that is believed before anything is seen: 1 = estimates hold.
_SLOPE_SD = 0.5
_ABOVE_0 = ("variance", "mean_variance")
# How much less sure the mean of a router is whose errors were never measured out of fold.
_UNMEASURED = 2.0


@dataclass(frozen=True, eq=False)
class HeldOutErrors:
    """Estimates against outcomes at training time, a line for each candidate model.

    What is expected of prompts like those is ``quality + slope * (estimate - mean estimate)``:
    estimates that are drawn too near to their mean are not mistaken for a change once other
    prompts come. All arrays have shape (n_models,).

    `n`: prompts with an estimate out of fold and an outcome; 0 = none was measured.
    `estimate, quality`: means.
    `slope, slope_variance`: of quality on estimate, drawn towards 1.
    `variance`: of one outcome round its expectation.
    `mean_variance`: of the mean quality, groups of near-duplicates counted as one.
    """

    n: Floats
    estimate: Floats
    quality: Floats
    slope: Floats
    slope_variance: Floats
    variance: Floats
    mean_variance: Floats

    @classmethod
    def of(cls, estimated: Floats, observed: Floats, groups: NDArray[np.intp]) -> Self | None:
        """Measure; None where a candidate has fewer than 20 prompts.

        `estimated, observed` (n_prompts, n_models): qualities; NaN = unknown.
        `groups` (n_prompts,): group of near-duplicates of each prompt.
        """
        rows = []
        for arm in range(observed.shape[1]):
            known = np.isfinite(estimated[:, arm]) & np.isfinite(observed[:, arm])
            if known.sum() < _MIN_KNOWN:
                return None
            rows.append(_measured(estimated[known, arm], observed[known, arm], groups[known]))
        return cls(*np.array(rows).T)

    @classmethod
    def assumed(cls, mean_quality: Floats, n_prompts: int) -> Self:
        """Assume calibrated estimates, less surely, where nothing was measured."""
        quality = np.nan_to_num(np.asarray(mean_quality, dtype=float), nan=0.5)
        variance = quality * (1 - quality) + 1 / max(n_prompts, 1)
        zeros = np.zeros(len(quality))
        mean_variance = _UNMEASURED * variance / max(n_prompts, 1)
        return cls(zeros, quality, quality, zeros + 1, zeros, variance, mean_variance)

    def expected(self, estimated: Floats) -> Floats:
        """Return the quality to expect of prompts, given estimates (n_prompts, n_models)."""
        return self.quality + self.slope * (estimated - self.estimate)

    def variance_of_mean(self, estimated: Floats) -> Floats:
        """Return how unsure the mean expectation of some prompts is, shape (n_models,)."""
        away = np.nan_to_num(np.nanmean(estimated, axis=0) - self.estimate)
        return np.asarray(self.mean_variance + away**2 * self.slope_variance)

    def to_state(self) -> dict[str, list[float]]:
        """Return the numbers as builtins."""
        return {
            each.name: [float(value) for value in getattr(self, each.name)] for each in fields(self)
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_models: int) -> Self:
        """Rebuild from `to_state`; numbers that nothing could have measured are refused."""
        arrays = {each.name: np.array(state[each.name], dtype=float) for each in fields(cls)}
        if any(array.shape != (n_models,) for array in arrays.values()):
            raise ValueError(f"held-out errors must have one number for each of {n_models} models")
        is_finite = all(np.isfinite(array).all() for array in arrays.values())
        least = min(arrays[name].min() for name in ("n", "slope_variance"))
        if not (is_finite and least >= 0 and min(arrays[x].min() for x in _ABOVE_0) > 0):
            raise ValueError("held-out errors must be finite, and variances above 0")
        return cls(**arrays)


def _measured(estimated: Floats, observed: Floats, groups: NDArray[np.intp]) -> list[float]:
    n = len(observed)
    x, y = estimated - estimated.mean(), observed - observed.mean()
    # One unseen surprise, as in `intervals.widen_for_unseen`.
    noise = (float(((y - x) ** 2).sum()) + 1) / n
    prior = noise / _SLOPE_SD**2
    slope = (float(x @ y) + prior) / (float(x @ x) + prior)
    errors = y - slope * x
    _, group_of = np.unique(groups, return_inverse=True)
    sums = np.bincount(group_of, weights=errors)
    variance = (float(errors @ errors) + 1) / (n - 1)
    return [
        float(n),
        float(estimated.mean()),
        float(observed.mean()),
        slope,
        noise / (float(x @ x) + prior),
        variance,
        max(variance / n, (float(sums @ sums) + 1) / n**2),
    ]
