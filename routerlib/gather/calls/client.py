"""One request to one candidate model, with retries, into one typed Call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from routerlib.gather.calls.asking import NOBODY, Asking, Listener, Permit, Unlimited
from routerlib.gather.calls.endpoints import ConnectionPools
from routerlib.gather.calls.large import LargeAnswers
from routerlib.gather.calls.reading import MOST_BYTES
from routerlib.gather.calls.replies import redacted
from routerlib.gather.calls.spoken import SpokenAnswer
from routerlib.gather.calls.streams import CallPiece
from routerlib.records.call import Call, CandidateModel
from routerlib.records.endings import UNKNOWN_END, tell_unknown
from routerlib.records.memory import give_back_large_blocks
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import thought_apart

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_FIRST_WAIT_S = 0.5


class Clients:
    """Hold one connection pool per candidate, for use inside one event loop.

    Use it as an async context manager; every connection is closed at its end.

    `first_wait_s`: seconds before the second attempt, on average half of it; it doubles then.
    `most_bytes`: of one answer, unpacked, in bytes.
    """

    def __init__(
        self,
        stopping: asyncio.Event | None = None,
        *,
        first_wait_s: float = _FIRST_WAIT_S,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        give_back_large_blocks()
        self._stopping = stopping or asyncio.Event()
        self._first_wait_s = first_wait_s
        self.large = LargeAnswers()
        self._pools = ConnectionPools(self._stopping, most_bytes, self.large)

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pools.close()

    async def client(self, candidate: CandidateModel) -> AsyncOpenAI:
        """Return the candidate's client; the server of a local model is started first."""
        return (await self._pools.endpoint(candidate)).client

    async def call(
        self,
        candidate: CandidateModel,
        prompt: Prompt,
        *,
        repeat: int = 0,
        decision_id: int | None = None,
        permit: Permit | None = None,
        listener: Listener = NOBODY,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Call:
        """Ask a candidate and return what came of it; faults become a typed status.

        `repeat`: number of the repetition, at least 0.
        `permit`: asked before each attempt, told what became of it; None = every attempt may be
            made.
        `is_wanted`: asked when an attempt is about to be sent, after all waiting; False = it isn't.
        """
        endpoint = await self._pools.endpoint(candidate)
        spoken = SpokenAnswer(listener.on_text) if listener.on_text is not None else None
        heard = replace(
            listener,
            on_text=spoken.hear if spoken else None,
            on_call=_after_text(spoken, listener.on_call),
        )
        asking = Asking(
            endpoint,
            candidate,
            prompt,
            permit or Unlimited(),
            heard,
            is_wanted,
            self._first_wait_s,
        )
        with self.large.kept():
            outcome = await asking.run()
            if spoken:
                spoken.end()
            if told := {
                **endpoint.adaptation.told,
                **asking.streamed.told_beginning(asking.started_at),
            }:
                outcome["extra"] = {**(outcome.get("extra") or {}), **told}
            outcome = redacted(outcome, endpoint.redact)
            if outcome.get("error_type") == UNKNOWN_END:
                tell_unknown(outcome["finish_reason"])
            call = Call(
                prompt_id=prompt.prompt_id,
                candidate=candidate.name,
                params_hash=candidate.params_hash,
                repeat=repeat,
                decision_id=decision_id,
                attempts=asking.attempts,
                latency_s=asking.latency_s,
                **outcome,
            )
            return thought_apart(call)


def _after_text(
    spoken: SpokenAnswer | None, on_call: Callable[[CallPiece], None] | None
) -> Callable[[CallPiece], None] | None:
    """Return who hears of calls; the text before them is told first."""
    if spoken is None or on_call is None:
        return None

    def hear(piece: CallPiece) -> None:
        spoken.show()
        on_call(piece)

    return hear
