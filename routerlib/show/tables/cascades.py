"""Show what a cascade asked twice, and what that brought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routerlib.show.tables.rendering import Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def kept_steps(metadata: Mapping[str, Any]) -> tuple[str, Table] | None:
    """Return what a router file says of its cascade on held-out prompts; None = it is none."""
    from routerlib.evaluation.cascade_worth import Path, frame_of

    told = (metadata.get("test") or {}).get("cascade")
    if not told:
        return None
    paths = [Path(**{**each, "asked": tuple(each["asked"])}) for each in told["paths"]]
    return told["sentence"], table(frame_of(paths), _CAPTION)
