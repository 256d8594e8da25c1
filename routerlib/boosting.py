"""Train LightGBM boosters on small noisy tables, the same way every time."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np

from routerlib.scaling import shrunk_mean

MIN_ROWS_FOR_TREES = 20

# Labels are noisy and prompts few, so low variance pays: small trees, many columns left out.
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
_QUALITY = {"objective": "cross_entropy", "learning_rate": 0.03}
# From this many rows on trees may find things themselves; with fewer they lean on the simpler
# learners: more of the columns are seen each round, and leaves are drawn less towards 0.
_MANY_ROWS = 1500
# A split on a prompt feature must gain ten times what one on a simpler learner's estimate gains.
_PLAIN_FEATURE_GAIN = 0.1

_COST: dict[str, Any] = {
    "objective": "regression",
    "learning_rate": 0.08,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
}
_COST_ROUNDS = 120
# Zero and near-zero costs have no useful logarithm.
_SMALLEST_COST_SHARE = 1e-3


def train_quality(
    columns: np.ndarray, labels: np.ndarray, n_plain: int, random_state: int
) -> lgb.Booster:
    """Train a booster whose raw score is the log-odds of quality.

    Parameters
    ----------
    columns : ndarray of shape (n_rows, n_columns)
        Prompt features first, then the estimates of simpler learners.
    labels : ndarray of shape (n_rows,)
        Quality in [0, 1], nothing missing.
    n_plain : int
        How many columns are prompt features.
    random_state : int
        Seed.

    Returns
    -------
    lightgbm.Booster
        Constant where there are fewer than 20 rows or only one label.

    Examples
    --------
    >>> booster = train_quality(np.zeros((2, 1)), np.array([1.0, 1.0]), 1, random_state=0)
    >>> (1 / (1 + np.exp(-raw_scores(booster, np.zeros((1, 1)))))).round(6)
    array([0.75])
    """
    if len(labels) < MIN_ROWS_FOR_TREES or np.ptp(labels) == 0:
        constant = np.full(len(labels), shrunk_mean(labels, 0.5))
        return _train(columns, constant, _QUALITY, 1, random_state)
    settings = _quality_settings(columns, n_plain)
    return _train(columns, labels, settings, _rounds(len(labels)), random_state)


def train_classifier(
    columns: np.ndarray, classes: np.ndarray, n_plain: int, random_state: int
) -> lgb.Booster:
    """Train one booster for several classes, numbered from 0; otherwise as `train_quality`."""
    settings = {
        **_quality_settings(columns, n_plain),
        "objective": "multiclass",
        "num_class": int(classes.max()) + 1,
    }
    return _train(columns, classes, settings, _rounds(len(classes)), random_state)


def train_cost(columns: np.ndarray, log_costs: np.ndarray, random_state: int) -> lgb.Booster:
    """Train a booster of the log of cost; constant where there are fewer than 20 rows."""
    n_rounds = _COST_ROUNDS if len(log_costs) >= MIN_ROWS_FOR_TREES else 1
    return _train(columns, log_costs, _COST, n_rounds, random_state)


def raw_scores(booster: lgb.Booster, columns: np.ndarray) -> np.ndarray:
    """Return raw scores, shape (n_rows,)."""
    return np.asarray(booster.predict(columns, raw_score=True, num_threads=1))


def log_cost_usd(cost_usd: np.ndarray) -> np.ndarray:
    """Return natural logarithms of costs, finite for zero costs too.

    Parameters
    ----------
    cost_usd : ndarray of shape (n_prompts, n_models)
        US dollars, at least 0; NaN = unknown.

    Returns
    -------
    ndarray of shape (n_prompts, n_models)
        Costs under a thousandth of the candidate's mean count as that; NaN stays NaN.

    Examples
    --------
    >>> log_cost_usd(np.array([[1.0], [0.0], [np.nan]])).round(3).ravel()
    array([ 0.   , -7.601,    nan])
    """
    known = np.isfinite(cost_usd)
    means = np.where(known, cost_usd, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    floor = np.where(means > 0, means * _SMALLEST_COST_SHARE, 1.0)
    return np.log(np.maximum(cost_usd, floor))


def _quality_settings(columns: np.ndarray, n_plain: int) -> dict[str, Any]:
    n_rows, n_columns = columns.shape
    n_simpler = n_columns - n_plain
    settings = {
        **_QUALITY,
        "lambda_l2": float(np.clip(20 * n_rows / _MANY_ROWS, 2, 20)),
        "feature_fraction": 0.3 if n_rows > _MANY_ROWS / 2 else 0.6,
    }
    if n_simpler:
        settings["feature_contri"] = [_PLAIN_FEATURE_GAIN] * n_plain + [1.0] * n_simpler
    return settings


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
    return int(np.clip(150 * np.sqrt(n_rows / 1500), 40, 400))
