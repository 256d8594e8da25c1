"""Read records of LiteLLM: its logging payload, and rows of its spend log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlib.gather.importers.exchange import Exchange, from_json, seconds_of, words_from_json
from routerlib.gather.importers.records import number_or_none

OF_ITS_CACHE = "answers out of LiteLLM's own cache, which no model gave"
NO_TEXT = (
    "calls whose texts were not stored; LiteLLM keeps them with store_prompts_in_spend_logs: true"
)
# Kept beside the columns. All else may name its caller: headers, keys, users, addresses.
_KEPT = (
    *("id", "request_id", "litellm_call_id", "trace_id", "call_type", "custom_llm_provider"),
    *("model_group", "cost_breakdown"),
)
_SENT = ("model", "messages", "input", "instructions", "prompt", "system", "tools")
_NO_PARAMETERS = (
    *("stream", "stream_options", "metadata", "litellm_metadata", "user", "extra_headers"),
    *("headers", "proxy_server_request", "safety_identifier", "prompt_cache_key"),
)
_NO_STORED_TEXT: tuple[Any, ...] = (None, "", "{}", {}, [])


def payload(record: Mapping[str, Any]) -> Exchange | str | None:
    """Return the exchange of a logging payload, or why it is none; None = another shape."""
    if "messages" not in record or "response" not in record or "spend" in record:
        return None
    if _is_true(record.get("cache_hit")):
        return OF_ITS_CACHE
    told = record.get("model_parameters")
    parameters = _parameters(told) if isinstance(told, Mapping) else {}
    given = record["messages"]
    return _exchange(record, {**parameters, "messages": given}, record["response"], "response_cost")


def spend(record: Mapping[str, Any]) -> Exchange | str | None:
    """Return the exchange of a row of the spend log, or why it is none; None = another shape."""
    if "spend" not in record or not {"proxy_server_request", "messages"} & set(record):
        return None
    if _is_true(record.get("cache_hit")):
        return OF_ITS_CACHE
    request = from_json(record.get("proxy_server_request"))
    request = _parameters(request) if isinstance(request, Mapping) else {}
    messages = words_from_json(record.get("messages"))
    if not request and messages not in _NO_STORED_TEXT:
        request = {"messages": messages}
    response = words_from_json(record.get("response"))
    is_failed = record.get("status") == "failure"
    if not request or (response in _NO_STORED_TEXT and not is_failed):
        return NO_TEXT
    request.pop("model", None)  # the alias that was asked; `model` is who was used
    return _exchange(record, request, response, "spend")


def _exchange(
    record: Mapping[str, Any], request: Mapping[str, Any], response: Any, cost: str
) -> Exchange:
    is_failed = record.get("status") == "failure"
    cost_usd = number_or_none(record.get(cost))
    start, end = seconds_of(record.get("startTime")), seconds_of(record.get("endTime"))
    return Exchange(
        request,
        _who_answered(response, record),
        error=_error(record) if is_failed else None,
        status_code=_status_code(record) if is_failed else 200,
        ids=_ids(record),
        model=_model(record),
        counts={name: record.get(name) for name in ("prompt_tokens", "completion_tokens")},
        cost_usd=None if is_failed else cost_usd or None,  # 0.0: no price was known
        sent_at=record.get("startTime"),
        latency_s=None if start is None or end is None else max(0.0, end - start),
        kept=_kept(record, start),
    )


def _is_true(value: Any) -> bool:
    return str(value).casefold() == "true"


def _parameters(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in _NO_PARAMETERS}


def _ids(record: Mapping[str, Any]) -> tuple[str, ...]:
    names = ("id", "request_id", "litellm_call_id")
    return tuple(str(record[name]) for name in names if record.get(name))


def _model(record: Mapping[str, Any]) -> str | None:
    """Return the model's name without the provider's, which only the proxy puts before it."""
    model = record.get("model")
    if not isinstance(model, str) or not model:
        return None
    return model.removeprefix(f"{record.get('custom_llm_provider')}/")


def _who_answered(response: Any, record: Mapping[str, Any]) -> Any:
    """Take the proxy's alias out of a response, where it stands for who answered."""
    group = record.get("model_group")
    if isinstance(response, Mapping) and group and response.get("model") == group:
        return {name: value for name, value in response.items() if name != "model"}
    return response


def _information(record: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = from_json(record.get("metadata"))
    inner = metadata.get("error_information") if isinstance(metadata, Mapping) else None
    told = record.get("error_information") or inner
    return told if isinstance(told, Mapping) else {}


def _error(record: Mapping[str, Any]) -> Any:
    told = _information(record)
    text = record.get("error_str") or told.get("error_message") or "failure"
    return {"error": {"message": text, "code": told.get("normalized_error")}}


def _status_code(record: Mapping[str, Any]) -> int:
    code = str(_information(record).get("error_code") or "")
    return int(code) if code.isdecimal() and len(code) == 3 else 200


def _kept(record: Mapping[str, Any], start: float | None) -> dict[str, Any]:
    kept = {name: record[name] for name in _KEPT if record.get(name)}
    tags = from_json(record.get("request_tags"))
    if isinstance(tags, list):  # among them LiteLLM puts who called
        kept["request_tags"] = [tag for tag in tags if not str(tag).startswith("User-Agent")]
    first = seconds_of(record.get("completionStartTime"))
    if first is not None and start is not None and _is_streamed(record):
        kept["first_token_s"] = max(0.0, first - start)
    return {name: value for name, value in kept.items() if value not in (None, "", [])}


def _is_streamed(record: Mapping[str, Any]) -> bool:
    return bool(record.get("stream"))
