"""Tell beforehand how much a command reads, and how far it is, where that takes its time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

Item = TypeVar("Item")

# What takes less is over before anybody asks.
_AFTER_S = 5.0
# In a file of a night's output a line now and then is enough.
_SECONDS_BETWEEN, _SECONDS_BETWEEN_IN_FILE = 1.0, 30.0
# Reading this many calls takes some seconds.
_MANY_CALLS = 500_000
# Looking for copies among this many prompts takes half a minute, learning from them more.
_MANY_PROMPTS = 50_000


def bars(items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
    """Pass items on, with a bar on standard error once they have taken some seconds."""
    from tqdm import tqdm

    between_s = _SECONDS_BETWEEN if sys.stderr.isatty() else _SECONDS_BETWEEN_IN_FILE
    yield from tqdm(
        items, what, total, file=sys.stderr, mininterval=between_s, delay=_AFTER_S, leave=False
    )


def tell_size(log: CallLog) -> None:
    """Say how much there is to read, if that is much."""
    from routerlib.log.size import size_of

    size = size_of(log.source)
    if size.n_calls >= _MANY_CALLS:
        gigabytes = f"{size.n_bytes / 1e9:.1f} GB"
        typer.echo(f"reading {size.n_calls:,} calls, {gigabytes}: {log.path}", err=True)


def tell_work(n_prompts: int, what: str) -> None:
    """Say what is done next to many prompts.

    >>> tell_work(200, "looking for near-duplicates among")
    """
    if n_prompts >= _MANY_PROMPTS:
        typer.echo(f"{what} {n_prompts:,} prompts", err=True)
