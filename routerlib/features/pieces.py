"""Pieces of a training that need nothing of each other: done here, or by a cluster's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from routerlib.records.progress import watched

Value = TypeVar("Value")
Result = TypeVar("Result")


class Doer(Protocol):
    """Who does pieces."""

    def share(self, value: Value) -> Value:
        """Return what stands for a value among the arguments of pieces."""

    def begin(
        self, function: Callable[..., Result], pieces: Sequence[tuple[Any, ...]], what: str
    ) -> Callable[[], list[Result]]:
        """Have pieces done, and return what waits for their results, in their order."""

    def each(
        self, function: Callable[..., Result], pieces: Iterable[tuple[Any, ...]], what: str, n: int
    ) -> Iterator[Result]:
        """Have pieces done, and yield their results, in their order; few are held at a time."""


class _Here:
    """Does one piece after the other in this process."""

    def share(self, value: Value) -> Value:
        return value

    def begin(
        self, function: Callable[..., Result], pieces: Sequence[tuple[Any, ...]], what: str
    ) -> Callable[[], list[Result]]:
        return lambda: [function(*piece) for piece in watched(pieces, what, len(pieces))]

    def each(
        self, function: Callable[..., Result], pieces: Iterable[tuple[Any, ...]], what: str, n: int
    ) -> Iterator[Result]:
        return (function(*piece) for piece in watched(pieces, what, n))


_HERE = _Here()
_DOER: ContextVar[Doer | None] = ContextVar("doer", default=None)


def share(value: Value) -> Value:
    """Return what stands for a value among the arguments of pieces: it is sent to workers once.

    Hold it as long as pieces take it; the same value that is shared again isn't sent again.
    """
    return (_DOER.get() or _HERE).share(value)


def begin(
    function: Callable[..., Result], pieces: Sequence[tuple[Any, ...]], what: str
) -> Callable[[], list[Result]]:
    """Have pieces done, and return what gives the results of all, in their order.

    Workers begin at once; this process does them when it is asked for the results. A result must
    not depend on who does the piece, nor on what was done before.

    `function`: of a module or a class, so that workers find it by its name.
    `what`: what the pieces are, for those who see how far the training is.

    >>> divided = begin(divmod, [(7, share(2)), (9, share(4))], "divisions")
    >>> divided()
    [(3, 1), (2, 1)]
    """
    return (_DOER.get() or _HERE).begin(function, pieces, what)


def each(
    function: Callable[..., Result], pieces: Iterable[tuple[Any, ...]], what: str, n: int
) -> Iterator[Result]:
    """Have pieces done as `begin` does, where pieces or results are too large to hold all of them.

    `n`: how many pieces there are.

    >>> list(each(divmod, ((number, 2) for number in (7, 8)), "divisions", 2))
    [(3, 1), (4, 0)]
    """
    return (_DOER.get() or _HERE).each(function, pieces, what, n)


@contextmanager
def done_by(doer: Doer) -> Iterator[None]:
    """Have another one do the pieces, as long as the block lasts."""
    token = _DOER.set(doer)
    try:
        yield
    finally:
        _DOER.reset(token)
