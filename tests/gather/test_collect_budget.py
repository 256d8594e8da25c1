"""A collection never spends more than its budget, and uses it to its end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fault_server import GOOD, FaultServer, candidate_of

from routerlib.gather.calls.budget import Budget, capped, worst_cost_usd
from routerlib.gather.collection.collect import collect
from routerlib.gather.collection.plan import plan_collection, usd
from routerlib.log.call_log import CallLog
from routerlib.records.call import CandidateModel, Price
from routerlib.records.prompt import Prompt


def test_attempts_that_may_have_cost_money_count_against_the_budget(
    log: CallLog, server: FaultServer
) -> None:
    candidate = candidate_of(server, max_concurrency=1)
    prompt = Prompt.from_text("broken json once")
    worst_usd = worst_cost_usd(candidate, prompt)
    spent = collect([prompt], [candidate], log, progress=False).spent_usd
    assert spent == pytest.approx(worst_usd + 20 / 1e6)


def test_a_retry_that_no_longer_fits_the_budget_is_not_made(
    log: CallLog, server: FaultServer
) -> None:
    candidate = candidate_of(server, max_concurrency=1)
    prompt = Prompt.from_text("broken json")
    cap_usd = 2.5 * worst_cost_usd(candidate, prompt)
    collection = collect([prompt], [candidate], log, budget_usd=cap_usd, progress=False)
    assert server.requests["broken json"] == 2
    assert collection.spent_usd <= cap_usd
    assert collection.statuses == {"error": 1}


def test_a_budget_is_never_exceeded_and_used_to_its_end(log: CallLog, server: FaultServer) -> None:
    candidate = candidate_of(server, max_concurrency=4)
    worst_usd, cost_usd = worst_cost_usd(candidate, GOOD[0]), 20 / 1e6
    cap_usd = worst_usd + 2.5 * cost_usd
    collection = collect(GOOD, [candidate], log, budget_usd=cap_usd, progress=False)
    assert collection.is_over_budget
    assert collection.n_asked == 3, "room that answers leave is used, the next worst case not"
    assert collection.spent_usd == pytest.approx(3 * cost_usd)
    left_usd = cap_usd - 3 * cost_usd
    assert (
        f"{usd(3 * cost_usd)} is spent and {usd(left_usd)} left, and the next call, of small, "
        f"could cost {usd(worst_usd)}: so much is reserved before a call is made"
    ) in str(collection)
    assert "run the same command again with a higher budget, or with a lower" in str(collection)
    expected_usd = plan_collection(GOOD, [candidate], log).expected_usd
    assert expected_usd < 3 * cost_usd * 2, "answers were short, which the guess before was not"
    left = f"3 cells are still missing (small 3): finishing would cost about {usd(expected_usd)}, "
    assert left in str(collection)


def test_a_budget_caps_answers_that_have_no_cap_of_their_own(
    log: CallLog, server: FaultServer
) -> None:
    loose = candidate_of(server, "loose", parameters={})
    said = str(plan_collection(GOOD, [loose], log))
    assert "without an upper bound; the answers' length is a guess for loose" in said
    assert "several times off; without" in said, "there is no bound to rely on"
    assert "several times off, the bound is not" in str(
        plan_collection(GOOD, [candidate_of(server, "capped")], log)
    )
    assert "; without max_tokens: loose (under a budget answers are cut at 4096 tokens)" in said
    assert collect(GOOD, [loose], log, budget_usd=1.0, progress=False).is_complete
    assert {body["max_tokens"] for body in server.bodies} == {4096}
    assert not plan_collection(GOOD, [loose], log).cells, "the same cells without a budget are done"
    openai = replace(loose, provider="openai")
    assert capped(openai).parameters == {"max_completion_tokens": 4096}


def test_a_budget_too_small_for_any_answer_asks_nothing(log: CallLog, server: FaultServer) -> None:
    loose = candidate_of(server, "loose", parameters={})
    collection = collect(GOOD, [loose], log, budget_usd=1e-6, progress=False)
    assert collection.is_over_budget
    assert not server.requests


def test_reservations_count_against_the_cap() -> None:
    budget = Budget(1.0)
    assert budget.reserve(0.6)
    assert not budget.reserve(0.6)
    budget.settle(0.6, 0.1)
    assert budget.reserve(0.6)


def test_a_call_that_never_left_costs_nothing(log: CallLog) -> None:
    nowhere = CandidateModel(
        "nowhere", "m", "custom", "http://127.0.0.1:9/v1", None, Price(1, 2),
        parameters={"max_tokens": 10}, max_attempts=1,
    )  # fmt: skip
    collection = collect(GOOD[:1], [nowhere], log, progress=False)
    assert collection.statuses == {"error": 1}
    assert collection.spent_usd == 0


THOUGHTS = [Prompt.from_text(f"hidden thoughts {number}") for number in range(6)]


def test_whoever_charges_more_than_at_most_is_stopped_at_its_bound_and_told(
    log: CallLog, server: FaultServer
) -> None:
    dear, usual = (candidate_of(server, name, max_concurrency=1) for name in ("dear", "usual"))
    bound_usd = sum(worst_cost_usd(dear, each) for each in THOUGHTS)
    call_usd = (10 + 2 * 5000) / 1e6
    n_until_bound = int(bound_usd // call_usd) + 1
    assert n_until_bound < len(THOUGHTS)
    collection = collect(THOUGHTS, [dear], log, progress=False)
    assert collection.n_asked == n_until_bound
    assert not collection.is_complete
    said = str(collection)
    beyond_usd = n_until_bound * (call_usd - worst_cost_usd(dear, THOUGHTS[0]))
    assert f"calls have cost {usd(n_until_bound * call_usd)} already" in said
    assert f"were to cost {usd(bound_usd)} at most; run the same command again" in said
    assert f"of dear cost {usd(beyond_usd)} more than at most, since its provider charges" in said
    both = collect([*THOUGHTS, *GOOD], [usual], log, progress=False)
    assert "more than at most" in str(both)


def test_under_a_budget_a_dear_candidate_reserves_what_it_has_cost_and_stops_alone(
    log: CallLog, server: FaultServer
) -> None:
    dear = candidate_of(server, "dear", max_concurrency=1, parameters={"max_tokens": 4000})
    usual = candidate_of(server, "usual", max_concurrency=1)
    call_usd = (10 + 2 * 5000) / 1e6
    cap_usd = 2.5 * call_usd
    collection = collect(THOUGHTS, [dear], log, budget_usd=cap_usd, progress=False)
    assert collection.statuses == {"ok": 2}
    assert collection.spent_usd == pytest.approx(2 * call_usd)
    assert f"{usd(cap_usd - 2 * call_usd)} of the budget is left, and its next" in str(collection)
    left = collect(GOOD, [usual], log, budget_usd=cap_usd, progress=False)
    assert "more than at most" not in str(left)
    assert left.is_complete
