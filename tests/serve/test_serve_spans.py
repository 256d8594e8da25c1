"""What was decided and asked reaches a collector as spans, and texts only where they are wanted."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fault_server import fault_server
from scripted_server import Reply, scripted_server
from serving import candidate, serving

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.rivals import KNNRouter

trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")

CHAT = "/v1/chat/completions"
SECRET = "What is the colour of the hidden door?"
BODY = {"model": "router", "messages": [{"role": "user", "content": SECRET}]}
GREEN = Reply(
    body={
        "model": "small-2026",
        "choices": [{"message": {"content": "Green it is."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3,
                  "prompt_tokens_details": {"cached_tokens": 8}},
    }
)  # fmt: skip


@contextmanager
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Take spans over OTLP as a collector does; they are there once the server has ended."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in trace_service.ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    try:
        yield spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(span: Any) -> dict[str, Any]:
    """Return a span's attributes."""
    kinds = {each.key: each.value for each in span.attributes}
    return {
        key: [each.string_value for each in value.array_value.values]
        if value.HasField("array_value")
        else getattr(value, value.WhichOneof("value"))
        for key, value in kinds.items()
    }


def asked(
    log_path: Path, monkeypatch: pytest.MonkeyPatch, replies: list[Reply], otel: str
) -> tuple[list[Any], httpx.Response]:
    """Ask once, and return the spans that a collector got, and the answer."""
    with collector(monkeypatch) as spans:
        with scripted_server(*replies) as provider:
            known = [candidate(name, provider.url) for name in ("small", "large")[: len(replies)]]
            with serving(known, log_path, otel=otel) as client:
                answer = client.post(CHAT, json=BODY)
        return spans, answer


def test_a_decision_and_its_call_are_spans_without_a_text(
    log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, answer = asked(log_path, monkeypatch, [GREEN], "decisions")
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"route", "chat provider-small"}
    route, call = by_name["route"], by_name["chat provider-small"]
    assert call.parent_span_id == route.span_id
    assert route.start_time_unix_nano <= call.start_time_unix_nano
    assert call.end_time_unix_nano <= route.end_time_unix_nano
    decided = told(route)
    assert decided["routerlib.model"] == "small"
    assert decided["routerlib.propensity"] == 1.0
    assert str(decided["routerlib.decision_id"]) == answer.headers["x-routerlib-decision-id"]
    assert told(call) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "custom",
        "gen_ai.request.model": "provider-small",
        "gen_ai.response.model": "small-2026",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 8,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "routerlib.candidate": "small",
        "routerlib.status": "ok",
    }
    sent = b"".join(span.SerializeToString() for span in spans)
    assert b"hidden door" not in sent
    assert b"Green it is" not in sent


def test_texts_go_along_where_they_are_wanted(
    log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, _ = asked(log_path, monkeypatch, [GREEN], "texts")
    (call,) = (told(span) for span in spans if span.name != "route")
    assert SECRET in call["gen_ai.input.messages"]
    assert "Green it is." in call["gen_ai.output.messages"]


def test_a_call_that_failed_is_a_span_of_its_own(
    log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Reply(status=400, body={"error": {"message": "no such thing"}})
    spans, answer = asked(log_path, monkeypatch, [broken, GREEN], "decisions")
    assert answer.status_code == 200
    route, *calls = sorted(spans, key=lambda span: span.start_time_unix_nano)
    assert route.name == "route"
    assert [told(span)["routerlib.status"] for span in calls] == ["error", "ok"]
    assert [span.status.code for span in calls] == [2, 0]
    assert told(calls[0])["error.type"]


def test_nothing_is_sent_unless_it_is_asked_for(
    log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, answer = asked(log_path, monkeypatch, [GREEN], "none")
    assert answer.status_code == 200
    assert spans == []


def test_a_call_that_was_asked_beside_and_not_heard_is_a_span_under_the_decision(
    log_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = Outcomes(
        [f"Say {number}" for number in range(40)],
        ["slow", "quick"],
        [[0.9, 0.5]] * 40,
        [[0.001, 0.002]] * 40,
        latency_s=[[1.0, 1.0]] * 40,
        first_token_s=[[0.3, 0.3]] * 40,
    )
    KNNRouter().fit(outcomes).save(tmp_path / "r.pkl")
    body = {**BODY, "stream": True}
    with collector(monkeypatch) as spans, fault_server() as slow, fault_server() as quick:
        slow.reply = lambda text: time.sleep(2) or "too late"  # type: ignore[assignment]
        who = [candidate("slow", slow.url), candidate("quick", quick.url)]
        with serving(who, log_path, tmp_path / "r.pkl", hedge=True, otel="decisions") as client:
            assert client.post(CHAT, json=body).headers["x-routerlib-model"] == "quick"
        # The server has ended, after the call that it had still under way.
        by_name = {span.name: span for span in spans}
    assert set(by_name) == {"route", "chat provider-slow", "chat provider-quick"}
    assert len(spans) == 3
    route, unheard = by_name["route"], by_name["chat provider-slow"]
    assert {span.parent_span_id for span in spans if span is not route} == {route.span_id}
    assert {span.trace_id for span in spans} == {route.trace_id}
    assert unheard.end_time_unix_nano > route.end_time_unix_nano
    assert told(unheard)["gen_ai.usage.output_tokens"] > 0
