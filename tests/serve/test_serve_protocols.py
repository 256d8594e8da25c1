"""Anthropic's /v1/messages and OpenAI's /v1/responses, by what their SDKs send and read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from scripted_server import Reply, ScriptedServer, scripted_server
from serving import candidate, rows, serving
from tool_calls import ADD, adding, call, calling

SCHEMA = ADD["function"]["parameters"]  # type: ignore[index]
USER = {"role": "user", "content": "What is 2 + 3?"}
MESSAGES: dict[str, Any] = {"model": "router", "max_tokens": 100, "messages": [USER]}
TOOL = {"name": "add", "description": "Add two numbers.", "input_schema": SCHEMA}
PLAIN = {"choices": [{"message": {"content": "Four"}, "finish_reason": "stop"}],
         "usage": {"prompt_tokens": 30, "completion_tokens": 2, "prompt_tokens_details":
                   {"cached_tokens": 20}}}  # fmt: skip


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    """Calls the tool once, then says the sum."""
    with scripted_server(adding) as server:
        yield server


@pytest.fixture
def served(provider: ScriptedServer, log_path: Path) -> Iterator[httpx.Client]:
    """One candidate that calls tools."""
    with serving([candidate("small", provider.url)], log_path) as client:
        yield client


def _events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream, each named by its line as well."""
    told = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        told.append(event)
    return told


# -- Anthropic ---


