"""The playground decides as one types, asks for real, and says errors in words."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from routerlib.log import CallLog
from routerlib.outcomes import Outcomes
from routerlib.playground import PlaygroundController, playground
from routerlib.routers import LGBMRouter, Router, RuleRouter
from routerlib.types import CandidateModel, Price


class Answering(BaseHTTPRequestHandler):
    """An OpenAI-compatible server at the edge of the network that always says 391."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "Answer: 391 <b>"}
        payload = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        body = json.dumps(payload).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def base_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def router(outcomes: Outcomes) -> Router:
    return LGBMRouter().fit(outcomes)


def make_candidates(base_url: str) -> list[CandidateModel]:
    return [
        CandidateModel(name, name, "custom", base_url, None, Price(1, 2), max_attempts=1)
        for name in ("tiny", "small", "large")
    ]


@pytest.fixture
def controller(router: Router, log: CallLog, base_url: str) -> PlaygroundController:
    return PlaygroundController(router, make_candidates(base_url), log)


def test_decision_follows_what_is_typed_and_the_cost_weight(
    controller: PlaygroundController,
) -> None:
    controller.set(prompt="What is 12 times 345?", cost_weight=0.0)
    assert controller.decision is not None
    assert controller.decision.model == "large"
    controller.set(cost_weight=1e6)
    assert controller.decision.model == "tiny"
    assert controller.prompt == "What is 12 times 345?"


def test_table_shows_every_candidate_and_the_choice(controller: PlaygroundController) -> None:
    table = controller.table
    assert set(table.index) == {"tiny", "small", "large"}
    assert controller.decision is not None
    assert table.index[table.is_chosen].tolist() == [controller.decision.model]


def test_explanation_names_the_chosen_model_and_the_runner_up(
    controller: PlaygroundController,
) -> None:
    controller.set(prompt="What is 12 times 345?", cost_weight=0.0)
    assert "large" in controller.explain()
    assert "small" in controller.explain()


def test_slider_offers_zero_and_the_routers_own_cost_weight(router: Router, log: CallLog) -> None:
    weights = PlaygroundController(router, log=log).cost_weights
    assert weights[0] == 0.0
    assert router.cost_weight_ in weights
    assert weights == sorted(weights)
    # From "cost plays no part" to "the dearest model is never worth it".
    assert weights[-1] * 0.001 > 1


def test_empty_prompt_says_so_and_comes_back(controller: PlaygroundController) -> None:
    controller.set(prompt="  ")
    assert controller.decision is None
    assert controller.message.startswith("Type a prompt")
    assert controller.explain() == ""
    assert len(controller.table) == 0
    controller.ask()
    assert controller.message.startswith("There is no decision to follow")
    controller.set(prompt="Hello there")
    assert controller.message == ""


def test_cost_weight_that_makes_no_sense_is_said_in_words(controller: PlaygroundController) -> None:
    controller.set(cost_weight=-1.0)
    assert "cost_weight must be finite and at least 0, got -1.0" in controller.message


def test_asking_logs_call_and_decision_and_a_person_can_rate_it(
    controller: PlaygroundController, log: CallLog
) -> None:
    controller.set(prompt="What is 17 * 23?", task="math")
    controller.ask()
    assert controller.message == ""
    assert controller.answer is not None
    assert controller.answer.text == "Answer: 391 <b>"
    controller.rate(1.0)
    rows = log.sql(
        "select calls.candidate, decisions.propensity, scores.judge, scores.score from calls "
        "join decisions using (decision_id) join scores using (call_id)"
    )
    assert controller.decision is not None
    assert rows.to_dict("records") == [
        {
            "candidate": controller.decision.model,
            "propensity": 1.0,
            "judge": "person",
            "score": 1.0,
        }
    ]


def test_another_model_can_be_asked_against_the_choice(controller: PlaygroundController) -> None:
    controller.set(cost_weight=0.0)
    controller.ask(model="tiny")
    assert controller.answer is not None
    assert controller.answer.call.candidate == "tiny"


def test_server_that_is_down_is_said_in_words_and_nothing_typed_is_lost(
    router: Router, log: CallLog
) -> None:
    down = PlaygroundController(router, make_candidates("http://127.0.0.1:9/v1"), log)
    down.set(prompt="What is 17 * 23?")
    down.ask()
    assert "gave no complete answer (error)" in down.message
    assert down.prompt == "What is 17 * 23?"
    down.rate(1.0)
    assert down.message.startswith("Ask first")
    assert len(log.sql("select * from scores")) == 0


def test_missing_key_is_said_in_words(
    router: Router, log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    candidates = [
        replace(each, api_key_env="NO_SUCH_KEY")
        for each in make_candidates("http://127.0.0.1:9/v1")
    ]
    controller = PlaygroundController(router, candidates, log)
    controller.ask()
    assert "gave no complete answer" in controller.message
    assert "NO_SUCH_KEY" in controller.message


def test_model_that_nobody_knows_how_to_call_is_said_in_words(router: Router, log: CallLog) -> None:
    controller = PlaygroundController(router, log=log)  # the pool has other names
    controller.ask()
    assert "is not known here: pass candidates=" in controller.message


def test_asking_without_a_log_is_refused_in_words(router: Router) -> None:
    controller = PlaygroundController(router, make_candidates("http://127.0.0.1:9/v1"))
    controller.ask()
    assert controller.message.startswith("Asking needs a log")


def test_score_outside_the_range_is_said_in_words(controller: PlaygroundController) -> None:
    controller.ask()
    controller.rate(7.0)
    assert "score must lie in [0, 1], got 7.0" in controller.message


def test_router_of_rules_gives_its_rule_as_the_explanation(log: CallLog) -> None:
    roles = {"cheapest": "tiny", "cheap": "small", "coder": "large", "strongest": "large"}
    outcomes = Outcomes(["a?"], ["tiny", "small", "large"], [[0, 1, 1]], [[1, 2, 3]])
    controller = PlaygroundController(RuleRouter(roles=roles).fit(outcomes), log=log)
    controller.set(prompt="Write a Python function that sorts a list.")
    assert controller.decision is not None
    assert controller.explain() == controller.decision.reason


def test_widget_passes_on_what_is_typed_and_escapes_what_comes_back(
    router: Router, log: CallLog, base_url: str
) -> None:
    view = playground(router, log, make_candidates(base_url), examples=["Say <i>hi</i>."])
    view._prompt.value = "What is 17 * 23?"
    assert view.controller.prompt == "What is 17 * 23?"
    assert view.decision == view.controller.decision
    view._cost_weight.value = view.controller.cost_weights[-1]
    assert view.decision.model == "tiny"
    assert "tiny" in view._choice.value
    view._ask.click()
    assert "Answer: 391 &lt;b&gt;" in view._answer.value
    view._right.click()
    assert "Logged: 1 for tiny" in view._answer.value
    view._example.value = "Say <i>hi</i>."
    assert view._prompt.value == "Say <i>hi</i>."


def test_reader_without_a_kernel_sees_a_table_instead_of_the_widget(
    router: Router, log: CallLog
) -> None:
    view = playground(router, log, examples=["Say <i>hi</i>."])
    bundle = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "Say &lt;i&gt;hi&lt;/i&gt;." in bundle["text/html"]
    assert "cost weight 0" in bundle["text/html"]
