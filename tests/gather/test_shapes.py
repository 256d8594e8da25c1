"""An answer is the same call with and without the stream, in every shape that providers send."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fault_server import candidate_of
from scripted_server import Reply, scripted_server

from routerlib.gather.calls.asking import Listener
from routerlib.gather.calls.client import Clients
from routerlib.records.call import Call, Usage
from routerlib.records.prompt import Prompt

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]}


def _whole(message: Any = None, reason: Any = "stop", **top: Any) -> dict[str, Any]:
    message = {"content": "Answer: 4"} if message is None else message
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"model": "m", "usage": USAGE, "choices": [choice], **top}


def _chunk(delta: Any, reason: Any = None, **choice: Any) -> dict[str, Any]:
    told = {"index": 0, "delta": delta, "finish_reason": reason, **choice}
    return {"model": "m", "choices": [told]}


TWO = [_chunk({"role": "assistant", "content": ""}), _chunk({"content": "Answer: "}),
       _chunk({"content": "4"})]  # fmt: skip
NO_BALANCE = {"status_code": 1008, "status_msg": "insufficient balance"}
LAST = {"choices": [], "usage": USAGE}

# name: what comes in one piece, and the same as events
SHAPES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "plain": (_whole(), [*TWO, _chunk({}, "stop"), LAST, "[DONE]"]),
    "content in parts": (
        _whole({"content": [THINKING, {"type": "text", "text": "Answer: 4"}]}),
        [_chunk({"content": [THINKING]}), *TWO, _chunk({}, "stop"), LAST, "[DONE]"],
    ),
    "thoughts beside": (
        _whole({"content": "Answer: 4", "reasoning_content": "2+2"}),
        [_chunk({"reasoning_content": "2+"}), _chunk({"reasoning_content": "2", "content": None}),
         *TWO, _chunk({}, "stop"), LAST],
    ),
    "thoughts twice": (
        _whole({"content": "Answer: 4", "reasoning": "2+2", "reasoning_content": "2+2"}),
        [_chunk({"reasoning": "2+2", "reasoning_content": "2+2"}), *TWO, _chunk({}, "stop"), LAST],
    ),
    "thoughts in details": (
        _whole({"content": "Answer: 4", "reasoning_details": [{"text": "2+2"}]}),
        [_chunk({"reasoning_details": [{"text": "2+2"}]}), *TWO, _chunk({}, "stop"), LAST],
    ),
    "usage in the choice": (
        _whole(), [*TWO, _chunk({}, "stop", usage=USAGE), "[DONE]"],
    ),
    "usage twice": (
        _whole(), [*TWO, _chunk({}, "stop", usage=USAGE), LAST, "[DONE]"],
    ),
    "usage grows": (
        _whole(),
        [{**_chunk({"content": "Answer: 4"}), "usage": {**USAGE, "completion_tokens": 1}},
         {**_chunk({}, "stop"), "usage": USAGE}],
    ),
    "usage of zeros first": (
        _whole(),
        [{**TWO[1], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}, TWO[2],
         {**_chunk({}, "stop"), "usage": USAGE}],
    ),
    "usage of groq": (
        _whole(), [*TWO, {**_chunk({}, "stop"), "x_groq": {"usage": USAGE}}, "[DONE]"],
    ),
    "no usage": (_whole(usage=None), [*TWO, _chunk({}, "stop"), "[DONE]"]),
    "reason with the text": (_whole(), [_chunk({"content": "Answer: 4"}, "stop"), LAST]),
    "reason before the text": (
        _whole(), [_chunk({"content": "Answer: "}, "stop"), _chunk({"content": "4"}), LAST],
    ),
    "an empty reason after it": (
        _whole(), [*TWO, _chunk({}, "stop"), {**_chunk({"content": ""}), "usage": USAGE}],
    ),
    "a reason on every chunk": (
        _whole(reason="length"),
        [_chunk({"content": "Answer: "}, "stop"), _chunk({"content": "4"}, "length"), LAST],
    ),
    "no reason, but an end": (_whole(reason=None), [*TWO, LAST, "[DONE]"]),
    "filtered before choices": (
        _whole({}, "content_filter"),
        [{"choices": [], "prompt_filter_results": []}, _chunk({}, "content_filter"), LAST],
    ),
    "filtered in two words": (
        _whole({}, "content_filter: PROHIBITED_CONTENT"),
        [
            {"model": "m", "choices": [{"finish_reason": "content_filter: PROHIBITED_CONTENT"}]},
            LAST,
        ],
    ),
    "refusal": (
        _whole({"content": None, "refusal": "I can't."}),
        [_chunk({"refusal": "I "}), _chunk({"refusal": "can't."}), _chunk({}, "stop"), LAST],
    ),
    "blocked without a choice": (
        {"promptFeedback": {"blockReason": "SAFETY"}},
        [{"promptFeedback": {"blockReason": "SAFETY"}}, "[DONE]"],
    ),
    "keep-alive objects": (
        _whole(), [b": PROCESSING\n\n", {"id": "x", "event": "ping"}, *TWO, b": ping\n\n",
                   _chunk({}, "stop"), LAST, "[DONE]"],
    ),
    "carriage returns": (
        _whole(), [b'data:{"model":"m","choices":[{"delta":{"content":"Answer: 4"}}]}\r\n\r\n',
                   _chunk({}, "stop"), LAST],
    ),
    "the whole text again": (
        _whole(), [*TWO, {**_chunk({}, "stop", message={"content": "Answer: 4"}), "usage": USAGE}],
    ),
    "the whole text at last": (
        _whole(), [{**_chunk(None, "stop", message={"content": "Answer: 4"}), "usage": USAGE}],
    ),
    "other choices between": (
        _whole(), [*TWO, _chunk({"content": "5"}, "stop", index=1), _chunk({}, "stop"), LAST],
    ),
    "the provider's own word": (
        _whole(choices=[{"message": {"content": "Answer: 4"}, "finish_reason": "stop",
                         "native_finish_reason": "MAX_TOKENS"}]),
        [*TWO, _chunk({}, "stop", native_finish_reason="MAX_TOKENS"), LAST],
    ),
    "broken by the server": (_whole(reason="abort"), [*TWO, _chunk({}, "abort"), LAST, "[DONE]"]),
    "an unknown word": (_whole(reason="weary"), [*TWO, _chunk({}, "weary"), LAST, "[DONE]"]),
    "an error in the choice": (
        {"choices": [{"error": {"code": 402, "message": "Insufficient credits"}}]},
        [{"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
          "error": {"code": 402, "message": "Insufficient credits"}}, "[DONE]"],
    ),
    "an error in an own shape": (
        {"choices": None, "base_resp": NO_BALANCE},
        [{"choices": None, "base_resp": NO_BALANCE}, "[DONE]"],
    ),
    "only an error": (
        {"error": {"message": "Content Exists Risk"}},
        [{"error": {"message": "Content Exists Risk"}}, "[DONE]"],
    ),
}  # fmt: skip


def _call(reply: Reply, is_streamed: bool) -> Call:
    async def call() -> Call:
        pieces: list[str] = []
        with scripted_server(reply) as server:
            async with Clients(first_wait_s=0.01) as clients:
                candidate = candidate_of(server, max_attempts=2)  # type: ignore[arg-type]
                on_text = pieces.append if is_streamed else None
                called = await clients.call(
                    candidate, Prompt.from_text("2+2?"), listener=Listener(on_text)
                )
        if is_streamed:
            assert "".join(pieces) == (called.response or "")
        return called

    return asyncio.run(call())


def _essence(call: Call) -> tuple[Any, ...]:
    return (
        call.status, call.response or "", call.finish_reason, call.usage, call.error_type,
        call.error, _untimed(call.extra), call.attempts,
    )  # fmt: skip


def _untimed(extra: dict[str, Any] | None) -> dict[str, Any]:
    """Leave out when a stream began, which a whole answer can't tell."""
    return {name: value for name, value in (extra or {}).items() if name != "first_token_s"}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_is_the_same_with_and_without_the_stream(shape: str) -> None:
    body, events = SHAPES[shape]
    whole = _call(Reply(body=body), is_streamed=False)
    streamed = _call(Reply(body=body, events=events), is_streamed=True)
    assert _essence(streamed) == _essence(whole)
    if shape == "plain":
        assert (streamed.extra or {})["first_token_s"] >= 0
    unasked = _call(Reply(pieces=lambda: map(_as_event, events)), is_streamed=False)
    assert _essence(unasked) == _essence(whole), "a stream that nobody asked for"


