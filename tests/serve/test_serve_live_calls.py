"""Calls of tools are told while the candidate still speaks, and in order."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from scripted_server import Reply, ScriptedServer, scripted_server
from serving import candidate, rows, serving
from tool_calls import ADD, USAGE, adding

CHAT = "/v1/chat/completions"
USER: Any = {"role": "user", "content": "What is 2 + 3?"}
FUNCTION: Any = {"type": "function", "strict": False, **ADD["function"]}  # type: ignore[dict-item]
TOOL = {"name": "add", "input_schema": ADD["function"]["parameters"]}  # type: ignore[index]
WAITS_S = 20
# How each API asks for a tool in a stream.
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [USER], "tools": [ADD]},
    "/v1/responses": {"input": [USER], "tools": [FUNCTION]},
    "/v1/messages": {"messages": [USER], "tools": [TOOL], "max_tokens": 100},
}


class Pausing:
    """A candidate that says the rest of its call once somebody has heard the beginning."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self.was_heard: list[bool] = []

    def pieces(self) -> Iterator[bytes]:
        yield _chunk(_piece(0, '{"a": 2,', "x1"))
        self.was_heard.append(self.heard.wait(WAITS_S))
        yield _chunk(_piece(0, ' "b": 3}'))
        yield _chunk(_piece(1, '{"a": 1, "b": 1}', "x2"))
        yield _chunk(None, "tool_calls") + b"data: [DONE]\n\n"


def _piece(index: int, arguments: str, call_id: str = "") -> dict[str, Any]:
    named = {"id": call_id, "type": "function"} if call_id else {}
    name = {"name": "add"} if call_id else {}
    return {"index": index, **named, "function": {**name, "arguments": arguments}}


def _chunk(piece: dict[str, Any] | None, reason: str | None = None) -> bytes:
    delta: dict[str, Any] = {} if piece is None else {"tool_calls": [piece]}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {"choices": [choice], "usage": USAGE if reason else None}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@pytest.fixture
def pausing() -> Pausing:
    return Pausing()


@pytest.fixture
def served(pausing: Pausing, log_path: Path) -> Iterator[httpx.Client]:
    """One candidate that pauses in the middle of a call."""
    with (
        scripted_server(Reply(pieces=pausing.pieces)) as provider,
        serving([candidate("small", provider.url)], log_path) as client,
    ):
        yield client


def test_the_sdk_of_chat_hears_a_call_before_it_is_whole(
    served: httpx.Client, pausing: Pausing
) -> None:
    with (
        OpenAI(base_url=f"{served.base_url}/v1", api_key="none") as client,
        client.chat.completions.stream(model="router", messages=[USER], tools=[ADD]) as stream,  # type: ignore[list-item]
    ):
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                pausing.heard.set()
        (answer,) = stream.get_final_completion().choices
    assert pausing.was_heard == [True]
    told = [each.function.arguments for each in answer.message.tool_calls or ()]
    assert told == ['{"a": 2, "b": 3}', '{"a": 1, "b": 1}']


def test_the_sdk_of_responses_hears_a_call_before_it_is_whole(
    served: httpx.Client, pausing: Pausing
) -> None:
    with (
        OpenAI(base_url=f"{served.base_url}/v1", api_key="none") as client,
        client.responses.stream(model="router", input=[USER], tools=[FUNCTION]) as stream,
    ):
        kinds = []
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.function_call_arguments.delta":
                pausing.heard.set()
        answer: Any = stream.get_final_response()
    assert pausing.was_heard == [True]
    told = [item.arguments for item in answer.output]
    assert told == ['{"a": 2, "b": 3}', '{"a": 1, "b": 1}']
    assert len({item.call_id for item in answer.output}) == 2
    assert [kind for kind in kinds if "output_item" in kind] == [
        "response.output_item.added",
        "response.output_item.done",
    ] * 2


