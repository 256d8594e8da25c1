"""Seal one log, in steps of whole days.

The files of a step are written beside those that count, read again and compared with the log, and
only then named in the manifest, which is replaced whole: a kill at any moment leaves the steps
that were finished, and the next run goes on after them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from routerlib.log.merging import Merging
from routerlib.log.queries import TABLES
from routerlib.log.schema import LogError
from routerlib.log.sealed import SAME_CALLS, Manifest, SealedFile
from routerlib.log.sealed_rows import parquet_batches, sealed_schema
from routerlib.log.sealed_writing import SealedWriter
from routerlib.log.tails import Tail, told_at

if TYPE_CHECKING:
    import duckdb

# Days are sealed together up to so many calls: a kill costs one step, and each makes files anew.
_CALLS_A_STEP = 500_000

# By table the number of the last row of a step.
_Step = dict[str, int]


def seal(
    path: Path, folder: Path, manifest: Manifest, before: str, memory_gb: float
) -> Iterator[tuple[Manifest, list[SealedFile]]]:
    """Seal what a log holds of the days before one, step by step.

    Returns the manifest after each step, which is written, and the files that it added.
    """
    tail = Tail.open(path, manifest, folder)
    comparing = _comparing(memory_gb)
    try:
        for until in _steps(tail, before):
            merging = Merging(tail, until, folder, manifest)
            files = [
                file
                for table in (*TABLES, SAME_CALLS)
                for file in _sealed(merging, table, tail, folder, manifest.n_buckets, comparing)
            ]
            tail.source = replace(
                tail.source,
                path=os.path.relpath(path.resolve(), folder.resolve()),
                marks={
                    table: [row, *told_at(tail.snapshot, table, row)]
                    for table, row in until.items()
                    if row
                },
                is_whole=all(row == _last_row(tail, table) for table, row in until.items()),
            )
            sources = list(manifest.sources)
            sources[tail.index : tail.index + 1] = [tail.source]
            manifest = replace(manifest, sources=sources, files=[*manifest.files, *files])
            manifest.write(folder)
            yield manifest, files
    finally:
        comparing.close()
        tail.close()


def _steps(tail: Tail, before: str) -> Iterator[_Step]:
    """Divide what is to be sealed into whole days, several where they hold few calls.

    Rows count in the order of logging: where the clock was set back, some of a later day come with
    an earlier one.
    """
    days = {table: _days(tail, table) for table in TABLES}
    known = sorted({day for told in days.values() for day, *_ in told if day < before})
    n_calls = {day: n for day, _, _, n in days["calls"]}
    done = 0
    for place, day in enumerate(known):
        done += n_calls.get(day, 0)
        following = known[place + 1] if place + 1 < len(known) else None
        if following is None or done + n_calls.get(following, 0) > _CALLS_A_STEP:
            until = {
                table: _end(tail.source.mark(table), told, day) for table, told in days.items()
            }
            if any(until[table] > tail.source.mark(table) for table in until):
                yield until
            done = 0


def _days(tail: Tail, table: str) -> list[tuple[str, int, int, int]]:
    """Return each day after the mark with its first row, its last and their number."""
    found = tail.snapshot.rows(
        f"select substr(created_at, 1, 10) as day, min(rowid), max(rowid), count(*) from {table} "
        "where rowid > ? group by day order by day",
        tail.source.mark(table),
    )
    return [(day.decode(), *rest) for day, *rest in found]


def _end(mark: int, days: list[tuple[str, int, int, int]], day: str) -> int:
    """Return the row up to which nothing is of a later day."""
    later = [first for each, first, _, _ in days if each > day]
    if later:
        return max(mark, min(later) - 1)
    return max([mark, *(last for _, _, last, _ in days)])


def _last_row(tail: Tail, table: str) -> int:
    ((last,),) = tail.snapshot.rows(f"select coalesce(max(rowid), 0) from {table}")
    return int(last)


def _sealed(
    merging: Merging,
    table: str,
    tail: Tail,
    folder: Path,
    n_buckets: int,
    comparing: duckdb.DuckDBPyConnection,
) -> list[SealedFile]:
    """Write the rows of a table, read them again, and refuse them unless the log holds the same."""
    schema = sealed_schema(table)
    # It grows from step to step, so that no file has the name of an earlier one.
    stem = f"{tail.index}-{sum(map(tail.source.mark, TABLES))}"
    writer = SealedWriter(folder, table, schema, stem, n_buckets)
    try:
        for batch in merging.rows(table):
            writer.add(batch)
        files = writer.close()
    finally:
        writer.abandon()
    there = (
        batch
        for file in files
        for batch in parquet_batches(folder / file.path, schema, schema.names)
    )
    written = _digest(there, schema, comparing)
    expected = _digest(merging.rows(table), schema, comparing)
    if written != expected:
        raise LogError(
            f"what was written of {table} differs from the log: {written[0]} rows in place of "
            f"{expected[0]}, or other values; nothing of it was sealed. Check the disk and run "
            "`routerlib log check`, then seal again"
        )
    return files


def _comparing(memory_gb: float) -> duckdb.DuckDBPyConnection:
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": "",  # nothing of a log is left in a file
        "memory_limit": f"{memory_gb}GB",
        "threads": 1,
    }
    return duckdb.connect(":memory:", config=config)


def _digest(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, comparing: duckdb.DuckDBPyConnection
) -> tuple[int, int]:
    """Return the number of rows, and the sum of a hash of each, whatever their order."""
    import duckdb

    comparing.register("step", pa.RecordBatchReader.from_batches(schema, batches))
    told = f"select count(*), coalesce(sum(hash({', '.join(schema.names)})), 0) from step"
    try:
        ((n_rows, digest),) = comparing.execute(told).fetchall()
    except duckdb.Error as error:
        raise LogError(f"what was to be sealed can't be read again: {error}") from error
    finally:
        comparing.unregister("step")
    return int(n_rows), int(digest)
