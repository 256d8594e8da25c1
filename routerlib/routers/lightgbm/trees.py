"""Boosted trees of all candidates: trained in bags, kept and asked as one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from routerlib.features.inputs import log_cost_usd
from routerlib.features.learners.log_odds import log_odds, shrunk_mean
from routerlib.features.learners.stack import Estimated
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.routers.lightgbm.binned import BinnedRows, RowsOf
from routerlib.routers.lightgbm.boosting import boost
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import check_model_text, merge_models, single_model

if TYPE_CHECKING:
    import lightgbm as lgb

MIN_ROWS_FOR_TREES = 20

# Labels are noisy and prompts few, so low variance pays: small trees, many columns left out,
# several boosters averaged. Few rounds at a high rate are as good as twice as many at half of it,
# and half as large.
_COMMON: dict[str, Any] = {
    "num_leaves": 7,
    "max_bin": 63,
    "bagging_freq": 1,
    "bagging_fraction": 0.7,
    "feature_pre_filter": False,
    "deterministic": True,
    # The same trees as row by row, in half the time: most columns are left out of a tree.
    "force_col_wise": True,
    "num_threads": 1,  # two threads can be twenty times slower on small tables
    "verbosity": -1,
}
# Thresholds drawn at random (extremely randomised trees: P. Geurts, D. Ernst, L. Wehenkel, Machine
# Learning 63, 2006) vary less from sample to sample than the best ones of a noisy one.
_QUALITY: dict[str, Any] = {
    "objective": "cross_entropy",
    "learning_rate": 0.09,
    "extra_trees": True,
}
# From this many rows on leaves are drawn towards 0 as if by twenty rows; with fewer, by fewer.
_MANY_ROWS = 1500
_COST: dict[str, Any] = {
    "objective": "regression",
    "learning_rate": 0.15,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
}
_COST_ROUNDS = 60
_QUANTILE: dict[str, Any] = {**_COST, "objective": "quantile", "learning_rate": 0.1}
N_BAGS = 2
# The factor of a free candidate is 0, whose logarithm is not finite.
_SMALLEST_SMEAR = 1e-300


def train_quality(rows: BinnedRows, labels: np.ndarray, random_state: int) -> lgb.Booster:
    """Train a booster whose raw score is the log-odds of quality.

    `labels` (n_rows,): quality in [0, 1], nothing missing.
    """
    if len(labels) < MIN_ROWS_FOR_TREES or np.ptp(labels) == 0:
        constant = np.full(len(labels), shrunk_mean(labels, 0.5))
        return _train(rows, constant, _QUALITY, 1, random_state)
    settings = _quality_settings(len(rows))
    return _train(rows, labels, settings, _rounds(len(labels)), random_state)


def train_classifier(rows: BinnedRows, classes: np.ndarray, random_state: int) -> lgb.Booster:
    """Train one booster for several classes, numbered from 0; otherwise as `train_quality`."""
    settings = {
        **_quality_settings(len(rows)),
        "objective": "multiclass",
        "num_class": int(classes.max()) + 1,
    }
    return _train(rows, classes, settings, _rounds(len(classes)), random_state)


def train_cost(rows: BinnedRows, log_costs: np.ndarray, random_state: int) -> lgb.Booster:
    """Train a booster of the log of cost; constant where there are fewer than 20 rows."""
    n_rounds = _COST_ROUNDS if len(log_costs) >= MIN_ROWS_FOR_TREES else 1
    return _train(rows, log_costs, _COST, n_rounds, random_state)


def train_quantile(
    rows: BinnedRows, log_s: np.ndarray, level: float, random_state: int
) -> lgb.Booster:
    """Train a booster of a quantile of log seconds, `level` in (0, 1); else as `train_cost`."""
    settings = {**_QUANTILE, "alpha": level}
    return _train(rows, log_s, settings, _COST_ROUNDS, random_state)


def raw_scores(booster: lgb.Booster, columns: np.ndarray) -> np.ndarray:
    """Return raw scores, shape (n_rows,) or (n_rows, n_classes)."""
    return np.asarray(booster.predict(columns, raw_score=True, num_threads=1))


def _quality_settings(n_rows: int) -> dict[str, Any]:
    return {
        **_QUALITY,
        "lambda_l2": float(np.clip(20 * n_rows / _MANY_ROWS, 2, 20)),
        "feature_fraction": 0.2 if n_rows > _MANY_ROWS / 2 else 0.4,
    }


def _train(
    rows: BinnedRows,
    labels: np.ndarray,
    parameters: dict[str, Any],
    n_rounds: int,
    random_state: int,
) -> lgb.Booster:
    few = min(30, len(labels) // 15)
    settings = {
        **_COMMON,
        **parameters,
        "seed": random_state,
        "min_data_in_leaf": max(few, len(labels) // 50, 3),
    }
    if len(labels) < MIN_ROWS_FOR_TREES:
        settings["bagging_freq"] = 0  # seven tenths of one row would be none
    # Through its text, so that a router estimates the same before and after saving.
    return boost(rows, labels, settings, n_rounds)


def _opened(text: str) -> lgb.Booster:
    """Open a sound text as what LightGBM's own tools take."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)


