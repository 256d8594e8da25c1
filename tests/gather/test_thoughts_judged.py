from __future__ import annotations

import math
from typing import Any

import pytest
from thinking import ASKED_FOR, MARKS, NEVER_ALONE

from routerlib.gather.judges import JUDGES, judge, judge_log
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt

# Judge -> reference, right answer, thought that would be misjudged.
CASES: dict[str, tuple[Any, str, str]] = {
    "numeric": (42, "42", "Answer: 41? No."),
    "math": ("1/2", "$\\frac{1}{2}$", "Answer: 3/4? No."),
    "contains": ({"phrases": ["Paris"], "forbidden": ["Lyon"]}, "Paris", "Answer: Lyon? No."),
    "letter": ("C", "C", "Answer: B? No."),
    "choice": ({"label": "bad", "labels": ["good", "bad"]}, "bad", "Answer: good? No."),
    "exact": ("Paris", "Paris", "Answer: Lyon? No."),
    "match": ("Paris", "It is Paris.", "Answer: Lyon? No."),
    "verbatim": ("Paris", "Paris", "Answer: Lyon? No."),
    "regex": (r"^\d{4}$", "1984", "Answer: 19? No."),
    "json": ({"a": 1}, '{"a": 1}', 'Perhaps {"a": 2}?'),
    "sql": ("select 1", "SELECT 1", "select 2 from t; or what?"),
    "summary": (
        {"source": "The mill burned down. It was old.", "facts": ["mill"]},
        "The mill burned down.",
        "They ask. So I sum up.",
    ),
}


def test_every_judge_that_reads_text_is_here() -> None:
    assert {*CASES, "reasoning_gym"} == set(JUDGES)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("marks", MARKS)
def test_judges_grade_the_answer_and_not_the_thought(name: str, marks: str) -> None:
    opening, closing, end = MARKS[marks]
    reference, right, thought = CASES[name]
    texts = [f"{opening}\n{thought}\n{closing}\n\n{right}{end}"]
    if marks not in NEVER_ALONE:
        texts.append(f"{thought}\n{closing}\n\n{right}{end}")
    assert [JUDGES[name](text, reference).score for text in texts] == [1] * len(texts)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("marks", ["think", "reasoning", "mistral", "harmony"])
def test_what_was_only_thought_is_not_right_and_has_no_score(name: str, marks: str) -> None:
    opening, closing, end = MARKS[marks]
    reference, right, _ = CASES[name]
    for text in (f"{opening}\nAnswer: {right}", f"{opening}\nAnswer: {right}\n{closing}\n{end}"):
        score = JUDGES[name](text, reference)
        assert math.isnan(score.score)
        assert (score.judge, "thought without an answer" in score.rationale) == (name, True)


def test_a_right_thought_before_a_wrong_answer_is_wrong() -> None:
    for marks in MARKS.keys() - set(ASKED_FOR):
        opening, closing, end = MARKS[marks]
        text = f"{opening}\nmention Paris?\n{closing}\nI do not know.{end}"
        assert JUDGES["contains"](text, "Paris").score == 0


def test_an_answer_in_which_a_tag_is_spoken_of_is_judged_whole() -> None:
    text = "Models think between <think> and </think>; the capital is Paris."
    assert JUDGES["contains"](text, ["<think>", "between", "Paris"]).score == 1


def test_a_judge_of_ones_own_sees_the_answer(log: CallLog) -> None:
    prompt = Prompt.from_text("Say hello", reference=True)
    log.add_prompts([prompt])
    for response in ("<think>How?</think>\nhello", "<think>hello"):
        log.add_call(Call(prompt.prompt_id, "m", "b2:p", "ok", response=response))
    seen = []

    def short(response: str, reference: Any) -> Score:
        seen.append(response)
        return Score("short", 1.0)

    assert judge_log(log, "short", progress=False, judges={"short": short}) == 1
    assert seen == ["hello"]


def test_a_missing_reference_is_told_before_a_missing_answer() -> None:
    assert judge(Prompt.from_text("?", judge="exact"), "<think>x").rationale.endswith(
        "no reference"
    )
