"""The playground asks for real, streams, stays within its cap, and logs who chose."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from fault_server import FaultServer

from routerlib.log.call_log import CallLog
from routerlib.records.call import CandidateModel
from routerlib.records.decision import CALLER
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.router import Router
from routerlib.show.widget import html
from routerlib.show.widget.controller import PlaygroundController

SUM = "What is 17 * 23?"


@pytest.fixture(scope="module")
def router(router_state: dict[str, Any]) -> Router:
    return LGBMRouter.from_state(router_state)


@pytest.fixture
def controller(router: Router, trio: list[CandidateModel], log: CallLog) -> PlaygroundController:
    return PlaygroundController(router, trio, log)


def test_asking_logs_call_and_decision_and_a_person_can_rate_it(
    controller: PlaygroundController, log: CallLog
) -> None:
    controller.set(prompt=SUM, task="math", cost_weight=0.0)
    controller.ask()
    assert controller.message == ""
    assert controller.answer is not None
    assert controller.answer.text == "Answer: 4"
    controller.rate(0.25)
    assert controller.message == "Logged: 0.25 for large, judged by a person."
    rows = log.sql(
        "select task, calls.candidate, propensity, router_hash, scores.judge, score from calls "
        "join decisions using (decision_id) join scores using (call_id) "
        "join prompts on prompts.prompt_id = calls.prompt_id"
    )
    assert rows.to_dict("records") == [
        {
            "task": "math",
            "candidate": "large",
            "propensity": 1.0,
            "router_hash": controller.router.router_hash_,
            "judge": "person",
            "score": 0.25,
        }
    ]


def test_what_was_shown_is_what_is_logged(controller: PlaygroundController, log: CallLog) -> None:
    controller.set(prompt=SUM, max_loss=0.9)
    controller.ask()
    (reason,) = log.sql("select reason from decisions").reason
    assert controller.decision is not None
    assert reason == controller.decision.reason


def test_override_is_logged_as_the_persons_choice_not_the_routers(
    controller: PlaygroundController, log: CallLog
) -> None:
    controller.set(prompt=SUM, cost_weight=1e6)
    assert controller.decision is not None
    assert controller.decision.model == "tiny"
    assert controller.dearest == "large"
    controller.ask(model="large")
    rows = log.sql("select candidate, router_hash, propensity, reason from decisions")
    assert rows.to_dict("records") == [
        {
            "candidate": "large",
            "router_hash": CALLER,
            "propensity": 1.0,
            "reason": "chosen by the caller; the router would have asked tiny",
        }
    ]


def test_side_by_side_only_the_routers_choice_counts_as_its_decision(
    controller: PlaygroundController, log: CallLog
) -> None:
    controller.set(prompt=SUM, cost_weight=0.0)
    assert controller.start(["tiny", "small", "large", "tiny"])
    controller.asking.wait()
    assert [each.text for each in controller.asking.asked] == ["Answer: 4"] * 3
    rows = log.sql(
        "select calls.candidate, router_hash from calls join decisions using (decision_id)"
    )
    hashes = dict(zip(rows.candidate, rows.router_hash, strict=True))
    own = controller.router.router_hash_
    assert hashes == {"tiny": CALLER, "small": CALLER, "large": own}
    controller.rate(1.0, controller.asking.asked[0])
    (rated,) = log.sql("select candidate from scores join calls using (call_id)").candidate
    assert rated == "tiny"


def test_answer_comes_piece_by_piece(controller: PlaygroundController) -> None:
    seen: list[str] = []
    asking = controller.asking
    asking.on_change = lambda: seen.append(asking.asked[0].text)
    controller.ask()
    assert seen[0] == "Answer: "
    assert seen[-1] == "Answer: 4"


def test_second_click_does_not_ask_twice_and_deciding_goes_on_meanwhile(
    controller: PlaygroundController, server: FaultServer, log: CallLog
) -> None:
    text = "Please sleep 0.4 and answer"
    controller.set(prompt=text)
    results: list[bool] = []
    clicks = [threading.Thread(target=lambda: results.append(controller.start())) for _ in range(2)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert sorted(results) == [False, True]
    assert not controller.start()
    assert controller.message.startswith("An answer is still coming")
    controller.set(prompt="Typed meanwhile", cost_weight=1e6)
    assert controller.asking.is_busy
    assert controller.decision is not None
    assert controller.decision.model == "tiny"
    controller.asking.wait()
    assert server.requests[text] == 1
    assert len(log.sql("select * from calls")) == 1
    assert controller.asking.asked[0].prompt.text == text


def test_server_that_is_down_is_said_in_words_and_nothing_typed_is_lost(
    router: Router, trio: list[CandidateModel], log: CallLog
) -> None:
    unreachable = [replace(each, base_url="http://127.0.0.1:9/v1") for each in trio]
    down = PlaygroundController(router, unreachable, log)
    down.set(prompt=SUM)
    down.ask()
    assert "gave no complete answer (error)" in down.message
    assert down.prompt == SUM
    down.rate(1.0)
    assert down.message.startswith("Ask first")
    assert len(log.sql("select * from scores")) == 0


def test_answer_that_breaks_off_keeps_its_text_and_can_not_be_rated(
    controller: PlaygroundController,
) -> None:
    controller.set(prompt="This breaks after 1 word")
    controller.ask()
    (asked,) = controller.asking.asked
    assert asked.text.startswith("Answer:")
    assert "gave no complete answer" in controller.message
    assert not asked.is_ratable


def test_missing_key_is_said_in_words_and_costs_nothing(
    router: Router, trio: list[CandidateModel], log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    candidates = [replace(each, api_key_env="NO_SUCH_KEY") for each in trio]
    controller = PlaygroundController(router, candidates, log)
    controller.ask()
    assert "NO_SUCH_KEY" in controller.message
    assert controller.asking.spent_usd == 0


def test_nothing_is_asked_beyond_the_cap_of_the_session(
    router: Router, trio: list[CandidateModel], log: CallLog, server: FaultServer
) -> None:
    capped = [replace(each, parameters={"max_tokens": 100}) for each in trio]
    # One call costs 20 millionths of a dollar, and may cost 383.
    controller = PlaygroundController(router, capped, log, budget_usd=0.0004)
    controller.set(prompt="Cap: what is 17 * 23?")
    worst_usd = controller.asking.worst_usd(controller.prompt, ["tiny"])
    assert worst_usd == pytest.approx(0.000383)
    controller.ask()
    assert controller.asking.spent_usd == pytest.approx(0.00002)
    controller.ask()
    assert controller.message.endswith("or ask a cheaper candidate")
    assert "of the 0.0004 that this session may spend 2e-05 are spent" in controller.message
    assert server.requests["Cap: what is 17 * 23?"] == 1
    assert controller.prompt == "Cap: what is 17 * 23?"


def test_answer_of_unknown_cost_counts_at_its_worst(
    controller: PlaygroundController,
) -> None:
    controller.set(prompt="no usage is told here")
    controller.ask()
    (asked,) = controller.asking.asked
    worst_usd = controller.asking.worst_usd(controller.prompt, [asked.model])
    assert controller.asking.spent_usd == pytest.approx(worst_usd)


@pytest.mark.parametrize("refused", ["add_decision", "add_call"])
def test_answer_that_can_not_be_logged_is_paid_for_all_the_same(
    controller: PlaygroundController, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(controller.log, refused, full)
    controller.set(prompt="Paid: what is 17 * 23?")
    controller.ask()
    assert controller.message.endswith("was not logged: no space left on device")
    assert controller.asking.spent_usd == pytest.approx(0.00002)  # 10 tokens in, 5 out


def test_call_that_breaks_off_here_counts_at_its_worst_and_frees_the_rest(
    router: Router, trio: list[CandidateModel], log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped = [replace(each, parameters={"max_tokens": 100}) for each in trio]
    controller = PlaygroundController(router, capped, log, budget_usd=0.001)
    controller.set(prompt="Broken: what is 17 * 23?")
    worst_usd = controller.asking.worst_usd(controller.prompt, ["tiny"])

    def broken() -> None:
        if not controller.asking.asked[0].is_done:
            raise RuntimeError("the page is gone")

    controller.asking.on_change = broken
    controller.ask()
    assert controller.asking.spent_usd == pytest.approx(worst_usd)
    controller.asking.on_change = lambda: None
    controller.ask()  # what was not spent is not held back
    assert controller.asking.spent_usd == pytest.approx(worst_usd + 0.00002)


def test_log_that_can_not_be_written_is_said_before_anybody_is_asked(
    router: Router, trio: list[CandidateModel], log: CallLog, server: FaultServer
) -> None:
    with CallLog(log.path, read_only=True) as reading:
        controller = PlaygroundController(router, trio, reading)
        controller.set(prompt="Is this log read-only?")
        controller.ask()
    assert "cannot write to the log" in controller.message
    assert server.requests["Is this log read-only?"] == 0
    assert controller.asking.spent_usd == 0


def test_model_that_nobody_knows_how_to_call_is_said_in_words(router: Router, log: CallLog) -> None:
    controller = PlaygroundController(router, log=log)  # the pool has other names
    controller.ask()
    assert "is not known here: pass candidates=" in controller.message


def test_asking_without_a_log_or_anybody_ticked_is_refused_in_words(
    router: Router, trio: list[CandidateModel], controller: PlaygroundController
) -> None:
    without = PlaygroundController(router, trio)
    without.ask()
    assert without.message.startswith("Asking needs a log")
    assert not controller.start([])
    assert controller.message.startswith("Tick at least one")


def test_score_outside_the_range_is_said_in_words(controller: PlaygroundController) -> None:
    controller.ask()
    controller.rate(7.0)
    assert "score must lie in [0, 1], got 7.0" in controller.message


def test_unexpected_error_is_shown_and_not_swallowed(
    controller: PlaygroundController, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: caught.append(told.exc_type))
    controller.asking.on_change = lambda: None
    monkeypatch.setattr(controller.asking, "router", None)  # nothing that asking expects
    monkeypatch.setattr(controller.log, "start_run", lambda *_: {}["no such run"])
    controller.ask()
    assert "an unexpected error" in controller.message
    assert caught == [KeyError]
    assert not controller.asking.is_busy


def test_a_thought_is_folded_under_its_answer(controller: PlaygroundController) -> None:
    controller.set(prompt="tagged: what is 2 + 2?")
    controller.ask()
    (asked,) = controller.asking.asked
    assert asked.text == "Answer: 4"
    drawn = html.answer(controller, asked)
    assert "<details><summary>What it thought before</summary>" in drawn
    assert drawn.index("Answer: 4") < drawn.index("Answer: 5? No.") < drawn.index("</details>")
    controller.set(prompt=SUM)
    controller.ask()
    assert "<details>" not in html.answer(controller, controller.asking.asked[0])


def test_a_thought_is_seen_as_it_comes_and_folded_once_the_answer_begins(
    controller: PlaygroundController,
) -> None:
    seen: list[str] = []
    controller.asking.on_change = lambda: seen.append(
        html.answer(controller, controller.asking.asked[0])
    )
    controller.set(prompt="thinks aloud")
    controller.ask()
    thinking = [drawn for drawn in seen if "<details open><summary>It thinks" in drawn]
    assert len(thinking) == 6
    assert "Let me see" not in thinking[0]
    assert "Let me see: 2 + 2." in thinking[-1]
    assert "<details><summary>What it thought before" in seen[-1]
