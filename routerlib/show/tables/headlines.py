"""Pick the few numbers that a reader in a hurry needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from routerlib.show.words.numbers import percent

if TYPE_CHECKING:
    from routerlib.evaluation.evaluate import Evaluation


class KeyNumber(NamedTuple):
    """One number for people in a hurry."""

    value: str
    name: str
    interval: str


def key_numbers(evaluation: Evaluation) -> list[KeyNumber]:
    """Pick the few numbers that the verdict rests on."""
    sample = KeyNumber(f"{evaluation.n}", "held-out prompts measured", "")
    if evaluation.verdict.fallback is not None:
        return [*_of_best_single(evaluation), sample]
    measured = evaluation.operating
    found = []
    saving = measured["saving"]
    if math.isfinite(saving.value):
        way = "cheaper" if saving.value >= 0 else "dearer"
        low, high = sorted(math.copysign(1, saving.value) * end for end in saving[1:3])
        found.append(
            KeyNumber(
                f"{percent(abs(saving.value))} {way}",
                f"than always {evaluation.strong}",
                _bracket(percent(low), percent(high)),
            )
        )
    for key, name in (
        ("quality_difference", f"quality against always {evaluation.strong}"),
        ("gain_over_zero", "quality against mixing at random for the same money"),
    ):
        interval = measured[key]
        if math.isfinite(interval.value):
            value, *ends = (f"{100 * part:+.1f}" for part in interval[:3])
            found.append(KeyNumber(f"{value} points", name, _bracket(*ends)))
    return [*found, sample]


def _of_best_single(evaluation: Evaluation) -> list[KeyNumber]:
    found = [
        KeyNumber(
            f"always {evaluation.strong}",
            "the router is the best single model itself, so there is no difference to measure",
            "",
        )
    ]
    quality = evaluation.operating["quality"]
    if math.isfinite(quality.value):
        value, *ends = (f"{part:.3f}" for part in quality[:3])
        found.append(KeyNumber(value, f"quality of {evaluation.strong} (0-1)", _bracket(*ends)))
    return found


def _bracket(low: str, high: str) -> str:
    return f"95 % interval {low.removesuffix(' %')} to {high}"
