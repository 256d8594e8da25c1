"""Read JSON lines of requests and responses: LiteLLM's logs, OpenAI's batches, own pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routerlib.gather.calls.replies import read_answer
from routerlib.gather.importers.records import (
    Imported,
    Options,
    json_lines,
    messages_of,
    number_or_none,
    origin,
    params_hash,
    rest_of,
    status_of,
    usage_of,
)
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt

_TOKENS = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
_SHAPES = (
    "an object with 'request' and 'response'; a line of an OpenAI batch output ('custom_id', "
    "'response' or 'error') with the batch's request file; LiteLLM's standard logging payload "
    "('messages', 'response', 'model'); or 'messages' that end with the assistant's"
)
# LiteLLM's copies of its price table and of what it knows of the key and its owner.
_NOT_KEPT = ("model_map_information", "hidden_params", "metadata")
_NOT_SENT = ("messages", "prompt", "model")


def read_requests(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per line."""
    requests = {} if options.requests is None else _batch_requests(options.requests)
    for where, record in json_lines(path):
        pair = _pair(record, requests, where)
        messages = messages_of(pair["request"].get("messages") or pair["request"].get("prompt"))
        if messages is None:
            options.left_out["requests without text, or with more than text"] += 1
            continue
        yield _imported(record, pair, messages, where, options)


def _batch_requests(path: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for where, record in json_lines(path):
        if not isinstance(record.get("custom_id"), str) or not isinstance(record.get("body"), dict):
            raise ValueError(f"{where}: a batch request needs 'custom_id' and 'body'")
        found[record["custom_id"]] = record["body"]
    return found


def _pair(
    record: dict[str, Any], requests: Mapping[str, dict[str, Any]], where: str
) -> dict[str, Any]:
    """Return request, response and error of a line of any shape."""
    for shape in (_batch_pair, _own_pair, _litellm_pair, _conversation_pair):
        pair = shape(record, requests, where)
        if pair is not None:
            return pair
    raise ValueError(f"{where}: expected {_SHAPES}; got {', '.join(map(repr, record))}")


def _batch_pair(
    record: dict[str, Any], requests: Mapping[str, dict[str, Any]], where: str
) -> dict[str, Any] | None:
    if not isinstance(record.get("custom_id"), str) or not {"response", "error"} & set(record):
        return None
    request = requests.get(record["custom_id"])
    if request is None:
        raise ValueError(
            f"{where}: the output of a batch holds no prompts; give the request file with the line "
            f"{record['custom_id']!r} too (--requests)"
        )
    response = record.get("response") or {}
    body = response.get("body") if isinstance(response, dict) else None
    error = record.get("error")
    if isinstance(response, dict) and response.get("status_code", 200) >= 400:
        error = error or body or response
    return {"request": request, "response": body, "error": error, "used": ("response", "error")}


def _own_pair(record: dict[str, Any], *_: Any) -> dict[str, Any] | None:
    request = record.get("request")
    if not isinstance(request, dict) or not {"response", "error"} & set(record):
        return None
    response = record.get("response")
    used = ("request", "response", "error")
    return {"request": request, "response": response, "error": record.get("error"), "used": used}


def _litellm_pair(record: dict[str, Any], *_: Any) -> dict[str, Any] | None:
    if "messages" not in record or "response" not in record:
        return None
    is_failed = record.get("status") == "failure"
    error = record.get("error_str") or "failure" if is_failed else None
    parameters = record.get("model_parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    request = {**parameters, "messages": record["messages"], "model": record.get("model")}
    used = ("messages", "response", "error_str", "model_parameters", "model")
    return {"request": request, "response": record["response"], "error": error, "used": used}


def _conversation_pair(record: dict[str, Any], *_: Any) -> dict[str, Any] | None:
    messages = record.get("messages")
    if not isinstance(messages, list) or len(messages) < 2 or not isinstance(messages[-1], dict):
        return None
    if messages[-1].get("role") != "assistant":
        return None
    request = {"messages": messages[:-1], "model": record.get("model")}
    response = {"choices": [{"message": messages[-1], "finish_reason": "stop"}]}
    return {"request": request, "response": response, "error": None, "used": ("messages", "model")}


def _imported(
    record: dict[str, Any],
    pair: dict[str, Any],
    messages: tuple[Mapping[str, str], ...],
    where: str,
    options: Options,
) -> Imported:
    request, response = pair["request"], pair["response"]
    answered = response.get("model") if isinstance(response, dict) else None
    model = options.candidate or request.get("model") or answered
    if not isinstance(model, str) or not model:
        raise ValueError(f"{where}: no model is named; name it (--candidate)")
    prompt = Prompt(messages, source="requests")
    answer = {"usage": None, **_answer(response, pair["error"])}
    if answer["usage"] is None and record.get("prompt_tokens"):  # 0 means not known here
        answer["usage"] = usage_of(record, _TOKENS)
    told = answer.pop("extra", None) or {}
    native = response.get("id") if isinstance(response, dict) else None
    identity = record.get("id") or native or [prompt.prompt_id, model, response, pair["error"]]
    parameters = {name: value for name, value in request.items() if name not in _NOT_SENT}
    call = Call(
        prompt.prompt_id,
        model,
        params_hash(model, parameters),
        **answer,
        latency_s=_latency_s(record),
        attempts=None,
        given_cost_usd=number_or_none(record.get("response_cost")) if answer["usage"] else None,
        origin=origin("requests", identity),
        asked_at=_asked_at(record, response),
        extra={**(rest_of(record, *pair["used"], *_NOT_KEPT) or {}), **told} or None,
    )
    return Imported(prompt, call)


def _answer(response: Any, error: Any) -> dict[str, Any]:
    if error:
        text = error.get("message") if isinstance(error, dict) else None
        text = str(text or error)[:500]
        return {"status": "error", "error_type": "imported", "error": text}
    if isinstance(response, str):
        return {"status": status_of(response, None), "response": response}
    return read_answer(response)


def _latency_s(record: Mapping[str, Any]) -> float | None:
    start, end = number_or_none(record.get("startTime")), number_or_none(record.get("endTime"))
    if start is not None and end is not None:
        return max(0.0, end - start)
    return number_or_none(record.get("latency_s"))


def _asked_at(record: Mapping[str, Any], response: Any) -> str | None:
    seconds = record.get("startTime")
    if seconds is None and isinstance(response, dict):
        seconds = response.get("created")
    known = number_or_none(seconds)
    if known is None:
        return None
    return datetime.fromtimestamp(known, UTC).isoformat(timespec="milliseconds")
