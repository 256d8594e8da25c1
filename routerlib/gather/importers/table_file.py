"""Read the rows of a table as they were written: CSV, Parquet, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from routerlib.gather.importers.records import json_records
from routerlib.records.separators import LONGEST_CSV_FIELD, separator_of, told_apart

_UNNAMED = "Unnamed: "


@dataclass(frozen=True)
class Table:
    """The rows of a file, in its order.

    `columns`: names, each once. `rows`: values by name; None = missing.
    `is_text`: every value is a text, as in CSV, so that numbers must be read out of texts.
    """

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    is_text: bool

    def values(self, column: str) -> list[Any]:
        """Return what stands in a column (length n_rows); None = missing."""
        return [row.get(column) for row in self.rows]


def read_table_file(path: Path, prompt: str) -> Table:
    """Read a .csv, .tsv, .parquet, .json or .jsonl file; `prompt` names the prompts' column."""
    import pyarrow as pa

    readers = {".csv": _csv, ".tsv": _csv, ".parquet": _parquet, ".json": _json, ".jsonl": _json}
    reader = readers.get(path.suffix.lower())
    try:
        if reader is None:
            raise ValueError(f"a table is a {', '.join(readers)} file")
        table = reader(path, prompt)
    except (ValueError, OSError, csv.Error, pa.ArrowException) as error:
        raise ValueError(f"{path} can't be read as a table: {str(error).splitlines()[0]}") from (
            error
        )
    if not table.rows:
        raise ValueError(f"{path} has no rows")
    twice = [name for name in table.columns if table.columns.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has a column {twice[0]!r} twice")
    return table


def _csv(path: Path, prompt: str) -> Table:
    csv.field_size_limit(LONGEST_CSV_FIELD)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason}); save it as CSV UTF-8") from error
    told, text = told_apart(text)
    separator = told or separator_of(text, [prompt])
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header = next(lines, None)
    if header is None:
        raise ValueError("it is empty")
    columns = tuple(name or f"{_UNNAMED}{place}" for place, name in enumerate(header))
    return Table(columns, list(_rows(lines, columns)), is_text=True)


def _rows(lines: Iterator[list[str]], columns: tuple[str, ...]) -> Iterator[dict[str, str | None]]:
    for number, fields in enumerate(lines, start=1):
        if not fields:
            continue
        if len(fields) > len(columns):
            raise ValueError(
                f"row {number} has {len(fields)} fields, the header {len(columns)}; put texts "
                "that hold the separator into double quotes"
            )
        missing = [""] * (len(columns) - len(fields))
        cells = zip(columns, [*fields, *missing], strict=True)
        yield {name: cell if cell else None for name, cell in cells}


def _parquet(path: Path, prompt: str) -> Table:
    import pyarrow.parquet as pq

    found = pq.ParquetFile(path).read()
    rows = [{name: _plain(value) for name, value in row.items()} for row in found.to_pylist()]
    return Table(tuple(found.column_names), rows, is_text=False)


def _json(path: Path, prompt: str) -> Table:
    rows = [dict(record) for _, record in json_records(path, lists=("data", "rows"))]
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(columns, rows, is_text=False)


def _plain(value: Any) -> Any:
    """Return a decimal as the number that it is; pandas' NaN stays for who reads numbers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
