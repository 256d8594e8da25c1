"""Read spans of calls as OTLP's JSON: OpenTelemetry's GenAI conventions, and Langfuse's SDK.

What a span doesn't tell stays unknown: instrumentations leave out cached and thought tokens, why
an answer ended, or requests with images, and some log parameters that were never sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from routerlib.gather.importers.exchange import Exchange, from_json, seconds_of
from routerlib.gather.importers.records import (
    Imported,
    Options,
    json_records,
    number_or_none,
    text_of,
)
from routerlib.gather.importers.requests import imported_of

NO_CALL = "spans that are no call of a model"
NO_TEXTS = (
    "spans without texts; OpenTelemetry's instrumentations keep them with "
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only"
)
_CALLS = ("chat", "text_completion", "generate_content")
_FAILED = 2
_SENT = (
    *("temperature", "max_tokens", "top_p", "top_k", "frequency_penalty", "presence_penalty"),
    *("stop_sequences", "seed"),
)
# What Langfuse's SDK writes down where a request said nothing.
_LANGFUSE_FILLS_IN = {
    "temperature": 1,
    "max_tokens": "Infinity",
    "top_p": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
}
# Parts of a message whose content is its words.
_IN_WORDS = ("text", "reasoning")
_NO_DETAILS = "cached and thought tokens are not told"

_Span = Mapping[str, Any]


def read_otel(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per span of a model's call, of JSON lines or of one object or array."""
    n_open = 0
    for where, record in json_records(path):
        for span in _spans(record, where):
            options.ledger.n_rows += 1
            found = _exchange(span)
            imported = found if isinstance(found, str) else imported_of(found, where, options)
            if isinstance(found, str) or isinstance(imported, str):
                options.ledger.left_out[str(imported)] += 1
                continue
            is_open = imported.call.is_ok and imported.call.finish_reason is None
            if is_open and _is_at_its_cap(found):
                imported = imported._replace(call=replace(imported.call, status="truncated"))
            elif is_open:
                n_open += 1
            yield imported
    if n_open:
        options.understood.append(
            f"{n_open} answers without a word on why they ended count as complete"
        )


def _spans(record: Mapping[str, Any], where: str) -> Iterator[_Span]:
    told = record.get("resourceSpans")
    if not isinstance(told, list):
        raise ValueError(
            f"{where}: expected OTLP's JSON, objects with 'resourceSpans', such as the Collector's "
            f"file exporter writes; got {', '.join(map(repr, record))}"
        )
    try:
        for resource in _objects(told):
            for scope in _objects(resource.get("scopeSpans")):
                for span in _objects(scope.get("spans")):
                    yield {
                        **span,
                        "attributes": _attributes(span.get("attributes")),
                        "status": _object(span.get("status")),
                    }
    except _NoOtlp as error:
        raise ValueError(f"{where}: expected OTLP's JSON, {error}") from error


class _NoOtlp(Exception):
    """Something in a file isn't as OTLP has it."""


def _object(told: Any) -> Mapping[str, Any]:
    if told is None or isinstance(told, Mapping):
        return told or {}
    raise _NoOtlp(f"an object, got {told!r:.80}")


def _objects(told: Any) -> list[Mapping[str, Any]]:
    if told is None or isinstance(told, list):
        return [_object(each) for each in told or ()]
    raise _NoOtlp(f"a list of objects, got {told!r:.80}")


def _attributes(told: Any) -> dict[str, Any]:
    return {str(each.get("key")): _value(each.get("value")) for each in _objects(told)}


def _value(told: Any) -> Any:
    """Return what an OTLP value holds; whole numbers may be texts.

    >>> _value({"arrayValue": {"values": [{"intValue": "3"}, {"stringValue": "a"}]}})
    [3, 'a']
    """
    for kind, value in _object(told).items():
        if kind == "intValue":
            return _whole(value)
        if kind == "arrayValue":
            return [_value(each) for each in _objects(_object(value).get("values"))]
        if kind == "kvlistValue":
            return _attributes(_object(value).get("values"))
        return value
    return None


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise _NoOtlp(f"a whole number, got {value!r:.80}") from error


def _exchange(span: _Span) -> Exchange | str:
    attributes = span["attributes"]
    if attributes.get("langfuse.observation.type") == "generation":
        request, response, kept = _of_langfuse(attributes)
    elif attributes.get("gen_ai.operation.name") in _CALLS:
        request, response, kept = _of_conventions(attributes)
    else:
        return NO_CALL
    if not request["messages"]:
        return NO_TEXTS
    status = span["status"]
    error = None
    if status.get("code") in (_FAILED, "STATUS_CODE_ERROR"):
        error = {"error": {"message": status.get("message") or "failed"}}
    start, end = (_seconds(span.get(f"{name}TimeUnixNano")) for name in ("start", "end"))
    first = seconds_of(kept.pop("first_token", None))
    if first is not None and start is not None:
        kept["first_token_s"] = max(0.0, round(first - start, 6))
    return Exchange(
        request,
        response,
        error=error,
        ids=(str(span.get("traceId")), str(span.get("spanId"))),
        sent_at=start,
        latency_s=None if start is None or end is None else max(0.0, end - start),
        kept=kept,
    )


