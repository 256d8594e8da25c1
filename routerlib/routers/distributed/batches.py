"""Prompts in fixed batches: read by workers, kept as Parquet files, so that a kill loses little."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from routerlib.features.encoders import EncoderChoice
from routerlib.features.reading import Read, read_here
from routerlib.records.canonical import tagged_hash
from routerlib.records.files import write_atomically
from routerlib.routers.distributed.workers import Workers
from routerlib.weights.embedding import Encoded

# The size is fixed: sums depend in their last bits on how many rows are summed at once.
BATCH_ROWS = 1024
# To send fewer texts takes longer than to read them.
_FEWEST_SENT = 16


def batched(texts: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield a sequence in batches."""
    for start in range(0, len(texts), BATCH_ROWS):
        yield texts[start : start + BATCH_ROWS]


class BatchReader:
    """Reads texts as `read_here` does, by workers, and keeps what they read.

    `folder`: of the files; the name of each tells of which texts it is, so that a batch that is
        there already, of this training or of one before it, isn't read again.
    """

    def __init__(self, workers: Workers, folder: Path) -> None:
        self.workers = workers
        self.folder = folder

    def __call__(self, texts: list[str], groups: Sequence[str], encoder: EncoderChoice) -> Read:
        """Read texts, the batches that are missing on workers."""
        if encoder is not None:
            raise ValueError("workers read without a neural encoder; train on one machine with it")
        if len(texts) < _FEWEST_SENT:
            return read_here(texts, groups, None)
        groups = tuple(groups)
        paths = [self._path(batch, groups) for batch in batched(texts)]
        missing = [number for number, path in enumerate(paths) if not path.exists()]
        starts = [number * BATCH_ROWS for number in missing]
        work = ((texts[start : start + BATCH_ROWS], groups) for start in starts)
        done = self.workers.each(read_as_parquet, work, "batches of prompts", len(missing))
        for number, payload in zip(missing, done, strict=True):
            write_atomically(paths[number], payload)
        return joined([parsed(path.read_bytes()) for path in paths])

    def _path(self, texts: Sequence[str], groups: tuple[str, ...]) -> Path:
        name = tagged_hash([version("routerlib"), list(groups), list(texts)]).rpartition(":")[2]
        return self.folder / f"prompts-{name[:32]}.parquet"


def read_as_parquet(texts: list[str], groups: tuple[str, ...]) -> bytes:
    """Read texts, and return what they say as a Parquet file: what a worker does."""
    encoded, counts = read_here(texts, groups, None)
    ends = np.cumsum([0, *map(len, encoded.token_ids)]).astype(np.int64)
    tokens = np.concatenate([*encoded.token_ids, np.zeros(0, dtype=np.int32)])
    table = pa.table(
        {
            "token_ids": pa.LargeListArray.from_arrays(pa.array(ends), pa.array(tokens)),
            "vectors": _rows(encoded.vectors),
            "counts": _rows(counts),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def parsed(payload: bytes) -> Read:
    """Read the file of one batch."""
    table = pq.read_table(io.BytesIO(payload)).combine_chunks()
    lists = table["token_ids"].chunk(0)
    ends = lists.offsets.to_numpy()
    token_ids = np.split(lists.values.to_numpy(), ends[1:-1])
    vectors, counts = (_matrix(table[name].chunk(0)) for name in ("vectors", "counts"))
    return Read(Encoded(token_ids, vectors), counts)


def joined(batches: Sequence[Read]) -> Read:
    """Put batches one after the other."""
    token_ids = [ids for each in batches for ids in each.encoded.token_ids]
    vectors = np.concatenate([each.encoded.vectors for each in batches])
    return Read(Encoded(token_ids, vectors), np.concatenate([each.counts for each in batches]))


def _rows(values: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _matrix(lists: pa.Array) -> np.ndarray:
    return np.asarray(lists.flatten().to_numpy()).reshape(len(lists), lists.type.list_size)
