"""Write a verdict in at most twelve words, and its numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from routerlib.metrics.clusters import FEW_GROUPS
from routerlib.metrics.intervals import Interval

VerdictKind = Literal["pays", "saves_at_a_price", "does_not_pay", "not_measurable"]

_UNKNOWN = "Not measurable yet"


def headline_of(
    kind: VerdictKind, numbers: Mapping[str, float | None], fallback: str | None = None
) -> str:
    """Say the finding in at most twelve words that a manager reads right.

    A loss that the interval doesn't exclude is in it, also where none was seen.

    `numbers`: as of a `Verdict`. `fallback`: why the router keeps to the best single model.

    >>> numbers = {"saving": 0.15, "quality_difference": 0.0, "quality_difference_low": -0.017,
    ...            "quality_difference_high": 0.017}
    >>> headline_of("saves_at_a_price", numbers)
    "15 % cheaper; no loss seen, up to 1.7 points can't be excluded"
    """
    if kind == "does_not_pay":
        return "Routing doesn't pay on these prompts"
    if kind == "not_measurable":
        return _open(numbers, fallback)
    return _gain(numbers) if kind == "pays" else _price(numbers)


def _open(numbers: Mapping[str, float | None], fallback: str | None) -> str:
    if numbers.get("n_models") == 1:
        return f"{_UNKNOWN}: one candidate model leaves nothing to choose"
    n_groups = numbers.get("n_groups")
    if n_groups is not None and n_groups < min(FEW_GROUPS, numbers.get("n") or 0):
        return f"{_UNKNOWN}: {n_groups:.0f} groups of prompts, {FEW_GROUPS} are needed"
    if fallback is not None:
        return f"{_UNKNOWN}: the router keeps to the best single model"
    if numbers.get("holds_on_complete_only"):
        return f"{_UNKNOWN}: {numbers['n_skipped']:.0f} prompts lack a score"
    return f"{_UNKNOWN} with {numbers['n']:.0f} prompts"


def _gain(numbers: Mapping[str, float | None]) -> str:
    saving, difference = numbers.get("saving"), numbers.get("quality_difference") or 0.0
    if (numbers.get("quality_difference_low") or 0) > 0:
        told = f"Routing pays: {plain(100 * difference, 1)} points more quality"
        if saving is None:
            return told
        return f"{told}, at {plain(100 * (1 - saving), 0)} % of the cost"
    margin = 100 * (numbers.get("margin") or 0)
    unit = "point" if margin == 1 else "points"
    cheaper = f"{plain(100 * (saving or 0), 0)} % cheaper"
    return f"Routing pays: {cheaper}; a loss above {margin:g} {unit} is excluded"


def _price(numbers: Mapping[str, float | None]) -> str:
    difference, low, high = (
        100 * (numbers.get(f"quality_difference{end}") or 0) for end in ("", "_low", "_high")
    )
    start = f"{plain(100 * (numbers.get('saving') or 0), 0)} % cheaper"
    if high < 0:
        loss = f"{plain(-difference, 1)} points less quality"
        return f"{start} for {loss} ({plain(-high, 1)} to {plain(-low, 1)})"
    if plain(low, 1) == plain(max(low, 0.0), 1):
        return f"{start}; with what is missing, a loss can't be excluded"
    if plain(difference, 1) == plain(max(difference, 0.0), 1):
        return f"{start}; no loss seen, up to {plain(-low, 1)} points can't be excluded"
    lost = f"{plain(-difference, 1)} points"
    return f"{start}; quality perhaps {lost} lower (95 %: at most {plain(-low, 1)})"


def percent_of(interval: Interval) -> str:
    """Write a share with its interval, such as ``32 % [29, 35]``."""
    value, low, high = (plain(100 * x, 0) for x in interval[:3])
    return f"{value} % [{low}, {high}]"


def points_of(interval: Interval, sign: int = 1) -> str:
    """Write a quality difference in points of a hundred, such as ``2.3 points [1.1, 3.4]``."""
    ends = sorted((sign * interval.low, sign * interval.high))
    value, low, high = (plain(100 * x, 1) for x in (sign * interval.value, *ends))
    return f"{value} points [{low}, {high}]"


def signed_points_of(interval: Interval) -> str:
    """Write a quality difference with its direction, such as ``+2.3 points [+1.1, +3.4]``.

    >>> signed_points_of(Interval(-0.012, -0.048, 0.022, 0.018))
    '-1.2 points [-4.8, +2.2]'
    """
    value, low, high = (f"{round(100 * end, 1) + 0.0:+.1f}" for end in interval[:3])
    return f"{value} points [{low}, {high}]"


def plain(value: float, digits: int) -> str:
    """Round without a negative zero.

    >>> plain(-0.04, 1)
    '0.0'
    """
    return f"{round(value, digits) + 0.0:.{digits}f}"
