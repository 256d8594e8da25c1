"""How large a log is, without reading it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from routerlib.log import queries
from routerlib.log.sealed_tables import SealedSnapshot
from routerlib.log.snapshot import Snapshot


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
            files = snapshot.manifest.files
            n_calls = sum(file.rows for file in files if file.table == "calls")
            n_bytes = sum(file.n_bytes for file in files)
            for tail in snapshot.tails:
                n_calls += _last_call(tail.snapshot) - tail.source.mark("calls")
                n_bytes += _bytes_of(tail.path)
            return Size(n_calls, n_bytes)
        return Size(_last_call(snapshot), _bytes_of(Path(str(source))))


def _last_call(snapshot: Snapshot) -> int:
    ((last,),) = snapshot.rows("select coalesce(max(call_id), 0) from calls")
    return int(last)


def _bytes_of(path: Path) -> int:
    """Return the size of a log, with what SQLite keeps beside it for now."""
    beside = path.with_name(path.name + "-wal")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
