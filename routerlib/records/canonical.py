"""JSON in one spelling, so that equal values have equal texts and hashes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any

_HASH_TAG = "b2:"
# Longer texts are written in pieces: each copy of a text takes up to four bytes a character.
_PIECE_CHARACTERS = 2**18
# Made once: `json.dumps` makes one for each value.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical_json(value: Any) -> str:
    """Serialise a value so that equal values give equal text."""
    if not _holds_long_text(value):
        return _at_once(value)
    pieces = (piece.encode("utf-8", "surrogatepass") for piece in json_pieces(value))
    return b"".join(pieces).decode("utf-8", "surrogatepass")


def json_pieces(value: Any) -> Iterator[str]:
    """Yield the text of `canonical_json`, long texts in pieces, so that none is copied whole.

    >>> "".join(json_pieces([{"b": 1, "a": None}, "x"]))
    '[{"a":null,"b":1},"x"]'
    """
    if not _holds_long_text(value):
        yield _at_once(value)
    elif isinstance(value, str):
        yield '"'
        for start in range(0, len(value), _PIECE_CHARACTERS):
            yield canonical_json(value[start : start + _PIECE_CHARACTERS])[1:-1]
        yield '"'
    elif isinstance(value, dict):
        for before, name in zip(_marks("{"), sorted(value), strict=False):
            yield f"{before}{canonical_json(name)}:"
            yield from json_pieces(value[name])
        yield "}"
    else:
        for before, each in zip(_marks("["), value, strict=False):
            yield before
            yield from json_pieces(each)
        yield "]"


def _marks(opening: str) -> Iterator[str]:
    """Yield what stands before each value of a list: its opening, then commas."""
    return chain([opening], repeat(","))


def _at_once(value: Any) -> str:
    return _ENCODER.encode(value)


def _holds_long_text(value: Any) -> bool:
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            if len(each) > _PIECE_CHARACTERS:
                return True
        elif isinstance(each, dict):
            # JSON makes texts of other names, which is left to its writer.
            if all(isinstance(name, str) for name in each):
                left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    return False


def read_json(payload: bytes | bytearray | str) -> Any:
    r"""Read JSON, as `json.loads` does; a long text is held once meanwhile, not three times.

    >>> read_json(b'{"a": [1, 2.5, "x"]}'), read_json(rb'"\ud800"')
    ({'a': [1, 2.5, 'x']}, '\ud800')
    """
    from pydantic_core import from_json

    try:
        return from_json(payload)
    except ValueError:  # no JSON, or a lone surrogate: the standard library tells them apart
        return json.loads(payload)


def plain_json(value: Any) -> Any:
    """Turn what files and tables hold into JSON values; what JSON lacks becomes text or None.

    `value`: dates, decimals, arrays, NaN and the like, in dicts and lists of any depth.

    >>> from datetime import date
    >>> plain_json({"day": date(2026, 1, 31), "n": float("nan"), 3: (1, 2)})
    {'day': '2026-01-31', 'n': None, '3': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain_json(each) for each in value]
    if isinstance(value, float):
        return finite_or_none(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    as_plain = getattr(value, "tolist", None)  # numpy's scalars and arrays
    return str(value) if as_plain is None else plain_json(as_plain())


def finite_or_none(value: float) -> float | None:
    """Return a number that JSON can say, None for NaN and infinities.

    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return float(value) if math.isfinite(value) else None


def tagged_hash(value: Any) -> str:
    """Hash a JSON value into a short identifier that names its algorithm."""
    return _tagged(json_pieces(value))


def tagged_text_hash(text: str) -> str:
    """Return the `tagged_hash` of the value that a text of `canonical_json` tells.

    >>> tagged_text_hash('{"a":1}') == tagged_hash({"a": 1})
    True
    """
    starts = range(0, len(text), _PIECE_CHARACTERS)
    return _tagged(text[start : start + _PIECE_CHARACTERS] for start in starts)


def _tagged(pieces: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    try:
        for piece in pieces:
            digest.update(piece.encode())
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.start]
        raise ValueError(
            f"text must be valid Unicode, got a lone surrogate after {near!r}; "
            "decode the source with errors='replace' before logging"
        ) from error
    return _HASH_TAG + digest.hexdigest()
