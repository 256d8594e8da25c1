"""Show what a cascade asked twice, and what that brought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routerlib.show.tables.evaluation import KeyNumber, percent, points
from routerlib.show.tables.rendering import Table, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from routerlib.evaluation.cascade_worth import CascadeEvaluation

_CAPTION = "Who was asked, in order; mean quality of the first answer and of the one given back"


def steps_table(found: CascadeEvaluation) -> Table:
    """Show what was asked in what order, and what asking on brought.

    Parameters
    ----------
    found : CascadeEvaluation
        From `routerlib.evaluation.cascade_worth.evaluate_cascade`.

    Returns
    -------
    Table
    """
    return table(found.frame(), _CAPTION)


def cascade_numbers(found: CascadeEvaluation, best_single: str) -> list[KeyNumber]:
    """Pick the few numbers that the finding on a cascade rests on."""
    measured = found.measured
    saving, share = measured["saving"], measured["cost_share"]
    difference, gain = measured["quality_difference"], measured["quality_gain"]
    way = "cheaper" if saving.value >= 0 else "dearer"
    sign = 1 if saving.value >= 0 else -1
    cost = f"{percent(sign * saving.value)} {way}"
    ends = sorted((sign * saving.low, sign * saving.high))
    return [
        KeyNumber(cost, f"than always {best_single}, all calls paid", _between(ends, percent)),
        KeyNumber(
            f"{points(difference.value)} points",
            f"quality against always {best_single}",
            _between(difference[1:3], points),
        ),
        KeyNumber(
            f"{points(gain.value)} points at {percent(share.value)}",
            "quality, and cost, against its router alone",
            f"{_between(gain[1:3], points)} at {_between(share[1:3], percent)}",
        ),
        KeyNumber(f"{found.n}", "held-out prompts", _lacking(found.n_skipped)),
    ]


def _between(ends: Sequence[float], words: Callable[[float], str]) -> str:
    """Write an interval in words."""
    low, high = (words(end) for end in ends)
    return f"[{low}, {high}]"


def _lacking(n_skipped: int) -> str:
    return f"{n_skipped} lack an answer, a score or a cost, besides" if n_skipped else ""


def kept_steps(metadata: Mapping[str, Any]) -> tuple[str, Table] | None:
    """Return what a router file says of its cascade on held-out prompts; None = it is none."""
    from routerlib.evaluation.cascade_worth import Path, frame_of

    told = (metadata.get("test") or {}).get("cascade")
    if not told:
        return None
    paths = [Path(**{**each, "asked": tuple(each["asked"])}) for each in told["paths"]]
    return told["sentence"], table(frame_of(paths), _CAPTION)
