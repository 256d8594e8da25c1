"""Boosted trees of all candidates: trained in bags, kept and asked as one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

import numpy as np

from routerlib.features.inputs import log_cost_usd
from routerlib.features.learners.log_odds import log_odds, shrunk_mean
from routerlib.features.learners.targets import Estimated
from routerlib.routers.lightgbm.binned import RowsOf
from routerlib.routers.lightgbm.boosters import (
    MIN_ROWS_FOR_TREES,
    raw_scores,
    wanted_cost,
    wanted_quality,
)
from routerlib.routers.lightgbm.boosting import Wanted, boost
from routerlib.routers.lightgbm.cost_scale import CostScale
from routerlib.routers.lightgbm.fold_boosters import FoldBoosters, tables_of_bags
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import merge_models, read_trees, single_model

if TYPE_CHECKING:
    import lightgbm as lgb

Fitted = TypeVar("Fitted")
N_BAGS = 2
# With so many labels of every candidate four fifths of them teach as much as all. Then the boosters
# of the folds are kept, and no others trained: the mean of five varies less than one or two of
# them, so each may learn in fewer and longer steps.
_MANY_LABELS = 3000


def _opened(text: str) -> lgb.Booster:
    """Open a sound text as what LightGBM's own tools take."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)


def are_many(seen: np.ndarray, folds: np.ndarray) -> bool:
    """Tell whether the boosters of the folds are kept; `seen` (n_prompts, n_models): labelled."""
    numbers = np.unique(folds)
    is_wide = len(numbers) > N_BAGS and seen.shape[1] > 0
    # What each booster learns from, nearly: not all labels of a candidate stand in one fold.
    return (
        is_wide
        and all((seen[folds != fold].sum(axis=0) >= _MANY_LABELS / 2).all() for fold in numbers)
        and bool((seen.sum(axis=0) >= _MANY_LABELS).all())
    )


class Begun(NamedTuple, Generic[Fitted]):
    """A fit, of which boosters are wanted: those of several fits are trained in one stream.

    `fitted`: takes its own from the stream, which begins with them, and gives the result.
    """

    wanted: Iterator[Wanted]
    fitted: Callable[[Iterator[lgb.Booster]], Fitted]


class QualityTrees:
    """Log-odds of quality of every candidate: the mean of its boosters, all in one model."""

    def __init__(self, text: str, n_columns: int, n_models: int, n_boosters: int = N_BAGS) -> None:
        self.text, self.n_boosters = text, _sound_count(n_boosters)
        self._scorer = Scorer(read_trees(text, n_columns, n_models), n_models)
        self.n_models = n_models

    @classmethod
    def begin_out_of_fold(
        cls,
        columns: Estimated,
        rows: RowsOf,
        quality: np.ndarray,
        folds: np.ndarray,
        random_state: int,
    ) -> Begun[tuple[Self, Estimated]]:
        """Train on quality of shape (n_prompts, n_models), NaN = not observed.

        Also gives the log-odds of training prompts, each from the other folds.

        `rows`: the columns with every topic detected.
        `folds` (n_prompts,): near-duplicates share a fold.
        """
        seen = np.isfinite(quality)
        have_trees = np.flatnonzero(seen.sum(axis=0) >= MIN_ROWS_FOR_TREES)
        is_kept = are_many(seen, folds)
        bags = tables_of_bags(columns, rows, N_BAGS, random_state)
        given = bags if is_kept else bags[:1], quality, folds, have_trees, random_state
        of_folds = FoldBoosters(*given, wanted_quality, is_kept=is_kept)

        def fitted(trained: Iterator[lgb.Booster]) -> tuple[Self, Estimated]:
            usual = [log_odds(shrunk_mean(observed, 0.5)) for observed in quality.T]
            detected, told = (np.tile(usual, (len(folds), 1)) for _ in range(2))
            boosters: list[list[lgb.Booster]] = [[] for _ in usual]
            for arm, out, booster in of_folds.of(trained):
                detected[out, arm] = raw_scores(booster, columns.detected[out])
                told[out, arm] = raw_scores(booster, columns.told[out])
                boosters[arm].append(booster)
            if not is_kept:
                wanted = (
                    wanted_quality(table.take(known), observed[known], random_state + bag)
                    for observed, known in zip(quality.T, seen.T, strict=True)
                    for bag, table in enumerate(bags)
                )
                flat = list(boost(wanted))
                boosters = [flat[at : at + N_BAGS] for at in range(0, len(flat), N_BAGS)]
            texts = [[each.model_to_string() for each in of_one] for of_one in boosters]
            shape = columns.detected.shape[1], quality.shape[1]
            held_out = Estimated(detected, told)
            return cls(merge_models(texts), *shape, len(boosters[0])), held_out

        return Begun(of_folds.wanted(), fitted)

    def log_odds(self, columns: np.ndarray) -> np.ndarray:
        """Return log-odds of shape (n_prompts, n_models)."""
        return self._scorer.raw(columns) / self.n_boosters

    def contributions(self, columns: np.ndarray) -> np.ndarray:
        """Return TreeSHAP values, shape (n_prompts, n_models, n_columns + 1), the base last."""
        values = self._booster.predict(columns, pred_contrib=True, num_threads=1)
        return np.asarray(values).reshape(len(columns), self.n_models, -1) / self.n_boosters

    def single(self, arm: int) -> lgb.Booster:
        """Return one candidate's trees alone; the raw score is the sum of its boosters."""
        return _opened(single_model(self.text, arm))

    @cached_property
    def _booster(self) -> lgb.Booster:
        return _opened(self.text)


