"""Calls of a local model wait for a place before their clock starts, and short jobs come early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fault_server import GOOD, FaultServer, candidate_of
from scripted_server import GOOD_ANSWER, Reply, scripted_server

from routerlib.gather.calls.client import Clients
from routerlib.gather.candidates import local_pool
from routerlib.gather.candidates.places import Places
from routerlib.gather.collection.collect import collect
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, CandidateModel, Price
from routerlib.records.prompt import Prompt


@pytest.fixture
def pool(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """Let the server on loopback stand in for those of the local pool."""
    monkeypatch.setattr(local_pool, "base_url", lambda _: server.url)
    monkeypatch.setattr(local_pool, "_places", {})
    return server


def _local(server: FaultServer, name: str = "small", **known: object) -> CandidateModel:
    return replace(candidate_of(server, name), provider="local", **known)  # type: ignore[arg-type]


def test_who_comes_first_is_served_first() -> None:
    order: list[int] = []

    async def one(places: Places, number: int) -> None:
        async with places.place():
            order.append(number)
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        places = Places(2)
        await asyncio.gather(*(one(places, number) for number in range(6)))

    asyncio.run(all_of_them())
    assert order == list(range(6))


def test_who_gives_up_waiting_leaves_the_line_and_takes_no_place() -> None:
    async def go() -> None:
        places = Places(1)
        async with places.place():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), places.place():
                    pass
        async with asyncio.timeout(5), places.place():
            pass

    asyncio.run(go())


def test_event_loops_of_other_threads_stand_in_the_same_line() -> None:
    places, held, may_end = Places(1), threading.Event(), threading.Event()
    order: list[str] = []

    async def hold() -> None:
        async with places.place():
            held.set()
            await asyncio.to_thread(may_end.wait, 30)
            order.append("thread")

    async def wait() -> None:
        async with places.place():
            order.append("here")

    async def wait_while_held() -> None:
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        may_end.set()
        await waiting

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    held.wait(30)
    asyncio.run(wait_while_held())
    thread.join()
    assert order == ["thread", "here"]


def test_a_server_works_on_no_more_calls_than_it_has_slots(pool: FaultServer, log: CallLog) -> None:
    prompts = [Prompt.from_text(f"sleep 0.05, number {i}") for i in range(10)]
    twins = [_local(pool, name, model="one.gguf", max_concurrency=10) for name in ("one", "two")]
    collection = collect(prompts, twins, log, progress=False)
    assert collection.statuses == {"ok": 20}
    assert pool.most_at_once == local_pool.SLOTS


def test_the_clock_of_a_call_starts_when_it_is_sent(pool: FaultServer) -> None:
    candidate = _local(pool, timeout_s=0.25, max_attempts=1)
    allowed_s = 0.25 * local_pool.SLOTS

    async def ask_behind_a_full_house() -> Call:
        places = local_pool.places(candidate.model)
        async with Clients() as clients:
            full = [await _entered(places) for _ in range(local_pool.SLOTS)]
            asking = asyncio.create_task(clients.call(candidate, GOOD[0]))
            await asyncio.sleep(1.2 * allowed_s)
            assert not pool.requests
            for each in full:
                await each.__aexit__(None, None, None)
            return await asking

    call = asyncio.run(ask_behind_a_full_house())
    assert call.status == "ok"
    assert call.latency_s is not None
    assert call.latency_s < allowed_s


async def _entered(places: Places) -> Any:
    place = places.place()
    await place.__aenter__()
    return place


def test_short_jobs_do_not_wait_behind_long_ones(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_middle_asked = threading.Event()

    def answer(body: dict[str, Any]) -> Reply:
        if body["model"] == "middle":
            is_middle_asked.set()
        if body["model"] == "long":
            is_middle_asked.wait(30)
        return Reply(body=GOOD_ANSWER)

    with scripted_server(answer) as server:
        monkeypatch.setattr(local_pool, "base_url", lambda _: server.url)
        jobs = [
            CandidateModel(name, name, "local", None, None, Price(0, 0), expected_s=expected_s)
            for name, expected_s in (("middle", 5.0), ("long", 9.0), ("short", 1.0))
        ]
        collection = collect(GOOD, jobs, log, progress=False)
        asked = [body["model"] for body in server.bodies]
    assert collection.statuses == {"ok": 18}
    assert asked.index("long") < asked.index("middle"), "nobody waits for the longest at the end"
    last_short = len(asked) - 1 - asked[::-1].index("short")
    assert last_short < asked.index("middle")
