"""Answers in the shape of Anthropic's /v1/messages, whole and as events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from routerlib.gather.calls.answers import Answer
from routerlib.serve.anthropic_requests import THREADS
from routerlib.serve.faults import Refused
from routerlib.serve.responses import about, is_refusal, refusal_text, tool_calls
from routerlib.serve.streaming import Piece, event
from routerlib.serve.told_calls import Told, ToldCalls

_ENDS = {"truncated": "max_tokens", "refused": "refusal"}
_KINDS = {503: "overloaded_error", 413: "request_too_large", 402: "billing_error"}
# The second is that of a client whose base URL ends with /v1 and shouldn't.
_ADDRESSES = ("/v1/messages", "/v1/v1/messages")
# What this server says in its own words, and Anthropic in these.
_KNOWN = ("invalid_request_error", "authentication_error", "permission_error", "not_found_error")


class CacheCreation(BaseModel):
    """Tokens that a cache took in, by how long it keeps them."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class MessageUsage(BaseModel):
    """Tokens of the answer; what came from a cache isn't among ``input_tokens``."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    cache_creation: CacheCreation = CacheCreation()


class MessageBody(BaseModel):
    """Body of an answer to POST /v1/messages, with ``routerlib`` as an extra field."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[dict[str, Any]]
    stop_reason: Literal["end_turn", "max_tokens", "tool_use", "refusal"]
    stop_sequence: None = None
    usage: MessageUsage
    routerlib: dict[str, Any]


def message_body(answer: Answer) -> dict[str, Any]:
    """Return the body of an answer to POST /v1/messages."""
    text = refusal_text(answer) if is_refusal(answer) else answer.text
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    blocks += [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": _arguments(call["function"]["arguments"]),
        }
        for call in tool_calls(answer)
    ]
    return {
        **_begun(answer.call.candidate, answer.decision_id),
        "content": blocks,
        "stop_reason": stop_reason(answer),
        "usage": message_usage(answer),
        "routerlib": about(answer),
    }


def stop_reason(answer: Answer) -> str:
    """Return why the answer ended; a cut one always says so, also in the middle of a call."""
    if answer.call.status == "ok" and tool_calls(answer):
        return "tool_use"
    return _ENDS.get(answer.call.status, "end_turn")


def message_usage(answer: Answer) -> dict[str, Any]:
    """Return the tokens of the answer; 0 where the provider told none, since clients need some."""
    used = answer.call.usage
    cached = used.cached_input_tokens if used else 0
    written = used.cache_write_tokens if used else 0
    for_an_hour = used.cache_write_1h_tokens if used else 0
    return {
        "input_tokens": used.input_tokens - cached - written if used else 0,
        "output_tokens": used.output_tokens if used else 0,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written - for_an_hour,
            "ephemeral_1h_input_tokens": for_an_hour,
        },
    }


def told_at(path: str, refused: Refused) -> dict[str, Any]:
    """Return a refusal in the shape that the client of an address knows."""
    return fault_body(refused) if path.startswith(_ADDRESSES) else refused.body()


def fault_body(refused: Refused) -> dict[str, Any]:
    """Return the body of a refusal in the shape of Anthropic's API."""
    told = refused.body()["error"]["type"]
    kind = _KINDS.get(refused.status) or (told if told in _KNOWN else "api_error")
    error: dict[str, Any] = {"type": kind, "message": str(refused)}
    if refused.code == THREADS:
        error["details"] = {"error_code": THREADS}
    return {"type": "error", "error": error}


def _arguments(text: str) -> dict[str, Any]:
    """Return the arguments of a call, which have to be an object here."""
    try:
        told = json.loads(text)
    except ValueError:
        return {"invalid_json": text}
    return told if isinstance(told, dict) else {"invalid_json": text}


def _begun(model: str, decision_id: int) -> dict[str, Any]:
    return {
        "id": f"msg_{decision_id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


class MessageEvents:
    """An answer as events of a message."""

    def __init__(self) -> None:
        self._n_blocks = 0
        self._is_open = False
        self._has_text = False
        self._is_text = False
        self._calls = ToldCalls(0)
        self._has_input = False
        self._odd: str | None = None

    def begin(self, model: str, decision_id: int) -> Iterator[bytes]:
        """Say that an answer begins."""
        self._calls = ToldCalls(decision_id)
        usage = MessageUsage(
            input_tokens=0,
            output_tokens=0,
            cache_read_input_tokens=0,
            cache_creation_input_tokens=0,
        )
        message = {**_begun(model, decision_id), "usage": usage.model_dump()}
        yield _event("message_start", message=message)

    def piece(self, piece: Piece) -> Iterator[bytes]:
        """Tell a part of it; thoughts have no block that clients could send back."""
        if piece.call is not None:
            for told in self._calls.add(piece.call):
                yield from self._called(told)
        elif piece.field == "content":
            yield from self._text(piece.text)

    def end(self, answered: Answer, late: str) -> Iterator[bytes]:
        """Tell what is left, and how it ended."""
        body = message_body(answered)
        for block in body["content"]:
            if block["type"] == "text" and not (self._has_text or late):
                yield from self._text(block["text"])
        for told in self._calls.rest(answered):
            yield from self._called(told, is_whole=True)
        if late:
            yield from self._text(late)
        yield from self._close()
        delta = {"stop_reason": body["stop_reason"], "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage=body["usage"])
        yield _event("message_stop")

    def fail(self, refused: Refused) -> Iterator[bytes]:
        """Say that it broke off."""
        yield event(fault_body(refused), "error")

    def _text(self, text: str) -> Iterator[bytes]:
        if not (self._is_open and self._is_text):
            yield from self._close()
            yield from self._open({"type": "text", "text": ""})
        self._has_text = self._is_text = True
        yield from self._delta({"type": "text_delta", "text": text})

    def _called(self, told: Told, *, is_whole: bool = False) -> Iterator[bytes]:
        if told.begins:
            yield from self._close()
            block = {"type": "tool_use", "id": told.id, "name": told.name, "input": {}}
            yield from self._open(block)
            self._is_text, self._has_input, self._odd = False, False, None
        if told.arguments:
            yield from self._arguments(told.arguments, is_whole)
        if told.ends:
            if self._odd is not None:
                yield from self._input(json.dumps(_arguments(self._odd), ensure_ascii=False))
            yield from self._close()

    def _arguments(self, arguments: str, is_whole: bool) -> Iterator[bytes]:
        """Tell a part of a call's input; what is, or begins as, no object is told as such."""
        if self._odd is not None:
            self._odd += arguments
        elif self._has_input or (arguments.startswith("{") and not is_whole):
            yield from self._input(arguments)
        else:
            self._odd = arguments

    def _input(self, told: str) -> Iterator[bytes]:
        self._has_input = True
        yield from self._delta({"type": "input_json_delta", "partial_json": told})

    def _open(self, block: dict[str, Any]) -> Iterator[bytes]:
        self._is_open = True
        yield _event("content_block_start", index=self._n_blocks, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> Iterator[bytes]:
        yield _event("content_block_delta", index=self._n_blocks, delta=delta)

    def _close(self) -> Iterator[bytes]:
        if self._is_open:
            yield _event("content_block_stop", index=self._n_blocks)
            self._n_blocks += 1
        self._is_open = False


def _event(kind: str, **told: Any) -> bytes:
    return event({"type": kind, **told}, kind)