class CostTrees:
    """Expected cost of those candidates whose cost is known.

    `scale`: how far what the trees say is believed.
    """

    def __init__(
        self,
        arms: Sequence[int],
        text: str,
        scale: CostScale,
        n_columns: int,
        n_models: int,
        n_boosters: int = 1,
    ) -> None:
        self.n_boosters = n_boosters
        self.arms = list(arms)
        self.text = text
        self.scale = scale
        self.n_models = n_models
        self._scorer = None
        if self.arms:
            self._scorer = Scorer(read_trees(text, n_columns, len(self.arms)), len(self.arms))

    @classmethod
    def begin_out_of_fold(
        cls,
        rows: RowsOf,
        cost_usd: np.ndarray,
        folds: np.ndarray,
        groups: np.ndarray,
        random_state: int,
    ) -> Begun[tuple[Self, np.ndarray]]:
        """Train on US dollars of shape (n_prompts, n_models), NaN = unknown.

        Also gives what is expected of each prompt by the trees of the other folds, same shape.

        `rows`: columns of the prompts.
        `folds, groups` (n_prompts,): near-duplicates share a group, and a fold.
        """
        arms = [int(arm) for arm in np.flatnonzero(np.isfinite(cost_usd).any(axis=0))]
        log_costs = log_cost_usd(cost_usd[:, arms])
        known = np.isfinite(log_costs)
        have_trees = np.flatnonzero(known.sum(axis=0) >= MIN_ROWS_FOR_TREES)
        is_kept = are_many(known, folds)
        given = [rows], log_costs, folds, have_trees, random_state
        of_folds = FoldBoosters(*given, wanted_cost, is_kept=is_kept)

        def fitted(trained: Iterator[lgb.Booster]) -> tuple[Self, np.ndarray]:
            columns = rows.columns
            each = zip(log_costs.T, known.T, strict=True)
            raw = np.tile([logs[seen].mean() for logs, seen in each], (len(folds), 1))
            boosters: list[list[lgb.Booster]] = [[] for _ in arms]
            for arm, out, booster in of_folds.of(trained):
                raw[out, arm] = raw_scores(booster, columns[out])
                boosters[arm].append(booster)
            scale = CostScale.fit(raw, cost_usd[:, arms], folds, groups)
            held_out = np.full(cost_usd.shape, np.nan)
            held_out[:, arms] = scale.cost_usd(raw)
            if not is_kept:
                wanted = (
                    wanted_cost(rows.take(seen), logs[seen], random_state)
                    for logs, seen in zip(log_costs.T, known.T, strict=True)
                )
                boosters = [[booster] for booster in boost(wanted)]
            texts = [[booster.model_to_string() for booster in of_one] for of_one in boosters]
            text = merge_models(texts) if texts else ""
            n_boosters = len(texts[0]) if texts else 1
            shape = columns.shape[1], cost_usd.shape[1]
            return cls(arms, text, scale, *shape, n_boosters), held_out

        return Begun(of_folds.wanted(), fitted)

    def cost_usd(self, columns: np.ndarray) -> np.ndarray:
        """Return expected US dollars, shape (n_prompts, n_models); NaN where unknown."""
        if self._scorer is None:
            return np.full((len(columns), self.n_models), np.nan)
        known = self.scale.cost_usd(self._scorer.raw(columns) / self.n_boosters)
        if len(self.arms) == self.n_models:
            return known
        cost_usd = np.full((len(columns), self.n_models), np.nan)
        cost_usd[:, self.arms] = known
        return cost_usd

    def contributions(self, columns: np.ndarray) -> np.ndarray:
        """Return TreeSHAP values of log cost, shape (n_prompts, n_costed, n_columns + 1)."""
        if not self.arms:
            return np.zeros((len(columns), 0, columns.shape[1] + 1))
        values = np.asarray(self._booster.predict(columns, pred_contrib=True, num_threads=1))
        values = values.reshape(len(columns), len(self.arms), -1) / self.n_boosters
        return self.scale.contributions(values)

    def single(self, arm: int) -> lgb.Booster:
        """Return one candidate's trees alone; the raw score is the sum of its boosters."""
        return _opened(single_model(self.text, self.arms.index(arm)))

    @cached_property
    def _booster(self) -> lgb.Booster:
        return _opened(self.text)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        scale = self.scale.to_state()
        return {"arms": self.arms, "text": self.text, "n_boosters": self.n_boosters, **scale}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_columns: int, n_models: int) -> Self:
        """Rebuild from `to_state`."""
        boosters = _sound_count(state.get("n_boosters", 1))  # older files say nothing of it
        scale, shape = CostScale.from_state(state), (n_columns, n_models)
        return cls(state["arms"], state["text"], scale, *shape, boosters)


def _sound_count(n_boosters: Any) -> int:
    if not isinstance(n_boosters, int) or n_boosters < 1:
        raise ValueError(f"n_boosters must be a whole number from 1 on, got {n_boosters!r}")
    return n_boosters
