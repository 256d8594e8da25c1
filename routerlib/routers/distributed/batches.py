"""Prompts in fixed batches: read by workers, kept as Parquet files, so that a kill loses little."""

from __future__ import annotations

import io
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from routerlib.features.encoders import EncoderChoice
from routerlib.features.reading import Read, read_here
from routerlib.records.canonical import canonical_json, tagged_hash
from routerlib.records.files import write_atomically
from routerlib.routers.distributed.work import Ready, each_result
from routerlib.routers.distributed.workers import Workers
from routerlib.weights.embedding import Encoded

# The size is fixed: sums depend in their last bits on how many rows are summed at once.
BATCH_ROWS = 1024
# To send fewer texts takes longer than to read them.
_FEWEST_SENT = 16
# How the files are laid out; those of another layout aren't looked at.
_LAYOUT = 2
# What a training asks of workers after the reading; importing it takes a second.
_LATER = ("sklearn.linear_model", "lightgbm", "routerlib.features.learners.stack")
_VECTORS, _COUNTS = np.dtype(np.float32), np.dtype(np.float64)


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
        kind = canonical_json([version("routerlib"), _LAYOUT, list(groups)])
        # Named one by one: workers read the first ones while the next ones are hashed.
        batches = ((batch, self._path(batch, kind)) for batch in batched(texts))
        paths: deque[Path | None] = deque()
        found, is_read = [], False
        work = _pieces(batches, groups, paths)
        what = "batches of prompts", -(-len(texts) // BATCH_ROWS)
        for payload in each_result(self.workers, _read_pickled, work, *what):
            path = paths.popleft()
            if path is not None:
                write_atomically(path, payload)
                is_read = True
            found.append(parsed(payload))  # while workers read the next ones
        if is_read:
            self.workers.import_ahead(_LATER)
        return joined(found)

    def _path(self, texts: Sequence[str], kind: str) -> Path:
        name = tagged_hash([kind, list(texts)]).rpartition(":")[2]
        return self.folder / f"prompts-{name[:32]}.parquet"


def _pieces(
    batches: Iterable[tuple[Sequence[str], Path]],
    groups: tuple[str, ...],
    paths: deque[Path | None],
) -> Iterator[tuple[bytes, tuple[str, ...]] | Ready]:
    """Yield what workers are to read; `paths` takes where each is to be kept, if it isn't yet."""
    for texts, path in batches:
        if path.exists():
            paths.append(None)
            yield Ready(path.read_bytes())
        else:
            paths.append(path)
            yield pickle.dumps(list(texts)), groups  # of a list dask would look at each text


def _read_pickled(texts: bytes, groups: tuple[str, ...]) -> bytes:
    return read_as_parquet(pickle.loads(texts), groups)


def read_as_parquet(texts: list[str], groups: tuple[str, ...]) -> bytes:
    """Read texts, and return what they say as a Parquet file: what a worker does."""
    encoded, counts = read_here(texts, groups, None)
    ends = np.cumsum([0, *map(len, encoded.token_ids)]).astype(np.int64)
    tokens = np.concatenate([*encoded.token_ids, np.zeros(0, dtype=np.int32)])
    table = pa.table(
        {
            "token_ids": pa.LargeListArray.from_arrays(pa.array(ends), pa.array(tokens)),
            "vectors": _rows(encoded.vectors, _VECTORS),
            "counts": _rows(counts, _COUNTS),
        }
    )
    sink = io.BytesIO()
    # Hardly a number comes twice: a dictionary of them takes four times as long, and more room.
    # Vectors don't get smaller, counts do; lz4 is read in half of zstd's time.
    pq.write_table(table, sink, compression="lz4", use_dictionary=False)
    return sink.getvalue()


def parsed(payload: bytes) -> Read:
    """Read the file of one batch."""
    table = pq.read_table(io.BytesIO(payload)).combine_chunks()
    lists = table["token_ids"].chunk(0)
    tokens, ends = lists.values.to_numpy(), lists.offsets.to_numpy().tolist()
    token_ids = [tokens[start:end] for start, end in pairwise(ends)]
    vectors = _matrix(table["vectors"].chunk(0), _VECTORS)
    return Read(Encoded(token_ids, vectors), _matrix(table["counts"].chunk(0), _COUNTS))


def joined(batches: Sequence[Read]) -> Read:
    """Put batches one after the other."""
    token_ids = [ids for each in batches for ids in each.encoded.token_ids]
    vectors = np.concatenate([each.encoded.vectors for each in batches])
    return Read(Encoded(token_ids, vectors), np.concatenate([each.counts for each in batches]))


def _rows(values: np.ndarray, dtype: np.dtype[Any]) -> pa.Array:
    """Return rows as bytes: lists of numbers take three times as long to write and to read."""
    flat = np.ascontiguousarray(values, dtype=dtype)
    kind = pa.binary(flat.shape[1] * dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])


def _matrix(rows: pa.Array, dtype: np.dtype[Any]) -> np.ndarray:
    width = rows.type.byte_width // dtype.itemsize
    start = rows.offset * width
    flat = np.frombuffer(rows.buffers()[1], dtype=dtype)
    return flat[start : start + len(rows) * width].reshape(len(rows), width)
