"""Seconds that each candidate model usually takes, whatever the prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.records.decision import Latencies

# Fewer calls tell no quantile of 90 or 95 %.
LEAST_CALLS = 20
# What each field of `Latencies` is of: which seconds, and which quantile; None = the mean.
FIELDS: tuple[tuple[str, float | None], ...] = (
    ("latency_s", None),
    ("latency_s", 0.9),
    ("first_token_s", None),
    ("first_token_s", 0.95),
)


@dataclass(frozen=True, eq=False)
class UsualLatencies:
    """What the calls of each candidate took, on all training prompts together.

    `seconds` (n_models, 4): in the order of `Latencies`; NaN where fewer than 20 calls tell it.
    `n_calls` (n_models, 2): calls whose end, and whose first piece, is known.

    >>> outcomes = Outcomes(["p"] * 30, ["m"], [[1]] * 30, latency_s=[[2.0]] * 30)
    >>> UsualLatencies.of(outcomes).seconds.tolist()
    [[2.0, 2.0, nan, nan]]
    """

    seconds: np.ndarray
    n_calls: np.ndarray

    @classmethod
    def of(cls, outcomes: Outcomes) -> UsualLatencies | None:
        """Average what is known; None where no time is known at all."""
        if outcomes.latency_s is None and outcomes.first_token_s is None:
            return None
        seconds = np.full((len(outcomes.models), len(FIELDS)), np.nan)
        n_calls = np.zeros((len(outcomes.models), 2), dtype=np.int64)
        for field, (name, level) in enumerate(FIELDS):
            for arm in range(len(outcomes.models)):
                known = known_seconds(outcomes, name, arm)
                known = known[np.isfinite(known)]
                n_calls[arm, name == "first_token_s"] = len(known)
                if len(known) >= LEAST_CALLS:
                    seconds[arm, field] = known.mean() if level is None else _upper(known, level)
        return cls(seconds, n_calls)

    def and_of(self, others: UsualLatencies | None, n_others: int) -> UsualLatencies:
        """Return the same with further candidates; None = nothing is known of these."""
        nothing = UsualLatencies(
            np.full((n_others, len(FIELDS)), np.nan), np.zeros((n_others, 2), dtype=np.int64)
        )
        more = others or nothing
        return UsualLatencies(
            np.vstack([self.seconds, more.seconds]), np.vstack([self.n_calls, more.n_calls])
        )

    def expected(self, n_prompts: int) -> Latencies:
        """Return the same for each prompt."""
        shape = (n_prompts, len(self.seconds))
        return Latencies(*(np.broadcast_to(each, shape).copy() for each in self.seconds.T))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"seconds": pack_array(self.seconds), "n_calls": pack_array(self.n_calls)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_models: int) -> UsualLatencies:
        """Rebuild from `to_state`; seconds that nothing could have taken are refused."""
        seconds, n_calls = unpack_array(state["seconds"]), unpack_array(state["n_calls"])
        if seconds.shape != (n_models, len(FIELDS)) or n_calls.shape != (n_models, 2):
            raise ValueError(
                f"latencies must be of {n_models} candidate models, got arrays of shapes "
                f"{seconds.shape} and {n_calls.shape}"
            )
        if (seconds < 0).any() or np.isinf(seconds).any():
            raise ValueError("usual latencies must be at least 0 and finite, or NaN")
        if n_calls.dtype.kind != "i" or (n_calls < 0).any():
            raise ValueError("numbers of calls must be whole and at least 0")
        return cls(seconds, n_calls)


def known_seconds(outcomes: Outcomes, name: str, arm: int) -> np.ndarray:
    """Return one candidate's seconds on each prompt, shape (n_prompts,); NaN where unknown."""
    seconds = getattr(outcomes, name)
    return np.full(len(outcomes), np.nan) if seconds is None else np.asarray(seconds[:, arm])


def _upper(seconds: np.ndarray, level: float) -> float:
    """Return what a new call stays under with this probability, as far as so few can tell."""
    return float(np.quantile(seconds, upper_level(len(seconds), level), method="higher"))


def upper_level(n_calls: int, level: float) -> float:
    """Return the level at which so many calls have what a further one stays under so often.

    >>> upper_level(99, 0.9)
    0.9090909090909091
    """
    return min(math.ceil((n_calls + 1) * level) / n_calls, 1.0)
