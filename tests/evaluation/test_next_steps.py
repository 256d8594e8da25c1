"""An open verdict says what to do next, by what the log holds, the cheapest first."""

from __future__ import annotations

from dataclasses import replace

from routerlib.evaluation.next_steps import next_steps, progress_of
from routerlib.evaluation.verdict import Verdict
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt

OPEN = Verdict(
    "not_measurable",
    "Not measurable yet.",
    {"n": 60, "n_groups": 60, "more_prompts_needed_low": 200, "more_prompts_needed_high": 300,
     "prompts_needed": 240},
)  # fmt: skip


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
        "(at 512 tokens at most) on 9 of 16 incomplete prompts. It is asked all prompts anew.",
        "Collect again what has no answer yet, or failed: small on 2.",
        "Collect about 200 to 300 more prompts, of every candidate.",
    ]


def test_what_was_decided_needs_no_step(log: CallLog) -> None:
    assert next_steps(log, fill(log), replace(OPEN, kind="pays")) == []
    assert progress_of(replace(OPEN, kind="pays")) is None


def test_few_groups_ask_for_other_kinds_however_many_prompts_there_are(log: CallLog) -> None:
    few = replace(OPEN, numbers={**OPEN.numbers, "n_groups": 12})
    assert next_steps(log, fill(log).complete(), few) == [
        "Add prompts of at least 18 other kinds: these 60 stand in 12 groups (of one template, "
        "document, conversation or user each), and 30 are needed."
    ]
    assert progress_of(few) == (0.4, "12 of 30 groups of prompts")


def test_progress_is_towards_what_is_planned() -> None:
    assert progress_of(OPEN) == (0.25, "60 of about 240 prompts")
    kept = replace(OPEN, fallback="no gain", numbers={**OPEN.numbers, "n_groups": 48})
    assert progress_of(kept) == (0.2, "48 of about 240 independent prompts (60 in 48 groups)")
    assert progress_of(replace(OPEN, numbers={**OPEN.numbers, "prompts_needed": None})) is None
