"""Write numbers and texts as people read them."""

from __future__ import annotations

_MAX_SHOWN_CHARACTERS = 160


def percent(share: float) -> str:
    """Write a share as a whole percentage, such as ``64 %``.

    `share`: usually in [0, 1].

    >>> percent(0.636)
    '64 %'
    """
    return f"{100 * share:.0f} %"


def short(text: str, n_characters: int = _MAX_SHOWN_CHARACTERS) -> str:
    """Put a text on one line, cut where it is too long for a table.

    `n_characters`: length at most.
    """
    line = " ".join(text.split())
    return line if len(line) <= n_characters else line[: n_characters - 1] + "…"
