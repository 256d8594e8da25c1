"""How large a log is, without reading it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from routerlib.log import queries
from routerlib.log.sealed_tables import SealedSnapshot


class Size(NamedTuple):
    """What a log holds.

    `n_calls`: number of the last call, counted on over the parts of a dataset. `n_bytes`: of its
    files.
    """

    n_calls: int
    n_bytes: int


def size_of(source: queries.Source) -> Size:
    """Return how large a log or a sealed dataset is, as of now."""
    with queries.open_tables(source) as snapshot:
        if isinstance(snapshot, SealedSnapshot):
            n_bytes = sum(file.n_bytes for file in snapshot.manifest.files)
            n_bytes += sum(_bytes_of(tail.path) for tail in snapshot.tails)
        else:
            n_bytes = _bytes_of(Path(str(source)))
        return Size(snapshot.n_calls, n_bytes)


def _bytes_of(path: Path) -> int:
    """Return the size of a log, with what SQLite keeps beside it for now."""
    beside = path.with_name(path.name + "-wal")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
