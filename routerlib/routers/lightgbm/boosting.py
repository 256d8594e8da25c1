"""Train LightGBM boosters on small noisy tables, the same way every time."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np

from routerlib.features.learners.log_odds import shrunk_mean

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
    "force_row_wise": True,
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


def train_quality(columns: np.ndarray, labels: np.ndarray, random_state: int) -> lgb.Booster:
    """Train a booster whose raw score is the log-odds of quality.

    `columns` (n_rows, n_columns): prompt features.
    `labels` (n_rows,): quality in [0, 1], nothing missing.
    """
    if len(labels) < MIN_ROWS_FOR_TREES or np.ptp(labels) == 0:
        constant = np.full(len(labels), shrunk_mean(labels, 0.5))
        return _train(columns, constant, _QUALITY, 1, random_state)
    settings = _quality_settings(columns)
    return _train(columns, labels, settings, _rounds(len(labels)), random_state)


def train_classifier(columns: np.ndarray, classes: np.ndarray, random_state: int) -> lgb.Booster:
    """Train one booster for several classes, numbered from 0; otherwise as `train_quality`."""
    settings = {
        **_quality_settings(columns),
        "objective": "multiclass",
        "num_class": int(classes.max()) + 1,
    }
    return _train(columns, classes, settings, _rounds(len(classes)), random_state)


def train_cost(columns: np.ndarray, log_costs: np.ndarray, random_state: int) -> lgb.Booster:
    """Train a booster of the log of cost; constant where there are fewer than 20 rows."""
    n_rounds = _COST_ROUNDS if len(log_costs) >= MIN_ROWS_FOR_TREES else 1
    return _train(columns, log_costs, _COST, n_rounds, random_state)


def raw_scores(booster: lgb.Booster, columns: np.ndarray) -> np.ndarray:
    """Return raw scores, shape (n_rows,) or (n_rows, n_classes)."""
    return np.asarray(booster.predict(columns, raw_score=True, num_threads=1))


def _quality_settings(columns: np.ndarray) -> dict[str, Any]:
    n_rows = len(columns)
    return {
        **_QUALITY,
        "lambda_l2": float(np.clip(20 * n_rows / _MANY_ROWS, 2, 20)),
        "feature_fraction": 0.2 if n_rows > _MANY_ROWS / 2 else 0.4,
    }


def _train(
    columns: np.ndarray,
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
    table = lgb.Dataset(columns, label=labels, params=settings)
    trained = lgb.train(settings, table, num_boost_round=n_rounds)
    # Through its text, so that a router estimates the same before and after saving.
    return lgb.Booster(model_str=trained.model_to_string())


def _rounds(n_rows: int) -> int:
    return int(np.clip(75 * np.sqrt(n_rows / _MANY_ROWS), 20, 160))