def _seconds(nanoseconds: Any) -> float | None:
    try:
        return int(nanoseconds) / 1e9 or None
    except (TypeError, ValueError):
        return None


# -- OpenTelemetry's conventions ---


def _of_conventions(told: _Span) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    asked = from_json(told.get("gen_ai.input.messages"))
    system = from_json(told.get("gen_ai.system_instructions"))
    messages = [_message(each) for each in asked] if isinstance(asked, list) else []
    if messages and isinstance(system, list):
        messages.insert(0, _message({"role": "system", "parts": system}))
    said = from_json(told.get("gen_ai.output.messages"))
    answer = said[0] if isinstance(said, list) and said and isinstance(said[0], Mapping) else {}
    ends = told.get("gen_ai.response.finish_reasons")
    end = answer.get("finish_reason") or (ends[0] if isinstance(ends, list) and ends else None)
    parameters = {name: told.get(f"gen_ai.request.{name}") for name in _SENT}
    counts = {
        "prompt_tokens": told.get("gen_ai.usage.input_tokens"),
        "completion_tokens": told.get("gen_ai.usage.output_tokens"),
    }
    cached = told.get("gen_ai.usage.cache_read.input_tokens")
    thought = told.get("gen_ai.usage.reasoning.output_tokens")
    if thought is None:  # as OpenLLMetry names it
        thought = told.get("gen_ai.usage.reasoning_tokens")
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    if thought is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": thought}
    request = {"model": told.get("gen_ai.request.model"), "messages": messages, **_told(parameters)}
    response = _chat(_message(answer), end, told.get("gen_ai.response.model"), counts)
    kept = {"provider": told.get("gen_ai.provider.name")}
    if counts["prompt_tokens"] is not None and cached is None and thought is None:
        kept["tokens_uncertain"] = _NO_DETAILS
    return request, response, kept


def _message(told: Any) -> dict[str, Any]:
    """Return a message of the conventions as one of chat; content of no words is left as it is."""
    message = told if isinstance(told, Mapping) else {}
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts:  # an image is left out by some without a trace
        return {"role": message.get("role"), "content": [{"type": "untold"}]}
    told_parts = [each for each in parts if isinstance(each, Mapping)]
    calls = [each for each in told_parts if each.get("type") == "tool_call"]
    content = [
        {**each, "text": each.get("content")} if each.get("type") in _IN_WORDS else each
        for each in told_parts
    ]
    words = text_of(content)
    return {
        "role": message.get("role"),
        "content": content if words is None else words,
        **({"tool_calls": calls} if calls else {}),
    }


# -- Langfuse's SDK ---


def _of_langfuse(told: _Span) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    named = {
        name.removeprefix("langfuse.observation."): value
        for name, value in told.items()
        if name.startswith("langfuse.observation.")
    }
    asked = from_json(named.get("input"))
    if isinstance(asked, Mapping):
        asked = asked.get("messages")
    said = from_json(named.get("output"))
    message = dict(said) if isinstance(said, Mapping) else {"content": said}
    message["content"] = text_of(message.get("content"))
    parameters = from_json(named.get("model.parameters"))
    sent = {
        name: value
        for name, value in (parameters if isinstance(parameters, Mapping) else {}).items()
        if _LANGFUSE_FILLS_IN.get(name) != value
    }
    end = from_json(named.get("metadata.finish_reason"))
    model = named.get("model.name")
    request = {"model": model, "messages": asked, **sent}
    response = _chat(message, end, None, from_json(named.get("usage_details")))
    return request, response, {"first_token": from_json(named.get("completion_start_time"))}


def _chat(message: Mapping[str, Any], end: Any, model: Any, counts: Any) -> dict[str, Any]:
    told = {"choices": [{"message": dict(message), "finish_reason": end}], "usage": counts}
    return told if model is None else {**told, "model": model}


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _is_at_its_cap(exchange: Exchange) -> bool:
    """Whether an answer has as many tokens as it could have: it was cut off."""
    cap = number_or_none(exchange.request.get("max_tokens"))
    counts = exchange.response.get("usage") or {}
    n_output = number_or_none(counts.get("completion_tokens", counts.get("output_tokens")))
    return cap is not None and n_output is not None and n_output >= cap
