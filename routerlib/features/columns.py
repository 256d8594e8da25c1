"""Lay surface counts, rarity of tokens and kind of task of prompts side by side, as columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import sqrt

import numpy as np

from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import detect_task
from routerlib.records.prompt import TASKS
from routerlib.weights.embedding import N_TOKENS, Encoded

# A token whose place in the vocabulary is behind these shares of it.
_UNCOMMON, _RARE = 0.25, 0.5

_RANKS = np.arange(N_TOKENS) / N_TOKENS
# What one token adds to the means.
_OF_TOKEN = np.column_stack(
    [np.log1p(np.arange(N_TOKENS)), _RANKS, _RANKS**2, _RANKS > _RARE, _RANKS > _UNCOMMON]
)

RARITY_NAMES: tuple[str, ...] = (
    "token_rarity",
    "mean_token_rank",
    "high_token_rank",
    "share_rare_tokens",
    "share_uncommon_tokens",
    "token_rank_spread",
)


def count_names(groups: Collection[str]) -> list[str]:
    """Return the names of the columns of `count_columns`."""
    names: list[str] = []
    if "surface" in groups:
        names += [*SURFACE_NAMES, "n_tokens", *RARITY_NAMES]
    if "task" in groups:
        names += [f"task_{task}" for task in TASKS]
    return names


def count_columns(texts: Sequence[str], encoded: Encoded, groups: Collection[str]) -> np.ndarray:
    """Return the columns of the groups surface and task.

    `texts` (length n_texts): prompts.
    Returns shape (n_texts, n_counts): surface counts, number and rarity of tokens, then 1 in
        the column of the task that rules find.

    >>> from routerlib.weights.embedding import encode
    >>> count_columns(["Hi there!"], encode(["Hi there!"]), ["task"])[0, TASKS.index("chat")]
    np.float64(1.0)
    """
    n_surface = len(SURFACE_NAMES)
    first_task = n_surface + 1 + len(RARITY_NAMES) if "surface" in groups else 0
    columns = np.zeros((len(texts), first_task + (len(TASKS) if "task" in groups else 0)))
    if "surface" in groups:
        columns[:, :n_surface] = surface_features(texts)
        columns[:, n_surface] = list(map(len, encoded.token_ids))
        columns[:, n_surface + 1 : first_task] = rarity_columns(encoded.token_ids)
    if "task" in groups:
        for row, text in enumerate(texts):
            columns[row, first_task + TASKS.index(detect_task(text))] = 1
    return columns


def with_told_tasks(
    counts: np.ndarray, topics: Sequence[str] | None, groups: Collection[str]
) -> np.ndarray:
    """Return the counts with the task columns of those topics that are kinds of tasks.

    `counts` (n_texts, n_counts): from `count_columns`.
    `topics`: told topics, length n_texts.
    """
    if topics is None or "task" not in groups:
        return counts
    rows = [row for row, topic in enumerate(topics) if topic in TASKS]
    if not rows:
        return counts
    told = counts.copy()
    told[rows, -len(TASKS) :] = 0
    told[rows, [TASKS.index(topics[row]) - len(TASKS) for row in rows]] = 1
    return told


def rarity_columns(token_ids: Sequence[np.ndarray]) -> np.ndarray:
    """Describe the ranks of the tokens of each text.

    A byte-pair tokenizer numbers its tokens in the order in which it merged them, the frequent
    ones first, and single characters last: a high number is a seldom word, or a digit, sign or
    letter of its own. A word that it doesn't know falls into pieces, some of them frequent.

    `token_ids`: tokens of each text, in [0, `N_TOKENS`).
    """
    rows = np.zeros((len(token_ids), len(RARITY_NAMES)))
    for row, ids in zip(rows, token_ids, strict=True):
        n_tokens = len(ids)
        if n_tokens:
            at = (9 * n_tokens) // 10
            sums = np.add.reduce(_OF_TOKEN.take(ids, axis=0), axis=0)
            log, rank, square, rare, uncommon = (sums / n_tokens).tolist()
            high = int(np.partition(ids, at)[at]) / N_TOKENS
            row[:] = log, rank, high, rare, uncommon, sqrt(max(square - rank * rank, 0.0))
    return rows