def test_a_message_hears_an_input_before_it_is_whole(
    served: httpx.Client, pausing: Pausing
) -> None:
    body = {"model": "router", "stream": True, **ASKED["/v1/messages"]}
    told: list[dict[str, Any]] = []
    with served.stream("POST", "/v1/messages", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
            if "input_json_delta" in line:
                pausing.heard.set()
    assert pausing.was_heard == [True]
    inputs = ["", ""]
    for each in told:
        if each["type"] == "content_block_delta":
            inputs[each["index"]] += each["delta"]["partial_json"]
    assert [json.loads(each) for each in inputs] == [{"a": 2, "b": 3}, {"a": 1, "b": 1}]
    blocks = [(each["type"], each["index"]) for each in told if "_block_s" in each["type"]]
    assert blocks == [
        ("content_block_start", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_stop", 1),
    ]


def _broken(*pieces: dict[str, Any]) -> Reply:
    return Reply(pieces=lambda: map(_chunk, pieces))


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("is_named", [False, True])
def test_a_call_that_breaks_off_is_an_error_once_its_name_was_told(
    log_path: Path, path: str, is_named: bool
) -> None:
    piece = _piece(0, "", "x1" if is_named else "")
    with (
        scripted_server(_broken(piece)) as broken,
        scripted_server(adding) as whole,
        serving(
            [candidate("small", broken.url), candidate("large", whole.url)], log_path
        ) as served,
    ):
        body = {**ASKED[path], "model": "router", "stream": True}
        body |= {"input": "hi"} if "input" in body else {"messages": [{**USER, "content": "hi"}]}
        told = served.post(path, json=body)
    assert told.headers["x-routerlib-model"] == ("small" if is_named else "large")
    assert ("no candidate gave an answer: small: error" in told.text) == is_named
    asked = [row[0] for row in rows(log_path, "select candidate from calls order by call_id")]
    assert asked == (["small"] if is_named else ["small", "large"])


def _streamed(provider: ScriptedServer, log_path: Path, path: str) -> list[dict[str, Any]]:
    with serving([candidate("small", provider.url)], log_path) as served:
        text = served.post(path, json={**ASKED[path], "model": "router", "stream": True}).text
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


@pytest.mark.parametrize("path", ASKED)
def test_calls_and_text_that_are_mixed_come_one_after_the_other(log_path: Path, path: str) -> None:
    def mixed() -> Iterator[bytes]:
        yield _chunk(_piece(0, '{"a":', "x1"))
        yield _chunk(_piece(1, "", "x2"))
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "Adding."}}]}\n\n'
        yield _chunk(_piece(1, ' {"b": 1} '))
        yield _chunk(_piece(0, " 1}"))
        yield _chunk(None, "tool_calls") + b"data: [DONE]\n\n"

    with scripted_server(Reply(pieces=mixed)) as provider:
        events = _streamed(provider, log_path, path)
    told = json.dumps(events)
    assert "Adding." in told
    parts = [part for part in _arguments(events, path) if part[1]]
    assert parts == [(0, '{"a":'), (0, " 1}"), (1, '{"b": 1}')]


def _arguments(events: list[dict[str, Any]], path: str) -> list[tuple[int, str]]:
    """Return which call each part of arguments belongs to."""
    if path == CHAT:
        deltas = [choice["delta"] for each in events for choice in each["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        return [(call["index"], call["function"]["arguments"]) for call in calls]
    if path == "/v1/responses":
        kind, field = "response.function_call_arguments.delta", "delta"
        return [(each["output_index"], each[field]) for each in events if each["type"] == kind]
    deltas = [each for each in events if each["type"] == "content_block_delta"]
    inputs = [each for each in deltas if "partial_json" in each["delta"]]
    return [(each["index"], each["delta"]["partial_json"]) for each in inputs]


@pytest.mark.parametrize("arguments", ["[1]", "add 2 and 3", '{"a": 2,'])
def test_arguments_that_are_no_object_reach_anthropics_clients_as_such(
    log_path: Path, arguments: str
) -> None:
    def odd() -> Iterator[bytes]:
        yield _chunk(_piece(0, arguments[:1], "x1"))
        yield _chunk(_piece(0, arguments[1:]))
        yield _chunk(None, "tool_calls") + b"data: [DONE]\n\n"

    with scripted_server(Reply(pieces=odd)) as provider:
        events = _streamed(provider, log_path, "/v1/messages")
    told = "".join(part for _, part in _arguments(events, "/v1/messages"))
    is_begun = arguments.startswith("{")  # told as it came: what was told can't be taken back
    assert told == (arguments if is_begun else json.dumps({"invalid_json": arguments}))
    assert events[-1]["type"] == "message_stop"


def test_a_key_in_arguments_is_never_told(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-0123456789abcdef"
    monkeypatch.setenv("LIVE_KEY", key)

    def leaking() -> Iterator[bytes]:
        yield _chunk(_piece(0, '{"a": "sk-01234', "x1"))
        yield _chunk(_piece(0, '56789abcdef"}'))
        yield _chunk(None, "tool_calls") + b"data: [DONE]\n\n"

    with (
        scripted_server(Reply(pieces=leaking)) as provider,
        serving([candidate("small", provider.url, api_key_env="LIVE_KEY")], log_path) as served,
    ):
        body = {**ASKED[CHAT], "model": "router", "stream": True}
        told = served.post(CHAT, json=body).text
    assert "sk-01234" not in told
    assert "56789abcdef" not in told
    assert "tool_calls" in told


@pytest.mark.parametrize("path", ASKED)
def test_a_text_that_ends_as_a_key_begins_is_whole_before_the_call(
    log_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("LIVE_KEY", "sk-0123456789abcdef")

    def said() -> Iterator[bytes]:
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "Let me add these"}}]}\n\n'
        yield b'data: {"choices": [{"index": 0, "delta": {"content": " numbers"}}]}\n\n'
        yield _chunk(_piece(0, '{"a": 1}', "x1"))
        yield _chunk(None, "tool_calls") + b"data: [DONE]\n\n"

    with (
        scripted_server(Reply(pieces=said)) as provider,
        serving([candidate("small", provider.url, api_key_env="LIVE_KEY")], log_path) as served,
    ):
        body = {**ASKED[path], "model": "router", "stream": True}
        told = served.post(path, json=body).text
    before_call, _, after = told.partition("x1")
    assert '"s"' in before_call
    assert '"s"' not in after
