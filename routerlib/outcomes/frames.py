"""Read what outcomes are made of from a wide table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def columns_of(
    frame: pd.DataFrame,
    prompt: str,
    quality: Sequence[str],
    cost_usd: Sequence[str] | None,
    topic: str | None,
    group: str | None,
) -> dict[str, Any]:
    """Return prompts, quality, cost_usd, topics and group_ids from columns of these names."""
    named = [name for name in (topic, group) if name is not None]
    wanted = [prompt, *quality, *(cost_usd or ()), *named]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ValueError(
            f"the table has no column {missing[0]!r}, it has {', '.join(map(str, frame))}"
        )
    return {
        "prompts": frame[prompt].astype(str).tolist(),
        "quality": frame[list(quality)].to_numpy(float),
        "cost_usd": frame[list(cost_usd)].to_numpy(float) if cost_usd else None,
        "topics": None if topic is None else frame[topic].astype(str).tolist(),
        "group_ids": None
        if group is None
        else frame[group].astype(object).where(frame[group].notna(), None).tolist(),
    }
