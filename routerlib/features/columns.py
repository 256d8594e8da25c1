"""Lay surface counts and kind of task of prompts side by side, as columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from routerlib.features.embedding import Encoded
from routerlib.features.rarity import RARITY_NAMES, rarity_columns
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import detect_task
from routerlib.records.prompt import TASKS


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

    >>> from routerlib.features.embedding import encode
    >>> count_columns(["Hi there!"], encode(["Hi there!"]), ["task"])[0, TASKS.index("chat")]
    np.float64(1.0)
    """
    columns = [np.zeros((len(texts), 0))]
    if "surface" in groups:
        columns.append(surface_features(texts))
        columns.append(np.array([[float(len(ids))] for ids in encoded.token_ids]))
        columns.append(rarity_columns(encoded.token_ids))
    if "task" in groups:
        tasks = np.zeros((len(texts), len(TASKS)))
        tasks[np.arange(len(texts)), [TASKS.index(detect_task(text)) for text in texts]] = 1
        columns.append(tasks)
    return np.hstack(columns)


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
