"""One request and its answer, whoever wrote them down, as what a call needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from routerlib.gather.calls.faults import FLAGGED, read_fault
from routerlib.gather.calls.replies import extra_of, read_answer
from routerlib.gather.calls.tokens import read_tokens
from routerlib.gather.importers.records import messages_of, number_or_none, text_of, thought_of
from routerlib.records.endings import status_by

_MOST_ERROR_CHARS = 500
_NO_STATUS = 200


@dataclass(frozen=True)
class Exchange:
    """A request and its answer.

    `request, response`: bodies as sent and received; a response may be a bare text.
    `error`: what came instead of an answer; `status_code` with it, 200 = not told.
    `ids`: what tools call it; several calls may share them. `sent_at`: of any form, None = untold.
    `model`: whom the request named, where its body doesn't. `kept`: fields for `extra`.
    """

    request: Mapping[str, Any]
    response: Any
    error: Any = None
    status_code: int = _NO_STATUS
    ids: tuple[str, ...] = ()
    model: str | None = None
    counts: Mapping[str, Any] | None = None
    cost_usd: float | None = None
    sent_at: Any = None
    latency_s: float | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


def asked_of(request: Mapping[str, Any]) -> Any:
    """Return the messages of a request of chat, responses or messages; None = more than text.

    >>> asked_of({"instructions": "Be brief.", "input": "1+1?"})
    ({'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': '1+1?'})
    """
    given = request.get("messages") or request.get("input") or request.get("prompt")
    if isinstance(given, list):
        given = [each for each in given if not _is_thought(each)]
    messages = messages_of(given)
    system = text_of(request.get("system") or request.get("instructions"))
    if messages is None or system is None:
        return None
    return ({"role": "system", "content": system}, *messages) if system.strip() else messages


def _is_thought(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "reasoning" and "role" not in item


def calls_a_tool(response: Any) -> bool:
    """Tell whether a model asked for a tool instead of answering."""
    if not isinstance(response, Mapping):
        return False
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    message = first.get("message") if isinstance(first, Mapping) else None
    if isinstance(message, Mapping) and (message.get("tool_calls") or message.get("function_call")):
        return True
    parts = [*_items(response.get("output")), *_items(response.get("content"))]
    return any(str(each.get("type", "")).endswith(("_call", "tool_use")) for each in parts)


def answer_of(exchange: Exchange) -> dict[str, Any]:
    """Return the fields of a call that an answer, or an error, gives."""
    response = exchange.response
    if exchange.error:
        return _failed(exchange.error, exchange.status_code)
    if isinstance(response, str):
        return {"status": status_by(None, response), "response": response or None}
    if isinstance(response, Mapping) and isinstance(response.get("output"), list):
        return _of_responses(response)
    if isinstance(response, Mapping) and isinstance(response.get("content"), list):
        return _of_anthropic(response)
    return read_answer(_as_chat(response))


def _failed(error: Any, status_code: int) -> dict[str, Any]:
    body = error if isinstance(error, Mapping) and "error" in error else {"error": error}
    fault = read_fault(status_code, body, {})
    inner = body["error"]
    text = inner.get("message") if isinstance(inner, Mapping) else inner
    return {
        "status": "refused" if fault.kind == FLAGGED else "error",
        "error_type": "imported" if status_code == _NO_STATUS else f"http_{status_code}",
        "error": str(text or error)[:_MOST_ERROR_CHARS],
    }


def _of_responses(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read an answer of /v1/responses, which has a status and a reason instead of an end's word."""
    if body.get("error") or body.get("status") == "failed":
        return _failed(body.get("error") or "failed", _NO_STATUS)
    items = _items(body["output"])
    said = [part for each in items if each.get("type") == "message"
            for part in _items(each.get("content"))]  # fmt: skip
    text = "".join(str(part.get("text") or "") for part in said if "refusal" not in part)
    thoughts = [part.get("text") for each in items if each.get("type") == "reasoning"
                for part in _items(each.get("summary") or each.get("content"))]  # fmt: skip
    details = body.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    thought = "\n\n".join(filter(None, thoughts))
    logprobs = [entry for part in said for entry in _items(part.get("logprobs"))]
    fields = _fields(body, text, reason or body.get("status"), thought, logprobs)
    is_refused = any("refusal" in part for part in said)
    return {**fields, "status": "refused"} if is_refused else fields


def _of_anthropic(body: Mapping[str, Any]) -> dict[str, Any]:
    text = text_of(body["content"]) or ""
    return _fields(body, text, body.get("stop_reason"), thought_of(body["content"]))


def _fields(
    body: Mapping[str, Any], text: str, reason: Any, thought: str, logprobs: Any = None
) -> dict[str, Any]:
    tokens = read_tokens(body.get("usage"), has_text=bool(text.strip()))
    status = status_by(reason, text)
    return {
        "status": status,
        "response": text or None,
        "finish_reason": None if reason is None else str(reason),
        "usage": tokens.usage,
        "extra": extra_of(body, text, thought, tokens.doubt, logprobs),
        **({"error_type": "imported", "error": f"ended with {reason!r}"} if status == "error"
           else {}),
    }  # fmt: skip


def _as_chat(response: Any) -> Any:
    """Return a text completion in the form of a chat's."""
    if not isinstance(response, Mapping) or not isinstance(response.get("choices"), list):
        return response
    choices = [
        {**each, "message": {"content": each["text"]}}
        if isinstance(each, Mapping) and "message" not in each and isinstance(each.get("text"), str)
        else each
        for each in response["choices"]
    ]
    return {**response, "choices": choices}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


# -- odd fields ---


def from_json(value: Any) -> Any:
    """Return what a JSON text holds; anything else as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def words_from_json(value: Any) -> Any:
    """Return what a JSON text holds, where that may be said; else the text, such as 007 or true.

    >>> words_from_json("true"), words_from_json('"true"'), words_from_json('["a"]')
    ('true', 'true', ['a'])
    """
    told = from_json(value)
    return told if isinstance(told, Mapping | list | str) else value


def seconds_of(moment: Any) -> float | None:
    """Return a moment, in seconds since 1970 or as ISO text, as seconds; None = unknown."""
    if isinstance(moment, str):
        try:
            told = datetime.fromisoformat(moment)
        except ValueError:
            return None
        return told.replace(tzinfo=told.tzinfo or UTC).timestamp()
    return number_or_none(moment)


def iso_of(moment: Any) -> str | None:
    """Return a moment as ISO text in UTC; None = unknown."""
    seconds = seconds_of(moment)
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None
