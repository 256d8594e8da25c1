"""Boosters of candidates, each learnt from the other folds, and the columns they learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.features.learners.targets import Estimated
from routerlib.routers.lightgbm.binned import RowsOf
from routerlib.routers.lightgbm.boosting import Wanted

if TYPE_CHECKING:
    import lightgbm as lgb


class FoldBoosters:
    """The boosters of all candidates and folds, wanted in one stream with others.

    `tables`: columns of the prompts, for the folds in turn.
    `values` (n_prompts, n_models): what is learnt; NaN = unknown.
    `arms`: candidates that have boosters.
    `want`: `wanted_quality` or `wanted_cost`.
    `is_kept`: each will be one of several whose mean is taken.
    """

    def __init__(
        self,
        tables: Sequence[RowsOf],
        values: np.ndarray,
        folds: np.ndarray,
        arms: np.ndarray,
        random_state: int,
        want: Callable[..., Wanted],
        *,
        is_kept: bool,
    ) -> None:
        self.tables, self.values, self.folds, self.arms = tables, values, folds, arms
        self.random_state, self.want, self.is_kept = random_state, want, is_kept

    def wanted(self) -> Iterator[Wanted]:
        """Yield what is wanted, fold by fold."""
        for number, arm, kept, _ in self._cells():
            rows = self.tables[number % len(self.tables)].take(kept)
            seed = self.random_state + number if self.is_kept else self.random_state
            yield self.want(rows, self.values[kept, arm], seed, is_of_fold=self.is_kept)

    def of(self, boosters: Iterator[lgb.Booster]) -> Iterator[tuple[int, np.ndarray, lgb.Booster]]:
        """Take as many boosters as were wanted, each with its candidate and who was held out."""
        for _, arm, _, out in self._cells():
            yield arm, out, next(boosters)

    def _cells(self) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        known = np.isfinite(self.values)
        for number, fold in enumerate(np.unique(self.folds)):
            out = self.folds == fold
            for arm in self.arms:
                kept = known[:, arm] & ~out
                if kept.any():
                    yield number, int(arm), kept, out


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


def tables_of_bags(
    columns: Estimated, detected: RowsOf, n_bags: int, random_state: int
) -> list[RowsOf]:
    """Return the table that each bag learns from.

    `detected`: the table with every topic detected, whose bins are found once for all who learn
        from it: all bags do where no topic was told.
    """
    if np.array_equal(columns.told, columns.detected):
        return [detected] * n_bags
    return [RowsOf(ToldOrDetected(columns, bag, random_state)) for bag in range(n_bags)]
