"""Add to a verdict what else is known: how prompts hang together, and what new topics say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.verdict import Verdict
from routerlib.metrics.clusters import FEW_GROUPS, Clustering
from routerlib.records.canonical import finite_or_none

if TYPE_CHECKING:
    import pandas as pd

GAINS = ("pays", "saves_at_a_price")


def with_groups(verdict: Verdict, found: Mapping[str, Clustering]) -> Verdict:
    """Say in how many groups prompts stand, and how much those of one are alike.

    `found`: of ``quality`` (the router's) and of ``quality_difference`` (to best single).
    """
    quality, difference = found["quality"], found["quality_difference"]
    numbers = dict(verdict.numbers)
    for name, each in found.items():
        is_told = each.is_told
        numbers[f"{name}_correlation"] = finite_or_none(each.correlation) if is_told else None
        numbers[f"{name}_design_effect"] = finite_or_none(each.design_effect) if is_told else None
    if quality.n_groups in (0, quality.n):
        return replace(verdict, numbers=numbers)
    told = f"The {quality.n} measured prompts stand in {quality.n_groups} groups (the largest of "
    told += f"{quality.largest})"
    parts = [
        f"{what} {each.correlation:.2f} (design effect {each.design_effect:.1f})"
        for what, each in (("quality", quality), ("its difference", difference))
        if each.is_told
    ]
    if parts:
        told += f"; correlation within a group: {', '.join(parts)}"
    if quality.n_groups < FEW_GROUPS and verdict.kind == "not_measurable":
        told += f"; fewer than {FEW_GROUPS} groups tell too little"
    return replace(verdict, notes=(*verdict.notes, f"{told}."), numbers=numbers)


def with_draw(verdict: Verdict, n_tested: int, n_unseen: int) -> Verdict:
    """Say that only some of the prompts were tested that could have been, if so.

    `n_tested`: drawn at random from `n_unseen`, near-duplicates of training prompts left out.
    """
    if n_tested >= n_unseen:
        return verdict
    told = f"Tested are {n_tested:,} of {n_unseen:,} prompts that the router hasn't seen, drawn "
    return replace(verdict, notes=(*verdict.notes, f"{told}at random."))


def with_topics_held_out(verdict: Verdict, splits: pd.DataFrame) -> Verdict:
    """Say it where the same training does otherwise on topics that it hasn't seen.

    It does where the interval of its difference in quality to best single lies wholly below that
    of a random split, or where a gain is claimed and more than the margin may be lost there.

    `splits`: from `routerlib.evaluation.unseen.compare_splits`; without topics nothing is said, and
        without a random split the verdict's own numbers stand for it.
    """
    if "leave topics out" not in splits.index:
        return verdict
    value, low, high = _difference(splits, "leave topics out")
    if "random" in splits.index:
        seen, seen_low, _ = _difference(splits, "random")
    else:
        known = [verdict.numbers.get(f"quality_difference{end}") for end in ("", "_low")]
        seen, seen_low = (np.nan if each is None else each for each in known)
    margin = verdict.numbers.get("margin") or 0.0
    is_lower = high < seen_low
    is_loss = verdict.kind in GAINS and low < -margin and value < seen
    numbers = {
        **verdict.numbers,
        "topics_held_out_difference": finite_or_none(value),
        "topics_held_out_difference_low": finite_or_none(low),
        "topics_held_out_difference_high": finite_or_none(high),
        "topics_held_out_disagree": float(is_lower or is_loss),
    }
    if not (is_lower or is_loss):
        return replace(verdict, numbers=numbers)
    points = f"{100 * value:.1f} points [{100 * low:.1f}, {100 * high:.1f}]"
    told = "That is about topics it was trained on: where the same training holds whole topics "
    told += f"out, quality differs from best single's by {points}, against {100 * seen:.1f} points."
    return replace(verdict, notes=(*verdict.notes, told), numbers=numbers)


def _difference(splits: pd.DataFrame, split: str) -> tuple[float, float, float]:
    """Return the difference in quality to best single, and the ends of its interval."""
    names = [f"quality_difference{end}" for end in ("", "_low", "_high")]
    value, low, high = np.asarray(splits.loc[split, names], dtype=np.float64)
    return float(value), float(low), float(high)
