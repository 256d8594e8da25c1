"""Quote what somebody gave in a message, without all of it."""

from __future__ import annotations

import re
from reprlib import Repr

_QUOTED = Repr()
_QUOTED.maxstring = _QUOTED.maxother = _QUOTED.maxlong = 80
_QUOTED.maxlist = _QUOTED.maxtuple = _QUOTED.maxdict = _QUOTED.maxset = 6
_QUOTED.maxlevel = 3
_MOST_CHARS = 200


def brief(value: object) -> str:
    """Quote a value in at most 200 characters.

    >>> brief({"url": "data:" + "A" * 1000})
    "{'url': 'data:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA...AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'}"
    """
    text = _QUOTED.repr(value)
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 3] + "..."


def shortened(message: str, most_chars: int = 400) -> str:
    """Leave out the middle of a message that quotes too much: its ends say what is wrong.

    >>> shortened("expected a number, got " + "x" * 1000 + "; write 3", 60)
    'expected a number, got xxxx ... xxxxxxxxxxxxxxxxxxx; write 3'
    """
    if len(message) <= most_chars:
        return message
    n_kept = most_chars - len(" ... ")
    return f"{message[: n_kept // 2]} ... {message[-(n_kept - n_kept // 2) :]}"


def n_of(n: int, many: str, one: str | None = None) -> str:
    """Count things in words.

    `many`: the words for several; `one`: those for one, where they aren't just without the s.

    >>> n_of(1, "cells"), n_of(2, "cells"), n_of(1, "copies"), n_of(1, "cells are", "cell is")
    ('1 cell', '2 cells', '1 copy', '1 cell is')
    """
    if n != 1:
        return f"{n} {many}"
    return f"1 {one or re.sub(r'ies$', 'y', many).removesuffix('s')}"


def both_ends(text: str, head: int, tail: int) -> str:
    """Return the text, or its first and last characters when it is longer than both.

    >>> both_ends("abcdefgh", 3, 2).splitlines()
    ['abc', 'gh']
    """
    return text if len(text) <= head + tail else f"{text[:head]}\n{text[-tail:]}"
