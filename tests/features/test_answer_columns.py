"""Columns of answers: what a reader could check by hand."""

from __future__ import annotations

import math

import pytest

from routerlib.features.answers.columns import ANSWER_NAMES, agreement, read_answer
from routerlib.features.answers.results import result_of


def column(name: str, answer: str, prompt: str = "What is it?") -> float:
    return read_answer(prompt, answer).columns[ANSWER_NAMES.index(f"answer_{name}")]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ('```json\n{"reasoning": "so 9", "answer": "18"}\n```', "18"),
        ('{"answer": 3}', "3"),
        (r"Thus $x = \boxed{\frac{1}{2}}$.", "frac12"),
        ("The answer is **1,250**.", "1250"),
        ("First 7.\n#### 42", "42"),
        ("答案是：7", "7"),
        ("", ""),
        ("Paris", "paris"),
    ],
)
def test_the_result_is_found_however_it_is_marked(answer: str, result: str) -> None:
    assert result_of(answer) == result


@pytest.mark.parametrize(
    ("answer", "n_sums", "n_wrong"),
    [
        ("2 + 3 = 5", 1, 0),
        ("2 + 3 = 6", 1, 1),
        ("9 * $2 = $18 and 3 + 4 * 5 = 23", 2, 0),
        ("10 / 4 = 2.5, 1,000 - 1 = 999", 2, 0),
        ("x = 4", 0, 0),
        ("1 / 0 = 7", 0, 0),
        ("2024-11-02 = today", 0, 0),
    ],
)
def test_sums_are_checked_in_passing(answer: str, n_sums: int, n_wrong: int) -> None:
    assert column("equations", answer) == n_sums
    assert column("wrong_equations", answer) == n_wrong


def test_a_result_that_does_not_follow_from_the_last_line_shows() -> None:
    assert column("result_follows", "3 + 4 = 7\nAnswer: 7") == 1
    assert column("result_follows", "3 + 4 = 7\nAnswer: 8") == 0
    assert math.isnan(column("result_follows", "Answer: Rome"))


def test_the_asked_format_counts_only_where_one_was_asked() -> None:
    assert column("format_kept", '{"a": 1}', "Answer in JSON.") == 1
    assert column("format_kept", "It is one", "Answer in JSON.") == 0
    assert math.isnan(column("format_kept", "It is one"))


def test_hedges_refusals_turns_and_repetition_are_counted() -> None:
    assert column("refusals", "I'm sorry, I cannot help.") >= 1
    assert column("hedges", "Maybe it is roughly 4.") > column("hedges", "It is 4.")
    assert column("turns", "Wait, that is a mistake.") > 0
    assert column("repetition", "so it goes on " * 20) > 0.9 > column("repetition", "It is 4.")


def test_thoughts_are_kept_apart_from_the_answer() -> None:
    read = read_answer("What is it?", "<think>2 + 2 = 5</think>\nAnswer: 4")
    assert read.text == "Answer: 4"
    assert read.columns[ANSWER_NAMES.index("answer_equations")] == 0
    assert column("is_only_thought", "<think>hm") == 1


def test_an_answer_of_a_megabyte_is_read_at_both_ends() -> None:
    read = read_answer("What?", "a" * 1_000_000 + "\nAnswer: 7")
    assert read.result == "7"
    assert read.columns[ANSWER_NAMES.index("answer_characters")] == pytest.approx(
        math.log1p(1_000_010)
    )


def test_agreement_weighs_who_agrees() -> None:
    assert agreement(["4", "5", "4"], [0.5, 0.6, 0.9], 0) == [2.0, 1.0, 1.0, 0.9, 0.6]
    assert agreement(["", ""], [0.5, 0.6], 0) == [1.0, 0.0, 1.0, 0.0, 0.6]
