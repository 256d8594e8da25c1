"""Tables as plain text: columns under each other, numbers as a person writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "–"
_BETWEEN = "  "


def plain_number(value: object, n_digits: int = 3) -> str:
    """Write a number without an exponent, whole ones whole, others with so many digits.

    >>> [plain_number(each) for each in (120.0, 26852.0, 0.17539, 0.0000149, 21.0639, 1234.56)]
    ['120', '26852', '0.175', '0.0000149', '21.1', '1235']
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    number = float(value)
    if not math.isfinite(number):
        return UNKNOWN if math.isnan(number) else str(number)
    if number.is_integer() or abs(number) >= 10**n_digits:
        return f"{number:.0f}"
    return f"{Decimal(f'{number:.{n_digits}g}'):f}"


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], is_number: Sequence[bool]) -> str:
    """Set cells under each other: texts flush left, numbers and their heads flush right.

    >>> print(aligned(["name", "calls"], [["small", "120"], ["large", "7"]], [False, True]))
    name   calls
    small    120
    large      7
    """
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        _BETWEEN.join(
            cell.rjust(width) if flush_right else cell.ljust(width)
            for cell, width, flush_right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in (heads, *rows)
    )


def text_table(frame: pd.DataFrame, n_digits: int = 3) -> str:
    """Write a frame for a terminal; a named index is its first column.

    `n_digits`: of numbers that aren't whole.

    >>> import pandas as pd
    >>> index = pd.Index(["small", "large"], name="candidate")
    >>> print(text_table(pd.DataFrame({"calls": [120.0, 7.0], "usd": [0.25, None]}, index=index)))
    candidate  calls   usd
    small        120  0.25
    large          7     –
    """
    shown = frame.reset_index() if frame.index.name else frame
    heads = [str(name) for name in shown.columns]
    columns = [list(shown.iloc[:, place]) for place in range(len(heads))]
    cells = [[_cell(value, n_digits) for value in column] for column in columns]
    is_number = [
        any(_is_number(value) for value in column)
        and all(_is_number(value) or _is_unknown(value) for value in column)
        for column in columns
    ]
    return aligned(heads, list(zip(*cells, strict=True)), is_number)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_unknown(value: object) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _cell(value: object, n_digits: int) -> str:
    if _is_unknown(value):
        return UNKNOWN
    if type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    return plain_number(value, n_digits)
