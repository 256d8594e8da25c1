"""Answers travel with outcomes, and are read when somebody looks at them."""

from __future__ import annotations

import pytest

from routerlib.outcomes.answers import Answers, Said
from routerlib.outcomes.outcomes import Outcomes

ROWS = [["a", "b"], ["c", None], ["e", "f"]]


def make_outcomes(answers: object = ROWS) -> Outcomes:
    return Outcomes(["1?", "2?", "3?"], ["small", "large"], [[0, 1]] * 3, answers=answers)  # type: ignore[arg-type]


def test_answers_travel_with_prompts_and_models() -> None:
    part = make_outcomes().take([2, 1]).of_models(["large"])
    assert list(part.answers) == [("f",), (None,)]
    train, test = make_outcomes().split(test_size=0.34)
    assert len(train.answers) == len(train)
    assert test.answers[0] == tuple(ROWS[int(test.prompts[0][0]) - 1])


def test_nothing_is_read_before_somebody_looks() -> None:
    reads: list[int] = []

    def read() -> list[Said]:
        reads.append(1)
        return [Said(tuple(row), (None, None)) for row in ROWS]

    outcomes = make_outcomes(Answers(read, 3)).take([0, 1]).of_models(["large", "small"])
    assert not reads
    assert outcomes.answers[0] == ("b", "a")
    assert outcomes.answers[1] == (None, "c")
    assert reads == [1]


def test_numbers_of_log_probabilities_travel_too() -> None:
    rows = [[{"mean": -0.1}, None], [None, None], [None, {"mean": -0.3}]]
    answers = make_outcomes().answers.with_logprobs(rows).take([2]).of_models([1])
    assert answers.said[0] == Said(("f",), ({"mean": -0.3},))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (ROWS[:2], r"one row per prompt \(3\), got 2"),
        ([["a"], ["b"], ["c"]], r"one text or None per candidate model \(2\), got 1 for prompt 0"),
        ([["a", 1], ["b", "c"], ["d", "e"]], "must be text or None, got 1"),
        (["ab", "cd", "ef"], "one text or None per candidate model"),
    ],
)
def test_answers_of_another_shape_are_refused(answers: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_outcomes(answers)
