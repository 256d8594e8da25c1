"""Tables of a log as columns, all as of one moment, read in batches and without a copy.

DuckDB asks a registered Arrow dataset for the columns and the rows that a query needs; here such a
dataset answers from the SQLite file itself.
"""

from __future__ import annotations

import gc
import re
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from routerlib.log.pieces import TOOLS_PIECE, refuse_altered
from routerlib.log.schema import MIGRATIONS, LogError, refuse_newer, version_of

_WAIT_S = 30.0
# 64-bit offsets: the texts of one column may add up to any size.
_TYPES = {"TEXT": pa.large_string(), "INTEGER": pa.int64(), "REAL": pa.float64()}
# Texts that can be long: they are measured after every few rows, so that a batch stays small.
_LONG = {"messages", "text", "reference", "extra", "response", "error", "rationale", "estimates"}
_LONG |= {"parameters", "versions", "reason"}
_ROWS_AT_ONCE = 1024
_LONG_ROWS_AT_ONCE = 16
_MOST_ROWS = 8192
# Values of a key that one query names; SQLite allows 32,766.
_KEYS_AT_ONCE = 8192
_MOST_BYTES = 8 << 20
# What can become known of a prompt after it was logged, and where that stands.
CHANGEABLE = frozenset(("task", "source", "reference", "judge", "topic", "extra"))
CHANGES = "prompt_facts"
# Columns whose values may stand in pieces, and where they are read whole.
_IN_PIECES = {
    "prompts": (frozenset(("messages", "text")), "whole_prompts"),
    "calls": (frozenset(("extra",)), "whole_calls"),
}

# What a filter of DuckDB's may consist of for SQLite to look for the rows itself.
_COMPARISON = re.compile(r'\((\w+) (==|<=|>=|<|>) (?:(-?\d{1,18})|"([^"\\()]{0,200})")\)')
_ONLY_AND = re.compile(r"(?:[() ]|\band\b|is_valid\(\w+\))*")


