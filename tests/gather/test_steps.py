"""A cascade asks, looks at the answer, and asks on only where that is worth it."""

from __future__ import annotations

from typing import Any

import pytest
from cascading import SURE, UNSURE, says, telling_cascade
from scripted_server import Reply, ScriptedServer, scripted_server
from serving import candidate
from tool_calls import call, calling

from routerlib.gather.calls.answers import Answer
from routerlib.gather.calls.ask import ask
from routerlib.log.call_log import CallLog
from routerlib.log.choices import LoggedChoices
from routerlib.policies.utility import Haste

PROMPT = "Question 9: 555 of 333?"
NOBODY = "http://127.0.0.1:9/v1"


def ask_both(
    log: CallLog, small: ScriptedServer | str, large: ScriptedServer | str, **known: Any
) -> Answer:
    urls = [each if isinstance(each, str) else each.url for each in (small, large)]
    both = [candidate(name, url) for name, url in zip(("small", "large"), urls, strict=True)]
    return ask(PROMPT, router=telling_cascade(), candidates=both, log=log, **known)


def test_an_answer_that_stands_is_given_back_and_nobody_else_is_asked(log: CallLog) -> None:
    heard: list[str] = []
    with scripted_server(says(SURE)) as small, scripted_server(says(SURE)) as large:
        answer = ask_both(log, small, large, on_text=heard.append)
    assert (answer.call.candidate, answer.text, heard) == ("small", SURE, [SURE])
    assert (len(small.bodies), len(large.bodies)) == (1, 0)
    assert answer.judged["small"] > 0.9
    assert answer.beside == ()
    assert "nobody else is worth the price" in answer.stands


def test_a_doubtful_answer_is_held_back_and_the_better_one_given(log: CallLog) -> None:
    heard: list[str] = []
    with scripted_server(says(UNSURE)) as small, scripted_server(says(SURE)) as large:
        answer = ask_both(log, small, large, on_text=heard.append)
    assert (answer.call.candidate, heard) == ("large", [SURE])
    assert [each.call.candidate for each in answer.beside] == ["small"]
    assert answer.judged["small"] < 0.1 < 0.9 < answer.judged["large"]
    assert answer.total_usd == pytest.approx(answer.cost_usd + answer.beside[0].cost_usd)


def test_every_step_is_a_decision_and_a_call_in_the_log(log: CallLog) -> None:
    with scripted_server(says(UNSURE)) as small, scripted_server(says(SURE)) as large:
        answer = ask_both(log, small, large)
    steps = log.lookup(
        "select c.candidate, d.candidate, d.propensity, d.router_hash, d.decision_id "
        "from calls c join decisions d using (decision_id) order by call_id"
    )
    first, second = steps
    assert first[:4] == ("small", "small", 1.0, telling_cascade().router_hash_)
    assert second[:4] == ("large", "large", 1.0, "cascade")
    (reason,) = log.lookup("select reason from decisions where decision_id = ?", second[4])[0]
    assert reason.startswith(f"after decision {first[4]}: the answer of small is believed good by")
    assert answer.decision_id == second[4], "a score goes to the answer that was given"


def test_the_best_answer_is_given_back_not_the_last(log: CallLog) -> None:
    with scripted_server(says(UNSURE)) as small:
        answer = ask_both(log, small, NOBODY)
    assert (answer.call.candidate, answer.text) == ("small", UNSURE)
    assert [each.call.status for each in answer.beside] == ["error"]


def test_where_the_first_fails_the_next_best_answers_at_once(log: CallLog) -> None:
    with scripted_server(says(SURE)) as large:
        answer = ask_both(log, NOBODY, large)
    assert (answer.call.candidate, answer.text) == ("large", SURE)
    assert [call.candidate for call in answer.failed] == ["small"]
    assert log.lookup("select count(*) from decisions") == [(1,)]


def test_where_nobody_answers_it_is_said(log: CallLog) -> None:
    answer = ask_both(log, NOBODY, NOBODY)
    assert (answer.is_answered, answer.text) == (False, "")


@pytest.mark.parametrize("how", [{"model": "small"}, {"fall_back": False}])
def test_whoever_names_a_candidate_is_answered_by_it_alone(
    log: CallLog, how: dict[str, Any]
) -> None:
    with scripted_server(says(UNSURE)) as small, scripted_server(says(SURE)) as large:
        answer = ask_both(log, small, large, **how)
    assert (answer.text, len(large.bodies)) == (UNSURE, 0)


def test_off_policy_values_rest_on_first_steps_alone(log: CallLog) -> None:
    from routerlib.records.call import Score

    with scripted_server(says(UNSURE)) as small, scripted_server(says(SURE)) as large:
        answer = ask_both(log, small, large)
    log.add_scores(answer.beside[0].call_id, [Score("person", 0.0)])
    log.add_scores(answer.call_id, [Score("person", 1.0)])
    choices = LoggedChoices.from_log(log)
    assert len(choices) == 1
    assert choices.quality.tolist() == [0.0]
    assert choices.left_out == {"a cascade asked on after an answer": 1}


def test_a_cascade_that_shows_no_gain_is_its_router(log: CallLog) -> None:
    from cascading import telling_outcomes

    from routerlib.routers.cascades.cascade import Cascade

    few = telling_outcomes().take(range(20))
    timid = Cascade(telling_cascade().router).fit(few)
    with scripted_server(Reply()) as server:
        both = [candidate(name, server.url) for name in ("small", "large")]
        answer = ask(PROMPT, router=timid, candidates=both, log=log)
    assert (answer.judged, len(server.bodies)) == ({}, 1)


def test_a_call_of_a_tool_stands_and_is_no_doubtful_answer(log: CallLog) -> None:
    with scripted_server(calling(call())) as small, scripted_server(says(SURE)) as large:
        answer = ask_both(log, small, large)
    assert (answer.call.candidate, answer.stands) == ("small", "it calls a tool")
    assert (len(small.bodies), len(large.bodies)) == (1, 0)


def test_every_step_keeps_to_the_budget_of_a_policy(log: CallLog) -> None:
    from routerlib.policies.policies import MeanBudget, QualityFloor

    with scripted_server(says(UNSURE)) as small, scripted_server(says(SURE)) as large:
        short = ask_both(log, small, large, policy=MeanBudget(2e-4))
        good = ask_both(log, small, large, policy=QualityFloor(0.1))
    assert (short.call.candidate, short.beside) == ("small", ())
    assert "nobody else fits what is left of the budget" in short.stands
    assert (good.call.candidate, len(good.beside)) == ("large", 1)


def test_a_deadline_holds_for_all_steps_by_what_they_took(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {"small": 1.0, "large": 4.0}
    monkeypatch.setattr(telling_cascade(), "_expected_s", lambda prompt: expected)
    with scripted_server(says(UNSURE)) as small, scripted_server(says(SURE)) as large:
        long, short, none = (
            ask_both(log, small, large, cost_weight=100.0, haste=Haste(max_latency_s=most_s))
            for most_s in (60.0, 4.05, 0.5)
        )
        with pytest.raises(ValueError, match="a decision or the haste to make one in"):
            ask_both(log, small, large, decision=long.decision, haste=Haste(max_latency_s=1.0))
    assert (long.call.candidate, len(long.beside)) == ("large", 1)
    # There is no time for both, so that the first call is the router's choice.
    assert (short.call.candidate, short.beside) == ("large", ())
    assert (none.call.candidate, none.beside) == ("small", ())
    assert "nobody answers within 0.5 s, the quickest, small, in 1 s" in none.decision.reason
