"""Estimate a candidate of few labels from what is expected of the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from routerlib.features.learners.log_odds import LogOddsScale

# Before anything is seen: what is hard for the others is nearly as hard for one more.
_SHARED_SLOPE = 0.8


@dataclass(frozen=True)
class Addition:
    """A candidate that was added, or has few labels.

    Its log-odds are ``slope * mean log-odds of the others + offset``: prompts share their
    difficulty, and its own level takes few labels to learn.

    `log_cost`: log of its cost over the geometric mean of the others'; None = unknown.
    """

    scale: LogOddsScale
    log_cost: float | None

    @classmethod
    def fit(
        cls,
        common: np.ndarray,
        quality: np.ndarray,
        pooled: float,
        common_log_cost: np.ndarray,
        log_cost: np.ndarray,
    ) -> Self:
        """Fit on prompts where it was observed.

        `common` (n_prompts,): mean log-odds of the other candidates.
        `quality` (n_prompts,): in [0, 1]; NaN = not observed, at least one observed.
        `pooled`: mean quality of the others, in (0, 1).
        `common_log_cost, log_cost` (n_prompts,): mean expected log cost of the others, and its own;
            NaN = unknown.
        """
        seen = np.isfinite(quality)
        scale = LogOddsScale.fit(common[seen], quality[seen], pooled, usual_slope=_SHARED_SLOPE)
        known = np.isfinite(log_cost) & np.isfinite(common_log_cost)
        above = float((log_cost - common_log_cost)[known].mean()) if known.any() else None
        return cls(scale, above)

    def final(self, common: np.ndarray) -> np.ndarray:
        """Return log-odds, shape (n_prompts,)."""
        return np.asarray(self.scale.slope * common + self.scale.offset)

    def quality(self, common: np.ndarray) -> np.ndarray:
        """Return expected quality, shape (n_prompts,)."""
        return self.scale.quality(common)

    def cost_usd(self, common_log_cost: np.ndarray) -> np.ndarray:
        """Return expected US dollars, shape (n_prompts,); NaN where unknown."""
        if self.log_cost is None:
            return np.full(len(common_log_cost), np.nan)
        return np.asarray(np.exp(common_log_cost + self.log_cost))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(LogOddsScale(**state["scale"]), state["log_cost"])


def mean_log(cost_usd: np.ndarray) -> np.ndarray:
    """Return the mean log cost over candidates that cost something; NaN where there is none."""
    known = (cost_usd > 0).all(axis=0)
    if not known.any():
        return np.full(len(cost_usd), np.nan)
    return np.asarray(np.log(cost_usd[:, known]).mean(axis=1))
