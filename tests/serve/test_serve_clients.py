"""Clients that are slow, silent, many or wrong are bounded, and everybody else is served."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fault_server import FaultServer
from serving import candidate, rows, serving, wait_until

from routerlib.serve.admission import Patience, WaitingRoom
from routerlib.serve.guard import Guard, Limits

HEAD = b"POST /inference HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = b'{"prompt": "Hi"}'


@contextlib.contextmanager
def _served(provider: FaultServer, log_path: Path, **limits: Any) -> Iterator[httpx.Client]:
    with serving(
        [candidate("small", provider.url)], log_path, patience=Patience(**limits)
    ) as client:
        yield client


def _connect(served: httpx.Client) -> socket.socket:
    return socket.create_connection((served.base_url.host, served.base_url.port), timeout=30)


def _all_of(connection: socket.socket) -> bytes:
    """Read to the end that the server makes."""
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(2**16):
            told += part
    return told


def _is_answered(served: httpx.Client) -> bool:
    return served.post("/inference", json={"prompt": "Hi"}).status_code == 200


# -- connections that wait ---


class _Connection:
    def __init__(self) -> None:
        self.is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True


def test_one_connection_too_many_costs_the_one_that_waited_longest() -> None:
    room = WaitingRoom(Patience(most_waiting=4, most_waiting_per_client=3))
    greedy = [_Connection() for _ in range(5)]
    for each in greedy:
        room.enter("greedy", each)
    assert [each.is_dropped for each in greedy] == [True, True, False, False, False]
    modest = [_Connection() for _ in range(2)]
    for each in modest:
        room.enter("modest", each)  # the second is one too many in all
    assert not any(each.is_dropped for each in modest)
    assert [each.is_dropped for each in greedy] == [True, True, True, False, False]
    room.leave("greedy", greedy[3])
    last = _Connection()
    room.enter("modest", last)
    assert not any(each.is_dropped for each in (*modest, last, *greedy[3:]))


def test_many_idle_connections_shut_nobody_out(provider: FaultServer, log_path: Path) -> None:
    with (
        _served(provider, log_path, most_waiting=10, most_waiting_per_client=10) as served,
        contextlib.ExitStack() as idle,
    ):
        silent = [idle.enter_context(_connect(served)) for _ in range(40)]
        assert _is_answered(served)
        assert _all_of(silent[0]) == b""  # the oldest were dropped
        assert _is_answered(served)


def test_bodies_that_never_end_shut_nobody_out(provider: FaultServer, log_path: Path) -> None:
    with (
        _served(provider, log_path, most_waiting=10, most_waiting_per_client=10) as served,
        contextlib.ExitStack() as slow,
    ):
        for _ in range(40):
            slow.enter_context(_connect(served)).sendall(HEAD + b"content-length: 100\r\n\r\n{")
        assert _is_answered(served)


def test_a_request_under_way_is_never_dropped(provider: FaultServer, log_path: Path) -> None:
    with (
        _served(provider, log_path, most_waiting=3, most_waiting_per_client=3) as served,
        contextlib.ExitStack() as idle,
        _connect(served) as asking,
    ):
        body = b'{"prompt": "sleep 0.5"}'
        asking.sendall(HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        wait_until(lambda: provider.bodies, "the provider was never asked")
        for _ in range(12):
            idle.enter_context(_connect(served))
        assert _all_of(asking).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begun", [b"", HEAD])
def test_a_head_that_never_comes_is_given_up(
    provider: FaultServer, log_path: Path, begun: bytes
) -> None:
    with _served(provider, log_path, head_s=0.2) as served, _connect(served) as silent:
        silent.sendall(begun)
        told = _all_of(silent)
        assert told.startswith(b"HTTP/1.1 408" if begun else b"")
        assert (b"no request came within 0.2 seconds" in told) is bool(begun)
        assert _is_answered(served)


def test_the_next_head_on_a_kept_connection_has_the_same_deadline(
    provider: FaultServer, log_path: Path
) -> None:
    with _served(provider, log_path, head_s=0.2) as served, _connect(served) as kept:
        kept.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY + HEAD[:20])
        kept.sendall(HEAD[20:30])
        told = _all_of(kept)
    assert told.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in told


def test_a_connection_is_kept_for_the_next_request(provider: FaultServer, log_path: Path) -> None:
    request = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    last = request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    with _served(provider, log_path, most_waiting=2, most_waiting_per_client=2) as served:
        with _connect(served) as kept:
            kept.sendall(request + request)  # the second waits in the line
            kept.sendall(last)
            assert _all_of(kept).count(b"HTTP/1.1 200") == 3
        assert rows(log_path, "select count(*) from calls") == [(3,)]


# -- requests that are wrong before they are read ---


def test_what_is_no_http_is_told_so_in_the_shape_of_all_errors(
    provider: FaultServer, log_path: Path
) -> None:
    with _served(provider, log_path) as served, _connect(served) as wrong:
        wrong.sendall(b"HELLO\r\n\r\n")
        head, _, payload = _all_of(wrong).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(payload)["error"]["type"] == "invalid_request_error"


def test_a_body_with_two_ends_is_refused(provider: FaultServer, log_path: Path) -> None:
    both = b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n"
    with _served(provider, log_path) as served, _connect(served) as wrong:
        wrong.sendall(HEAD + both + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
        told = _all_of(wrong)
        assert told.startswith(b"HTTP/1.1 400")
        assert b"a content-length or is chunked, not both" in told
        assert not provider.bodies


def test_a_compressed_body_is_refused_unread(provider: FaultServer, log_path: Path) -> None:
    with _served(provider, log_path) as served:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        told = served.post("/inference", content=gzip.compress(BODY), headers=headers)
        assert told.status_code == 415
        assert "must not be compressed" in told.json()["error"]["message"]
        plain = served.post(
            "/inference", content=BODY, headers={**headers, "content-encoding": "identity"}
        )
        assert plain.status_code == 200


def test_a_refused_body_is_read_to_its_end_so_that_the_refusal_arrives(
    provider: FaultServer, log_path: Path
) -> None:
    size = Limits.body_bytes + 1
    with _served(provider, log_path) as served, _connect(served) as large:
        large.sendall(HEAD + b"content-length: %d\r\n\r\n" % size)
        large.sendall(b"x" * size)
        told = _all_of(large)
    assert told.startswith(b"HTTP/1.1 413")
    assert b"above the limit of 8000000 bytes" in told


# -- what all requests share ---


async def _ask(guard: Guard, parts: list[bytes], *, is_whole: bool = True) -> int:
    """Send a body to a guard; return the status."""
    coming = list(parts)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.sleep(0.1)
            return {"type": "http.disconnect"}
        part = coming.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(coming) or not is_whole}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await guard({"type": "http", "path": "/", "headers": [], "client": ("a", 1)}, receive, send)
    return sent[0]["status"] if sent else 0


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(("room_s", "statuses"), [(5.0, [200, 200, 200]), (0.001, [200, 503, 200])])
def test_large_bodies_wait_for_room_and_small_ones_need_none(
    room_s: float, statuses: list[int]
) -> None:
    limits = Limits(body_bytes=100, small_bytes=10, room_bytes=150, room_s=room_s)
    guard = Guard(_answer, None, limits)
    large, small = [b"x" * 40, b"x" * 40], [b"x" * 10]

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(_ask(guard, each) for each in (large, large, small)))

    assert asyncio.run(all_at_once()) == statuses


@pytest.mark.parametrize("sign", ["\N{DUCK}".encode(), json.dumps("\N{DUCK}").encode()])
def test_texts_of_four_bytes_a_sign_are_in_memory_one_after_the_other(sign: bytes) -> None:
    wide, plain = [b"x" * (100 - len(sign)) + sign], [b"x" * 100]
    limits = Limits(body_bytes=100, small_bytes=10, text_bytes=400, room_s=0.001)

    async def together(*bodies: list[bytes]) -> list[int]:
        guard = Guard(_answer, None, limits)
        return await asyncio.gather(*(_ask(guard, each) for each in bodies))

    assert asyncio.run(together(wide, wide)) == [200, 503]
    assert asyncio.run(together(*[plain] * 4)) == [200] * 4
    assert asyncio.run(together(*[["\u00e9".encode() * 50]] * 3)) == [200, 200, 503]


def test_room_is_given_back_when_its_body_breaks_off() -> None:
    guard = Guard(_answer, None, Limits(body_bytes=100, small_bytes=10, room_bytes=100, room_s=5))

    async def one_by_one() -> list[int]:
        gone = [await _ask(guard, [b"x" * 50], is_whole=False) for _ in range(3)]
        return [*gone, await _ask(guard, [b"x" * 50])]

    assert asyncio.run(one_by_one()) == [0, 0, 0, 200]


def test_requests_of_one_client_are_bounded() -> None:
    guard = Guard(_answer, None, Limits(most_requests_per_client=2))

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(_ask(guard, [b"{}"]) for _ in range(3)))

    assert asyncio.run(all_at_once()) == [200, 200, 503]
    assert asyncio.run(all_at_once()) == [200, 200, 503]


def test_a_body_that_never_comes_is_given_up() -> None:
    guard = Guard(_answer, None, Limits(body_s=0.05))
    assert asyncio.run(_ask(guard, [b"{"], is_whole=False)) == 408
