"""Read prompts: the part of their columns for which nothing but each text itself is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from routerlib.features.columns import count_columns
from routerlib.features.encoders import EncoderChoice, resolve_encoder
from routerlib.weights.embedding import Encoded, encode


class Read(NamedTuple):
    """What texts say by themselves, row by row.

    Attributes
    ----------
    encoded : Encoded
        Tokens and vectors.
    counts : ndarray of shape (n_texts, n_counts)
        As of `count_columns`.
    """

    encoded: Encoded
    counts: np.ndarray


Reader = Callable[[list[str], Sequence[str], EncoderChoice], Read]


def read_here(texts: list[str], groups: Sequence[str], encoder: EncoderChoice) -> Read:
    """Read texts in this process.

    `groups`: those of the columns that are wanted.
    """
    encoded = encode(texts, resolve_encoder(encoder))
    return Read(encoded, count_columns(texts, encoded, groups))


_READER: ContextVar[Reader] = ContextVar("reader", default=read_here)


def read(texts: list[str], groups: Sequence[str], encoder: EncoderChoice) -> Read:
    """Read texts by whoever is to: this process, a cluster's workers, who read them before."""
    return _READER.get()(texts, groups, encoder)


@contextmanager
def read_by(reader: Reader) -> Iterator[None]:
    """Have another one read, as long as the block lasts; it must give what `read_here` does."""
    token = _READER.set(reader)
    try:
        yield
    finally:
        _READER.reset(token)
