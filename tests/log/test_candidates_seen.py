"""A log tells which model answered under a candidate's name, and who taught nothing."""

from __future__ import annotations

import pytest

from routerlib.log import packing
from routerlib.log.call_log import CallLog
from routerlib.log.candidates_seen import (
    changes_of_model,
    left_out,
    told_of_silent,
    told_of_steps,
    told_of_unscored,
    told_of_ways,
)
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import UNTOLD, Call, Score
from routerlib.records.prompt import Prompt

PROMPT = Prompt.from_text("What is 2 + 2?")


def _call(candidate: str, status: str = "ok", model: str | None = None, **known: object) -> Call:
    extra = None if model is None else {"answered_by": model}
    return Call(PROMPT.prompt_id, candidate, "h", status, "4", extra=extra, **known)  # type: ignore[arg-type]


def test_another_model_under_the_same_name_is_told(log: CallLog) -> None:
    log.add_prompts([PROMPT])
    for model in ("m-2024", "m-2024", "m-2026"):
        log.add_call(_call("moved", model=model, asked_at=f"{model[2:]}-05-01T00:00:00Z"))
    log.add_call(_call("stayed", model="m-2024"))
    log.add_call(_call("silent"))
    assert changes_of_model(log) == [
        "moved was answered for by more than one model: m-2024 (2 calls since 2024-05-01), "
        "m-2026 (1 call since 2026-05-01)"
    ]


def test_who_is_left_out_is_told_with_the_reason(log: CallLog) -> None:
    log.add_prompts([PROMPT])
    log.add_call(_call("used"), scores=[Score("person", 1.0)])
    log.add_call(_call("rare"), scores=[Score("person", 1.0)])
    log.add_call(_call("unscored"))
    log.add_call(_call("broken", "error", error_type="http_400", error="HTTP 400: no"))
    log.add_call(_call("broken", "error", error_type="http_400", error="HTTP 400: no", repeat=1))
    log.add_call(_call("short", "truncated"))
    assert left_out(log, ["used"]) == [
        "rare is left out: only 1 of its answers are scored",
        "unscored is left out: none of its 1 answer is scored; see `routerlib judge`",
        "broken is left out: none of its 2 calls was answered (2 http_400: HTTP 400: no)",
        "short is left out: none of its 1 call was answered (1 truncated)",
    ]
    others = left_out(log, ["used"], wanted=["used", "rare"])
    assert others[0] == "rare is left out: only 1 of its answers are scored"
    assert {line.partition(" is left out: ")[2] for line in others[1:]} == {"it was not asked for"}


def test_prompts_without_any_score_are_counted(log: CallLog) -> None:
    for text, has_score in (("a?", True), ("b?", False), ("c?", False)):
        prompt = Prompt.from_text(text)
        log.add_prompts([prompt])
        call = Call(prompt.prompt_id, "small", "h", "ok" if has_score else "error", "1")
        log.add_call(call, scores=[Score("exact", 1.0)] if has_score else [])
    log.add_prompts([Prompt.from_text("never asked")])
    assert told_of_unscored(log, len(Outcomes.from_log(log))) == [
        "2 more prompts were asked, but no answer of these candidates has a score that counts: "
        "nothing is learnt of them, nor tested on them"
    ]
    assert told_of_unscored(log, 3) == []


def test_answers_of_another_way_of_asking_are_told_as_left_out(log: CallLog) -> None:
    prompts = [Prompt.from_text(text) for text in ("a?", "b?", "c?")]
    log.add_prompts(prompts)
    asked = [("imported", prompts), ("served", prompts[:2]), ("served", prompts[:1])]
    for repeat, (way, some) in enumerate(asked):
        for prompt in some:
            call = Call(prompt.prompt_id, "small", way, "ok", "1", repeat=repeat)
            log.add_call(call, scores=[] if repeat == 2 else [Score("exact", float(repeat))])
    log.add_call(Call(prompts[0].prompt_id, "large", "served", "ok", "1"))
    (told,) = told_of_ways(log, ["small", "large"])
    assert "small was asked in 2 ways, such as with other settings" in told
    assert "(3 prompts), 3 calls of others (2 scored) are left out" in told
    assert told_of_ways(log, ["large"]) == []
    outcomes = Outcomes.from_log(log, models=["small"])
    assert outcomes.quality.ravel().tolist() == [0.0, 0.0, 0.0]  # of the imported way alone


@pytest.mark.parametrize("in_parts", [False, True])
def test_calls_of_untold_settings_count_with_one_known_way_of_asking(
    log: CallLog, monkeypatch: pytest.MonkeyPatch, in_parts: bool
) -> None:
    if in_parts:
        monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 0)
        monkeypatch.setattr(packing, "CALLS_OF_PART", 2)
    texts = ("a?", "b?", "c?", "d?", "e?")
    prompts = {text: Prompt.from_text(text) for text in texts}
    log.add_prompts(prompts.values())
    asked = [("a?", UNTOLD), ("b?", UNTOLD), ("c?", "cold"), ("d?", "cold"), ("d?", "hot")]
    for text, way in [*asked, ("e?", "hot")]:
        call = Call(prompts[text].prompt_id, "small", way, "ok", "1")
        log.add_call(call, scores=[Score("exact", 0.0 if way == "hot" else 1.0)])
    log.add_call(Call(prompts["e?"].prompt_id, "small", "cold", "error"))
    outcomes = Outcomes.from_log(log)
    kept = dict(zip(outcomes.prompts, outcomes.quality.ravel().tolist(), strict=True))
    assert kept == {"a?": 1.0, "b?": 1.0, "c?": 1.0, "d?": 1.0}, "two known ways never mix"
    joined, several = told_of_ways(log)
    assert "small (2 beside 3)" in joined
    assert "small was asked in 2 ways" in several
    assert "counts (2 prompts), 2 calls of others (2 scored) are left out" in several


def test_a_log_whose_candidates_all_count_is_not_read_for_those_that_do_not(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add_prompts([PROMPT])
    log.add_call(_call("used"), scores=[Score("person", 1.0)])
    for number in range(3):
        log.add_call(_call("lost", "error", error_type=f"http_{number % 2}"))
    plans: list[str] = []
    lookup = CallLog.lookup

    def noted(log: CallLog, query: str, *values: object) -> list[tuple]:
        told = lookup(log, f"explain query plan {query}", *values)
        plans.extend(step for *_, step in told if "SCAN calls" in step)
        return lookup(log, query, *values)

    monkeypatch.setattr(CallLog, "lookup", noted)
    by_index = "SCAN calls USING COVERING INDEX calls_by_cell"
    assert [*left_out(log, ["used", "lost"]), *told_of_ways(log), *told_of_steps(log)] == []
    assert told_of_unscored(log, 1) == told_of_silent(log) == []
    assert plans == [by_index] * 3
    assert left_out(log, ["used"]) == [
        "lost is left out: none of its 3 calls was answered (2 http_0)"
    ]
    assert len(plans) == 6, "who is left out, how its calls ended, and why"
