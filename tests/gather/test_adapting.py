"""A server's own word is followed: what to leave out, how long to wait, where not to go."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_server import candidate_of
from scripted_server import GOOD_ANSWER, Reply, ScriptedServer, scripted_server

from routerlib.gather.calls.asking import Listener
from routerlib.gather.calls.client import Clients
from routerlib.gather.collection.collect import collect
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt


def _calls(
    server: ScriptedServer,
    n: int = 1,
    *,
    on_text: Callable[[str], Any] | None = None,
    most_bytes: int = 2**20,
    **known: Any,
) -> list[Call]:
    candidate = candidate_of(server, **known)  # type: ignore[arg-type]

    async def ask() -> list[Call]:
        async with Clients(first_wait_s=0.01, most_bytes=most_bytes) as clients:
            return [
                await clients.call(candidate, Prompt.from_text(f"{i}?"), listener=Listener(on_text))
                for i in range(n)
            ]

    return asyncio.run(ask())


def _refusing(*names: str, instead: str = "") -> Callable[[dict[str, Any]], Reply]:
    """Return a server that knows no parameters of these names."""

    def reply(body: dict[str, Any]) -> Reply:
        for name in names:
            if name in body:
                advice = f" Use '{instead}' instead." if instead else ""
                message = f"Unsupported parameter: '{name}' is not supported.{advice}"
                return Reply(400, {"error": {"message": message, "param": name}})
        return Reply()

    return reply


def test_a_neutral_parameter_is_left_out_once_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with scripted_server(_refusing("seed")) as server:
        calls = _calls(server, 2, parameters={"seed": 1, "max_tokens": 5}, max_attempts=1)
    assert [call.status for call in calls] == ["ok", "ok"]
    assert [call.attempts for call in calls] == [2, 1]
    assert ["seed" in body for body in server.bodies] == [True, False, False]
    assert (calls[1].extra or {})["left_out"] == ["seed"]
    assert [m for m in caplog.messages if "seed is left out" in m] == caplog.messages[:1]


def test_several_neutral_parameters_are_left_out_one_by_one() -> None:
    with scripted_server(_refusing("seed", "user", "temperature")) as server:
        given = {"seed": 1, "user": "me", "temperature": 1}
        (call,) = _calls(server, parameters=given, max_attempts=1)
    assert (call.status, call.attempts) == ("ok", 4)


def test_a_cap_is_sent_under_the_name_that_the_server_tells() -> None:
    with scripted_server(_refusing("max_tokens", instead="max_completion_tokens")) as server:
        (call,) = _calls(server, parameters={"max_tokens": 5})
    assert call.status == "ok"
    assert server.bodies[1]["max_completion_tokens"] == 5
    assert "max_tokens" not in server.bodies[1]


@pytest.mark.parametrize("parameters", [{"temperature": 0}, {"max_tokens": 5}, {"top_k": 3}])
def test_what_changes_the_answer_is_never_left_out(parameters: dict[str, Any]) -> None:
    with scripted_server(_refusing(*parameters)) as server:
        (call,) = _calls(server, parameters=parameters)
    assert (call.status, call.error_type, call.attempts) == ("error", "unsupported", 1)


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "type": "invalid_request_error", "message": {"detail": [
            {"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"],
             "msg": "Extra inputs are not permitted"}]}},
        {"error": {"message": "property 'stream_options' is unsupported, did you mean 'stream'?"}},
        {"error": {"message": "Extra inputs are not permitted, field: 'stream_options'"}},
        {"error": {"message": "Validation error at #/stream_options: Extra inputs are not "
                              "permitted"}},
    ],
)  # fmt: skip
def test_a_server_without_stream_options_streams_without_them(body: Any) -> None:
    def reply(asked: dict[str, Any]) -> Reply:
        if "stream_options" in asked:
            return Reply(422, body)
        chunk = {"choices": [{"delta": {"content": "4"}, "finish_reason": "stop"}]}
        return Reply(events=[{**chunk, "usage": GOOD_ANSWER["usage"]}, "[DONE]"])

    with scripted_server(reply) as server:
        calls = _calls(server, 2, on_text=str.strip, max_attempts=1)
    assert [(call.status, call.response, call.attempts) for call in calls] == [
        ("ok", "4", 2), ("ok", "4", 1),
    ]  # fmt: skip
    assert calls[0].usage is not None


def test_waits_that_are_told_are_kept_and_everything_is_answered(log: CallLog) -> None:
    turned_away = {"error": {"message": "Rate limit reached. Please try again in 0.2s."}}
    replies = [Reply(429, turned_away) for _ in range(5)]
    with scripted_server(*replies, Reply()) as server:
        candidate = candidate_of(server, max_attempts=2)  # type: ignore[arg-type]
        prompts = [Prompt.from_text(f"{i}?") for i in range(4)]
        collection = collect(prompts, [candidate], log, progress=False)
    assert collection.statuses == {"ok": 4}


def test_a_wait_that_is_too_long_switches_the_candidate_off(log: CallLog) -> None:
    told = {"error": {"message": "Tokens per day used up. Please try again in 7m12s."}}
    with scripted_server(Reply(429, told)) as server:
        prompts = [Prompt.from_text(f"{i}?") for i in range(20)]
        candidate = candidate_of(server, max_concurrency=1)  # type: ignore[arg-type]
        collection = collect(prompts, [candidate], log, progress=False)
    assert len(server.bodies) == 1
    assert "try again in 7m12s" in collection.switched_off["small"]


def test_max_wait_says_which_waits_are_kept(log: CallLog) -> None:
    turned_away = {"error": {"message": "Rate limit reached. Please try again in 0.2s."}}
    prompts = [Prompt.from_text("Hi")]
    with scripted_server(Reply(429, turned_away), Reply()) as server:
        patient = candidate_of(server, max_wait_s=1.0)  # type: ignore[arg-type]
        assert collect(prompts, [patient], log, progress=False).statuses == {"ok": 1}
    prompts = [Prompt.from_text(f"{i}?") for i in range(5)]
    with scripted_server(Reply(429, turned_away)) as server:
        hasty = candidate_of(server, max_wait_s=0.1, max_concurrency=1)  # type: ignore[arg-type]
        collection = collect(prompts, [hasty], log, progress=False)
    assert len(server.bodies) == 1
    assert "its max_wait_s allows" in collection.switched_off["small"]


# -- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_port_is_an_error_that_names_it(status: int) -> None:
    with scripted_server(Reply()) as other:
        target = f"{other.url}/chat/completions"
        with scripted_server(Reply(status, headers={"location": target})) as server:
            (call,) = _calls(server)
        assert other.paths == [], "nothing is sent there"
    assert (call.status, call.error_type, call.attempts) == ("error", "redirect", 1)
    assert f"127.0.0.1:{other.server_address[1]}" in (call.error or "")


@pytest.mark.parametrize("target", ["https://127.0.0.1/v1", "http://nowhere.invalid/v1"])
def test_a_redirect_to_another_scheme_or_host_is_an_error(target: str) -> None:
    with scripted_server(Reply(308, headers={"location": target})) as server:
        (call,) = _calls(server)
    assert call.error_type == "redirect"
    assert target.removesuffix("/v1") in (call.error or "")


def test_a_redirect_inside_the_same_server_is_followed() -> None:
    moved = Reply(307, headers={"location": "/v2/chat/completions"})
    with scripted_server(moved, Reply()) as server:
        (call,) = _calls(server)
    assert call.status == "ok"
    assert server.paths == ["/v1/chat/completions", "/v2/chat/completions"]


def test_a_redirect_that_drops_the_request_is_an_error() -> None:
    with scripted_server(Reply(302, headers={"location": "/v2"})) as server:
        (call,) = _calls(server)
    assert call.error_type == "redirect"
    assert "GET /v2" not in server.paths


# -- packed answers ----------------------------------------------------------------------------


def _packed(how: str) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        bits = {"gzip": 31, "deflate": 15, "bare deflate": -15}[how]
        pack = zlib.compressobj(wbits=bits)
        for _ in range(40):
            yield pack.compress(b" " * 2**16)
        yield pack.flush()

    return pieces


@pytest.mark.parametrize("how", ["gzip", "deflate", "bare deflate"])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("on_text", [None, str.strip])
def test_an_answer_that_unpacks_to_too_much_is_an_error(
    how: str, status: int, on_text: Any
) -> None:
    headers = {"content-encoding": how.split()[-1], "content-type": "application/json"}
    reply = Reply(status, headers=headers, pieces=_packed(how))
    with scripted_server(reply) as server:
        (call,) = _calls(server, on_text=on_text)
    assert (call.status, call.error_type, call.attempts) == ("error", "malformed", 1)
    assert "longer than 1,048,576 bytes" in (call.error or "")


@pytest.mark.parametrize("how", ["br", "zstd", "gzip, gzip"])
def test_an_answer_packed_in_a_way_nobody_asked_for_is_an_error(how: str) -> None:
    with scripted_server(Reply(body=b"xxx", headers={"content-encoding": how})) as server:
        (call,) = _calls(server)
    assert (call.error_type, call.attempts) == ("malformed", 1)
    assert server.headers[0]["accept-encoding"] == "gzip, deflate"


def test_packed_answers_are_read() -> None:
    import json

    payload = json.dumps(GOOD_ANSWER).encode()
    both = gzip.compress(payload[:20]) + gzip.compress(payload[20:])
    replies = [
        Reply(body=packed, headers={"content-encoding": name})
        for name, packed in (
            ("gzip", gzip.compress(payload)), ("x-gzip", both), ("deflate", zlib.compress(payload)),
            ("identity", payload),
        )
    ]  # fmt: skip
    with scripted_server(*replies) as server:
        assert [call.response for call in _calls(server, 4)] == ["Answer: 4"] * 4


def test_a_damaged_package_is_an_error() -> None:
    with scripted_server(Reply(body=b"\x1f\x8bno", headers={"content-encoding": "gzip"})) as server:
        (call,) = _calls(server)
    assert (call.status, call.error_type) == ("error", "malformed")


# -- servers that answer in a way of their own ----------------------------------------------------

_OLLAMA = {"model": "m", "message": {"role": "assistant", "content": "Answer: 4"}, "done": True}
_LINES = b"".join(
    json.dumps({**_OLLAMA, "done": done}).encode() + b"\n" for done in (False, False, True)
)
_EVENTS = b"".join(
    b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    for choice in (
        {"delta": {"content": "Answer: "}},
        {"delta": {"content": "4"}},
        {"delta": {}, "finish_reason": "stop"},
    )
)


@pytest.mark.parametrize("body", [_OLLAMA, _LINES], ids=["whole", "line by line"])
def test_an_address_of_ollamas_own_api_is_told_with_what_to_write(
    log: CallLog, body: dict | bytes
) -> None:
    with scripted_server(Reply(200, body)) as server:
        candidate = candidate_of(server)  # type: ignore[arg-type]
        collection = collect([Prompt.from_text("Hi")], [candidate], log, progress=False)
        assert len(server.bodies) == 1
    assert "write base_url so that it ends with /v1" in collection.switched_off["small"]
    assert log.lookup("select status, error_type from calls") == [("error", "wrong_address")]


@pytest.mark.parametrize(
    ("body", "status", "response"),
    [
        (_EVENTS + b"data: [DONE]\n\n", "ok", "Answer: 4"),
        (_EVENTS[:80], "error", None),
        (b"data: {broken\n\n", "error", None),
    ],
    ids=["whole", "cut off", "broken"],
)
def test_a_server_that_streams_unasked_and_calls_it_a_text_is_read(
    log: CallLog, body: bytes, status: str, response: str | None
) -> None:
    with scripted_server(Reply(200, body)) as server:
        candidate = candidate_of(server, max_attempts=1)  # type: ignore[arg-type]
        collect([Prompt.from_text("Hi")], [candidate], log, progress=False)
    assert log.lookup("select status, response from calls") == [(status, response)]


def test_a_server_that_is_not_there_is_named_and_no_key_in_its_address() -> None:
    with scripted_server(lambda _: Reply()) as server:
        pass
    (call,) = _calls(server, base_url=f"{server.url}?key=sk-abcdef0123456789", max_attempts=1)
    host = server.url.removesuffix("/v1")
    assert (call.status, call.error_type) == ("error", "connection")
    assert call.error == f"Connection error with {host}"
