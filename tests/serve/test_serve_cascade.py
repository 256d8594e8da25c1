"""`model="router:cascade"` gives back an answer that stands, streamed or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cascading import SURE, UNSURE, says, telling_cascade
from openai import OpenAI, UnprocessableEntityError
from scripted_server import ScriptedServer, scripted_server
from serving import candidate, rows, save_router, serving

from routerlib.gather.calls.budget import worst_cost_usd
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt

ASKED = [{"role": "user", "content": "Question 9: 555 of 333?"}]


@pytest.fixture
def cascade_path(tmp_path: Path) -> Path:
    path = tmp_path / "router.pkl"
    telling_cascade().save(path)
    return path


@pytest.fixture
def doubtful() -> Iterator[ScriptedServer]:
    with scripted_server(says(UNSURE)) as running:
        yield running


@pytest.fixture
def sure() -> Iterator[ScriptedServer]:
    with scripted_server(says(SURE)) as running:
        yield running


def body(**known: Any) -> dict[str, Any]:
    return {"model": "router:cascade", "messages": ASKED, **known}


def test_a_doubtful_answer_is_replaced_and_all_steps_are_told(
    cascade_path: Path, log_path: Path, doubtful: ScriptedServer, sure: ScriptedServer
) -> None:
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    with serving(both, log_path, cascade_path) as client:
        told = client.post("/v1/chat/completions", json=body()).json()
    assert (told["model"], told["choices"][0]["message"]["content"]) == ("large", SURE)
    cascade = told["routerlib"]["cascade"]
    assert [step["model"] for step in cascade["asked"]] == ["small", "large"]
    assert cascade["asked"][0]["judged"] < 0.1 < cascade["asked"][1]["judged"]
    paid = sum(step["cost_usd"] for step in cascade["asked"])
    assert told["routerlib"]["cost_usd"] == pytest.approx(paid)
    steps = rows(log_path, "select candidate, propensity, router_hash from decisions")
    assert steps == [("small", 1.0, telling_cascade().router_hash_), ("large", 1.0, "cascade")]
    assert rows(log_path, "select count(distinct decision_id) from calls") == [(2,)]


def test_a_stream_holds_the_first_answer_back_until_one_stands(
    cascade_path: Path, log_path: Path, doubtful: ScriptedServer, sure: ScriptedServer
) -> None:
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    with (
        serving(both, log_path, cascade_path) as client,
        client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as response,
    ):
        text = response.read().decode()
        headers = response.headers
    assert UNSURE not in text
    assert SURE in text
    assert text.rstrip().endswith("data: [DONE]")
    assert headers["x-routerlib-held-back"] == "until-it-stands"
    assert headers["x-routerlib-model"] == "large"
    (decision,) = rows(log_path, "select max(decision_id) from decisions")
    assert headers["x-routerlib-decision-id"] == str(decision[0])


def test_plain_router_asks_once_as_the_router_inside_would(
    cascade_path: Path, log_path: Path, doubtful: ScriptedServer, sure: ScriptedServer
) -> None:
    chosen = telling_cascade().router.route(ASKED[0]["content"], cost_weight=100.0).model
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    with serving(both, log_path, cascade_path) as client:
        sent = {"model": "router:cost_weight=100", "messages": ASKED, "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=sent) as response:
            response.read()
            headers = response.headers
    assert headers["x-routerlib-model"] == chosen
    assert "x-routerlib-held-back" not in headers
    assert rows(log_path, "select count(*) from calls") == [(1,)]


def test_exploration_draws_the_first_call_with_its_probability(
    cascade_path: Path, log_path: Path, doubtful: ScriptedServer, sure: ScriptedServer
) -> None:
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    explores: dict[str, Any] = {"explore": "epsilon-greedy:0.5"}
    with serving(both, log_path, cascade_path, **explores) as client:
        for i in range(12):
            asked = [{"role": "user", "content": f"Question {i}: 555 of 333?"}]
            client.post("/v1/chat/completions", json=body(messages=asked))
    first = rows(
        log_path, "select candidate, propensity from decisions where router_hash <> 'cascade'"
    )
    assert len(first) == 12
    assert {(name, round(chance, 6)) for name, chance in first} <= {
        ("small", 0.75),
        ("large", 0.25),
    }
    assert all(chance == 1.0 for (chance,) in rows(
        log_path, "select propensity from decisions where router_hash = 'cascade'"))  # fmt: skip


def test_a_conversation_stays_with_the_model_that_was_given_back(
    cascade_path: Path, log_path: Path, doubtful: ScriptedServer, sure: ScriptedServer
) -> None:
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    with serving(both, log_path, cascade_path) as client:
        client.post("/v1/chat/completions", json=body())
        turns = [
            *ASKED,
            {"role": "assistant", "content": SURE},
            {"role": "user", "content": "Why?"},
        ]
        again = client.post("/v1/chat/completions", json=body(messages=turns)).json()
    assert again["model"] == "large"
    assert "cascade" not in again["routerlib"]


def test_a_router_that_is_no_cascade_refuses_with_what_to_do(
    tmp_path: Path, log_path: Path, sure: ScriptedServer
) -> None:
    save_router(tmp_path / "plain.pkl")
    both = [candidate(name, sure.url) for name in ("small", "large")]
    with serving(both, log_path, tmp_path / "plain.pkl") as client:
        refused = client.post("/v1/chat/completions", json=body())
        assert refused.status_code == 422
        assert "routerlib train --cascade" in refused.json()["error"]["message"]
        with OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as sdk:
            assert "router:cascade" in {model.id for model in sdk.models.list()}
            with pytest.raises(UnprocessableEntityError, match="is no cascade"):
                sdk.chat.completions.create(model="router:cascade", messages=ASKED)  # type: ignore[arg-type]
    assert rows(log_path, "select count(*) from decisions") == [(0,)]


def test_feedback_scores_the_answer_that_was_given(
    cascade_path: Path, log_path: Path, doubtful: ScriptedServer, sure: ScriptedServer
) -> None:
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    with serving(both, log_path, cascade_path) as client:
        told: httpx.Response = client.post("/v1/chat/completions", json=body())
        decision = told.json()["routerlib"]["decision_id"]
        client.post("/feedback", json={"decision_id": decision, "score": 1.0})
    scored = rows(log_path, "select candidate, score from scores join calls using (call_id)")
    assert scored == [("large", 1.0)]


@pytest.mark.parametrize(
    ("settings", "asked"),
    [("cost_weight=100", ["small", "large"]), ("cost_weight=1000000", ["small"])],
)
def test_a_cascade_weighs_cost_as_the_request_says(
    cascade_path: Path,
    log_path: Path,
    doubtful: ScriptedServer,
    sure: ScriptedServer,
    settings: str,
    asked: list[str],
) -> None:
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    with serving(both, log_path, cascade_path) as client:
        told = client.post("/v1/chat/completions", json=body(model=f"router:cascade,{settings}"))
        wrong = client.post("/v1/chat/completions", json=body(model="router:cascade,speed=1"))
    assert [step["model"] for step in told.json()["routerlib"]["cascade"]["asked"]] == asked
    weight = float(settings.partition("=")[2])
    assert set(rows(log_path, "select cost_weight from decisions")) == {(weight,)}
    assert wrong.status_code == 404
    assert "router:cascade,cost_weight=20" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(
    ("max_latency_s", "asked"), [(9, ["small", "large"]), (4.5, ["large"]), (3, ["small"])]
)
def test_a_deadline_is_that_of_all_steps_together(
    cascade_path: Path,
    log_path: Path,
    doubtful: ScriptedServer,
    sure: ScriptedServer,
    max_latency_s: float,
    asked: list[str],
) -> None:
    both = [candidate("small", doubtful.url), candidate("large", sure.url)]
    with CallLog(log_path) as log:
        prompt = Prompt.from_text("Hi")
        log.add_prompts([prompt])
        for name, seconds in (("small", 1.0), ("large", 4.0)):
            for _ in range(20):
                log.add_call(Call(prompt.prompt_id, name, "h", "ok", "1", latency_s=seconds))
    with serving(both, log_path, cascade_path) as client:
        model = f"router:cascade,cost_weight=100,max_latency_s={max_latency_s}"
        told = client.post("/v1/chat/completions", json=body(model=model)).json()
    assert [step["model"] for step in told["routerlib"]["cascade"]["asked"]] == asked
    assert (len(doubtful.bodies), len(sure.bodies)) == ("small" in asked, "large" in asked)


def test_a_step_that_the_budget_has_no_room_for_is_not_made(
    cascade_path: Path, log_path: Path, doubtful: ScriptedServer, sure: ScriptedServer
) -> None:
    capped: dict[str, Any] = {"parameters": {"max_tokens": 50}}
    both = [candidate("small", doubtful.url, **capped), candidate("large", sure.url, **capped)]
    budget_usd = 0.9 * worst_cost_usd(both[1], Prompt.from_text(ASKED[0]["content"]))
    with serving(both, log_path, cascade_path, budget_usd=budget_usd) as client:
        told = client.post("/v1/chat/completions", json=body()).json()
    assert told["model"] == "small"
    assert sure.bodies == []
    assert rows(log_path, "select candidate, error_type from calls") == [("small", None)]