def _rounds(n_rows: int) -> int:
    return int(np.clip(75 * np.sqrt(n_rows / _MANY_ROWS), 20, 160))


class QualityTrees:
    """Log-odds of quality of every candidate: the mean of two boosters each, in one model."""

    def __init__(self, text: str, n_columns: int, n_models: int) -> None:
        self.text = text
        self._scorer = Scorer(check_model_text(text, n_columns, n_models), n_models)
        self.n_models = n_models

    @classmethod
    def fit(cls, columns: Estimated, quality: np.ndarray, random_state: int) -> Self:
        """Train on columns, and on quality of shape (n_prompts, n_models), NaN = not observed."""
        bags = [RowsOf(told_or_detected(columns, bag, random_state)) for bag in range(N_BAGS)]
        texts = []
        for observed in quality.T:
            seen = np.isfinite(observed)
            boosters = [
                train_quality(rows.take(seen), observed[seen], random_state + bag)
                for bag, rows in enumerate(bags)
            ]
            texts.append([booster.model_to_string() for booster in boosters])
        return cls(merge_models(texts), columns.detected.shape[1], quality.shape[1])

    def log_odds(self, columns: np.ndarray) -> np.ndarray:
        """Return log-odds of shape (n_prompts, n_models)."""
        return self._scorer.raw(columns) / N_BAGS

    def contributions(self, columns: np.ndarray) -> np.ndarray:
        """Return TreeSHAP values, shape (n_prompts, n_models, n_columns + 1), the base last."""
        values = self._booster.predict(columns, pred_contrib=True, num_threads=1)
        return np.asarray(values).reshape(len(columns), self.n_models, -1) / N_BAGS

    def single(self, arm: int) -> lgb.Booster:
        """Return one candidate's trees alone; the raw score is the sum of its boosters."""
        return _opened(single_model(self.text, arm))

    @cached_property
    def _booster(self) -> lgb.Booster:
        return _opened(self.text)


class CostTrees:
    """Expected cost of those candidates whose cost is known.

    `levels` (n_costed,): mean log cost.
    `shares` (n_costed,): how much of the trees' deviations from it to believe, in [0, 1]: the slope
        of what was paid on what they said out of fold.
    `smear` (n_costed,): the exponential of a mean logarithm lies under the mean: factors to the
        mean that was paid, out of fold as well.
    """

    def __init__(
        self,
        arms: Sequence[int],
        text: str,
        levels: np.ndarray,
        shares: np.ndarray,
        smear: np.ndarray,
        n_columns: int,
        n_models: int,
    ) -> None:
        self.arms = list(arms)
        self.text = text
        self.levels = levels
        self.shares = shares
        self.smear = smear
        self.n_models = n_models
        self._scorer = None
        if self.arms:
            self._scorer = Scorer(check_model_text(text, n_columns, len(self.arms)), len(self.arms))

    @classmethod
    def fit_out_of_fold(
        cls, columns: np.ndarray, cost_usd: np.ndarray, folds: np.ndarray, random_state: int
    ) -> tuple[Self, np.ndarray]:
        """Train on US dollars of shape (n_prompts, n_models), NaN = unknown.

        Also returns what is expected of each prompt by the trees of the other folds, same shape.
        """
        log_costs = log_cost_usd(cost_usd)
        held_out = np.full(cost_usd.shape, np.nan)
        arms = [int(arm) for arm in np.flatnonzero(np.isfinite(cost_usd).any(axis=0))]
        texts, scales, rows = [], [], RowsOf(columns)
        raw_of = _cost_out_of_fold(columns, log_costs[:, arms], folds, random_state).T
        for arm, raw in zip(arms, raw_of, strict=True):
            known = np.isfinite(cost_usd[:, arm])
            level, share, smear = scale = _cost_scale(
                raw[known], log_costs[known, arm], cost_usd[known, arm]
            )
            held_out[:, arm] = np.exp(level + share * (raw - level)) * smear
            booster = train_cost(rows.take(known), log_costs[known, arm], random_state)
            texts.append([booster.model_to_string()])
            scales.append(scale)
        levels, shares, smears = np.ascontiguousarray(np.array(scales).reshape(-1, 3).T)
        text = merge_models(texts) if texts else ""
        fitted = cls(arms, text, levels, shares, smears, columns.shape[1], cost_usd.shape[1])
        return fitted, held_out

    def cost_usd(self, columns: np.ndarray) -> np.ndarray:
        """Return expected US dollars, shape (n_prompts, n_models); NaN where unknown."""
        cost_usd = np.full((len(columns), self.n_models), np.nan)
        if self._scorer is not None:
            raw = self._scorer.raw(columns)
            cost_usd[:, self.arms] = (
                np.exp(self.levels + self.shares * (raw - self.levels)) * self.smear
            )
        return cost_usd

    def contributions(self, columns: np.ndarray) -> np.ndarray:
        """Return TreeSHAP values of log cost, shape (n_prompts, n_costed, n_columns + 1)."""
        if not self.arms:
            return np.zeros((len(columns), 0, columns.shape[1] + 1))
        values = np.asarray(self._booster.predict(columns, pred_contrib=True, num_threads=1))
        values = values.reshape(len(columns), len(self.arms), -1) * self.shares[:, np.newaxis]
        values[:, :, -1] += (1 - self.shares) * self.levels
        values[:, :, -1] += np.log(np.maximum(self.smear, _SMALLEST_SMEAR))
        return values

    def single(self, arm: int) -> lgb.Booster:
        """Return one candidate's trees alone; the raw score is log cost before smearing."""
        return _opened(single_model(self.text, self.arms.index(arm)))

    @cached_property
    def _booster(self) -> lgb.Booster:
        return _opened(self.text)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        scales = {name: pack_array(getattr(self, name)) for name in _COST_SCALES}
        return {"arms": self.arms, "text": self.text, **scales}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_columns: int, n_models: int) -> Self:
        """Rebuild from `to_state`."""
        levels, shares, smear = (unpack_array(state[name]) for name in _COST_SCALES)
        return cls(state["arms"], state["text"], levels, shares, smear, n_columns, n_models)


