"""Read what OpenAI and Anthropic hand out, and files in their words: batches, stored answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routerlib.gather.importers.exchange import Exchange
from routerlib.gather.importers.records import json_records

NEVER_ASKED = "requests of a batch that expired or was cancelled before they were asked"
_Requests = Mapping[str, Mapping[str, Any]]


def batch_requests(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the requests of a batch by their custom_id."""
    found: dict[str, Mapping[str, Any]] = {}
    for where, record in json_records(path, lists=("requests",)):
        custom_id = record.get("custom_id")
        body = record.get("body") or record.get("params")
        if not isinstance(custom_id, str) or not isinstance(body, Mapping):
            raise ValueError(
                f"{where}: a batch request needs 'custom_id' and 'body' (OpenAI) or 'params' "
                "(Anthropic)"
            )
        if found.setdefault(custom_id, body) != body:
            raise ValueError(
                f"{where}: another request has the custom_id {custom_id!r} too, so that their "
                "answers can't be told apart; import the batches one by one, each with its own "
                "request file"
            )
    return found


def openai_batch(
    record: Mapping[str, Any], requests: _Requests, where: str
) -> Exchange | str | None:
    """Return the exchange of a line of an OpenAI batch; None = another shape."""
    if not isinstance(record.get("custom_id"), str) or not {"response", "error"} & set(record):
        return None
    request = _request_of(record["custom_id"], requests, where)
    error, response = record.get("error"), record.get("response")
    if isinstance(error, Mapping) and error.get("code") in ("batch_expired", "batch_cancelled"):
        return NEVER_ASKED
    response = response if isinstance(response, Mapping) else {}
    body, status_code = response.get("body"), int(response.get("status_code") or 200)
    if status_code >= 400:
        error = error or body or dict(response)
    return Exchange(
        request,
        body,
        error=error,
        status_code=status_code,
        ids=_ids(record, response.get("request_id"), body),
        sent_at=_created(body),
        kept={**_rest(record, "response", "error"), "batch": True},
    )


def anthropic_batch(
    record: Mapping[str, Any], requests: _Requests, where: str
) -> Exchange | str | None:
    """Return the exchange of a line of Anthropic's batch results; None = another shape."""
    result = record.get("result")
    if not isinstance(record.get("custom_id"), str) or not isinstance(result, Mapping):
        return None
    request = _request_of(record["custom_id"], requests, where)
    kind = result.get("type")
    if kind in ("canceled", "expired"):
        return NEVER_ASKED
    error = result.get("error") or f"the result is {kind!r}"
    message = result.get("message")
    return Exchange(
        request,
        message,
        error=None if kind == "succeeded" else error,
        ids=_ids(record, _inner(error).get("request_id"), message),
        kept={**_rest(record, "result"), "batch": True},
    )


def own_pair(record: Mapping[str, Any]) -> Exchange | None:
    """Return the exchange of an object with a request and a response; None = another shape."""
    request, response = record.get("request"), record.get("response")
    if not isinstance(request, Mapping) or not {"response", "error"} & set(record):
        return None
    return Exchange(
        request,
        response,
        error=record.get("error"),
        ids=_ids(record, None, response),
        sent_at=record.get("startTime") or _created(response),
        latency_s=record.get("latency_s"),
        kept=_rest(record, "request", "response", "error", "latency_s"),
    )


def stored(record: Mapping[str, Any]) -> Exchange | None:
    """Return the exchange of a stored completion with its messages; None = another shape."""
    asked = [name for name in ("messages", "input") if isinstance(record.get(name), list | str)]
    if not asked or not {"choices", "output"} & set(record):
        return None
    request = {asked[0]: record[asked[0]], "instructions": record.get("instructions")}
    return Exchange(
        request,
        {name: value for name, value in record.items() if name not in asked},
        ids=_ids(record, None, None),
        sent_at=_created(record),
        kept={name: record[name] for name in ("id", "metadata") if record.get(name)},
    )


def conversation(record: Mapping[str, Any]) -> Exchange | None:
    """Return the exchange of messages that end with the assistant's; None = another shape."""
    messages = record.get("messages")
    if not isinstance(messages, list) or len(messages) < 2 or not isinstance(messages[-1], Mapping):
        return None
    if messages[-1].get("role") != "assistant":
        return None
    return Exchange(
        {"messages": messages[:-1]},
        {"choices": [{"message": messages[-1], "finish_reason": "stop"}]},
        ids=_ids(record, None, None),
        model=record.get("model"),
        kept=_rest(record, "messages", "model"),
    )


def _request_of(custom_id: str, requests: _Requests, where: str) -> Mapping[str, Any]:
    if custom_id in requests:
        return requests[custom_id]
    raise ValueError(
        f"{where}: the output of a batch holds no prompts; give the request file with the line "
        f"{custom_id!r} too (--requests)"
    )


def _ids(record: Mapping[str, Any], request_id: Any, body: Any) -> tuple[str, ...]:
    """Return every name of a call: a single one may be another call's too."""
    told = (record.get("id"), record.get("custom_id"), request_id, _inner(body).get("id"))
    return tuple(str(each) for each in told if each)


def _inner(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _created(body: Any) -> Any:
    return _inner(body).get("created") or _inner(body).get("created_at")


def _rest(record: Mapping[str, Any], *used: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in used}
