"""Boosted trees of all candidates: trained in bags, kept and asked as one model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

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
from routerlib.routers.lightgbm.scoring import Scorer
from routerlib.routers.lightgbm.tree_text import check_model_text, merge_models, single_model

if TYPE_CHECKING:
    import lightgbm as lgb

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


class QualityTrees:
    """Log-odds of quality of every candidate: the mean of its boosters, all in one model."""

    def __init__(self, text: str, n_columns: int, n_models: int, n_boosters: int = N_BAGS) -> None:
        self.text, self.n_boosters = text, _sound_count(n_boosters)
        self._scorer = Scorer(check_model_text(text, n_columns, n_models), n_models)
        self.n_models = n_models

    @classmethod
    def fit_out_of_fold(
        cls, columns: Estimated, quality: np.ndarray, folds: np.ndarray, random_state: int
    ) -> tuple[Self, Estimated]:
        """Train on quality of shape (n_prompts, n_models), NaN = not observed.

        Also returns the log-odds of training prompts, each from the other folds.

        `folds` (n_prompts,): near-duplicates share a fold.
        """
        held_out, of_folds = _quality_of_folds(columns, quality, folds, random_state)
        if of_folds:
            boosters = of_folds
        else:
            bags = [RowsOf(ToldOrDetected(columns, bag, random_state)) for bag in range(N_BAGS)]
            wanted = (
                wanted_quality(rows.take(seen), observed[seen], random_state + bag)
                for observed, seen in zip(quality.T, np.isfinite(quality).T, strict=True)
                for bag, rows in enumerate(bags)
            )
            flat = list(boost(wanted))
            boosters = [flat[at : at + N_BAGS] for at in range(0, len(flat), N_BAGS)]
        text = merge_models([[each.model_to_string() for each in of_one] for of_one in boosters])
        shape = columns.detected.shape[1], quality.shape[1]
        return cls(text, *shape, len(boosters[0])), held_out

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
            self._scorer = Scorer(check_model_text(text, n_columns, len(self.arms)), len(self.arms))

    @classmethod
    def fit_out_of_fold(
        cls,
        columns: np.ndarray,
        cost_usd: np.ndarray,
        folds: np.ndarray,
        groups: np.ndarray,
        random_state: int,
    ) -> tuple[Self, np.ndarray]:
        """Train on US dollars of shape (n_prompts, n_models), NaN = unknown.

        Also returns what is expected of each prompt by the trees of the other folds, same shape.

        `folds, groups` (n_prompts,): near-duplicates share a group, and a fold.
        """
        held_out = np.full(cost_usd.shape, np.nan)
        arms = [int(arm) for arm in np.flatnonzero(np.isfinite(cost_usd).any(axis=0))]
        log_costs = log_cost_usd(cost_usd[:, arms])
        raw, of_folds = _cost_of_folds(columns, log_costs, folds, random_state)
        scale = CostScale.fit(raw, cost_usd[:, arms], folds, groups)
        held_out[:, arms] = scale.cost_usd(raw)
        boosters = of_folds
        if not of_folds:
            rows = RowsOf(columns)
            wanted = (
                wanted_cost(rows.take(known), logs[known], random_state)
                for logs, known in zip(log_costs.T, np.isfinite(log_costs).T, strict=True)
            )
            boosters = [[booster] for booster in boost(wanted)]
        texts = [[booster.model_to_string() for booster in of_one] for of_one in boosters]
        text = merge_models(texts) if texts else ""
        n_boosters = len(texts[0]) if texts else 1
        return cls(arms, text, scale, columns.shape[1], cost_usd.shape[1], n_boosters), held_out

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


def _cost_of_folds(
    columns: np.ndarray, log_costs: np.ndarray, folds: np.ndarray, random_state: int
) -> tuple[np.ndarray, list[list[lgb.Booster]]]:
    """Return log costs of training prompts by trees of the other folds, and these by candidate.

    No trees where labels are few.

    `log_costs` (n_prompts, n_costed): NaN = unknown, but not of every prompt.
    """
    known = np.isfinite(log_costs)
    raw = np.tile(
        [of_one[is_known].mean() for of_one, is_known in zip(log_costs.T, known.T, strict=True)],
        (len(folds), 1),
    )
    arms = np.flatnonzero(known.sum(axis=0) >= MIN_ROWS_FOR_TREES)
    is_kept = are_many(known, folds)
    boosters: list[list[lgb.Booster]] = [[] for _ in log_costs.T]
    given = [RowsOf(columns)], log_costs, folds, arms, random_state
    for arm, out, booster in _of_folds(*given, wanted_cost, is_kept=is_kept):
        raw[out, arm] = raw_scores(booster, columns[out])
        boosters[arm].append(booster)
    return raw, boosters if is_kept else []


class ToldOrDetected:
    """Columns in which half the prompts have their topic told, the other half in bag 1.

    So the same trees serve prompts whose topic is known and prompts whose isn't. They are laid
    together when they are asked for: two tables more of all prompts would stay for nothing.
    """

    def __init__(self, columns: Estimated, bag: int, random_state: int) -> None:
        coins = np.random.default_rng(random_state).random(len(columns.detected)) < 0.5
        self._columns, self._is_told = columns, coins if bag % 2 == 0 else ~coins

    def __len__(self) -> int:
        return len(self._is_told)

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> np.ndarray:
        return np.where(self._is_told[:, np.newaxis], self._columns.told, self._columns.detected)


def _quality_of_folds(
    columns: Estimated, quality: np.ndarray, folds: np.ndarray, random_state: int
) -> tuple[Estimated, list[list[lgb.Booster]]]:
    """Return log-odds of training prompts from the other folds, and by candidate whose they are.

    No boosters where labels are few.
    """
    seen = np.isfinite(quality)
    usual = [log_odds(shrunk_mean(observed, 0.5)) for observed in quality.T]
    detected, told = (np.tile(usual, (len(folds), 1)) for _ in range(2))
    is_kept = are_many(seen, folds)
    n_tables = N_BAGS if is_kept else 1
    tables = [RowsOf(ToldOrDetected(columns, bag, random_state)) for bag in range(n_tables)]
    arms = np.flatnonzero(seen.sum(axis=0) >= MIN_ROWS_FOR_TREES)
    boosters: list[list[lgb.Booster]] = [[] for _ in usual]
    given = tables, quality, folds, arms, random_state
    for arm, out, booster in _of_folds(*given, wanted_quality, is_kept=is_kept):
        detected[out, arm] = raw_scores(booster, columns.detected[out])
        told[out, arm] = raw_scores(booster, columns.told[out])
        boosters[arm].append(booster)
    return Estimated(detected, told), boosters if is_kept else []


def _of_folds(
    tables: Sequence[RowsOf],
    values: np.ndarray,
    folds: np.ndarray,
    arms: np.ndarray,
    random_state: int,
    want: Callable[..., Wanted],
    *,
    is_kept: bool,
) -> Iterator[tuple[int, np.ndarray, lgb.Booster]]:
    """Yield candidates, masks of prompts that were held out, and the boosters of the others.

    `tables`: columns of the prompts, for the folds in turn.
    `values` (n_prompts, n_models): what is learnt; NaN = unknown.
    `want`: `wanted_quality` or `wanted_cost`.
    `is_kept`: each will be one of several whose mean is taken.
    """
    known = np.isfinite(values)
    of_whom: deque[tuple[int, np.ndarray]] = deque()

    def wanted() -> Iterator[Wanted]:
        for number, fold in enumerate(np.unique(folds)):
            out, rows = folds == fold, tables[number % len(tables)]
            seed = random_state + number if is_kept else random_state
            for arm in arms:
                kept = known[:, arm] & ~out
                if kept.any():
                    of_whom.append((int(arm), out))
                    yield want(rows.take(kept), values[kept, arm], seed, is_of_fold=is_kept)

    for booster in boost(wanted()):
        yield (*of_whom.popleft(), booster)
