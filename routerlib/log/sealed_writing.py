"""Write rows to Parquet files by day and bucket, a bounded part of them held at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from routerlib.log.sealed import SealedFile, to_disk
from routerlib.records.files import PRIVATE, sha256_of

# Tables whose rows are of a prompt, and many; the others are one file for each sealing.
BUCKETED = ("prompts", "decisions", "calls", "scores")
# A part of a file that is written and read as a whole.
_GROUP_BYTES = 16 << 20
_GROUP_ROWS = 65_536
_HELD_BYTES = 128 << 20
_MOST_OPEN = 64
_DAY = len("2026-01-31")


def bucket_of(prompt_id: str, n_buckets: int) -> int:
    """Return the bucket of a prompt: equal in every process and version.

    >>> bucket_of("b2:965b968b41d23528335d7432bc518cd5", 8)
    0
    """
    return zlib.crc32(prompt_id.encode()) % n_buckets


def buckets_of(prompt_ids: pa.Array, n_buckets: int) -> np.ndarray:
    """Return the bucket of each of many prompts, shape (n,)."""
    keys = prompt_ids.dictionary_encode()
    buckets = np.array([bucket_of(key, n_buckets) for key in keys.dictionary.to_pylist()], int)
    return buckets[keys.indices.to_numpy()]


class SealedWriter:
    """Write one table's rows to new files of a dataset.

    `stem`: begins the names of its files, so that none has the name of another sealing's.
    """

    def __init__(
        self, folder: Path, table: str, schema: pa.Schema, stem: str, n_buckets: int
    ) -> None:
        self._folder = folder
        self._table = table
        self._schema = schema
        self._stem = stem
        self._n_buckets = n_buckets
        self._held: dict[str, list[pa.RecordBatch]] = {}
        self._open: dict[str, pq.ParquetWriter] = {}
        self._paths: list[str] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows: they are written when enough of their part have come."""
        for part, rows in self._parts(batch):
            self._held.setdefault(part, []).append(rows)
            n_bytes, n_rows = _size(self._held[part])
            if n_bytes >= _GROUP_BYTES or n_rows >= _GROUP_ROWS:
                self._write(part)
        while sum(_size(each)[0] for each in self._held.values()) > _HELD_BYTES:
            self._write(max(self._held, key=lambda each: _size(self._held[each])[0]))

    def close(self) -> list[SealedFile]:
        """Write what is held and return the files, which are on the disk."""
        for part in list(self._held):
            self._write(part)
        for part in list(self._open):
            self._close(part)
        return [self._finished(path) for path in self._paths]

    def abandon(self) -> None:
        """Close the files: they are no part of the dataset, and may stay without their ends."""
        for writer in self._open.values():
            try:
                writer.close()
            except OSError:  # what went wrong before is on its way
                writer.is_open = False  # or pyarrow would try once more and print a traceback
        self._open.clear()

    def _close(self, part: str) -> None:
        """Close a file, which is abandoned where that fails."""
        self._open[part].close()
        del self._open[part]

    def _parts(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        if self._table not in BUCKETED:
            if len(batch):
                yield self._table, batch
            return
        days = pc.utf8_slice_codeunits(batch["created_at"], 0, _DAY).dictionary_encode()
        buckets = buckets_of(batch["prompt_id"], self._n_buckets)
        place = days.indices.to_numpy() * self._n_buckets + buckets
        for code in np.unique(place):
            day = days.dictionary[code // self._n_buckets].as_py()
            rows = batch.take(pa.array(np.flatnonzero(place == code)))
            yield f"{self._table}/day={day}/bucket={code % self._n_buckets}", rows

    def _write(self, part: str) -> None:
        if part not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self._close(next(iter(self._open)))
            path = f"{part}/{self._stem}-{len(self._paths)}.parquet"
            (self._folder / part).mkdir(parents=True, exist_ok=True)
            self._paths.append(path)
            self._open[part] = pq.ParquetWriter(
                self._folder / path, self._schema, compression="zstd"
            )
        rows = pa.Table.from_batches(self._held.pop(part), self._schema)
        self._open[part].write_table(rows, row_group_size=_GROUP_ROWS)

    def _finished(self, path: str) -> SealedFile:
        file = self._folder / path
        file.chmod(PRIVATE)
        to_disk(file)
        for folder in file.relative_to(self._folder).parents:
            to_disk(self._folder / folder)
        rows = pq.read_metadata(file).num_rows
        return SealedFile(path, rows, file.stat().st_size, sha256_of(file))


def _size(batches: list[pa.RecordBatch]) -> tuple[int, int]:
    return sum(each.nbytes for each in batches), sum(len(each) for each in batches)
