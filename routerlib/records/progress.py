"""How far long work is: told to whoever shows it, and else to nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Item = TypeVar("Item")
# Passes items on, and shows how many have been; what they are called, and how many there will be.
Shower = Callable[[Iterable[Any], str, int | None], Iterator[Any]]


def _unshown(items: Iterable[Any], _what: str, _total: int | None) -> Iterator[Any]:
    return iter(items)


_SHOWER: ContextVar[Shower] = ContextVar("shower", default=_unshown)


def watched(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Pass items on, and let whoever shows progress know of each.

    `what`: what they are, for people. `total`: how many there will be; None = not known.

    >>> def shower(items, what, total):
    ...     for number, item in enumerate(items, start=1):
    ...         yield item
    ...         print(f"{what}: {number} of {total}")
    >>> with shown_by(shower):
    ...     [letter for letter in watched("ab", "letters", 2)]
    letters: 1 of 2
    letters: 2 of 2
    ['a', 'b']
    """
    return _SHOWER.get()(items, what, total)


@contextmanager
def shown_by(shower: Shower) -> Iterator[None]:
    """Have progress shown, as long as the block lasts."""
    token = _SHOWER.set(shower)
    try:
        yield
    finally:
        _SHOWER.reset(token)
