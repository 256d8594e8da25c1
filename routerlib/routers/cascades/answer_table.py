"""Lay answers out as the columns that a judgement is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from routerlib.features.answers.columns import (
    AGREEMENT_NAMES,
    ANSWER_NAMES,
    LOGPROB_NAMES,
    agreement,
    logprob_columns,
    read_answer,
)
from routerlib.features.learners.log_odds import logits
from routerlib.features.prompt_columns import PromptColumns
from routerlib.outcomes.answers import Said
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats, pack_array, unpack_array

# Counts of marks and main directions of meaning told no more, and took half of the time.
_GROUPS = ("words", "neighbours")
_LENGTH = ANSWER_NAMES.index("answer_characters")
# A candidate whose answers are all of one length differs from itself by nothing.
_SMALLEST_SPREAD = 0.1
EXPECTED_NAMES = (
    "expected_of_this",
    "expected_of_all",
    "candidate_quality",
    "answer_over_usual",
)
# Cells (prompt, candidate) with an answer, as rows.
Cells = np.ndarray


@dataclass(frozen=True, eq=False)
class ReadTable:
    """Answers to some prompts, read once.

    `columns` (n_prompts, n_models, n_columns): NaN where there is no answer.
    `results` (n_prompts, n_models): the result of each, in bare form; empty = none.
    `texts` (n_prompts, n_models): answers without thoughts.
    `is_there` (n_prompts, n_models): whether an answer was kept.
    """

    columns: Floats
    results: list[list[str]]
    texts: list[list[str]]
    is_there: np.ndarray

    @classmethod
    def of(cls, prompts: Sequence[str], said: Sequence[Said]) -> Self:
        """Read answers, and the numbers of their log-probabilities."""
        n_models = len(said[0].answers) if said else 0
        width = len(ANSWER_NAMES) + len(LOGPROB_NAMES)
        columns = np.full((len(said), n_models, width), np.nan)
        results = [[""] * n_models for _ in said]
        texts = [[""] * n_models for _ in said]
        is_there = np.zeros((len(said), n_models), dtype=bool)
        for row, (prompt, each) in enumerate(zip(prompts, said, strict=True)):
            for arm, (answer, numbers) in enumerate(zip(each.answers, each.logprobs, strict=True)):
                if answer is None:
                    continue
                read = read_answer(prompt, answer)
                is_there[row, arm] = True
                results[row][arm], texts[row][arm] = read.result, read.text
                columns[row, arm] = [*read.columns, *logprob_columns(numbers)]
        return cls(columns, results, texts, is_there)


class AnswerColumns:
    """Columns of answers: what the router expected, what they show, what they say, who agrees.

    `usual` (2, n_models): mean and spread of the logarithm of each candidate's length.
    `levels` (n_models,): mean quality of each candidate on train.
    """

    def __init__(self, texts: PromptColumns | None, usual: Floats, levels: Floats) -> None:
        self._texts, self._usual, self._levels = texts, usual, levels

    @classmethod
    def fit(
        cls, table: ReadTable, quality: Floats, folds: np.ndarray, random_state: int
    ) -> tuple[Self, Floats]:
        """Learn from answers, and return what their texts say, each learnt from other folds.

        `quality` (n_prompts, n_models): NaN = not observed.
        Returns shape (n_prompts, n_models, n_columns).
        """
        length = np.where(table.is_there, table.columns[:, :, _LENGTH], np.nan)
        usual = np.array([_means(length), np.maximum(_spreads(length), _SMALLEST_SPREAD)])
        cells = np.argwhere(table.is_there & np.isfinite(quality))
        texts = PromptColumns(groups=_GROUPS, random_state=random_state)
        said = [table.texts[row][arm] for row, arm in cells]
        labelled = Outcomes(
            said,
            ["good"],
            quality[cells[:, 0], cells[:, 1]][:, np.newaxis],
            topics=["answer"] * len(said),
            prompt_ids=[f"{row}/{arm}" for row, arm in cells],
        )
        learnt = texts.learn(said, labelled, folds[cells[:, 0]]).detected
        wide = np.full((*quality.shape, learnt.shape[1]), np.nan)
        wide[cells[:, 0], cells[:, 1]] = learnt
        return cls(texts, usual, _means(quality)), wide

    def said(self, table: ReadTable) -> Floats:
        """Return what the texts of answers say, shape (n_prompts, n_models, n_columns)."""
        cells = np.argwhere(table.is_there)
        wide = np.full((*table.is_there.shape, self.n_said), np.nan)
        if len(cells) and self._texts is not None:
            found = self._texts.columns([table.texts[row][arm] for row, arm in cells], None)
            wide[cells[:, 0], cells[:, 1]] = found
        return wide

    @property
    def n_said(self) -> int:
        """Columns that tell what the text of an answer says."""
        return 0 if self._texts is None else self._texts.n_features_out_

    def names(self) -> list[str]:
        """Return the names of the columns of `rows`, in their order."""
        said = [] if self._texts is None else [f"said_{name}" for name in self._texts.names()]
        return [*EXPECTED_NAMES, *AGREEMENT_NAMES, *ANSWER_NAMES, *LOGPROB_NAMES, *said]

    def rows(
        self, table: ReadTable, said: Floats, expected: Floats, cells: Cells, held: np.ndarray
    ) -> Floats:
        """Return a row of columns for each answer in question.

        `expected` (n_prompts, n_models): quality that the router expects.
        `cells` (n_rows, 2): prompt and candidate of each answer.
        `held` (n_rows, n_models): which answers are at hand, its own among them.
        """
        at, arm = cells[:, 0], cells[:, 1]
        odds = logits(expected)
        own = table.columns[at, arm]
        over = (own[:, _LENGTH] - self._usual[0, arm]) / self._usual[1, arm]
        beside = np.column_stack([odds[at, arm], odds.mean(axis=1)[at], self._levels[arm], over])
        agreeing = _agreements(table, expected, cells, held)
        return np.hstack([beside, agreeing, own, said[at, arm]])

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "texts": None if self._texts is None else self._texts.to_state(),
            "usual": pack_array(self._usual),
            "levels": pack_array(self._levels),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        texts = state["texts"]
        opened = None if texts is None else PromptColumns.from_state(texts)
        return cls(opened, unpack_array(state["usual"]), unpack_array(state["levels"]))


def _agreements(table: ReadTable, expected: Floats, cells: Cells, held: np.ndarray) -> Floats:
    rows = np.zeros((len(cells), len(AGREEMENT_NAMES)))
    for number in np.flatnonzero(held.sum(axis=1) > 1):
        at, arm = int(cells[number, 0]), int(cells[number, 1])
        arms = [int(each) for each in np.flatnonzero(held[number])]
        results = [table.results[at][each] for each in arms]
        quality = [float(expected[at, each]) for each in arms]
        rows[number] = agreement(results, quality, arms.index(arm))
    return rows


def _means(values: Floats) -> Floats:
    known = np.isfinite(values)
    overall = float(values[known].mean()) if known.any() else 0.0
    n = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0)
    return np.asarray(np.where(n > 0, sums / np.maximum(n, 1), overall))


def _spreads(values: Floats) -> Floats:
    away = (values - _means(values)) ** 2
    return np.sqrt(_means(away))
