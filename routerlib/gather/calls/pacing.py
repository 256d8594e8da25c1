"""How fast a candidate may be asked: requests per minute, and the pauses that it asks for."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# What a server may ask for: its limits are per minute at most. More than this is taken for a
# mistake (an epoch, milliseconds), and answered with our own growing waits.
LONGEST_ASKED_S = 120.0
_TOO_MANY_REQUESTS = 429
_UNIT_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_RESETS = (
    "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-ratelimit-reset",
    "x-ratelimit-reset-tokens-minute", "ratelimit-reset", "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-reset",
)  # fmt: skip
_LEAST_EPOCH_S, _LEAST_EPOCH_MS = 1e9, 1e12
# Those who were told to wait come back spread over this share of the wait.
_SPREAD = 0.1


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Read how long a server asks to wait.

    ``retry-after-ms`` and ``retry-after`` (seconds or an HTTP date) go before
    ``x-ratelimit-reset-requests`` and its kind (seconds, spans such as ``6m0s`` or ``20ms``, or a
    moment), of which the longest counts, without those whose ``remaining`` is above 0.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    asked = [
        None if milliseconds is None else milliseconds / 1e3,
        _after_s(headers.get("retry-after", "")),
    ]
    resets = [
        _span_s(headers.get(reset, ""))
        for reset in _RESETS
        if not (_number(headers.get(reset.replace("reset", "remaining"), "0")) or 0) > 0
    ]
    asked.append(max((s for s in resets if s is not None and _is_sensible(s)), default=None))
    return next((seconds for seconds in asked if _is_sensible(seconds)), None)


def _is_sensible(seconds: float | None) -> bool:
    return seconds is not None and 0 <= seconds <= LONGEST_ASKED_S


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _after_s(text: str) -> float | None:
    seconds = _number(text)
    if seconds is not None or not text.strip():
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return _until(date if date.tzinfo else date.replace(tzinfo=UTC))


def _span_s(text: str) -> float | None:
    """Read seconds, a span, or the seconds to a moment (an epoch, or an ISO time)."""
    text = text.strip().lower()
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION_PART.findall(text))
    seconds = _number(text)
    if seconds is None:
        with suppress(ValueError):
            moment = datetime.fromisoformat(text)
            return _until(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        return None
    if seconds >= _LEAST_EPOCH_S:
        seconds = seconds / 1e3 if seconds >= _LEAST_EPOCH_MS else seconds
        return seconds - time.time()
    return seconds


def _until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


class Pace:
    """Let requests to one candidate through, no faster than it allows.

    Requests start evenly spaced under a limit per minute. When one is told that there were too
    many (429), all of the candidate hold back for as long, and half as many as before are let
    through at a time; each answer lets one more through. Otherwise a crowd that was turned away
    together would come back together, and use up its attempts.

    `requests_per_minute`: upper limit, above 0; None = none.
    """

    def __init__(
        self, requests_per_minute: float | None, stopping: asyncio.Event | None = None
    ) -> None:
        self._gap_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next_slot = 0.0
        self._resume_at = 0.0
        self._allowed = math.inf
        self._n_inside = 0
        self._changed = asyncio.Condition()
        self._stopping = stopping or asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for as long as the request takes."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._n_inside < self._allowed)
            self._n_inside += 1
        try:
            await self._wait_for_slot()
            yield
        finally:
            async with self._changed:
                self._n_inside -= 1
                self._changed.notify_all()

    async def _wait_for_slot(self) -> None:
        slot = -math.inf
        while not self._stopping.is_set():
            if slot < self._resume_at:  # also when a pause began while waiting for the slot
                slot = max(time.monotonic(), self._next_slot, self._resume_at)
                self._next_slot = slot + self._gap_s
            wait_s = slot - time.monotonic()
            if wait_s <= 0:
                return
            await self.nap(wait_s)

    async def nap(self, seconds: float) -> None:
        """Sleep, unless the run is stopping."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def note_answer(self) -> None:
        """Learn that a request was answered."""
        self._allowed += 1

    def note_refusal(self, status: int, wait_s: float | None) -> None:
        """Learn that a request was turned away, and for how long the server asks to wait."""
        if wait_s is not None:
            wait_s *= 1 + _SPREAD * random.random()
            self._resume_at = max(self._resume_at, time.monotonic() + wait_s)
        if status == _TOO_MANY_REQUESTS:
            self._allowed = max(1, min(self._allowed, self._n_inside) // 2)
