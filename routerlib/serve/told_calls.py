"""Tell the calls of tools in a stream as they come: one after the other, each to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from routerlib.gather.calls.answers import Answer
from routerlib.gather.calls.streams import CallPiece
from routerlib.serve.responses import call_id, tool_calls


class Told(NamedTuple):
    """What is told next of a call: that it begins, a part of its arguments, or that it ends.

    `number`: of the call among those of the answer, from 0.
    `id`: as of no other answer.
    """

    number: int
    id: str
    name: str
    arguments: str = ""
    begins: bool = False
    ends: bool = False


class _Known:
    """What has come of a call."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self.waiting = ""  # spaces at its end, or what comes while another call is being told

    def next(self) -> str:
        """Return what may be told now: no spaces at either end."""
        whole = self.waiting if self._told else self.waiting.lstrip()
        new = whole.rstrip()
        self.waiting = whole[len(new) :]
        self._told += [new] if new else []
        return new

    @property
    def told(self) -> str:
        """Its arguments, as they were told so far."""
        return "".join(self._told)


class ToldCalls:
    """Put the pieces of calls in order.

    A call that begins while another's arguments aren't whole waits for these: most clients know one
    call at a time.

    >>> calls = ToldCalls(7)
    >>> [told.arguments for told in calls.add(CallPiece(0, "a", "f", '{"a": '))]
    ['', '{"a":']
    >>> [told.arguments for told in calls.add(CallPiece(1, "b", "g", "{}"))]
    []
    >>> [told[:2] for told in calls.add(CallPiece(0, "a", "f", "1}"))]
    [(0, 'call_7_0_a'), (0, 'call_7_0_a'), (1, 'call_7_1_b'), (1, 'call_7_1_b')]
    """

    def __init__(self, decision_id: int) -> None:
        self._decision_id = decision_id
        self._known: dict[int, _Known] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._open: int | None = None
        self._n_begun = 0

    def add(self, piece: CallPiece) -> Iterator[Told]:
        """Take in a piece, and say what is told by now."""
        number = piece.number
        known = self._known.setdefault(number, _Known())
        known.waiting += piece.arguments
        named = call_id(self._decision_id, number, piece.id), piece.name
        self._names.setdefault(number, named)
        if self._open is None:
            yield from self._begin(number)
        elif number == self._open and (new := known.next()):
            yield self._told(number, new)
        while (following := self._n_begun) in self._known and self._is_whole():
            assert self._open is not None
            yield self._told(self._open, ends=True)
            yield from self._begin(following)

    def rest(self, answered: Answer) -> Iterator[Told]:
        """Say what is left to tell of the calls of an answer that is whole."""
        for number, call in enumerate(tool_calls(answered)):
            arguments, told = call["function"]["arguments"], ""
            if number >= self._n_begun:
                self._names.setdefault(number, (call["id"], call["function"]["name"]))
                yield self._told(number, begins=True)
            elif number != self._open:
                continue
            else:
                told = self._known[number].told
            if arguments.startswith(told) and len(arguments) > len(told):
                yield self._told(number, arguments[len(told) :])
            yield self._told(number, ends=True)

    def _begin(self, number: int) -> Iterator[Told]:
        self._open, self._n_begun = number, self._n_begun + 1
        yield self._told(number, begins=True)
        if new := self._known[number].next():
            yield self._told(number, new)

    def _is_whole(self) -> bool:
        assert self._open is not None
        try:
            json.loads(self._known[self._open].told)
        except ValueError:
            return False
        return True

    def _told(
        self, number: int, arguments: str = "", *, begins: bool = False, ends: bool = False
    ) -> Told:
        return Told(number, *self._names[number], arguments, begins, ends)
