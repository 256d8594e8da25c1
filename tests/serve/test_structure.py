"""A body that would take long to read is told from one that only holds much text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerlib.serve.faults import Refused
from routerlib.serve.structure import check_structure

TEXTS = st.text(alphabet='a"\\[]{},:\n\u00e9', max_size=6)
VALUES = st.recursive(
    st.none() | st.integers(0, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def _depth(value: object) -> int:
    if not isinstance(value, list | dict):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inside), default=0)


def _size(value: object) -> int:
    """Count what opens and what is parted by commas."""
    if not isinstance(value, list | dict):
        return 0
    inside = list(value.values() if isinstance(value, dict) else value)
    return 1 + max(0, len(inside) - 1) + sum(map(_size, inside))


@given(value=VALUES)
@settings(max_examples=300)
def test_depth_and_size_are_those_of_the_value_whatever_its_texts_hold(value: object) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    depth, size = _depth(value), _size(value)
    check_structure(body, most_values=max(size, 20), most_depth=depth)
    if depth:
        with pytest.raises(Refused, match="nests deeper than"):
            check_structure(body, most_values=max(size, 20), most_depth=depth - 1)
    if size > 1 and body.count(b'"') <= 4 * (size - 1):
        with pytest.raises(Refused, match="more than"):
            check_structure(body, most_values=size - 1, most_depth=depth)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"[" * 4_000_000 + b"]" * 4_000_000, "more than 50000 values"),
        (b"[" + b"[]," * 2_600_000 + b"[]]", "more than 50000 values"),
        (b'["' + b'","' * 2_600_000 + b'"]', "more than 50000 values"),
        (b'{"a":{' + b'"k":"\\"",' * 800_000 + b'"k":1}}', "more than 50000 values"),
        (b"[" * 65 + b"]" * 65, "deeper than 64 levels"),
        ("[1]".encode("utf-16-le"), "must be JSON in UTF-8"),
        ("[1]".encode("utf-32-be"), "must be JSON in UTF-8"),
    ],
)
def test_what_builds_too_much_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint) as refused:
        check_structure(body)
    assert refused.value.status == 400


@pytest.mark.parametrize("text", ["[{," * 2_000_000, '\\"' * 1_000_000, "[" + "\\" * 1_000_001])
def test_a_long_text_is_one_value_whatever_it_holds(text: str) -> None:
    check_structure(json.dumps({"prompt": text}).encode())
