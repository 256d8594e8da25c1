"""Read spans of calls as OTLP's JSON: OpenTelemetry's GenAI conventions, and Langfuse's SDK.

What a span doesn't tell stays unknown: instrumentations leave out cached and thought tokens, why
an answer ended, or requests with images, and some log parameters that were never sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routerlib.gather.importers.exchange import Exchange, from_json, seconds_of
from routerlib.gather.importers.langfuse import chat_of, of_generation
from routerlib.gather.importers.records import Imported, Options, json_records, text_of
from routerlib.gather.importers.unended import with_ends

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
# Parts of a message whose content is its words.
_IN_WORDS = ("text", "reasoning")
_NO_DETAILS = "cached and thought tokens are not told"

_Span = Mapping[str, Any]


def read_otel(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per span of a model's call, of JSON lines or of one object or array."""
    exchanges = (
        (where, _exchange(span))
        for where, record in json_records(path)
        for span in _spans(record, where)
    )
    return with_ends(exchanges, options)


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
        request, response, kept = of_generation(_named(attributes))
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
    written = told.get("gen_ai.usage.cache_creation.input_tokens")
    thought = told.get("gen_ai.usage.reasoning.output_tokens")
    if thought is None:  # as OpenLLMetry names it
        thought = told.get("gen_ai.usage.reasoning_tokens")
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    if written is not None:
        counts["cache_write_tokens"] = written
    if thought is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": thought}
    request = {"model": told.get("gen_ai.request.model"), "messages": messages, **_told(parameters)}
    response = chat_of(_message(answer), end, told.get("gen_ai.response.model"), counts)
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


def _named(told: _Span) -> dict[str, Any]:
    """Return what Langfuse's SDK tells of a generation."""
    start = "langfuse.observation."
    return {
        name.removeprefix(start): value for name, value in told.items() if name.startswith(start)
    }


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
