"""Tools, images and other parts pass through /v1/chat/completions and are logged as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from scripted_server import GOOD_ANSWER, Reply, ScriptedServer, scripted_server
from serving import candidate, rows, serving
from tool_calls import ADD, adding, call, calling

from routerlib.gather.judges import judge_log
from routerlib.log.call_log import CallLog

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "What is 2 + 3? Use the tool."}
CALLS = "select status, response, extra, finish_reason from calls order by call_id"
MESSAGES = "select messages from prompts order by rowid"


@pytest.fixture
def provider_of_tools() -> Iterator[ScriptedServer]:
    """Calls the tool once, then says the sum."""
    with scripted_server(adding) as server:
        yield server


@pytest.fixture
def served(provider_of_tools: ScriptedServer, log_path: Path) -> Iterator[httpx.Client]:
    """One candidate that calls tools."""
    with serving([candidate("small", provider_of_tools.url)], log_path) as client:
        yield client


def _body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "router", "messages": list(messages), **more}


def _result(answer: dict[str, Any]) -> list[dict[str, Any]]:
    call_id = answer["tool_calls"][0]["id"]
    return [USER, answer, {"role": "tool", "tool_call_id": call_id, "content": "5"}]


def test_a_tool_is_called_answered_and_logged(
    served: httpx.Client, provider_of_tools: ScriptedServer, log_path: Path
) -> None:
    asked = {"tools": [ADD], "tool_choice": "auto", "parallel_tool_calls": False}
    first = served.post(CHAT, json=_body(USER, **asked)).json()["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    (called,) = first["message"]["tool_calls"]
    assert called["function"] == {"name": "add", "arguments": '{"a": 2, "b": 3}'}
    second = served.post(CHAT, json=_body(*_result(first["message"]), **asked)).json()
    assert second["choices"][0]["message"]["content"] == "The sum is 5."
    assert "the conversation stays with small" in second["routerlib"]["reason"]

    sent = provider_of_tools.bodies[1]
    assert {name: sent[name] for name in asked} == asked
    assert [each["role"] for each in sent["messages"]] == ["user", "assistant", "tool"]
    assert sent["messages"][1]["tool_calls"] == [called]
    (step, answer) = rows(log_path, CALLS)
    assert step[:2] == ("ok", None)
    extra = json.loads(step[2])
    assert (extra["tools"], extra["tool_calls"]) == ([ADD], [call()])
    assert answer[:2] == ("ok", "The sum is 5.")
    logged = json.loads(rows(log_path, MESSAGES)[1][0])
    assert logged == sent["messages"]


def test_a_call_of_a_tool_is_never_judged_as_an_answer(
    served: httpx.Client, log_path: Path
) -> None:
    first = served.post(CHAT, json=_body(USER, tools=[ADD])).json()["choices"][0]["message"]
    served.post(CHAT, json=_body(*_result(first), tools=[ADD]))
    with CallLog(log_path) as log:
        judge_log(log, "no", False, judges={"no": _wrong}, reference="5")
    scored = rows(log_path, "select response from scores join calls using (call_id)")
    assert scored == [("The sum is 5.",)]


def _wrong(response: str, reference: Any) -> Any:
    from routerlib.records.call import Score

    return Score("no", 0.0)


@pytest.mark.parametrize("text", [None, "Let me add."])
def test_the_sdk_streams_calls_of_tools(log_path: Path, text: str | None) -> None:
    calls = (call(), call('{"a": 1, "b": 1}', "x2"))
    with (
        scripted_server(calling(*calls, text=text)) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
        OpenAI(base_url=f"{served.base_url}/v1", api_key="none") as client,
        client.chat.completions.stream(model="router", messages=[USER], tools=[ADD]) as stream,
    ):
        events = list(stream)
        answer = stream.get_final_completion().choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content == (text or "")
    assert [each.function.arguments for each in answer.message.tool_calls or ()] == [
        '{"a": 2, "b": 3}',
        '{"a": 1, "b": 1}',
    ]
    assert any(each.type == "tool_calls.function.arguments.done" for each in events)


@pytest.mark.parametrize("call_id", ["", "same"])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_ids_of_calls_are_new_each_time(log_path: Path, call_id: str, is_streamed: bool) -> None:
    twice = calling(call(call_id=call_id), call('{"a": 4, "b": 4}', call_id + "!"))
    seen = []
    with (
        scripted_server(twice) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        for _ in range(2):
            told = served.post(CHAT, json=_body(USER, tools=[ADD], stream=is_streamed)).text
            seen += [part.split('"')[0] for part in told.split('"id": "call_')[1:]]
            seen += [part.split('"')[0] for part in told.split('"id":"call_')[1:]]
    assert len(set(seen)) == len(seen) == 4


@pytest.mark.parametrize(
    "events",
    [
        # Every call at index 0 (Gemini), ids and names with every piece, no index at all.
        [{"index": 0, "id": "a", "function": {"name": "add", "arguments": "{}"}},
         {"index": 0, "id": "b", "function": {"name": "add", "arguments": '{"a": 1}'}}],
        [{"index": 0, "id": "a", "function": {"name": "add", "arguments": "{"}},
         {"index": 0, "id": "a", "function": {"name": "add", "arguments": "}"}},
         {"index": 1, "id": "b", "function": {"name": "add", "arguments": '{"a": 1}'}}],
        [{"id": "a", "function": {"name": "add", "arguments": ""}},
         {"id": "b", "function": {"name": "add", "arguments": {"a": 1}}}],
    ],
)  # fmt: skip
def test_odd_streams_of_calls_are_put_together(log_path: Path, events: list[Any]) -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in events]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    with (
        scripted_server(Reply(events=[*chunks, last, "[DONE]"])) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        served.post(CHAT, json=_body(USER, tools=[ADD], stream=True))
    (status, _, extra, _) = rows(log_path, CALLS)[0]
    arguments = [each["function"]["arguments"] for each in json.loads(extra)["tool_calls"]]
    assert status == "ok"
    assert [json.loads(each) for each in arguments] == [{}, {"a": 1}]


IMAGE = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
}
FILE = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
TEXT = {"type": "text", "text": "What is this?"}


def test_parts_pass_through_as_they_were(log_path: Path) -> None:
    content = [TEXT, IMAGE, FILE, SOUND]
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    with (
        scripted_server(Reply()) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        user = {"role": "user", "content": content}
        told = served.post(CHAT, json=_body(user, response_format=form))
        assert told.status_code == 200
    assert provider.bodies[0]["messages"] == [user]
    assert provider.bodies[0]["response_format"] == form
    messages, text = rows(log_path, "select messages, text from prompts")[0]
    assert json.loads(messages) == [user]
    assert text == "What is this?[image][file][audio]"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_log_probabilities_are_handed_on(log_path: Path, is_streamed: bool) -> None:
    logprobs = {"content": [{"token": "Answer: 4", "logprob": -0.25, "top_logprobs": []}]}
    body = json.loads(json.dumps(GOOD_ANSWER))
    body["choices"][0]["logprobs"] = logprobs
    with (
        scripted_server(Reply(body=body)) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        asked = _body(USER, logprobs=True, top_logprobs=2, stream=is_streamed)
        told = served.post(CHAT, json=asked).text
    assert (provider.bodies[0]["logprobs"], provider.bodies[0]["top_logprobs"]) == (True, 2)
    if is_streamed:
        chunks = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: {")]
        (choice,) = [each for c in chunks for each in c["choices"] if each["delta"].get("content")]
    else:
        choice = json.loads(told)["choices"][0]
    assert choice["logprobs"] == logprobs


def _tool(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "5"}


CALLED = {"role": "assistant", "content": None, "tool_calls": [call()]}
BIG = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 6_800_000}}


@pytest.mark.parametrize(
    ("messages", "status", "complaint"),
    [
        ([USER, _tool("x1")], 400, "messages.1 is a result for 'x1', which no call before it has"),
        ([USER, CALLED, _tool("x2")], 400, "messages.2 is a result for 'x2'"),
        ([USER, CALLED, USER], 400, "messages.2 comes before the result of the call 'x1'"),
        ([USER, CALLED], 400, "messages.1 ends before the result of the call 'x1'"),
        ([USER, CALLED, _tool("x1"), _tool("x1")], 400, "messages.3 is a result for 'x1'"),
        ([{"role": "user", "content": [TEXT, BIG]}], 413, "5100000 bytes, at most 5000000"),
        ([{"role": "user", "content": [IMAGE] * 101}], 413, "101 images, at most 100"),
        ([{"role": "user", "content": [{"type": "video_url"}]}], 400, "'video_url'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}],
         400, "image_url.url"),
        ([{"role": "operator", "content": "hi"}], 400, "'operator'"),
        ([USER] * 10_000, 400, "at most 5000 items"),
    ],
)  # fmt: skip
def test_what_no_provider_takes_is_refused_by_name(
    served: httpx.Client,
    provider_of_tools: ScriptedServer,
    messages: list[dict[str, Any]],
    status: int,
    complaint: str,
) -> None:
    told = served.post(CHAT, json=_body(*messages))
    assert told.status_code == status
    assert complaint in told.json()["error"]["message"]
    assert provider_of_tools.bodies == []
