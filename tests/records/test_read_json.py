"""JSON is read as the standard library reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerlib.records.canonical import read_json

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(value=VALUES)
@settings(max_examples=300)
def test_every_value_is_read_as_it_was_written(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 123456789012345678901234567890, "b": 1e400, "c": -0.0}',
        b"\xef\xbb\xbf[1]",
        b"[Infinity, -Infinity]",
        rb'"\ud83e\udd86 \ud83e"',
        '"\u2028\u00e9"'.encode(),
    ],
)
def test_odd_bodies_are_read_alike(body: bytes) -> None:
    assert repr(read_json(body)) == repr(json.loads(body))


@pytest.mark.parametrize(
    "body", [b"", b"[1,]", b'{"a":1} x', b'{"a":01}', b"{'a':1}", b'"\n"', b"\xff", b'"\xc3"']
)
def test_what_is_no_json_is_refused_in_the_same_words(body: bytes) -> None:
    def complaint(read: Callable[[bytes], Any]) -> tuple[type, str]:
        try:
            return type(read(body)), "read"
        except ValueError as error:
            return type(error), str(error)

    assert complaint(read_json) == complaint(json.loads)
    assert complaint(read_json)[1] != "read"
