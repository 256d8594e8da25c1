"""Tell outcomes apart by a hash of what they hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routerlib.records.canonical import tagged_hash


def data_hash(
    prompt_ids: Sequence[str],
    models: Sequence[str],
    quality: np.ndarray,
    cost_usd: np.ndarray,
    *,
    group_ids: Sequence[str | None] | None,
    inclusion: np.ndarray | None,
) -> str:
    """Return the tagged hash of outcomes; what isn't known leaves it as it was.

    `quality, cost_usd, inclusion` (n_prompts, n_models): NaN where unknown, the last never.
    """
    parts: list[object] = [list(prompt_ids), list(models), _hex(quality), _hex(cost_usd)]
    if group_ids is not None:
        parts.append({"group_ids": list(group_ids)})
    if inclusion is not None:
        parts.append({"inclusion": _hex(inclusion)})
    return tagged_hash(parts)


def _hex(matrix: np.ndarray) -> str:
    return np.asarray(matrix, "<f8").tobytes().hex()
