"""A text is read piece by piece, and gives the tokens of the whole."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlib.weights import embedding

_PARTS = [
    *("the answer", " ", "  ", "\n", "\n\n", "\t", "17*23=391", "é", "日本語", "🙂", "\u2581"),
    *("<s>", "</s>", "<unk>", "a" * 40, "\r\n", "\u00a0", "\x00", "_", '{"x": 1}'),
    *("x\u00b2", "\u00b2).", "\u0967", "a_b", "don't", "3.5%"),
]


def _of_the_whole(text: str) -> list[int]:
    tokenizer, _ = embedding._static_embedding()
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@given(st.lists(st.sampled_from(_PARTS) | st.text(max_size=4), max_size=12))
def test_pieces_have_the_tokens_of_the_whole_text(parts: list[str]) -> None:
    text = embedding._readable("".join(parts))
    assert embedding.encode([text]).token_ids[0].tolist() == _of_the_whole(text)


def test_no_token_goes_on_over_a_cut() -> None:
    tokenizer, _ = embedding._static_embedding()
    spelt = [each for each in tokenizer.get_vocab() if not re.fullmatch("<.+>", each)]
    assert len(spelt) > 30_000
    texts = [each.replace(embedding._SPACE, " ") for each in spelt]
    assert [each for each in texts if embedding._PIECES.findall(each) != [each]] == []


@pytest.mark.parametrize("text", ["one two three four five one two " + "x" * 30, "a  b c  d e"])
def test_what_is_remembered_is_bounded_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    known = [
        embedding._Known(each._find_out)
        for each in (embedding._PIECES_KNOWN, embedding._WORDS_KNOWN)
    ]
    monkeypatch.setattr(embedding, "_PIECES_KNOWN", known[0])
    monkeypatch.setattr(embedding, "_WORDS_KNOWN", known[1])
    monkeypatch.setattr(embedding, "_MOST_REMEMBERED", 3)
    first, second = (embedding.encode([text]).token_ids[0] for _ in range(2))
    assert np.array_equal(first, second)
    assert first.tolist() == _of_the_whole(text)
    assert 0 < len(known[0]) <= 3
    assert len(known[1]) <= 3
    assert max(map(len, [*known[0], *known[1]])) <= embedding._LONGEST_REMEMBERED
