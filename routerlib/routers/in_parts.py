"""Estimate very many prompts part by part, so that memory doesn't grow with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from routerlib.records.decision import Estimates, Latencies
from routerlib.records.progress import watched

# What is read of so many prompts takes some hundred MB until they are estimated.
MOST_AT_ONCE = 32_768

Expect = Callable[[list[str], Sequence[str] | None], Estimates]


def expect_in_parts(expect: Expect, texts: list[str], topics: Sequence[str] | None) -> Estimates:
    """Return what `expect` gives of all prompts, asked of some at a time.

    As of any other batch, the ninth digit may differ.

    `texts`: at least one. `topics`: as long, or None.
    """
    starts = range(0, len(texts), MOST_AT_ONCE)
    if len(starts) == 1:
        return expect(texts, topics)
    parts = [
        expect(texts[rows], None if topics is None else topics[rows])
        for rows in watched(
            (slice(start, start + MOST_AT_ONCE) for start in starts),
            f"estimates, {MOST_AT_ONCE:,} prompts at a time",
            len(starts),
        )
    ]
    return _joined(parts)


def _joined(parts: Sequence[Estimates]) -> Estimates:
    """Lay estimates of the same candidates under each other."""
    first = parts[0]
    seconds = [each.latency.arrays for each in parts if each.latency is not None]
    return Estimates(
        first.models,
        np.concatenate([each.quality for each in parts]),
        np.concatenate([each.cost_usd for each in parts]),
        _under([each.quality_sd for each in parts]),
        Latencies(*map(np.concatenate, zip(*seconds, strict=True))) if seconds else None,
    )


def _under(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [each for each in arrays if each is not None]
    return np.concatenate(known) if len(known) == len(arrays) else None
