"""Requests that need something are routed among those who can answer them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer
from serving import candidate, rows, save_router, serving

CHAT = "/v1/chat/completions"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
BODY: dict[str, Any] = {"model": "router", "messages": [{"role": "user", "content": "Hi"}]}
DECISIONS = "select candidate, propensity, estimates from decisions order by decision_id"


def test_a_decision_is_between_those_who_can_and_says_so(
    provider: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    save_router(tmp_path / "r.pkl", ("small", "middle", "large"))
    can = {"json_schema": True}
    who = [
        candidate("small", provider.url, supports={"json_schema": False}),
        candidate("middle", provider.url, supports=can),
        candidate("large", provider.url, supports=can),
    ]
    how = {"explore": "epsilon-greedy:0.5"}
    with serving(who, log_path, tmp_path / "r.pkl", **how) as client:
        for _ in range(12):
            told = client.post(CHAT, json={**BODY, "response_format": SCHEMA}).json()
            assert told["model"] in ("middle", "large")
        client.post(CHAT, json=BODY)
    *restricted, free = rows(log_path, DECISIONS)
    for chosen, propensity, estimates in restricted:
        assert set(json.loads(estimates)) == {"middle", "large"}
        # Half of the prompts evenly among two, the others to the better one.
        assert propensity == (0.75 if chosen == "middle" else 0.25)
    assert set(json.loads(free[2])) == {"small", "middle", "large"}


def test_rules_go_to_the_next_one_that_can(provider: FaultServer, log_path: Path) -> None:
    who = [
        candidate("small", provider.url, supports={"json_schema": False}),
        candidate("large", provider.url),
    ]
    with serving(who, log_path) as client:
        told = client.post(CHAT, json={**BODY, "response_format": SCHEMA}).json()
        assert told["model"] == "large"
        assert "which can't answer this; large can" in told["routerlib"]["reason"]
    assert set(json.loads(rows(log_path, DECISIONS)[0][2])) == {"large"}


def test_nobody_able_is_told_with_what_each_one_lacks(
    provider: FaultServer, log_path: Path
) -> None:
    who = [
        candidate("small", provider.url, supports={"json_schema": False}),
        candidate("large", provider.url, context_tokens=10),
    ]
    long = {**BODY, "messages": [{"role": "user", "content": "word " * 100}]}
    with serving(who, log_path) as client:
        told = client.post(CHAT, json={**long, "response_format": SCHEMA})
        assert told.status_code == 400
        assert told.json()["error"]["message"] == (
            "no candidate can answer: small lacks json_schema; large takes 10 tokens, and this is "
            "about 213"
        )
        assert told.json()["error"]["code"] == "unable"
        assert client.post(CHAT, json=long).json()["model"] == "small"
        named = client.post(CHAT, json={**BODY, "model": "small", "response_format": SCHEMA})
        assert (named.status_code, "small lacks json_schema" in named.text) == (400, True)
    assert len(rows(log_path, DECISIONS)) == 1
    assert len(provider.bodies) == 1, "nobody was asked in vain"


def test_whom_the_router_never_saw_is_asked_where_nobody_else_can(
    provider: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    save_router(tmp_path / "r.pkl", ("small",))
    who = [
        candidate("small", provider.url, supports={"json_schema": False}),
        candidate("large", provider.url),
    ]
    with serving(who, log_path, tmp_path / "r.pkl") as client:
        told = client.post(CHAT, json={**BODY, "response_format": SCHEMA}).json()
    assert told["model"] == "large"
    assert told["routerlib"]["reason"] == "the router knows nobody who can answer this"


def test_an_answer_is_never_asked_for_above_the_models_own_limit(
    provider: FaultServer, log_path: Path
) -> None:
    with serving([candidate("small", provider.url, max_output_tokens=100)], log_path) as client:
        client.post(CHAT, json={**BODY, "max_tokens": 5_000})
        listed = client.get("/models").json()["models"][0]
    assert provider.bodies[0]["max_tokens"] == 100
    assert (listed["supports"], listed["context_tokens"]) == ({}, None)


@pytest.mark.parametrize("address", ["/route", "/inference"])
def test_a_prompt_that_fits_nowhere_is_refused_at_every_address(
    provider: FaultServer, log_path: Path, address: str
) -> None:
    with serving([candidate("small", provider.url, context_tokens=10)], log_path) as client:
        told = client.post(address, json={"prompt": "word " * 1_000})
    assert (told.status_code, "small takes 10 tokens" in told.text) == (400, True)