def test_a_message_calls_a_tool_and_takes_its_result(
    served: httpx.Client, provider: ScriptedServer, log_path: Path
) -> None:
    asked = {**MESSAGES, "system": "Use the tool.", "tools": [TOOL]}
    first = served.post("/v1/messages", json=asked).json()
    assert (first["type"], first["role"], first["model"]) == ("message", "assistant", "small")
    (block,) = first["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "add", {"a": 2, "b": 3})
    assert first["stop_reason"] == "tool_use"
    result = {"type": "tool_result", "tool_use_id": block["id"], "content": "5"}
    turns = [USER, {"role": "assistant", "content": first["content"]},
             {"role": "user", "content": [result]}]  # fmt: skip
    second = served.post("/v1/messages", json={**asked, "messages": turns}).json()
    assert second["content"] == [{"type": "text", "text": "The sum is 5."}]
    assert second["stop_reason"] == "end_turn"
    assert second["usage"]["input_tokens"] == 30
    assert "the conversation stays with small" in second["routerlib"]["reason"]

    sent = provider.bodies[1]
    assert sent["max_tokens"] == 100
    assert sent["tools"] == [ADD]
    assert [each["role"] for each in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"a":2,"b":3}'
    assert [row[0] for row in rows(log_path, "select status from calls")] == ["ok", "ok"]


def test_a_message_streams_as_anthropics_events(log_path: Path) -> None:
    reply = calling(call(), call('{"a": 1, "b": 1}', "x2"), text="Let me add.")
    with (
        scripted_server(reply) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        told = served.post("/v1/messages", json={**MESSAGES, "tools": [TOOL], "stream": True})
    events = _events(told.text)
    assert events[0]["message"]["usage"] == {
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    }
    starts = [each for each in events if each["type"] == "content_block_start"]
    assert [each["index"] for each in starts] == [0, 1, 2]
    assert [each["content_block"]["type"] for each in starts] == ["text", "tool_use", "tool_use"]
    deltas = [each["delta"] for each in events if each["type"] == "content_block_delta"]
    assert "".join(each.get("text", "") for each in deltas) == "Let me add."
    inputs = [
        each for each in events if each["type"] == "content_block_delta" and each["index"] == 2
    ]
    told_input = "".join(each["delta"]["partial_json"] for each in inputs)
    assert json.loads(told_input) == {"a": 1, "b": 1}
    assert [each["type"] for each in events[-3:]] == [
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == 9


def test_a_part_of_a_conversation_is_refused_so_that_the_sdk_sends_all(
    served: httpx.Client,
) -> None:
    told = served.post("/v1/messages", json={**MESSAGES, "thread": {"type": "continue"}})
    assert told.status_code == 400
    assert told.json()["error"]["details"] == {"error_code": "thread_unsupported_request"}


@pytest.mark.parametrize(
    ("more", "status", "complaint"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, 400, "tools.0"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 400, "thinking.type"),
        ({"mcp_servers": [{}]}, 400, "unsupported parameter: 'mcp_servers'"),
        ({"max_tokens": None}, 400, "max_tokens"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "'system'"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, 400, "edits.0.type"),
        ({"output_config": {"format": {"type": "regex"}}}, 400, "output_config.format.type"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400, "'video'"),
        ({"tool_choice": {"type": "any"}}, 400, "tool_choice 'any' needs tools"),
        ({"model": "claude-nobody"}, 404, "unknown model"),
        ({"messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "x", "content": "5"}]}]}, 400, "no call before"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_in_anthropics_shape(
    served: httpx.Client, more: dict[str, Any], status: int, complaint: str
) -> None:
    told = served.post("/v1/messages", json={**MESSAGES, **more})
    assert told.status_code == status
    assert told.json()["type"] == "error"
    assert told.json()["error"]["type"] in ("invalid_request_error", "not_found_error")
    assert complaint in told.json()["error"]["message"]


def test_images_errors_and_choices_become_those_of_chat(log_path: Path) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    turns = [
        {"role": "user", "content": [
            {"type": "text", "text": "Look:"}, {"type": "image", "source": source}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "t1", "name": "add", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "no numbers", "is_error": True,
             "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Again."}]},
    ]  # fmt: skip
    choice = {"type": "tool", "name": "add", "disable_parallel_tool_use": True}
    more = {"tools": [TOOL], "tool_choice": choice, "stop_sequences": ["END"]}
    with (
        scripted_server(Reply(body=PLAIN)) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        told = served.post("/v1/messages", json={**MESSAGES, "messages": turns, **more}).json()
    sent = provider.bodies[0]
    assert sent["messages"][0]["content"][1]["image_url"]["url"].startswith(
        "data:image/png;base64,"
    )
    assert sent["messages"][2:] == [
        {"role": "tool", "content": "Error: no numbers", "tool_call_id": "t1"},
        {"role": "user", "content": "Again."},
    ]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert (sent["parallel_tool_calls"], sent["stop"]) == (False, ["END"])
    assert (told["usage"]["input_tokens"], told["usage"]["cache_read_input_tokens"]) == (10, 20)


def test_what_a_coding_agent_sends_along_is_taken(
    served: httpx.Client, provider: ScriptedServer
) -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "number"}}}
    turns = [USER, {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}]
    more = {
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": schema}},
    }
    told = served.post("/v1/messages", json={**MESSAGES, "messages": turns, **more})
    assert told.status_code == 200
    sent = provider.bodies[0]
    assert sent["messages"] == [USER, {"role": "system", "content": "Be brief."}]
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert not {"thinking", "reasoning_effort", "context_management"} & set(sent)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_cut_call_says_so(log_path: Path, is_streamed: bool) -> None:
    cut = calling(call('{"a": 2, "b'))
    cut.body["choices"][0]["finish_reason"] = "length"
    cut.events[-2]["choices"][0]["finish_reason"] = "length"
    with (
        scripted_server(cut) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        asked = {**MESSAGES, "tools": [TOOL], "stream": is_streamed}
        told = served.post("/v1/messages", json=asked)
    if is_streamed:
        assert _events(told.text)[-2]["delta"]["stop_reason"] == "max_tokens"
    else:
        assert told.json()["stop_reason"] == "max_tokens"
        assert told.json()["content"][0]["input"] == {"invalid_json": '{"a": 2, "b'}
    assert rows(log_path, "select status from calls") == [("truncated",)]


def test_a_base_url_with_v1_too_much_is_told(served: httpx.Client) -> None:
    told = served.post("/v1/v1/messages", json=MESSAGES)
    assert told.status_code == 404
    assert "base URL must end without it" in told.json()["error"]["message"]


def test_anthropics_header_with_the_key_counts(provider: ScriptedServer, log_path: Path) -> None:
    with serving([candidate("small", provider.url)], log_path, key="secret") as served:
        for headers, status in (
            ({"x-api-key": "secret"}, 200),
            ({"authorization": "Bearer secret"}, 200),
            ({"x-api-key": "wrong"}, 401),
            ({}, 401),
        ):
            told = served.post("/v1/messages", json=MESSAGES, headers=headers)
            assert told.status_code == status


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ({"json": MESSAGES, "headers": {"x-api-key": "wrong"}}, 401, "authentication_error"),
        ({"content": b" " * 8_000_001}, 413, "request_too_large"),
        ({"content": b"{", "headers": {"content-encoding": "gzip"}}, 415, "invalid_request_error"),
        ({"content": b"[" * 100}, 400, "invalid_request_error"),
    ],
)
def test_what_is_refused_before_it_is_read_has_anthropics_shape(
    provider: ScriptedServer, log_path: Path, how: dict[str, Any], status: int, kind: str
) -> None:
    with serving([candidate("small", provider.url)], log_path, key="secret") as served:
        how = {**how, "headers": {"x-api-key": "secret", **how.get("headers", {})}}
        told = served.post("/v1/messages", **how)
        elsewhere = served.post("/v1/chat/completions", **how)
    assert told.status_code == elsewhere.status_code == status
    assert told.json()["type"] == "error"
    assert told.json()["error"]["type"] == kind
    assert told.json()["error"]["message"] == elsewhere.json()["error"]["message"]
    assert "type" not in elsewhere.json()


# -- OpenAI's responses, with the SDK itself ---

FUNCTION: dict[str, Any] = {"type": "function", "strict": False, **ADD["function"]}  # type: ignore[dict-item]


@pytest.fixture
def sdk(served: httpx.Client) -> Iterator[OpenAI]:
    """OpenAI's own client."""
    with OpenAI(base_url=f"{served.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_sdk_of_responses_calls_a_tool(
    sdk: OpenAI, provider: ScriptedServer, is_streamed: bool
) -> None:
    items: list[Any] = [USER]
    for _ in range(2):
        asked: dict[str, Any] = {"model": "router", "input": items, "tools": [FUNCTION]}
        if is_streamed:
            with sdk.responses.stream(**asked, instructions="Use it.") as stream:
                kinds = [event.type for event in stream]
                answer: Any = stream.get_final_response()
            assert kinds[:2] == ["response.created", "response.in_progress"]
            assert kinds[-1] == "response.completed"
        else:
            answer = sdk.responses.create(**asked, instructions="Use it.")
        items += [item.model_dump(exclude_none=True) for item in answer.output]
        for item in answer.output:
            if item.type == "function_call":
                result = {"type": "function_call_output", "call_id": item.call_id, "output": "5"}
                items.append(result)
    assert answer.output_text == "The sum is 5."
    assert answer.usage.total_tokens == 39
    sent = provider.bodies[1]["messages"]
    assert [each["role"] for each in sent] == ["system", "user", "assistant", "tool"]
    assert provider.bodies[1]["tools"] == [ADD | {"function": ADD["function"] | {"strict": False}}]  # type: ignore[operator]


def test_functions_of_a_namespace_are_called_by_both_names(
    served: httpx.Client, provider: ScriptedServer
) -> None:
    sums = {"type": "namespace", "name": "sums", "description": "Sums.", "tools": [FUNCTION]}
    asked = {"model": "router", "input": [USER], "tools": [sums]}
    provider.replies = [
        calling(call() | {"function": {"name": "sums__add", "arguments": '{"a": 2, "b": 3}'}}),
        adding,
    ]
    (called,) = served.post("/v1/responses", json=asked).json()["output"]
    assert (called["name"], called["namespace"]) == ("add", "sums")
    result = {"type": "function_call_output", "call_id": called["call_id"], "output": "5"}
    told = served.post("/v1/responses", json={**asked, "input": [USER, called, result]}).json()
    assert told["output"][0]["content"][0]["text"] == "The sum is 5."
    for sent in provider.bodies:
        assert [tool["function"]["name"] for tool in sent["tools"]] == ["sums__add"]
    assert provider.bodies[1]["messages"][1]["tool_calls"][0]["function"]["name"] == "sums__add"


def test_a_cut_response_is_incomplete(log_path: Path) -> None:
    choice = {"message": {"content": "Once upon"}, "finish_reason": "length"}
    with (
        scripted_server(Reply(body={"choices": [choice]})) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        asked = {"model": "router", "input": "Write on.", "max_output_tokens": 3}
        told = served.post("/v1/responses", json=asked).json()
    assert (told["status"], told["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )
    assert provider.bodies[0]["max_completion_tokens"] == 3


def test_events_of_a_response_are_counted(served: httpx.Client) -> None:
    told = served.post("/v1/responses", json={"model": "router", "input": "Add.", "stream": True})
    events = _events(told.text)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert events[-1]["response"]["output"][0]["type"] == "function_call"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"previous_response_id": "resp_1"}, "unsupported parameter: 'previous_response_id'"),
        ({"conversation": "c"}, "unsupported parameter: 'conversation'"),
        ({"background": True}, "background"),
        (
            {
                "tools": [
                    {
                        "type": "namespace",
                        "name": "a",
                        "tools": [{"type": "function", "name": "b__c"}],
                    },
                    {
                        "type": "namespace",
                        "name": "a__b",
                        "tools": [{"type": "function", "name": "c"}],
                    },
                ]
            },
            "two tools are both called 'a__b__c'",
        ),
        (
            {
                "tools": [
                    {
                        "type": "namespace",
                        "name": "n" * 100,
                        "tools": [{"type": "function", "name": "f" * 40}],
                    }
                ]
            },
            "has at most 128 characters",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools.0: Input tag 'web_search'"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "'item_reference'"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": "5"}]}, "no call"),
        ({"input": [{"role": "user", "content": [{"type": "input_video"}]}]}, "'input_video'"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_what_keeps_no_state_refuses_by_name_what_needs_it(
    served: httpx.Client, more: dict[str, Any], complaint: str
) -> None:
    told = served.post("/v1/responses", json={"model": "router", "input": "Hi", **more})
    assert told.status_code == 400
    assert complaint in told.json()["error"]["message"]


def test_a_schema_of_a_response_becomes_that_of_chat(log_path: Path) -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    with (
        scripted_server(Reply(body=PLAIN)) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        asked = {"model": "router", "input": "Hi", "text": {"format": form}, "store": False}
        served.post("/v1/responses", json={**asked, "reasoning": {"effort": "low"}})
    sent = provider.bodies[0]
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
    }
    assert sent["reasoning_effort"] == "low"


@pytest.mark.parametrize(("address", "field"), [("messages", "messages"), ("responses", "input")])
def test_a_history_of_ten_thousand_messages_is_refused(
    served: httpx.Client, address: str, field: str
) -> None:
    body = {"model": "router", "max_tokens": 9, field: [USER] * 10_000}
    if address == "responses":
        del body["max_tokens"]
    told = served.post(f"/v1/{address}", json=body)
    assert told.status_code == 400
    assert "at most 5000 items" in told.json()["error"]["message"]
