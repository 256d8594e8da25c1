"""Boosted trees of what an answer shows beyond what the router expected of it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from routerlib.records.arrays import Floats
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import read_trees

if TYPE_CHECKING:
    import lightgbm as lgb

# Fewer labelled answers than this teach nothing beyond what the router expects.
MIN_ANSWERS = 60
# Labels are noisy: small trees, random thresholds, leaves drawn towards 0. They start from the
# router's log-odds, so that what isn't learnt stays with the router.
_SETTINGS: dict[str, Any] = {
    "objective": "cross_entropy",
    "num_leaves": 7,
    "max_bin": 63,
    "bagging_freq": 1,
    "bagging_fraction": 0.7,
    "feature_fraction": 0.4,
    "learning_rate": 0.06,
    "lambda_l2": 20.0,
    "extra_trees": True,
    "feature_pre_filter": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_ROUNDS, _ROUNDS_ROWS = 200, 5_000
_FEWEST_ROUNDS, _MOST_ROUNDS = 30, 300


class AnswerTrees:
    """One booster over the answers of all candidates; its raw score is added to log-odds."""

    def __init__(self, text: str, n_columns: int) -> None:
        self.text, self.n_columns = text, n_columns
        self._scorer = Scorer(read_trees(text, n_columns, 1), 1)

    @classmethod
    def fit(
        cls, columns: Floats, quality: Floats, expected: Floats, weights: Floats, random_state: int
    ) -> Self:
        """Train on rows; `expected` and the score are log-odds, shape (n_rows,)."""
        import lightgbm as lgb

        n = float(weights.sum())
        settings = {
            **_SETTINGS,
            "seed": random_state,
            "min_data_in_leaf": int(np.clip(len(quality) / 150, 10, 60)),
        }
        table = lgb.Dataset(
            columns, label=quality, weight=weights, init_score=expected, params=settings
        )
        rounds = np.clip(_ROUNDS * np.sqrt(n / _ROUNDS_ROWS), _FEWEST_ROUNDS, _MOST_ROUNDS)
        booster = lgb.train(settings, table, num_boost_round=int(rounds))
        return cls(booster.model_to_string(), columns.shape[1])

    def scores(self, columns: Floats) -> Floats:
        """Return what is added to the log-odds of each row, shape (n_rows,)."""
        return self._scorer.raw(columns)[:, 0] if len(columns) else np.zeros(0)

    def contributions(self, columns: Floats) -> Floats:
        """Return TreeSHAP values, shape (n_rows, n_columns + 1), the base last."""
        return np.asarray(self._booster.predict(columns, pred_contrib=True, num_threads=1))

    @cached_property
    def _booster(self) -> lgb.Booster:
        import lightgbm as lgb

        return lgb.Booster(model_str=self.text)
