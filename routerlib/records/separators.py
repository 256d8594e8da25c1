"""Tell what stands between the columns of a CSV text, which depends on who wrote it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection

SEPARATORS = (",", ";", "\t", "|")


def separator_of(text: str, wanted: Collection[str] = ()) -> str:
    r"""Return what stands between the columns.

    `wanted`: columns of which one is enough to recognise a header that has others too. Without
    one, what gives the header the most columns; in doubt a comma.

    >>> separator_of("question;answer\n1,5 + 1,5;3\n")
    ';'
    >>> separator_of("prompt\na; b\n")
    ','
    >>> separator_of("a;b;c,prompt\n", ["prompt"])
    ','
    """
    headers = {
        separator: next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        for separator in SEPARATORS
    }
    for separator, header in headers.items():
        if len(header) > 1 and set(wanted) & set(header):
            return separator
    return max(SEPARATORS, key=lambda separator: len(headers[separator]))
