"""Tell what stands between the columns of a CSV text, which depends on who wrote it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection

SEPARATORS = (",", ";", "\t", "|")
# The csv module's own limit, 128 KiB, is less than a long document.
LONGEST_CSV_FIELD = 1 << 30
# A line before the header that tells Excel what stands between the columns.
_TOLD = re.compile(r"sep=([,;\t|])\r?\n")


def told_apart(text: str) -> tuple[str | None, str]:
    r"""Return the separator that a line for Excel before the header names, and the rest.

    >>> told_apart("sep=;\na;b,c\n")
    (';', 'a;b,c\n')
    >>> told_apart("a;b,c\n")
    (None, 'a;b,c\n')
    """
    told = _TOLD.match(text)
    return (None, text) if told is None else (told[1], text[told.end() :])


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
