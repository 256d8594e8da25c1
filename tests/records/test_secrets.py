"""Keys and control characters never reach a text that people see."""

from __future__ import annotations

import pytest

from routerlib.records.secrets import without_secrets

# Keys of the shapes that providers give out, none of them real.
SHAPED = [
    "sk-abcdefghijklmnop",
    "sk-ant-api03-abcdefgh-ijkl_mnop",
    "sk-or-v1-0123456789abcdef",
    "sk-proj-abcd****wxyz",
    "gsk_abcdefghijklmnop",
    "xai-abcdefghijklmnop",
    "hf_abcdefghijklmnop",
    "AIzaSyA0123456789abcdefghijklmnopqrstu",
    "AKIAABCDEFGHIJKLMNOP",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("key", SHAPED)
@pytest.mark.parametrize(
    "text", ["bad key {}", "got '{}', a wrong one", "Authorization: Bearer {}"]
)
def test_anything_like_a_key_is_taken_out_of_an_error(key: str, text: str) -> None:
    assert key not in without_secrets(text.format(key))
    assert "[key]" in without_secrets(text.format(key))


@pytest.mark.parametrize(
    "text",
    [
        "the model gpt-4o-mini-2024-07-18 does not exist",
        "Rate limit reached for requests; try again in 20s",
        "max_tokens must be at most 4096, got 8192",
        "keyword_arguments are not allowed",
    ],
)
def test_an_error_without_a_key_is_kept_word_for_word(text: str) -> None:
    assert without_secrets(text) == text


def test_control_characters_of_an_error_do_not_reach_a_terminal() -> None:
    assert (
        without_secrets("\x1b]0;title\x07 no\x00\r\n\x9b2J go \x1b[31mred")
        == "]0;title no 2J go red"
    )
