"""Rows as they stand in a dataset: with its numbers, and read from its files in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs

from routerlib.log.sealed import NUMBERS, SAME_CALLS
from routerlib.log.snapshot import schemas

SAME_CALLS_SCHEMA = pa.schema([("call_id", pa.int64()), ("kept_call_id", pa.int64())])

_ROWS_AT_ONCE = 16_384
_STREAM_BYTES = 1 << 20
_PARQUET = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(
        pre_buffer=False, use_buffered_stream=True, buffer_size=_STREAM_BYTES
    )
)


def schema_of(table: str) -> pa.Schema:
    """Return the columns of a table of the newest schema."""
    return SAME_CALLS_SCHEMA if table == SAME_CALLS else schemas()[table]


def sealed_schema(table: str) -> pa.Schema:
    """Return the columns of sealed rows: a score names its prompt, so that it lies with it."""
    schema = schema_of(table)
    return schema.append(pa.field("prompt_id", pa.large_string())) if table == "scores" else schema


def moved(batch: pa.RecordBatch, offset: int) -> pa.RecordBatch:
    """Return rows with their numbers, and those of rows that they refer to, moved."""
    if not offset:
        return batch
    columns = [
        pc.add(column, offset) if name in NUMBERS else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.record_batch(columns, schema=batch.schema)


def same_calls(known: Mapping[int, int], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows that refer to calls with each call that is kept under another number renamed."""
    if not known or "call_id" not in batch.schema.names:
        return batch
    numbers = [known.get(each, each) for each in batch["call_id"].to_pylist()]
    place = batch.schema.get_field_index("call_id")
    return batch.set_column(place, batch.schema.field(place), pa.array(numbers, pa.int64()))


def parquet_batches(
    path: Path,
    schema: pa.Schema,
    columns: Sequence[str],
    condition: ds.Expression | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read columns of one sealed file; those of a newer schema are null."""
    scanner = _PARQUET.make_fragment(str(path), fs.LocalFileSystem()).scanner(
        schema=schema,
        columns=list(columns),
        filter=condition,
        batch_size=_ROWS_AT_ONCE,
        batch_readahead=0,
        use_threads=False,
    )
    yield from scanner.to_batches()
