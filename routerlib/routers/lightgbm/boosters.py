"""Train one booster of LightGBM: of quality, cost or a quantile, settings and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.features.learners.log_odds import shrunk_mean
from routerlib.routers.lightgbm.binned import BinnedRows
from routerlib.routers.lightgbm.boosting import Wanted, boost

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
    "is_enable_sparse": False,  # plain columns are read in four fifths of the time
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
# Of 20, 30 and 60 rounds no number was told from the others by pinball loss on new prompts.
_QUANTILE: dict[str, Any] = {**_COST, "objective": "quantile", "learning_rate": 0.3}
_QUANTILE_ROUNDS = 20
_MEAN: dict[str, Any] = {**_COST, "learning_rate": 0.3}
_MEAN_ROUNDS = 24
# One of several whose mean is taken may learn in fewer and longer steps.
_QUALITY_OF_FOLD = {"learning_rate": 0.18}
_COST_OF_FOLD = {"learning_rate": 0.3, "feature_fraction": 0.25}
_SHARE_OF_ROUNDS = 0.4


def train_quality(
    rows: BinnedRows, labels: np.ndarray, random_state: int, *, is_of_fold: bool = False
) -> lgb.Booster:
    """Train a booster as `wanted_quality` wants it."""
    return _trained(wanted_quality(rows, labels, random_state, is_of_fold=is_of_fold))


def wanted_quality(
    rows: BinnedRows, labels: np.ndarray, random_state: int, *, is_of_fold: bool = False
) -> Wanted:
    """Want a booster whose raw score is the log-odds of quality.

    `labels` (n_rows,): quality in [0, 1], nothing missing.
    `is_of_fold`: it will be one of several whose mean is taken.
    """
    if len(labels) < MIN_ROWS_FOR_TREES or np.ptp(labels) == 0:
        constant = np.full(len(labels), shrunk_mean(labels, 0.5))
        return _wanted(rows, constant, _QUALITY, 1, random_state)
    settings, n_rounds = _quality_settings(len(rows)), _rounds(len(labels))
    if is_of_fold:
        settings, n_rounds = {**settings, **_QUALITY_OF_FOLD}, int(n_rounds * _SHARE_OF_ROUNDS)
    return _wanted(rows, labels, settings, n_rounds, random_state)


def train_classifier(rows: BinnedRows, classes: np.ndarray, random_state: int) -> lgb.Booster:
    """Train one booster for several classes, numbered from 0; otherwise as `train_quality`."""
    settings = {
        **_quality_settings(len(rows)),
        "objective": "multiclass",
        "num_class": int(classes.max()) + 1,
    }
    return _trained(_wanted(rows, classes, settings, _rounds(len(classes)), random_state))


def train_cost(
    rows: BinnedRows, log_costs: np.ndarray, random_state: int, *, is_of_fold: bool = False
) -> lgb.Booster:
    """Train a booster as `wanted_cost` wants it."""
    return _trained(wanted_cost(rows, log_costs, random_state, is_of_fold=is_of_fold))


def wanted_cost(
    rows: BinnedRows, log_costs: np.ndarray, random_state: int, *, is_of_fold: bool = False
) -> Wanted:
    """Want a booster of the log of cost; constant where there are fewer than 20 rows.

    `is_of_fold`: it will be one of several whose mean is taken.
    """
    n_rounds = _COST_ROUNDS if len(log_costs) >= MIN_ROWS_FOR_TREES else 1
    if is_of_fold:
        settings, n_rounds = {**_COST, **_COST_OF_FOLD}, int(n_rounds * _SHARE_OF_ROUNDS)
        return _wanted(rows, log_costs, settings, n_rounds, random_state)
    return _wanted(rows, log_costs, _COST, n_rounds, random_state)


def wanted_mean(rows: BinnedRows, log_s: np.ndarray, random_state: int) -> Wanted:
    """Want a booster of the mean of log seconds; else as `wanted_cost`."""
    return _wanted(rows, log_s, _MEAN, _MEAN_ROUNDS, random_state)


def wanted_quantile(rows: BinnedRows, log_s: np.ndarray, level: float, random_state: int) -> Wanted:
    """Want a booster of a quantile of log seconds, `level` in (0, 1); else as `wanted_cost`."""
    settings = {**_QUANTILE, "alpha": level}
    return _wanted(rows, log_s, settings, _QUANTILE_ROUNDS, random_state)


def raw_scores(booster: lgb.Booster, columns: np.ndarray) -> np.ndarray:
    """Return raw scores, shape (n_rows,) or (n_rows, n_classes)."""
    return np.asarray(booster.predict(columns, raw_score=True, num_threads=1))


def _quality_settings(n_rows: int) -> dict[str, Any]:
    return {
        **_QUALITY,
        "lambda_l2": float(np.clip(20 * n_rows / _MANY_ROWS, 2, 20)),
        "feature_fraction": 0.2 if n_rows > _MANY_ROWS / 2 else 0.4,
    }


def _trained(wanted: Wanted) -> lgb.Booster:
    # Through its text, so that a router estimates the same before and after saving.
    (booster,) = boost([wanted])
    return booster


def _wanted(
    rows: BinnedRows,
    labels: np.ndarray,
    parameters: dict[str, Any],
    n_rounds: int,
    random_state: int,
) -> Wanted:
    few = min(30, len(labels) // 15)
    settings = {
        **_COMMON,
        **parameters,
        "seed": random_state,
        "min_data_in_leaf": max(few, len(labels) // 50, 3),
    }
    if len(labels) < MIN_ROWS_FOR_TREES:
        settings["bagging_freq"] = 0  # seven tenths of one row would be none
    return Wanted(rows, labels, settings, n_rounds)


def _rounds(n_rows: int) -> int:
    return int(np.clip(75 * np.sqrt(n_rows / _MANY_ROWS), 20, 160))
