"""How large a log is, without reading it."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

from routerlib.log import queries


class Size(NamedTuple):
    """What a log holds.

    `n_calls`: number of the last call, counted on over the parts of a dataset. `n_bytes`: of its
    files.
    """

    n_calls: int
    n_bytes: int


def size_of(source: queries.Source) -> Size:
    """Return how large a log or a sealed dataset is, as of now."""
    with closing(queries.open_tables(source)) as snapshot:
        return Size(snapshot.n_calls, snapshot.n_bytes)
