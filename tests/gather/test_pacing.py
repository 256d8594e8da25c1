"""A candidate is asked no faster than it allows, and its pauses are kept where they make sense."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from routerlib.gather.calls.pacing import Pace, asked_wait_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "86400"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "-5", "retry-after": "9"}, 9.0),
        ({"x-ratelimit-reset-requests": "1s"}, 1.0),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-reset-requests": "0.5"}, 0.5),
        ({"x-ratelimit-reset-tokens": "1m30s"}, 90.0),
        ({"x-ratelimit-reset-tokens": "6m0s"}, None),  # longer than a limit per minute can ask
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "3s"}, 3.0),
        ({"x-ratelimit-reset-requests": "-1s"}, None),
        ({"x-ratelimit-reset-requests": "1764000000"}, None),
        (
            {
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-reset-tokens": "50s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-remaining-tokens": "9000",
            },
            2.0,
        ),
        ({"retry-after": "-1", "x-ratelimit-reset-requests": "3s"}, 3.0),
    ],
)
def test_what_a_server_asks_is_read_and_nonsense_ignored(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert asked_wait_s(headers) == (None if seconds is None else pytest.approx(seconds))


def test_a_date_is_a_wait_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    assert asked_wait_s({"retry-after": date}) == pytest.approx(40, abs=3)


async def _starts(pace: Pace, n_requests: int) -> list[float]:
    starts: list[float] = []

    async def request() -> None:
        async with pace.turn():
            starts.append(time.monotonic())

    await asyncio.gather(*(request() for _ in range(n_requests)))
    return starts


def test_a_pause_holds_back_everybody() -> None:
    async def run() -> float:
        pace = Pace(None)
        pace.note_refusal(429, 0.2)
        began = time.monotonic()
        return min(await _starts(pace, 5)) - began

    assert asyncio.run(run()) >= 0.2


def test_requests_are_spaced_evenly() -> None:
    starts = asyncio.run(_starts(Pace(1_200), 5))
    assert starts[-1] - starts[0] >= 4 * 0.05 - 0.005


def test_after_a_refusal_fewer_go_at_once_and_each_answer_lets_in_one_more() -> None:
    async def run() -> list[int]:
        pace, inside, most = Pace(None), 0, []

        async def request(status: int | None) -> None:
            nonlocal inside
            async with pace.turn():
                inside += 1
                most[-1] = max(most[-1], inside)
                await asyncio.sleep(0.01)
                if status is None:
                    pace.note_answer()
                else:
                    pace.note_refusal(status, None)
                inside -= 1

        for statuses in ([429] + [None] * 0, [None], [None] * 8):
            most.append(0)
            await asyncio.gather(*(request(status) for status in statuses))
        return most

    assert asyncio.run(run()) == [1, 1, 4]


def test_stopping_ends_every_wait() -> None:
    async def run() -> float:
        stopping = asyncio.Event()
        pace = Pace(1, stopping)
        pace.note_refusal(429, 100)
        began = time.monotonic()
        asyncio.get_running_loop().call_later(0.05, stopping.set)
        await _starts(pace, 3)
        return time.monotonic() - began

    assert asyncio.run(run()) < 30
