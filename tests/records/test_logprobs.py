"""Of an answer's log-probabilities a few numbers are kept, of its own words alone."""

from __future__ import annotations

import math
from typing import Any

import pytest

from routerlib.records.logprobs import (
    TokenLogprob,
    kept_logprobs,
    logprob_numbers,
    read_logprobs,
)


def entry(text: str, logprob: float, *others: float, **known: Any) -> dict[str, Any]:
    top = [{"token": text, "logprob": logprob}, *({"token": f"#{i}", "logprob": each}
           for i, each in enumerate(others))]  # fmt: skip
    return {"token": text, "logprob": logprob, "top_logprobs": top if others else [], **known}


SO_FOUR = [
    entry("So", -1.0, -1.5),
    entry(" it", -0.2, -2.2),
    entry(" is", -0.4, -1.4),
    entry("\nAnswer", -0.1, -4.1),
    entry(": 4", -0.9, -1.0),
]


def test_the_numbers_are_those_of_the_answer_and_of_its_last_line() -> None:
    numbers = logprob_numbers(read_logprobs({"content": SO_FOUR}), "So it is\nAnswer: 4")
    assert numbers == {
        "mean": -0.52,
        "least": -1.0,
        "q10": -0.96,
        "q50": -0.4,
        "margin": 1.52,
        "final_mean": -0.5,
        "final_least": -0.9,
        "n_tokens": 5.0,
    }


def test_thoughts_stop_marks_and_empty_ends_are_left_out() -> None:
    told = [
        entry("<think>", -5.0), entry("2+2=4\n", -6.0), entry("</think>", -7.0),
        entry("\n\n", -8.0), *SO_FOUR, entry("<|im_end|>", -9.0), entry("", -9.5),
    ]  # fmt: skip
    alone = logprob_numbers(read_logprobs(SO_FOUR), "So it is\nAnswer: 4")
    assert logprob_numbers(read_logprobs(told), "So it is\nAnswer: 4", has_thought=True) == alone


def test_an_answer_that_is_not_found_beside_a_thought_has_no_numbers() -> None:
    tokens = read_logprobs([entry("Hm, ", -3.0), entry("five", -0.1)])
    assert logprob_numbers(tokens, "four", has_thought=True) == {}
    without = logprob_numbers(tokens, "four")
    assert (without["mean"], without["n_tokens"]) == (-1.55, 2.0)
    assert "final_mean" not in without, "where the last line begins isn't known"


def test_a_sign_in_several_pieces_is_found_by_its_bytes() -> None:
    told = [
        {"token": "\ufffd", "bytes": [0xF0, 0x9F], "logprob": -2.0},
        {"token": "\ufffd", "bytes": [0x98, 0x80], "logprob": -0.5},
        {"token": " ok", "bytes": [32, 111, 107], "logprob": -0.25},
    ]
    numbers = logprob_numbers(read_logprobs(told), "😀 ok", has_thought=True)
    assert (numbers["least"], numbers["n_tokens"]) == (-2.0, 3.0)
    assert "margin" not in numbers, "no other token was told"


def test_the_margin_needs_the_token_that_was_taken_among_the_likeliest() -> None:
    forced = entry("}", -9.9, -0.1)
    forced["top_logprobs"] = [{"token": "x", "logprob": -0.1}, {"token": "y", "logprob": -2.0}]
    first, second = read_logprobs([forced, entry("4", -0.1, -2.1)])
    assert math.isnan(first.gap)
    assert second.gap == 2.0


def test_the_older_form_of_completions_is_read() -> None:
    told = {
        "tokens": ["Four", "."],
        "token_logprobs": [-0.5, -0.1],
        "top_logprobs": [{"Four": -0.5, "Five": -1.0}, {"!": -3.0, ".": -0.1}],
    }
    tokens = read_logprobs(told)
    assert [each.text for each in tokens] == [b"Four", b"."]
    assert [round(each.gap, 6) for each in tokens] == [0.5, 2.9]


@pytest.mark.parametrize(
    "told",
    [
        None, {}, [], "text", {"content": None}, {"content": ["x", None, 3]},
        {"tokens": ["4"]}, {"tokens": [None], "token_logprobs": ["x"], "top_logprobs": 7},
        [{"token": "4"}], [{"token": "4", "logprob": None}], [{"token": "4", "logprob": "-1"}],
        [{"token": "4", "logprob": True}], [{"token": "4", "logprob": math.nan}],
        [entry("4", -9999.0)], [entry("4", 0.0)], [entry("4", 7.0)],
        [{"token": "4", "bytes": [300], "logprob": None, "top_logprobs": {"x": 1}}],
    ],
)  # fmt: skip
def test_what_tells_nothing_gives_no_number(told: Any) -> None:
    assert logprob_numbers(read_logprobs(told), "4") == {}


def test_a_token_too_unlikely_for_a_servers_list_is_left_out_of_the_numbers() -> None:
    numbers = logprob_numbers(read_logprobs([entry("4", -0.5), entry("!", -9999.0)]), "4!")
    assert (numbers["least"], numbers["n_tokens"]) == (-0.5, 1.0)


def test_a_certain_answer_has_numbers_where_other_tokens_are_told() -> None:
    numbers = logprob_numbers(read_logprobs([entry("4", 0.0, -17.5)]), "4")
    assert (numbers["mean"], numbers["margin"]) == (0.0, 17.5)


def test_numbers_come_back_as_they_were_kept_and_no_others() -> None:
    numbers = logprob_numbers([TokenLogprob(b"4", -0.5, math.nan)], "4")
    assert kept_logprobs({"logprobs": numbers}) == numbers
    assert kept_logprobs('{"logprobs": {"mean": "low", "q10": null, "odd": 1.0}}') == {}
    assert kept_logprobs({"logprobs": [1]}) == {}
