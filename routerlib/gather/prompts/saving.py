"""Write prompts to a file: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from routerlib.gather.prompts.formats import JSON_COLUMNS, check_suffix
from routerlib.gather.prompts.shapes import COLUMNS
from routerlib.records.files import write_atomically
from routerlib.records.prompt import Prompt


def save_prompts(path: str | Path, prompts: Iterable[Prompt]) -> None:
    """Write prompts so that `load_prompts` gives them back.

    In CSV and Parquet a reference that is true or false alone comes back as that word.
    """
    path = Path(path)
    check_suffix(path)
    records = [_record(prompt) for prompt in prompts]
    if not records:
        raise ValueError(f"there are no prompts to write to {path}")
    writers = {".jsonl": _jsonl_bytes, ".csv": _csv_bytes, ".parquet": _parquet_bytes}
    write_atomically(path, writers[path.suffix.lower()](records))


def _record(prompt: Prompt) -> dict[str, Any]:
    """Return the fields that are known, with ``prompt`` for a single user message."""
    messages = [dict(message) for message in prompt.messages]
    is_plain = len(messages) == 1 and set(messages[0]) == {"role", "content"}
    is_plain = is_plain and messages[0]["role"] == "user"
    record: dict[str, Any] = (
        {"prompt": messages[0]["content"]} if is_plain else {"messages": messages}
    )
    known = {
        "task": prompt.task,
        "reference": prompt.reference,
        "judge": prompt.judge,
        "source": prompt.source,
        "topic": prompt.topic,
        "extra": None if prompt.extra is None else dict(prompt.extra),
    }
    return record | {name: value for name, value in known.items() if value is not None}


def _plain_cells(records: Sequence[Mapping[str, Any]]) -> list[dict[str, str | None]]:
    rows = []
    for record in records:
        row: dict[str, str | None] = {name: record.get(name) for name in COLUMNS}
        for name in JSON_COLUMNS:
            if name in record:
                row[name] = json.dumps(record[name], ensure_ascii=False)
        rows.append(row)
    return rows


def _jsonl_bytes(records: Sequence[Mapping[str, Any]]) -> bytes:
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    return ("\n".join(lines) + "\n").encode()


def _csv_bytes(records: Sequence[Mapping[str, Any]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    writer.writerows(_plain_cells(records))
    return stream.getvalue().encode()


def _parquet_bytes(records: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(_plain_cells(records), schema), stream)
    return stream.getvalue()
