"""Check what outcomes are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np


def matrix_of(values: object, shape: tuple[int, int], name: str) -> np.ndarray:
    """Return numbers as a matrix that nobody can write to, or say what shape was expected."""
    # A table's columns lie one after the other, a list's rows: sums must not depend on that.
    matrix = values if _is_final(values) else np.array(values, dtype=float, order="C")
    if matrix.shape != shape and not (matrix.size == 0 and 0 in shape):
        raise ValueError(
            f"{name} must have shape (n_prompts, n_models) = {shape}, got {matrix.shape}"
        )
    if matrix.shape != shape:
        matrix = matrix.reshape(shape)
    matrix.setflags(write=False)
    return matrix


def _is_final(values: object) -> TypeGuard[np.ndarray]:
    """Tell whether nobody can write to a matrix any more, so that it needn't be copied."""
    return (
        type(values) is np.ndarray
        and values.dtype == float
        and values.flags.owndata
        and values.flags.c_contiguous
        and not values.flags.writeable
    )


def texts_of(values: Sequence[str], n_prompts: int, name: str) -> tuple[str, ...]:
    """Return one text per prompt, or say how many were expected."""
    if len(values) != n_prompts:
        raise ValueError(f"{name} must have one entry per prompt ({n_prompts}), got {len(values)}")
    return tuple(str(value) for value in values)


def group_ids_of(values: Sequence[object] | None, n_prompts: int) -> tuple[str | None, ...] | None:
    """Return one group or None per prompt, or None where no prompt has one."""
    if values is None:
        return None
    if len(values) != n_prompts:
        raise ValueError(
            f"group_ids must have one entry per prompt ({n_prompts}), got {len(values)}"
        )
    # NaN is what tables have where a cell is empty; it alone differs from itself.
    known = [None if value is None or value != value or value == "" else value for value in values]
    if all(value is None for value in known):
        return None
    return tuple(None if value is None else str(value) for value in known)


def inclusion_of(values: object, shape: tuple[int, int], models: Sequence[str]) -> np.ndarray:
    """Return probabilities of being observed as a matrix, each in (0, 1], or say which is none."""
    inclusion = matrix_of(values, shape, "inclusion")
    out = ~((inclusion > 0) & (inclusion <= 1))
    if out.any():
        row, column = np.argwhere(out)[0]
        raise ValueError(
            f"inclusion must lie in (0, 1], got {inclusion[row, column]!r} for model "
            f"{models[column]!r} on prompt {row}; a cell that could not be observed tells nothing, "
            "leave its prompt or its model out"
        )
    return inclusion


def seconds_of(values: object, shape: tuple[int, int], name: str) -> np.ndarray | None:
    """Return seconds as a matrix, or None where none is known; each finite and at least 0."""
    seconds = matrix_of(values, shape, name)
    if (seconds < 0).any() or np.isinf(seconds).any():
        raise ValueError(f"{name} must be finite and at least 0 seconds, or NaN where unknown")
    return seconds if np.isfinite(seconds).any() else None


def check_ranges(quality: np.ndarray, cost_usd: np.ndarray, models: Sequence[str]) -> None:
    """Raise ValueError where a quality or a cost can't be one.

    `quality, cost_usd` (n_prompts, n_models): NaN = unknown.
    """
    out = (quality < 0) | (quality > 1) | np.isinf(quality)
    if out.any():
        row, column = np.argwhere(out)[0]
        raise ValueError(
            f"quality must lie in [0, 1], got {quality[row, column]!r} for model "
            f"{models[column]!r} on prompt {row}; rescale scores first"
        )
    if (cost_usd < 0).any() or np.isinf(cost_usd).any():
        raise ValueError("cost_usd must be finite and at least 0, got a negative or infinite value")
