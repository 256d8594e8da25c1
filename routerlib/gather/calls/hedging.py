"""Ask a second candidate when the first is slow to begin; whoever begins first is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from routerlib.gather.calls.asking import Listener, ListenerOf
from routerlib.records.call import Call, CandidateModel

Said = TypeVar("Said")

# Where a call's `extra` says that another candidate was asked beside it.
HEDGED = "hedged"
HEARD, UNHEARD = "heard", "not heard"
# In a query over calls: nobody saw what those gave that began too late.
IS_HEARD = f"coalesce(extra ->> '$.{HEDGED}', '') <> '{UNHEARD}'"


class Hedge(NamedTuple):
    """When to ask a second candidate.

    `after_s`: seconds in which the first has to begin.
    `keep`: runs on what is left to do when the answer is there: who wasn't heard is paid, and its
        call is logged once it ends; who wasn't even sent the request by then isn't asked any more.
    """

    after_s: float
    keep: Callable[[Coroutine[Any, Any, object]], object]


class Stage:
    """Let whoever begins first be heard, and nobody else."""

    def __init__(self, listener_of: ListenerOf) -> None:
        self.heard: str | None = None
        self.begun = asyncio.Event()
        self._listener_of = listener_of

    def listener(self, name: str) -> Listener:
        """Return who hears a candidate, as long as no other was heard before it."""
        free = self._listener_of(name)
        return Listener(
            on_text=_where(partial(self._is_heard, name), free.on_text),
            on_thought=_where(partial(self._is_heard, name), free.on_thought),
            on_call=_where(partial(self._is_heard, name), free.on_call),
            # A body may hold no answer at all, so that it makes nobody heard.
            on_body=_where(partial(self.may_be_heard, name), free.on_body),
        )

    def may_be_heard(self, name: str) -> bool:
        """Tell whether no other has begun to speak."""
        return self.heard in (None, name)

    def _is_heard(self, name: str) -> bool:
        if self.heard is None:
            self.heard = name
            self.begun.set()
        return self.heard == name


def _where(
    is_open: Callable[[], bool], hear: Callable[[Said], None] | None
) -> Callable[[Said], None] | None:
    """Hand on what is said where that is open."""
    if hear is None:
        return None
    return lambda said: hear(said) if is_open() else None


class Raced(NamedTuple):
    """Whose call counts, and the other's, under way or failed; None = nobody else was asked."""

    call: Call
    other: asyncio.Task[Call] | None


async def race(
    order: Sequence[CandidateModel],
    stage: Stage,
    after_s: float,
    ask: Callable[[CandidateModel], Awaitable[Call]],
    is_answer: Callable[[Call], bool],
) -> Raced:
    """Ask the first of two, and the second too where the first hasn't begun in time."""
    first = asyncio.ensure_future(_named(ask, order[0]))
    begun = asyncio.ensure_future(stage.begun.wait())
    await asyncio.wait({first, begun}, timeout=after_s, return_when=asyncio.FIRST_COMPLETED)
    if first.done() or begun.done():
        begun.cancel()
        return Raced(await first, None)
    tasks = {order[0].name: first, order[1].name: asyncio.ensure_future(_named(ask, order[1]))}
    try:
        while True:
            counts = _who_counts(tasks, stage, is_answer)
            if counts is not None:
                call = await tasks[counts]
                (other,) = [task for name, task in tasks.items() if name != counts]
                return Raced(call, other)
            waiting = {task for task in tasks.values() if not task.done()} | {begun}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        begun.cancel()


def _who_counts(
    tasks: dict[str, asyncio.Task[Call]], stage: Stage, is_answer: Callable[[Call], bool]
) -> str | None:
    """Return who is heard, or has answered; the second where both have failed; None = wait."""
    if stage.heard is not None:
        return stage.heard
    done = [name for name, task in tasks.items() if task.done()]
    answered = [name for name in done if is_answer(tasks[name].result())]
    if answered:
        return answered[0]
    return done[-1] if len(done) == len(tasks) else None


async def _named(ask: Callable[[CandidateModel], Awaitable[Call]], who: CandidateModel) -> Call:
    return await ask(who)
