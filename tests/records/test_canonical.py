"""Long texts are written in pieces, to the same JSON and the same hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerlib.records import canonical
from routerlib.records.canonical import canonical_json, json_pieces, tagged_hash

TEXTS = st.text(max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXTS, inner, max_size=4)
        | st.dictionaries(st.integers(), inner, max_size=2)
    ),
    max_leaves=12,
)


@given(value=VALUES)
@settings(max_examples=300)
def test_in_pieces_it_is_the_json_that_it_is_whole(value: Any) -> None:
    whole = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_PIECE_CHARACTERS", 3)
        assert "".join(json_pieces(value)) == canonical_json(value) == whole
        digest = hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
        assert tagged_hash(value) == f"b2:{digest}"


def test_a_long_text_is_never_copied_whole() -> None:
    message = {"role": "user", "content": 'a "quoted" line\n' * 100_000}
    assert max(map(len, json_pieces([message]))) < 2 * canonical._PIECE_CHARACTERS
    assert "".join(json_pieces([message])) == json.dumps([message], separators=(",", ":")).replace(
        '{"role":"user",', "{"
    ).replace("}]", ',"role":"user"}]')