class Snapshot:
    """Open a log for reading, as it is at this moment, until it is closed.

    Why the standard library's SQLite and no other: two SQLite libraries in one process must never
    have the same file open. Where one closes it, POSIX drops the locks that the other holds;
    whoever opens the log next believes itself alone and cuts off the shared memory that others
    are using, which kills them with SIGBUS in the middle of a write. This happened. Nor is the
    file copied: a copy that a kill leaves behind holds every prompt and answer.

    `path`: the SQLite file.

    `failure`: what went wrong while a table was read, as it was before DuckDB put it in words.
    """

    def __init__(self, path: Path) -> None:
        self.failure: Exception | None = None
        self._path = path
        self._connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            _WAIT_S,
            uri=True,
            check_same_thread=False,  # DuckDB reads from threads of its own, in turn
            isolation_level=None,
        )
        # Texts go to Arrow as the bytes that they are stored as, checked there a column at a time.
        self._connection.text_factory = bytes
        try:
            self._connection.execute("begin")
            self._connection.execute("select 1 from sqlite_master").fetchone()  # the moment
            # A log may have been brought to a newer form since it was opened.
            refuse_newer(version_of(self._connection), path)
        except BaseException:
            self._connection.close()
            raise
        self._lock = threading.Lock()
        self._is_checked = False

    def close(self) -> None:
        """Close the log."""
        self._connection.close()

    def table(self, name: str, view: str | None = None) -> LogTable:
        """Return a table for DuckDB to read.

        `view`: what is read in its place where a column can have changed since.
        """
        told = self.rows("select name, type, pk from pragma_table_info(?)", name)
        columns = [
            (column.decode(), _TYPES[kind.decode()], is_key)
            for column, kind, is_key in told
            if column.decode() != TOOLS_PIECE
        ]
        schema = pa.schema([(column, kind) for column, kind, _ in columns])
        key = next((name for name, kind, is_key in columns if is_key and kind == pa.int64()), None)
        return LogTable(self, name, schema, key, view)

    def rows(self, query: str, *values: object) -> list[tuple]:
        """Run an SQLite query that finds a few rows; texts come as bytes."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def whole(self, table: str, columns: Collection[str]) -> str:
        """Return where columns of a table are read: where what stands in pieces is put together."""
        in_pieces, view = _IN_PIECES.get(table, (frozenset(), table))
        if not (in_pieces.intersection(columns) and self.has_rows("pieces")):
            return table
        self._refuse_altered()
        return view

    def _refuse_altered(self) -> None:
        with self._lock:
            if self._is_checked:
                return
            try:
                refuse_altered(self._connection, self._path)
            except LogError as error:  # DuckDB would put it in its own words
                self.failure = error
                raise
            self._is_checked = True

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        ((last,),) = self.rows("select coalesce(max(call_id), 0) from calls")
        return int(last)

    @property
    def n_bytes(self) -> int:
        """Size of the file, with what SQLite keeps beside it for now."""
        beside = self._path.with_name(self._path.name + "-wal")
        return self._path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)

    def has_rows(self, table: str) -> bool:
        """Tell whether a table has any row."""
        return bool(self.rows(f"select 1 from {table} limit 1"))

    def keys(self, table: str, key: str) -> range | None:
        """Return all keys of a table in order, where none is missing between first and last."""
        ((first, last),) = self.rows(f"select min({key}), max({key}) from {table}")
        ((count,),) = self.rows(f"select count(*) from {table}")
        if not count:
            return range(0)
        return range(first, last + 1) if last - first + 1 == count else None

    def batches(
        self, query: str, values: Sequence[object], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """Run an SQLite query and hand on its rows, some megabytes at a time."""
        try:
            with self._lock:
                cursor = self._connection.execute(query, values)
            yield from self._fetched(cursor, schema)
        except (sqlite3.Error, OSError, ValueError, ArithmeticError) as error:
            is_text = isinstance(error, pa.ArrowInvalid) and "UTF8" in str(error)
            self.failure = UnicodeError(str(error)) if is_text else error
            raise

    def _fetched(self, cursor: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        while batch := self._next_batch(cursor, schema):
            yield batch

    def _next_batch(self, cursor: sqlite3.Cursor, schema: pa.Schema) -> pa.RecordBatch | None:
        """Fetch rows until they are many, or their long texts have many bytes; None = no row left.

        Few calls of Arrow for many rows are half of the time.
        """
        columns: list[list[Any]] = [[] for _ in schema]
        long = [column for column, name in zip(columns, schema.names, strict=True) if name in _LONG]
        n_at_once = _LONG_ROWS_AT_ONCE if long else _ROWS_AT_ONCE
        n_rows = n_bytes = 0
        with self._lock, _no_collection():
            while n_rows < _MOST_ROWS and n_bytes < _MOST_BYTES:
                if not (rows := cursor.fetchmany(n_at_once)):
                    break
                for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                    column.extend(values)
                n_bytes += sum(len(text) for column in long for text in column[n_rows:] if text)
                n_rows += len(rows)
            if not n_rows:
                return None
            arrays = [_array(column, f.type) for column, f in zip(columns, schema, strict=True)]
        return pa.record_batch(arrays, schema=schema)


class Columns(ds.Dataset):
    """A table as DuckDB reads it: only the columns and rows that it asks for, in batches."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    @property
    def schema(self) -> pa.Schema:
        """Columns with their types."""
        return self._schema

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self._schema.names)

    def scanner(
        self, columns: Sequence[str] | None = None, filter: ds.Expression | None = None
    ) -> LogScan:
        """Return what reads some columns of the rows that pass a filter.

        `columns`: names, in the order of the result; None = all.
        """
        return LogScan(self, list(columns or self._schema.names), filter)

    def batches(
        self, columns: list[str], condition: ds.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of the rows that pass a filter, a bounded batch at a time."""
        raise NotImplementedError

    def found_by(
        self, key: str, values: Sequence[int | str], columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of the rows whose key is among some values, in no order, batch by batch.

        DuckDB would hold the whole table to join it with so few.
        """
        kept = pa.array(values, self._schema.field(key).type)
        yield from self.batches(list(columns), ds.field(key).isin(kept))

    def named(self, columns: Sequence[str], condition: ds.Expression | None) -> list[str]:
        """Return the columns that are asked for or that a filter looks at."""
        told = str(condition)
        return [
            name
            for name in self._schema.names
            if name in columns or re.search(rf"\b{name}\b", told)
        ]


class LogTable(Columns):
    """One table of a snapshot."""

    def __init__(
        self, snapshot: Snapshot, name: str, schema: pa.Schema, key: str | None, view: str | None
    ) -> None:
        super().__init__(schema)
        self._snapshot = snapshot
        self._name = name
        self._key = key
        self._view = view

    def batches(
        self, columns: list[str], condition: ds.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read columns in the order of logging, a bounded batch at a time."""
        key, keys = self._key, None
        if condition is None and key is not None and key in columns:
            keys = self._snapshot.keys(self._name, key)
        if key is None or keys is None:
            yield from self._read(columns, condition)
            return
        # A key that is known need not be looked at.
        others = [name for name in columns if name != key]
        schema = pa.schema([self._schema.field(name) for name in columns])
        start = keys.start
        for parts, n_rows in self._parts(others, len(keys)):
            parts[key] = pa.array(np.arange(start, start + n_rows))
            start += n_rows
            yield pa.record_batch([parts[name] for name in columns], schema=schema)

    def found(self, columns: Mapping[str, str], origin: str, *values: object) -> pa.Table:
        """Return a few rows that an SQLite query finds, in some of this table's columns.

        `columns`: what stands for each; "" = itself. `origin`: the query from its ``from`` on.
        """
        schema = pa.schema([self._schema.field(name) for name in columns])
        told = ", ".join(f"{what or name} as {name}" for name, what in columns.items())
        rows = self._snapshot.batches(f"select {told} {origin}", values, schema)
        return pa.Table.from_batches(rows, schema)

    def found_by(
        self, key: str, values: Sequence[int | str], columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of the rows whose key, one that has an index, is among some values."""
        source, _ = self._source(columns)
        schema = pa.schema([self._schema.field(name) for name in columns])
        for start in range(0, len(values), _KEYS_AT_ONCE):
            some = values[start : start + _KEYS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"select {', '.join(columns)} from {source} where {key} in ({marks})"
            yield from self._snapshot.batches(query, some, schema)

    def _parts(self, columns: list[str], n_rows: int) -> Iterator[tuple[dict[str, pa.Array], int]]:
        """Read columns, none of them too: then only how many rows a batch would have."""
        if columns:
            for batch in self._read(columns):
                yield dict(zip(columns, batch.columns, strict=True)), len(batch)
        else:
            for start in range(0, n_rows, _MOST_ROWS):
                yield {}, min(_MOST_ROWS, n_rows - start)

    def _read(
        self, columns: list[str], condition: ds.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        needed = self.named(columns, condition)
        where, values = _where(str(condition))
        source, order = self._source(needed)
        query = f"select {', '.join(needed)} from {source}{where}{order}"
        schema = pa.schema([self._schema.field(name) for name in needed])
        for batch in self._snapshot.batches(query, values, schema):
            kept = batch if condition is None else batch.filter(condition)
            yield kept.select(columns)

    def _source(self, columns: Sequence[str]) -> tuple[str, str]:
        """Say where columns are read from, and what puts them into the order of logging."""
        if self._view and CHANGEABLE.intersection(columns) and self._snapshot.has_rows(CHANGES):
            self._snapshot.whole(self._name, columns)  # it tells of messages too
            return self._view, ""  # a view is in order by itself
        return self._snapshot.whole(self._name, columns), " order by rowid"


class LogScan:
    """One reading of a table, as DuckDB takes it up."""

    def __init__(self, table: Columns, columns: list[str], condition: ds.Expression | None):
        self._table = table
        self._columns = columns
        self._condition = condition

    @property
    def projected_schema(self) -> pa.Schema:
        """Columns that are read, with their types."""
        return pa.schema([self._table.schema.field(name) for name in self._columns])

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows as a stream of batches."""
        batches = self._table.batches(self._columns, self._condition)
        return pa.RecordBatchReader.from_batches(self.projected_schema, batches)


@cache
def schemas() -> dict[str, pa.Schema]:
    """Return the columns of each table, as the newest version of a log has them."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("".join(MIGRATIONS))
        names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        told = "select name, type from pragma_table_info(?)"
        return {
            name: pa.schema(
                [
                    (column, _TYPES[kind])
                    for column, kind in connection.execute(told, (name,))
                    if column != TOOLS_PIECE
                ]
            )
            for (name,) in names
        }


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    if kind == pa.large_string():
        return pa.array(values, pa.large_binary()).cast(kind)
    return pa.array(values, kind)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for cycles among rows, which hold none: a fifth of the time."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def _where(told: str) -> tuple[str, list[int | str]]:
    """Turn a filter that only compares columns with values into SQLite's words.

    It only saves reading rows: they are filtered once more afterwards. A filter of any other form
    is left to that.

    `told`: an Arrow expression as text.
    """
    if not _ONLY_AND.fullmatch(_COMPARISON.sub("", told)):
        return "", []
    found = [match.groups() for match in _COMPARISON.finditer(told)]
    if not found:
        return "", []
    conditions = " and ".join(f"{name} {sign} ?" for name, sign, _, _ in found)
    values = [text if number is None else int(number) for _, _, number, text in found]
    return f" where {conditions}", values
