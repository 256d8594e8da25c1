"""What was learnt of answers: columns, trees, and how far these are believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from routerlib.records.arrays import Arms, Floats, pack_array, unpack_array
from routerlib.routers.cascades.answer_table import AnswerColumns, ReadTable
from routerlib.routers.cascades.answer_trees import AnswerTrees
from routerlib.routers.cascades.evidence import exact_logits
from routerlib.routers.cascades.judged import JudgedPrompts
from routerlib.routers.cascades.judged_odds import JudgedOdds
from routerlib.routers.cascades.reasons import Reason, reasons_of

# A label is learnt from twice: with the answer alone, and with others beside it.
_WEIGHT = 0.5
_MOST_BESIDE = 3


class LearntJudgement:
    """Judge answers by columns and trees.

    `alone, beside`: how scores become log-odds, with one answer at hand and with several.
    `usual` (n_columns,): medians of the training answers.
    """

    def __init__(
        self,
        columns: AnswerColumns,
        trees: AnswerTrees,
        alone: JudgedOdds,
        beside: JudgedOdds,
        usual: Floats,
    ) -> None:
        self.columns, self.trees, self.usual = columns, trees, usual
        self.alone, self.beside = alone, beside

    @classmethod
    def fit(
        cls, table: ReadTable, quality: Floats, expected: Floats, folds: Arms, random_state: int
    ) -> tuple[Self, JudgedPrompts]:
        """Learn, and judge the same answers by trees that didn't see their fold.

        `quality` (n_prompts, n_models): observed; NaN = not.
        `expected` (n_prompts, n_models): by the router, out of fold.
        `folds` (n_prompts,): groups share one.
        """
        columns, said = AnswerColumns.fit(table, quality, folds, random_state)
        cells, held = _training_cells(table, quality, random_state)
        at = folds[cells[:, 0]]
        labels = quality[cells[:, 0], cells[:, 1]]
        weights = np.full(len(cells), _WEIGHT)
        rows = columns.rows(table, said, expected, cells, held)
        base = exact_logits(expected)[cells[:, 0], cells[:, 1]]
        scores, by_fold = np.zeros(len(cells)), dict[int, AnswerTrees]()
        for fold in np.unique(folds):
            kept, out = at != fold, at == fold
            by_fold[int(fold)] = trees = AnswerTrees.fit(
                rows[kept], labels[kept], base[kept], weights[kept], random_state
            )
            scores[out] = trees.scores(rows[out])
        learnt = cls(
            columns,
            AnswerTrees.fit(rows, labels, base, weights, random_state),
            *_scales(held, base, scores, labels),
            _medians(rows),
        )

        def judge(cells: np.ndarray, held: np.ndarray) -> Floats:
            asked = columns.rows(table, said, expected, cells, held)
            found = np.zeros(len(cells))
            for fold, trees in by_fold.items():
                mine = folds[cells[:, 0]] == fold
                found[mine] = trees.scores(asked[mine])
            return learnt.odds(exact_logits(expected)[cells[:, 0], cells[:, 1]], found, held)

        return learnt, JudgedPrompts(judge, table.is_there)

    def odds(self, base: Floats, scores: Floats, held: np.ndarray) -> Floats:
        """Return judged log-odds of rows; `held` (n_rows, n_models) are at hand."""
        is_alone = held.sum(axis=1) == 1
        return np.where(is_alone, self.alone.odds(base, scores), self.beside.odds(base, scores))

    def judged(self, table: ReadTable, expected: Floats) -> JudgedPrompts:
        """Get ready to judge answers that weren't learnt from."""
        said, base = self.columns.said(table), exact_logits(expected)

        def judge(cells: np.ndarray, held: np.ndarray) -> Floats:
            scores = self.trees.scores(self.columns.rows(table, said, expected, cells, held))
            return self.odds(base[cells[:, 0], cells[:, 1]], scores, held)

        return JudgedPrompts(judge, table.is_there)

    def reasons(
        self, table: ReadTable, expected: Floats, arm: int, held: np.ndarray
    ) -> list[Reason]:
        """Say why the answer of one candidate to the only prompt was judged as it was."""
        names = self.columns.names()
        cells, said = np.array([[0, arm]]), self.columns.said(table)
        rows = self.columns.rows(table, said, expected, cells, held)
        base = exact_logits(expected)[:, arm]
        scale = self.alone if held.sum() == 1 else self.beside
        parts = scale.share * self.trees.contributions(rows)[0, :-1]
        # What the router expected is told against what it usually expects.
        parts[0] += scale.slope * float(base[0] - self.usual[0])
        odds = float(scale.odds(base, self.trees.scores(rows))[0])
        return reasons_of(names, rows[0], self.usual, parts, odds)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "columns": self.columns.to_state(),
            "trees": self.trees.text,
            "alone": self.alone.to_state(),
            "beside": self.beside.to_state(),
            "usual": pack_array(self.usual),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        columns = AnswerColumns.from_state(state["columns"])
        return cls(
            columns,
            AnswerTrees(state["trees"], len(columns.names())),
            JudgedOdds.from_state(state["alone"]),
            JudgedOdds.from_state(state["beside"]),
            unpack_array(state["usual"]),
        )


def as_expected(expected: Floats, is_there: np.ndarray) -> JudgedPrompts:
    """Judge every answer as the router expected it."""
    odds = exact_logits(expected)
    return JudgedPrompts(lambda cells, _: odds[cells[:, 0], cells[:, 1]], is_there)


def _training_cells(
    table: ReadTable, quality: Floats, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return labelled answers, once alone and once with some others drawn beside them."""
    rng = np.random.default_rng(random_state)
    cells = np.argwhere(table.is_there & np.isfinite(quality))
    alone = np.zeros((len(cells), quality.shape[1]), dtype=bool)
    alone[np.arange(len(cells)), cells[:, 1]] = True
    others = table.is_there[cells[:, 0]] & ~alone
    drawn = np.where(others, rng.random(others.shape), 2.0)
    ranks = np.argsort(np.argsort(drawn, axis=1), axis=1)
    n_beside = rng.integers(1, _MOST_BESIDE, size=len(cells))
    beside = alone | (others & (ranks < n_beside[:, None]))
    more = others.any(axis=1)
    return np.concatenate([cells, cells[more]]), np.concatenate([alone, beside[more]])


def _scales(
    held: np.ndarray, base: Floats, scores: Floats, labels: Floats
) -> tuple[JudgedOdds, JudgedOdds]:
    """Return how scores out of fold become log-odds, of an answer alone and beside others."""
    is_alone = held.sum(axis=1) == 1
    alone, beside = (
        JudgedOdds.fit(base[rows], scores[rows], labels[rows]) for rows in (is_alone, ~is_alone)
    )
    return alone, beside if (~is_alone).any() else alone


def _medians(rows: Floats) -> Floats:
    known = ~np.isnan(rows).all(axis=0)
    found = np.full(rows.shape[1], np.nan)
    found[known] = np.nanmedian(rows[:, known], axis=0)
    return found
