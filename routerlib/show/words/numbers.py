"""Write numbers and texts as people read them."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_WHOLE_FROM = 1000
# Below it there are more noughts than anybody counts.
_TINY = 1e-8
_MAX_SHOWN_CHARACTERS = 160
_PROMPTS_PER_UNIT = 1000
BELOW = "lower than best single"
_INTERVAL = re.compile(r"\[([^\[\], ]+), ([^\[\], ]+)\]")


def percent(share: float) -> str:
    """Write a share as a whole percentage, such as ``64 %``.

    `share`: usually in [0, 1].

    >>> percent(0.636)
    '64 %'
    """
    return f"{100 * share:.0f} %"


def closed(share: float) -> str:
    """Write how much of a gap above a best single model is closed; below it there is no share.

    A gap may be next to nothing, and so many times of it is no number to read.

    >>> closed(0.25), closed(-11.11)
    ('25 %', 'lower than best single')
    """
    return BELOW if round(100 * share) < 0 else percent(share)


def digits(value: float) -> str:
    """Write a quality or metric with three digits after the point."""
    return f"{value:.3f}"


def significant(value: float) -> str:
    """Write a number with three significant digits, from 1000 on as a whole one.

    >>> significant(0.01234), significant(9.42e-6), significant(6019.4), significant(999.9)
    ('0.0123', '0.00000942', '6,019', '1,000')
    """
    text = f"{value:.3g}"
    if not math.isfinite(value) or 0 < abs(value) < _TINY:
        return text
    return f"{value:,.0f}" if abs(float(text)) >= _WHOLE_FROM else f"{Decimal(text):f}"


def count(value: float) -> str:
    """Write a whole number."""
    return f"{value:.0f}"


def points(difference: float) -> str:
    """Write a difference in quality in points of 100, with its sign.

    >>> points(-0.012), points(-0.0001)
    ('-1.2', '+0.0')
    """
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def usd_per_1000(cost_usd: float) -> str:
    """Write US dollars a prompt as those of 1000 prompts."""
    return significant(_PROMPTS_PER_UNIT * cost_usd)


def short(text: str, n_characters: int = _MAX_SHOWN_CHARACTERS) -> str:
    """Put a text on one line, cut where it is too long for a table.

    `n_characters`: length at most.
    """
    line = " ".join(text.split())
    return line if len(line) <= n_characters else line[: n_characters - 1] + "…"


def unbroken(text: str) -> str:
    r"""Keep intervals in brackets on one line, by a blank that doesn't break.

    >>> unbroken("2.3 points [1.1, 3.4]").split(" ")
    ['2.3', 'points', '[1.1,\xa03.4]']
    """
    return _INTERVAL.sub("[\\1,\u00a0\\2]", text)