_COST_SCALES = ("levels", "shares", "smear")


def _cost_out_of_fold(
    columns: np.ndarray, log_costs: np.ndarray, folds: np.ndarray, random_state: int
) -> np.ndarray:
    """Return log costs of the shape of `log_costs`, by trees of the other folds.

    `log_costs` (n_prompts, n_costed): NaN = unknown, but not of every prompt.
    """
    known = np.isfinite(log_costs)
    raw = np.tile(
        [of_one[is_known].mean() for of_one, is_known in zip(log_costs.T, known.T, strict=True)],
        (len(folds), 1),
    )
    arms = np.flatnonzero(known.sum(axis=0) >= MIN_ROWS_FOR_TREES)
    for fold in np.unique(folds):
        out, rows = folds == fold, RowsOf(columns)
        for arm in arms:
            kept = known[:, arm] & ~out
            if kept.any():
                booster = train_cost(rows.take(kept), log_costs[kept, arm], random_state)
                raw[out, arm] = raw_scores(booster, columns[out])
    return raw


def _cost_scale(
    raw: np.ndarray, log_costs: np.ndarray, cost_usd: np.ndarray
) -> tuple[float, float, float]:
    """Return the level, the share of deviations to believe, and the factor to the mean."""
    level = float(log_costs.mean())
    deviations = raw - raw.mean()
    squares = float(deviations @ deviations)
    share = float(deviations @ log_costs) / squares if squares > 1e-9 else 0.0
    share = float(np.clip(share, 0, 1))
    smear = float(cost_usd.mean() / np.exp(level + share * (raw - level)).mean())
    return level, share, smear


def told_or_detected(columns: Estimated, bag: int, random_state: int) -> np.ndarray:
    """Return columns in which half the prompts have their topic told, the other half in bag 1.

    So the same trees serve prompts whose topic is known and prompts whose isn't.
    """
    coins = np.random.default_rng(random_state).random(len(columns.detected)) < 0.5
    is_told = coins if bag % 2 == 0 else ~coins
    return np.where(is_told[:, np.newaxis], columns.told, columns.detected)


def quality_out_of_fold(
    columns: Estimated, quality: np.ndarray, folds: np.ndarray, random_state: int
) -> Estimated:
    """Return the trees' log-odds of training prompts, each from the other folds.

    `quality` (n_prompts, n_models): NaN = not observed.
    `folds` (n_prompts,): near-duplicates share a fold.
    """
    table = told_or_detected(columns, 0, random_state)
    seen = np.isfinite(quality)
    usual = [log_odds(shrunk_mean(observed, 0.5)) for observed in quality.T]
    detected, told = (np.tile(usual, (len(folds), 1)) for _ in range(2))
    arms = np.flatnonzero(seen.sum(axis=0) >= MIN_ROWS_FOR_TREES)
    for fold in np.unique(folds):
        out, rows = folds == fold, RowsOf(table)
        for arm in arms:
            kept = seen[:, arm] & ~out
            if kept.any():
                booster = train_quality(rows.take(kept), quality[kept, arm], random_state)
                detected[out, arm] = raw_scores(booster, columns.detected[out])
                told[out, arm] = raw_scores(booster, columns.told[out])
    return Estimated(detected, told)
