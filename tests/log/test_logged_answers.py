"""The answers of a log come with its outcomes, read when somebody looks at them."""

from __future__ import annotations

import pytest

from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt

PROMPT = Prompt.from_text("What is 2 + 2?")


def add(log: CallLog, candidate: str, response: str | None, **more: object) -> None:
    call = Call(PROMPT.prompt_id, candidate, "b2:x", "ok", response, Usage(1, 1), **more)  # type: ignore[arg-type]
    log.add_call(call, scores=[Score("person", 1.0)])


def test_outcomes_of_a_log_bring_answers_and_their_log_probabilities(log: CallLog) -> None:
    log.add_prompts([PROMPT])
    add(log, "small", "4", extra={"logprobs": {"mean": -0.25}})
    add(log, "large", "It is 4.")
    outcomes = Outcomes.from_log(log, models=["large", "small"])
    assert outcomes.answers is not None
    assert outcomes.answers[0] == ("It is 4.", "4")
    assert outcomes.answers.said[0].logprobs == (None, {"mean": -0.25})  # type: ignore[attr-defined]


def test_a_log_that_kept_no_answers_says_so_when_they_are_wanted(log: CallLog) -> None:
    log.add_prompts([PROMPT])
    add(log, "small", None)
    outcomes = Outcomes.from_log(log)
    assert len(outcomes) == 1
    with pytest.raises(ValueError, match="kept no answers of small"):
        assert outcomes.answers is None or outcomes.answers[0]
