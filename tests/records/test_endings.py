"""Every word for an answer's end means the same, whoever says it and however it is written."""

from __future__ import annotations

import logging

import pytest

from routerlib.records import endings
from routerlib.records.endings import ENDINGS, MEANINGS, meaning_of, status_by

WORDS = [(word, row.meaning) for row in ENDINGS for word in row.words.split(", ")]


@pytest.mark.parametrize(("word", "meaning"), WORDS)
def test_a_word_means_the_same_in_every_dress(word: str, meaning: str) -> None:
    first, *rest = word.split("_")
    camel = first + "".join(part.capitalize() for part in rest)
    dressed = (
        word.upper(), word.replace("_", "-"), word.replace("_", " "), camel, f" {word}\n",
        f"FinishReason.{word.upper()}", f"StopReason.{word}", f"finish_reason_{word}",
        f"<FinishReason.{word.upper()}: 'x'>", [word], f"['{word}']", {"type": word, "length": 5},
    )  # fmt: skip
    assert {meaning_of(each) for each in (word, *dressed)} == {meaning}


def test_no_word_stands_twice_and_every_row_has_its_source() -> None:
    words = [word for word, _ in WORDS]
    assert len(words) == len(set(words))
    assert all(row.said_by and row.source and row.meaning in MEANINGS for row in ENDINGS)


@pytest.mark.parametrize("nothing", [None, "", " ", "null", "None", [], {}, [None]])
def test_no_word_is_no_end(nothing: object) -> None:
    assert meaning_of(nothing) is None
    assert status_by(nothing, "4") == "ok"
    assert status_by(nothing, " ") == "empty"


@pytest.mark.parametrize(
    ("told", "text", "status"),
    [
        ("content_filter: OTHER", "Half", "refused"),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", None, "error"),
        ("stop: natural end", "4", "ok"),
        ("stop,length", "4", "truncated"),
        (["stop", "content_filter"], "4", "refused"),
        ("tool_calls", None, "empty"),
        ("insufficient_system_resource", "The answer", "truncated"),
        ("insufficient_system_resource", " ", "error"),
        ("error", "The answer", "error"),
        ("weary", "4", "truncated"),
        ("weary", "", "empty"),
        (7, "4", "truncated"),
    ],
)
def test_joined_and_broken_ends_have_a_status(
    told: object, text: str | None, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert status_by(told, text) == status


def test_an_unknown_word_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    endings.tell_unknown.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert [status_by("exhausted", "4") for _ in range(3)] == ["truncated"] * 3
    (told,) = caplog.messages
    assert "'exhausted'" in told
    assert "no score" in told
