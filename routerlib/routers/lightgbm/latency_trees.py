"""Seconds that a prompt takes each candidate model: trees of the mean and of quantiles.

They see what stands on the surface of a prompt alone: on the log that ships with the project the
columns of the router's other trees made the 90 % quantile worse on new prompts, not better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from routerlib.features.learners.folds import kept_by_folds
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.records.decision import Latencies
from routerlib.routers.lightgbm.binned import BinnedRows
from routerlib.routers.lightgbm.boosters import raw_scores, wanted_mean, wanted_quantile
from routerlib.routers.lightgbm.boosting import Wanted, boost
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import merge_models, read_trees
from routerlib.routers.usual_latencies import FIELDS, UsualLatencies, known_seconds, upper_level

# With fewer calls the trees were no better than one number for all prompts.
_LEAST_CALLS = 60
# A call that takes no time at all has no logarithm.
_LEAST_S = 1e-6


class LatencyTrees:
    """What differs from prompt to prompt; who was asked too seldom takes what is usual.

    `outputs` (n_outputs, 2): candidate and field of `Latencies` that each output is of.
    `lines` (n_outputs, 2): offset and slope from a raw score to log seconds. For a mean as
        `CostTrees` has them; for a quantile the offset moves it to where, out of fold, so many
        calls stayed under it (Y. Romano, E. Patterson and E. Candes, Conformalized quantile
        regression, NeurIPS 2019).
    """

    def __init__(self, text: str, outputs: np.ndarray, lines: np.ndarray) -> None:
        self.text, self.outputs, self.lines = text, outputs, lines
        n_outputs = len(outputs)
        if outputs.shape != (n_outputs, 2) or lines.shape != (n_outputs, 2):
            raise ValueError(f"trees of latency have shapes {outputs.shape} and {lines.shape}")
        self._scorer = None
        if n_outputs:
            sound = read_trees(text, len(SURFACE_NAMES), n_outputs)
            self._scorer = Scorer(sound, n_outputs)

    @classmethod
    def fit(cls, outcomes: Outcomes, folds: np.ndarray, random_state: int) -> Self:
        """Train on the seconds that outcomes hold; `folds` (n_prompts,): of their prompts."""
        columns = surface_features(list(outcomes.prompts))
        texts, outputs, lines = [], [], []
        for arm in range(len(outcomes.models)):
            for field, (name, level) in enumerate(FIELDS):
                seconds = known_seconds(outcomes, name, arm)
                known = np.isfinite(seconds)
                if known.sum() < _LEAST_CALLS or len(np.unique(folds[known])) < 2:
                    continue
                seen = _Seen(columns[known], seconds[known], folds[known], level, random_state)
                texts.append([seen.text()])
                outputs.append((arm, field))
                lines.append(seen.line())
        text = merge_models(texts) if texts else ""
        return cls(
            text,
            np.array(outputs, dtype=np.int64).reshape(-1, 2),
            np.array(lines, dtype=float).reshape(-1, 2),
        )

    def expected(self, surface: np.ndarray, usual: UsualLatencies) -> Latencies:
        """Return what is expected of each prompt; `surface`: as of `surface_features`."""
        found = usual.expected(len(surface))
        if self._scorer is not None:
            raw = self._scorer.raw(surface)
            seconds = np.exp(self.lines[:, 0] + self.lines[:, 1] * raw)
            for output, (arm, field) in enumerate(self.outputs):
                found.arrays[field][:, arm] = seconds[:, output]
        return found

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        packed = {"outputs": pack_array(self.outputs), "lines": pack_array(self.lines)}
        return {"text": self.text, **packed}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_models: int) -> Self:
        """Rebuild from `to_state`; what no training could have made is refused."""
        outputs, lines = unpack_array(state["outputs"]), unpack_array(state["lines"])
        if outputs.dtype.kind != "i" or len(np.unique(outputs, axis=0)) != len(outputs):
            raise ValueError("trees of latency must each be of another candidate or field")
        if len(outputs) and not (
            (outputs >= 0).all() and (outputs.max(axis=0) < (n_models, len(FIELDS))).all()
        ):
            raise ValueError("trees of latency are of a candidate or a field that isn't there")
        if not np.isfinite(lines).all():
            raise ValueError("trees of latency must have finite offsets and slopes")
        return cls(state["text"], outputs, lines)


class _Seen:
    """One candidate's calls: what is known of them, and what was learnt of it.

    `columns` (n_calls, n_columns), `seconds, folds` (n_calls,); `level`: None = the mean.
    """

    def __init__(
        self,
        columns: np.ndarray,
        seconds: np.ndarray,
        folds: np.ndarray,
        level: float | None,
        random_state: int,
    ) -> None:
        self._columns, self._seconds, self._folds = columns, seconds, folds
        self._log_s = np.log(np.maximum(seconds, _LEAST_S))
        self._level, self._random_state = level, random_state
        self._of_all, *self._of_folds = boost(map(self._wanted, kept_by_folds(folds)))

    def text(self) -> str:
        return str(self._of_all.model_to_string())

    def line(self) -> tuple[float, float]:
        held_out = np.empty(len(self._log_s))
        for fold, booster in zip(np.unique(self._folds), self._of_folds, strict=True):
            out = self._folds == fold
            held_out[out] = raw_scores(booster, self._columns[out])
        if self._level is not None:
            level = upper_level(len(held_out), self._level)
            return float(np.quantile(self._log_s - held_out, level, method="higher")), 1.0
        deviations = held_out - held_out.mean()
        squares = float(deviations @ deviations)
        slope = float(np.clip(deviations @ self._log_s / squares, 0, 1)) if squares > 1e-9 else 0.0
        mean_s = max(float(self._seconds.mean()), _LEAST_S)
        return float(np.log(mean_s / np.exp(slope * held_out).mean())), slope

    def _wanted(self, kept: np.ndarray) -> Wanted:
        given = BinnedRows(self._columns[kept]), self._log_s[kept]
        if self._level is None:
            return wanted_mean(*given, self._random_state)
        return wanted_quantile(*given, self._level, self._random_state)
