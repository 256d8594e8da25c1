"""Fields that ask for nothing are taken, and so is every answer that is sent back as history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fault_server import FaultServer
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from serving import candidate, serving

CHAT = "/v1/chat/completions"
HI = {"role": "user", "content": "Hi"}
WHY = {"role": "user", "content": "Why?"}
# What a scripted candidate does when it is asked this, of the kinds that make an answer.
KINDS = (
    "plain",
    "refusal",
    "too long",
    "filtered",
    "thinks aloud",
    "markup",
    "only thoughts, too long",
)


@pytest.fixture
def served(provider: FaultServer, log_path: Path) -> Iterator[httpx.Client]:
    with serving([candidate("small", provider.url)], log_path) as client:
        yield client


def _answered(told: httpx.Response) -> dict[str, Any]:
    assert told.status_code == 200, told.text
    return told.json()["choices"][0]["message"]


def _in_pieces(served: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """Ask with a stream and put its deltas together, as clients do."""
    message: dict[str, Any] = {}
    with served.stream("POST", CHAT, json={**body, "stream": True}) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
                for name, piece in delta.items():
                    message[name] = (message.get(name) or "") + piece
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_can_be_sent_back(
    served: httpx.Client, provider: FaultServer, kind: str
) -> None:
    question = {"role": "user", "content": kind}
    body = {"model": "router", "messages": [question]}
    plain = _answered(served.post(CHAT, json=body))
    with OpenAI(base_url=f"{served.base_url}/v1", api_key="none", max_retries=0) as sdk:
        dumped = sdk.chat.completions.create(**body).choices[0].message.model_dump()
    for message in (plain, dumped, _in_pieces(served, body)):
        history = [question, message, WHY]
        again = served.post(CHAT, json={"model": "router", "messages": history})
        assert _answered(again)["content"] == "Answer: 4"
        sent = provider.bodies[-1]["messages"]
        said = message["content"] or message.get("refusal") or ""
        assert sent == [question, {"role": "assistant", "content": said}, WHY]


NEUTRAL = {
    "tools": [[], None],
    "tool_choice": ["none", "auto", None],
    "parallel_tool_calls": [True, False, None],
    "functions": [[], None],
    "function_call": ["none", "auto", None],
    "logprobs": [False, None],
    "top_logprobs": [0, None],
    "modalities": [["text"], [], None],
    "audio": [None],
    "prediction": [None],
    "web_search_options": [None],
    "response_format": [{"type": "text"}, None],
    "stop": [[], "", None],
    "logit_bias": [{}, None],
    "metadata": [{}, None],
    "n": [1, None],
    "stream": [False, None],
    "stream_options": [{}, None, {"include_usage": None}],
    "store": [False, None],
    "temperature": [None],
    "max_tokens": [None],
    "user": ["", None],
    "a_field_of_next_year": [None],
}


@given(
    st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(each) for name, each in NEUTRAL.items()}
    )
)
@settings(max_examples=200)
def test_fields_that_ask_for_nothing_pass_nothing_on(fields: dict[str, Any]) -> None:
    from routerlib.serve.requests import ChatRequest

    request = ChatRequest.model_validate({"model": "router", "messages": [HI], **fields})
    assert request.parameters == {}


def test_neutral_fields_are_answered_and_do_not_reach_the_candidate(
    served: httpx.Client, provider: FaultServer
) -> None:
    fields = {name: each[0] for name, each in NEUTRAL.items()}
    _answered(served.post(CHAT, json={"model": "router", "messages": [HI], **fields}))
    assert provider.bodies == [{"model": "provider-small", "messages": [HI]}]
    told = served.post("/inference", json={"prompt": "Hi", "task": None, "cost_weight": None})
    assert told.status_code == 200
    scored = {"decision_id": told.json()["decision_id"], "score": 1, "rationale": None}
    assert served.post("/feedback", json=scored).status_code == 200


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": None, "refusal": "I won't."}, "I won't."),
        ({"content": None, "tool_calls": []}, ""),
        ({"content": "4", "tool_calls": [], "reasoning_content": "hm"}, "4"),
        ({"content": "4", "reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, "4"),
        ({"content": "4", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}, "4"),
        ({"content": "4", "function_call": None, "audio": None, "annotations": []}, "4"),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "4", "annotations": []},
                ]
            },
            "4",
        ),
        ({"content": "4", "name": None, "prefix": False}, "4"),
    ],
)
def test_answers_of_other_servers_are_taken_as_history(message: dict[str, Any], said: str) -> None:
    from routerlib.serve.requests import ChatRequest

    history = [HI, {"role": "assistant", **message}, WHY]
    request = ChatRequest.model_validate({"model": "router", "messages": history})
    sent = [each.as_message() for each in request.messages]
    assert sent == [HI, {"role": "assistant", "content": said}, WHY]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": None},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "thinking", "thinking": "hm"}]},
        {"role": "user", "content": "Hi", "reasoning_content": "hm"},
        {"role": "assistant", "content": "4", "tool_calls": [{"id": "1"}]},
        {"role": "assistant", "content": "4", "prefix": True},
        {"role": "tool", "content": "4", "tool_call_id": "1"},
        {"role": "assistant", "content": "4", "audio": {"id": "1"}},
    ],
)
def test_history_that_cannot_be_kept_is_refused(served: httpx.Client, message: dict) -> None:
    told = served.post(CHAT, json={"model": "router", "messages": [HI, message, WHY]})
    assert told.status_code == 400
    assert "messages.1" in told.json()["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "thought"), [("thinks aloud", "Let me see: 2 + 2."), ("plain", None)]
)
def test_thoughts_are_told_beside_the_answer_and_never_in_it(
    served: httpx.Client, kind: str, thought: str | None
) -> None:
    body = {"model": "router", "messages": [{"role": "user", "content": kind}]}
    for message in (_answered(served.post(CHAT, json=body)), _in_pieces(served, body)):
        assert (message["content"], message.get("reasoning_content")) == ("Answer: 4", thought)


def test_thoughts_are_streamed_as_they_come_before_the_answer(served: httpx.Client) -> None:
    body = {"model": "router", "messages": [{"role": "user", "content": "thinks aloud"}]}
    fields: list[str] = []
    with served.stream("POST", CHAT, json={**body, "stream": True}) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                fields += json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
    assert fields == ["role", "content", *["reasoning_content"] * 6, "content", "content"]


@pytest.mark.parametrize(
    ("kind", "reason"), [("plain", "stop"), ("too long", "length"), ("filtered", "content_filter")]
)
def test_the_end_is_told_in_the_words_of_openai(
    served: httpx.Client, kind: str, reason: str
) -> None:
    body = {"model": "router", "messages": [{"role": "user", "content": kind}]}
    told = served.post(CHAT, json=body).json()
    assert told["choices"][0]["finish_reason"] == reason
