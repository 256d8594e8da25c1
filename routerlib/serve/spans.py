"""Tell OpenTelemetry what was decided and asked, by its conventions for generative AI.

A decision is a span ``route``; each call under it is a span ``chat <model>``. Neither holds a text
unless that is asked for.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from routerlib.gather.calls.answers import Recording
from routerlib.records.call import Call, CandidateModel
from routerlib.records.decision import Decision
from routerlib.records.messages import said
from routerlib.records.prompt import Prompt
from routerlib.serve.settings import Told

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_NAME = "OTEL_SERVICE_NAME"
_NANOSECONDS = 1e9


def exported(told: Told) -> Spans | None:
    """Return what sends spans to a collector, where and how OpenTelemetry's variables say.

    `told`: "none" = nothing is sent; "texts" = prompts and answers too.
    """
    if told == "none":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise RuntimeError(
            "sending spans needs routerlib with the extra 'otel': pip install 'routerlib[otel]'"
        ) from error
    name = {} if os.environ.get(_NAME) else {"service.name": "routerlib"}
    provider = TracerProvider(resource=Resource.create(name))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider, with_texts=told == "texts")


class Spans:
    """Where spans go.

    `with_texts`: whether prompts and answers go there too.
    """

    def __init__(self, provider: TracerProvider, *, with_texts: bool = False) -> None:
        self._provider = provider
        self._with_texts = with_texts
        self._tracer = provider.get_tracer("routerlib")

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def decided(self, decision: Decision, decision_id: int, start_ns: int) -> Span:
        """Begin the span of a decision, which lasts until it is answered."""
        return self._tracer.start_span(
            "route", attributes=_of_decision(decision, decision_id), start_time=start_ns
        )

    def called(self, under: Span, prompt: Prompt, call: Call, candidate: CandidateModel) -> None:
        """Tell a call that has just ended."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        end_ns = time.time_ns()
        span = self._tracer.start_span(
            f"chat {candidate.model}",
            context=set_span_in_context(under),
            kind=SpanKind.CLIENT,
            attributes=_of_call(call, candidate),
            start_time=end_ns - int((call.latency_s or 0.0) * _NANOSECONDS),
        )
        if self._with_texts:
            span.set_attributes(_texts(prompt, call))
        if call.status in ("error", "timeout"):
            span.set_attribute("error.type", call.error_type or call.status)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)


class SpannedRecording:
    """Write as another recording does, and tell each decision and call as a span.

    `candidates`: who may be asked.
    """

    def __init__(
        self, recording: Recording, spans: Spans, candidates: Sequence[CandidateModel]
    ) -> None:
        self._recording = recording
        self._spans = spans
        self._by_name = {each.name: each for each in candidates}
        self._start_ns = time.time_ns()  # the first decision was made just now
        self._under: Span | None = None
        self._prompt: Prompt | None = None

    async def add_decision(self, prompt: Prompt, decision: Decision) -> int:
        """Store a decision and its prompt and return the decision's number."""
        start_ns = self._start_ns if self._under is None else time.time_ns()
        self._prompt = prompt
        decision_id = await self._recording.add_decision(prompt, decision)
        self.end()  # the step of a cascade before this one
        self._under = self._spans.decided(decision, decision_id, start_ns)
        return decision_id

    async def add_call(self, call: Call) -> int:
        """Store a call and return its number."""
        if self._under is not None and self._prompt is not None:
            self._spans.called(self._under, self._prompt, call, self._by_name[call.candidate])
        return await self._recording.add_call(call)

    def end(self, *_: object) -> None:
        """End the span of the last decision; a call that nobody waited for still comes under it."""
        if self._under is not None and self._under.is_recording():
            self._under.end()


def _of_decision(decision: Decision, decision_id: int) -> dict[str, Any]:
    told = {
        "model": decision.model,
        "decision_id": decision_id,
        "router_hash": decision.router_hash,
        "propensity": decision.propensity,
        "cost_weight": decision.cost_weight,
        "expected_quality": decision.expected_quality,
        "expected_cost_usd": decision.expected_cost_usd,
        "reason": decision.reason,
    }
    return {f"routerlib.{name}": value for name, value in told.items() if _is_known(value)}


def _is_known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _of_call(call: Call, candidate: CandidateModel) -> dict[str, Any]:
    usage = call.usage
    told: Mapping[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": candidate.provider,
        "gen_ai.request.model": candidate.model,
        "gen_ai.response.model": (call.extra or {}).get("answered_by"),
        "gen_ai.response.finish_reasons": call.finish_reason and [call.finish_reason],
        "gen_ai.usage.input_tokens": usage and usage.input_tokens,
        "gen_ai.usage.output_tokens": usage and usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage and usage.cached_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage and usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage and usage.reasoning_tokens,
        "routerlib.candidate": call.candidate,
        "routerlib.status": call.status,
    }
    return {name: value for name, value in told.items() if _is_known(value)}


def _texts(prompt: Prompt, call: Call) -> dict[str, str]:
    asked = [_message(str(each["role"]), said(each)) for each in prompt.messages]
    told = {"gen_ai.input.messages": json.dumps(asked, ensure_ascii=False)}
    if call.response is not None:
        answer = {**_message("assistant", call.response), "finish_reason": call.finish_reason}
        told["gen_ai.output.messages"] = json.dumps([answer], ensure_ascii=False)
    return told


def _message(role: str, words: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": words}]}
