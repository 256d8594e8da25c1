"""Take what outcomes hold of some prompts, or of some candidate models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from routerlib.outcomes.answers import Answers

# What has a place per candidate model, and what has one per prompt.
_BY_MODEL = ("quality", "cost_usd", "inclusion", "answers", "latency_s", "first_token_s")
_BY_PROMPT = ("prompts", "topics", "prompt_ids", "group_ids", *_BY_MODEL)


def of_some_prompts(outcomes: Any, rows: np.ndarray) -> dict[str, Any]:
    """Return by name what outcomes hold of these prompts."""
    return {name: _rows(getattr(outcomes, name), rows) for name in _BY_PROMPT}


def of_some_models(outcomes: Any, arms: Sequence[int]) -> dict[str, Any]:
    """Return by name what outcomes hold of these candidate models, beside their names."""
    return {name: _columns(getattr(outcomes, name), arms) for name in _BY_MODEL}


def _rows(values: Any, rows: np.ndarray) -> Any:
    if values is None or isinstance(values, np.ndarray):
        return values if values is None else values[rows]
    return values.take(rows) if isinstance(values, Answers) else [values[row] for row in rows]


def _columns(values: Any, arms: Sequence[int]) -> Any:
    if values is None:
        return None
    return values.of_models(arms) if isinstance(values, Answers) else values[:, arms]


def grouped_as(outcomes: Any, other: Any) -> Any:
    """Give outcomes the groups that others of the same prompts have, if they were looked for.

    Looking for them again takes longer than all else that is read of many prompts.
    """
    if outcomes.prompt_ids != other.prompt_ids:
        raise ValueError("groups can only be those of the same prompts in the same order")
    return replace(outcomes)._grouped(other._groups, other._in_common, other._approximated)