def _as_event(event: Any) -> bytes:
    import scripted_server

    return scripted_server._event(event)


@pytest.mark.parametrize(
    ("shape", "status", "response", "usage"),
    [
        ("plain", "ok", "Answer: 4", Usage(10, 5)),
        ("content in parts", "ok", "Answer: 4", Usage(10, 5)),
        ("usage in the choice", "ok", "Answer: 4", Usage(10, 5)),
        ("no usage", "ok", "Answer: 4", None),
        ("the provider's own word", "truncated", "Answer: 4", Usage(10, 5)),
        ("filtered in two words", "refused", "", Usage(10, 5)),
        ("refusal", "refused", "", Usage(10, 5)),
        ("blocked without a choice", "refused", "", None),
        ("broken by the server", "truncated", "Answer: 4", Usage(10, 5)),
        ("an error in the choice", "error", "", None),
        ("only an error", "refused", "", None),
    ],
)
def test_a_shape_means_what_the_provider_means(
    shape: str, status: str, response: str, usage: Usage | None
) -> None:
    call = _call(Reply(body=SHAPES[shape][0]), is_streamed=False)
    assert (call.status, call.response or "", call.usage) == (status, response, usage)


def test_who_answered_and_what_was_thought_stand_beside_the_answer() -> None:
    call = _call(Reply(body=SHAPES["thoughts beside"][0]), is_streamed=False)
    assert call.extra == {"answered_by": "m", "thought": "2+2"}


def test_counts_that_disagree_are_called_uncertain() -> None:
    call = _call(Reply(body=_whole(usage={**USAGE, "total_tokens": 12})), is_streamed=False)
    assert call.usage == Usage(10, 5)
    assert "12 in all" in (call.extra or {})["tokens_uncertain"]


def test_a_stream_without_an_end_is_broken_off() -> None:
    call = _call(Reply(events=TWO), is_streamed=True)
    assert (call.status, call.error_type, call.response) == ("error", "connection", "Answer: 4")


def test_an_error_after_the_first_words_is_not_made_good_by_an_end() -> None:
    events = [*TWO, {"error": {"message": "it fell over"}}, "[DONE]"]
    call = _call(Reply(events=events), is_streamed=True)
    assert (call.status, call.response, call.attempts) == ("error", "Answer: 4", 1)
    assert "it fell over" in (call.error or "")
