"""Prompts in fixed batches: read by workers, kept as Parquet files, so that a kill loses little."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from routerlib.features.encoders import EncoderChoice
from routerlib.features.reading import Read, read_here
from routerlib.records.canonical import canonical_json
from routerlib.records.files import write_atomically
from routerlib.routers.distributed.work import Ready, each_result
from routerlib.routers.distributed.workers import Workers
from routerlib.weights.embedding import Encoded

# The size is fixed: sums depend in their last bits on how many rows are summed at once.
BATCH_ROWS = 1024
# To send fewer texts takes longer than to read them.
_FEWEST_SENT = 16
# Batches that a worker reads in one task, where there are so many for each worker: what dask does
# for a task takes as long as the rest of what the process that was called does for a batch.
_TOGETHER, _FEWEST_TOGETHER = 4, 32
# So many files wait to be written.
_MOST_WAITING = 16
# How the files are laid out; those of another layout aren't looked at.
_LAYOUT = 3
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
        kind = canonical_json([version("routerlib"), _LAYOUT, list(groups)]).encode()
        n_batches = -(-len(texts) // BATCH_ROWS)
        n_workers = len(self.workers.addresses())
        are_many = n_batches >= _FEWEST_TOGETHER * n_workers
        # The last ones go alone, so that workers end together.
        n_together = n_batches - _TOGETHER * n_workers if are_many else 0
        paths: deque[Path | None] = deque()
        # Named one by one: workers read the first ones while the next ones are hashed.
        named = ((batch, self._path(batch, kind)) for batch in map(Texts.of, batched(texts)))
        pieces = _pieces(named, groups, paths, n_together)
        found = chain.from_iterable(each_result(self.workers, _read_all, pieces))
        joined, kept = _Joined(len(texts)), _Kept()
        with kept, tqdm(found, "batches of prompts", n_batches, mininterval=1) as payloads:
            for payload in payloads:
                path = paths.popleft()
                if path is not None:
                    kept.add(path, payload)
                joined.add(parsed(payload))  # while workers read the next ones
        if kept.n_files:
            self.workers.import_ahead(_LATER)
        return joined.read

    def _path(self, texts: Texts, kind: bytes) -> Path:
        digest = hashlib.blake2b(kind, digest_size=16)
        for part in texts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return self.folder / f"prompts-{digest.hexdigest()}.parquet"


class Texts(NamedTuple):
    """Texts on their way to a worker, in two pieces: of a list dask would look at each.

    `lengths`: of each text, in characters.
    `whole`: all of them, one after the other.
    """

    lengths: bytes
    whole: bytes

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """Join texts."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts)).tobytes()
        return cls(lengths, "".join(texts).encode("utf-8", "surrogatepass"))

    def listed(self) -> list[str]:
        """Return the texts.

        >>> Texts.of(["a", "", "ä b"]).listed()
        ['a', '', 'ä b']
        """
        whole = self.whole.decode("utf-8", "surrogatepass")
        ends = np.frombuffer(self.lengths, np.int64).cumsum().tolist()
        return [whole[start:end] for start, end in pairwise([0, *ends])]


def _pieces(
    batches: Iterator[tuple[Texts, Path]],
    groups: tuple[str, ...],
    paths: deque[Path | None],
    n_together: int,
) -> Iterator[tuple[Any, ...] | Ready]:
    """Yield what workers are to read; `paths` takes where each is to be kept, if it isn't yet.

    `n_together`: so many of the first batches may be read with others.
    """
    missing: list[Texts] = []
    for number, (texts, path) in enumerate(batches):
        is_there = path.exists()
        if missing and (is_there or number >= n_together or len(missing) == _TOGETHER):
            yield groups, *missing
            missing = []
        if is_there:
            paths.append(None)
            yield Ready([path.read_bytes()])
        else:
            paths.append(path)
            missing.append(texts)
    if missing:
        yield groups, *missing


def _read_all(groups: tuple[str, ...], *batches: Texts) -> list[bytes]:
    return [read_as_parquet(Texts(*each).listed(), groups) for each in batches]


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
    # As one file, by this thread: to take it for a dataset takes twice as long as to read it.
    table = pq.ParquetFile(pa.BufferReader(payload)).read(use_threads=False).combine_chunks()
    lists = table["token_ids"].chunk(0)
    tokens, ends = lists.values.to_numpy(), lists.offsets.to_numpy().tolist()
    token_ids = [tokens[start:end] for start, end in pairwise(ends)]
    vectors = _matrix(table["vectors"].chunk(0), _VECTORS)
    return Read(Encoded(token_ids, vectors), _matrix(table["counts"].chunk(0), _COUNTS))


class _Kept:
    """Files written by another thread: a disk takes its time to say that one is safe."""

    def __init__(self) -> None:
        self.n_files = 0
        self._writer = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def add(self, path: Path, payload: bytes) -> None:
        """Write a file soon; waits where many are waiting."""
        self.n_files += 1
        self._waiting.append(self._writer.submit(write_atomically, path, payload))
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._writer.shutdown()
        while self._waiting:
            self._waiting.popleft().result()


class _Joined:
    """Batches one after the other, each put where it stays: a second copy of all is never made."""

    def __init__(self, n_texts: int) -> None:
        self._n_texts, self._at = n_texts, 0
        self._token_ids: list[np.ndarray] = []
        self._vectors = self._counts = np.zeros((0, 0))

    def add(self, batch: Read) -> None:
        """Put a batch after the others."""
        (_, vectors, _), counts = batch
        if self._at == 0:
            self._vectors = np.empty((self._n_texts, vectors.shape[1]), dtype=_VECTORS)
            self._counts = np.empty((self._n_texts, counts.shape[1]), dtype=_COUNTS)
        some = slice(self._at, self._at + len(counts))
        self._vectors[some], self._counts[some] = vectors, counts
        self._token_ids += batch.encoded.token_ids
        self._at = some.stop

    @property
    def read(self) -> Read:
        return Read(Encoded(self._token_ids, self._vectors), self._counts)


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
