"""An open verdict says what to do next, by what the log holds, the cheapest first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from routerlib.evaluation.next_steps import next_steps, progress_of
from routerlib.evaluation.planning import guess_plan
from routerlib.evaluation.verdict import Verdict
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt

OPEN = Verdict(
    "not_measurable",
    "Not measurable yet.",
    {"n": 60, "n_groups": 60, "more_prompts_needed_low": 200, "more_prompts_needed_high": 300,
     "prompts_needed": 240},
)  # fmt: skip
EVERY = (
    "Only prompts that every candidate has answered count (routerlib collect), not served ones "
    "with one answer each."
)


def fill(log: CallLog) -> Outcomes:
    """Log 60 prompts of two models; small was cut off on 9, unscored on 5, failed on 2."""
    for number in range(60):
        reference = None if number in (3, 4) else str(number)
        prompt = Prompt.from_text(f"What is {number} plus {number * 17}?", reference=reference)
        log.add_prompts([prompt])
        large = Call(prompt.prompt_id, "large", "h", "ok", "1", given_cost_usd=0.01)
        log.add_call(large, scores=[Score("exact", 1.0)])
        status = "ok" if number < 49 else "truncated" if number < 58 else "error"
        usage = Usage(10, 512 if status == "truncated" else 5)
        small = Call(prompt.prompt_id, "small", "h", status, "1", usage, given_cost_usd=0.001)
        scores = [Score("exact", float(number % 2))] if 5 <= number < 49 else []
        log.add_call(small, scores=scores)
    return Outcomes.from_log(log)


def test_steps_come_cheapest_first_with_what_each_would_bring(log: CallLog) -> None:
    test = fill(log)
    assert next_steps(log, test, OPEN) == [
        "Judge 3 answers that nobody has scored though the prompt has a reference: "
        "routerlib judge --judge auto. No model is called.",
        "Score 2 answers to prompts without a reference: "
        "routerlib judge --judge llm --judge-candidate NAME, or by hand.",
        "Raise max_tokens of small and collect again: its answers were cut off "
        "(at 512 tokens at most) on 9 of 16 prompts that lack a score. "
        "It is asked all prompts anew.",
        "Collect again (routerlib collect) what has no answer yet, or failed: small on 2.",
        f"Collect about 200 to 300 more prompts. {EVERY}",
    ]


def test_what_was_served_is_not_asked_for_again(log: CallLog) -> None:
    fill(log)
    before = next_steps(log, Outcomes.from_log(log), OPEN)
    served = Prompt.from_text("Who wrote Faust?", source="serve")
    log.add_prompts([served])
    answer = Call(served.prompt_id, "large", "h", "ok", "Goethe.", given_cost_usd=0.01)
    log.add_call(answer, scores=[Score("feedback", 1.0)])
    # No file of prompts holds it, so that no collection would ask small.
    assert next_steps(log, Outcomes.from_log(log), OPEN)[3:] == before[3:]


def test_one_candidate_asks_for_another_and_not_for_prompts(log: CallLog) -> None:
    fill(log)
    assert next_steps(log, Outcomes.from_log(log, models=["large"]), OPEN) == [
        "Collect and judge another candidate on these prompts: large is the only one here, and "
        "with one there is nothing to choose."
    ]


def test_what_was_decided_needs_no_step(log: CallLog) -> None:
    assert next_steps(log, fill(log), replace(OPEN, kind="pays")) == []
    assert progress_of(replace(OPEN, kind="pays")) is None


def test_few_groups_ask_for_other_kinds_however_many_prompts_there_are(log: CallLog) -> None:
    few = replace(OPEN, numbers={**OPEN.numbers, "n_groups": 12})
    assert next_steps(log, fill(log).complete(), few) == [
        "Add prompts of at least 18 other kinds: these 60 stand in 12 groups (of one template, "
        f"document, conversation or user each), and 30 are needed to begin with. {EVERY}"
    ]
    assert progress_of(few) == (0.4, "12 of the 30 groups of prompts that a verdict begins with")


def test_few_prompts_of_as_many_kinds_are_told_what_a_verdict_takes(log: CallLog) -> None:
    few = replace(OPEN, numbers={**OPEN.numbers, "n": 25, "n_groups": 25, "smallest_effect": 0.03})
    (step,) = next_steps(log, fill(log).complete(), few)
    assert step.startswith(
        "Collect at least 5 more held-out prompts to begin with; a verdict takes about "
        f"{guess_plan(0.03).more(25)} more in all (a difference of 3 points"
    )
    assert progress_of(few) == (25 / 30, "25 of the 30 held-out prompts that a verdict begins with")


def test_a_lack_of_groups_hides_no_larger_plan(log: CallLog) -> None:
    numbers = {**OPEN.numbers, "n_groups": 27, "smallest_effect": 0.02}
    (step,) = next_steps(log, fill(log).complete(), replace(OPEN, numbers=numbers))
    plan = guess_plan(0.02)
    assert plan.low > 800  # prompts at 10 % disagreement
    assert "at least 3 other kinds" in step
    assert f"a verdict takes about {plan.more(27)} more prompts in all" in step


def test_a_candidate_whose_cut_off_answers_cost_groups_may_be_left_out(log: CallLog) -> None:
    for number, text in enumerate(make_world(60, seed=1).outcomes.prompts):
        prompt = Prompt.from_text(text, extra={"group": f"document {number // 2}"})
        log.add_prompts([prompt])
        for name in ("good", "cheap", "odd"):
            is_cut = name == "odd" and number >= 46
            status = "truncated" if is_cut else "ok"
            call = Call(prompt.prompt_id, name, "h", status, "1", Usage(9, 64), given_cost_usd=0.01)
            log.add_call(call, scores=[] if is_cut else [Score("exact", 1.0)])
    test = Outcomes.from_log(log)
    assert len(np.unique(test.groups)) == 30
    raise_it = next_steps(log, test, OPEN)[0]
    assert raise_it.startswith("Raise max_tokens of odd")
    assert raise_it.endswith(
        "That costs 7 groups of prompts, which leaving it out (--models) would give back too."
    )


def test_progress_is_towards_what_is_planned() -> None:
    assert progress_of(OPEN) == (0.25, "60 of about 260 to 360 prompts")
    kept = replace(OPEN, fallback="no gain", numbers={**OPEN.numbers, "n_groups": 48})
    told = "48 of about 248 to 348 independent prompts (60 in 48 groups)"  # 200 to 300 more
    assert progress_of(kept) == (0.2, told)
    unknown = {"more_prompts_needed_low": None, "more_prompts_needed_high": None}
    plain = replace(OPEN, numbers={**OPEN.numbers, **unknown})
    assert progress_of(plain) == (0.25, "60 of about 240 prompts")
    assert progress_of(replace(OPEN, numbers={**OPEN.numbers, "prompts_needed": None})) is None


def lacking_small(log: CallLog, *calls: Call) -> list[str]:
    """Log a prompt that large answered, and some calls of small to it; return the steps."""
    prompt = Prompt.from_text("What is left?", reference="1")
    log.add_prompts([prompt])
    large = Call(prompt.prompt_id, "large", "h", "ok", "1", given_cost_usd=0.01)
    log.add_call(large, scores=[Score("exact", 1.0)])
    for call in calls:
        log.add_call(replace(call, prompt_id=prompt.prompt_id))
    test = Outcomes.from_log(log)
    return next_steps(log, test.take([test.prompts.index("What is left?")]), OPEN)[:-1]


def test_answers_to_an_earlier_way_of_asking_ask_for_no_judge(log: CallLog) -> None:
    fill(log)
    earlier = Call("", "small", "earlier", "ok", "1", given_cost_usd=0.001)
    now = Call("", "small", "h", "empty", given_cost_usd=0.001)
    assert lacking_small(log, earlier, now) == [
        "Look at what is empty or refused, which has no score and is not asked again: small on 1 "
        'of 1 prompt that lacks a score (routerlib log sql "select candidate, prompt_id, status, '
        "response from calls where status in ('empty', 'refused')\")."
    ]
    query = "select candidate, prompt_id, status, response from calls where status in "
    assert log.sql(query + "('empty', 'refused')").status.tolist() == ["empty"]


def test_a_step_to_a_tool_is_no_answer_to_judge(log: CallLog) -> None:
    fill(log)
    step = Call("", "small", "h", "ok", given_cost_usd=0.001, extra={"tool_calls": [{"id": "1"}]})
    assert lacking_small(log, step) == []


def test_an_unknown_end_asks_for_no_larger_cap(log: CallLog) -> None:
    fill(log)
    odd = Call(
        "", "small", "h", "truncated", "one", Usage(9, 3), finish_reason="weird_reason",
        error_type="unknown_end", given_cost_usd=0.001,
    )  # fmt: skip
    assert lacking_small(log, odd) == [
        "Look at the server of small: on 1 of 1 prompt that lacks a score it ended answers by "
        "'weird_reason', which is no word for a whole answer nor for a cap (docs/providers.md), "
        "so they get no score. A larger max_tokens would not help."
    ]
