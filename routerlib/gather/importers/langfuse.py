"""Read generations of Langfuse: those of its SDK's spans, and the exports of its server.

Its pages, its API and its exports to a blob storage write the same observations as CSV, JSON, JSON
lines or Parquet, with names in two spellings; objects may be texts of JSON. Its server takes cached
and thought tokens out of ``input`` and ``output`` and tells them beside these. What it doesn't tell
stays unknown: why a whole answer ended, and parameters that its SDK fills in.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routerlib.gather.importers.exchange import (
    Exchange,
    from_json,
    seconds_of,
    words_from_json,
)
from routerlib.gather.importers.records import (
    Imported,
    Options,
    json_records,
    number_or_none,
    text_of,
)
from routerlib.gather.importers.unended import with_ends
from routerlib.records.canonical import plain_json
from routerlib.records.separators import LONGEST_CSV_FIELD

NO_GENERATION = "observations that are no generation"
NO_TEXTS = "generations without their input (export it too)"
# What Langfuse's SDK writes down where a request said nothing.
_FILLED_IN = {
    "temperature": 1,
    "max_tokens": "Infinity",
    "top_p": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
}
_CACHED = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens")
_WRITTEN = ("input_cache_creation", "input_cache_write", "cache_creation_input_tokens")
# Kept for five minutes and for an hour: each stands beside the others.
_WRITTEN_FOR = ("input_cache_creation_5m", "input_cache_creation_1h")
_THOUGHT = ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens")
# What an answer has that is a message, not a text of JSON that a model wrote.
_OF_MESSAGES = {"role", "content", "tool_calls"}
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_EXPECTED = (
    "observations as Langfuse exports them, each with 'type', 'input', 'output' and a model, or "
    "one object whose 'data' holds them"
)


def read_langfuse(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per generation of an export."""
    return with_ends(_exchanges(path), options)


def _exchanges(path: Path) -> Iterator[tuple[str, Exchange | str]]:
    for where, record in _records(path):
        row = {_CAPITAL.sub(r"_\1", name).lower(): value for name, value in record.items()}
        if "type" not in row or not {"start_time", "input", "trace_id"} & row.keys():
            raise ValueError(f"{where}: expected {_EXPECTED}; got {', '.join(map(repr, record))}")
        yield where, _exchange(row)


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if path.suffix.lower() == ".csv":
        yield from _csv_records(path)
    elif path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path} can't be read as Parquet: {error}") from error
        for number, row in enumerate(rows, start=1):
            told = {name: dict(cell) if _is_pairs(cell) else cell for name, cell in row.items()}
            yield f"{path} row {number}", plain_json(told)  # moments and decimals have types there
    else:
        yield from json_records(path, lists=("data", "observations"))


def _csv_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield rows; older servers write texts in quotes of JSON, and nothing is an empty field."""
    before = csv.field_size_limit(LONGEST_CSV_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} can't be read as CSV in UTF-8: {error}") from error
    finally:
        csv.field_size_limit(before)
    for number, row in enumerate(rows, start=1):
        told = {name: value or None for name, value in row.items() if name is not None}
        quoted = {
            name: from_json(value) for name, value in told.items() if value and value[:1] == '"'
        }
        yield f"{path} row {number}", {**told, **quoted}


def _exchange(row: Mapping[str, Any]) -> Exchange | str:
    if str(row.get("type")).upper() != "GENERATION":
        return NO_GENERATION
    if row.get("input") in (None, ""):
        return NO_TEXTS
    metadata = _object(row.get("metadata"))
    told = {
        "input": row.get("input"),
        "output": row.get("output"),
        "model.name": row.get("provided_model_name") or row.get("model"),
        "model.parameters": row.get("model_parameters"),
        "usage_details": counts_of(_object(row.get("usage_details")) or _object(row.get("usage"))),
        "metadata.finish_reason": metadata.get("finish_reason"),
    }
    request, response, kept = of_generation(told)
    kept.pop("first_token")
    if not request["messages"]:
        return NO_TEXTS
    start, end, first = (
        seconds_of(row.get(name)) for name in ("start_time", "end_time", "completion_start_time")
    )
    if first is not None and start is not None:
        kept["first_token_s"] = max(0.0, round(first - start, 6))
    if session := row.get("session_id"):
        kept["session_id"] = session
    is_failed = str(row.get("level")).upper() == "ERROR"
    why = row.get("status_message") or "failed"
    return Exchange(
        request,
        response,
        error={"error": {"message": why}} if is_failed else None,
        ids=(str(row.get("trace_id")), str(row.get("id"))) if row.get("id") else (),
        cost_usd=_cost_usd(row),
        sent_at=start,
        latency_s=None if start is None or end is None else max(0.0, end - start),
        kept=kept,
    )


def counts_of(details: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return token counts as chat has them, of what the server tells beside each other.

    >>> counts_of({"input": 9, "input_cached_tokens": 1920, "output": 1, "total": 1930})
    {'prompt_tokens': 1929, 'completion_tokens': 1, 'total_tokens': 1930, 'cached_tokens': 1920}
    """
    counts = {name: n for name, told in details.items() if (n := _count(told)) is not None}
    if "input" not in counts or "output" not in counts:
        return dict(details) or None
    total = counts.get("total")
    beside = {name: n for name, n in counts.items() if name not in ("input", "output", "total")}
    n_input = counts["input"] + sum(n for name, n in beside.items() if "input" in name)
    n_output = counts["output"] + sum(n for name, n in beside.items() if "output" in name)
    if total == counts["input"] + counts["output"]:  # somebody told them as parts of these
        n_input, n_output = counts["input"], counts["output"]
    found = {"prompt_tokens": n_input, "completion_tokens": n_output}
    found |= {} if total is None else {"total_tokens": total}
    parts = {
        "cached_tokens": _CACHED,
        "cache_write_tokens": _WRITTEN,
        "reasoning_tokens": _THOUGHT,
    }
    for name, names in parts.items():
        if told := [counts[each] for each in names if each in counts]:
            found[name] = told[0]
    if apart := [counts[each] for each in _WRITTEN_FOR if each in counts]:
        found["cache_write_tokens"] = found.get("cache_write_tokens", 0) + sum(apart)
        found["cache_write_1h_tokens"] = counts.get(_WRITTEN_FOR[1], 0)
    return found


def of_generation(
    named: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return request, answer and what else is kept of a generation, by Langfuse's names."""
    asked = words_from_json(named.get("input"))
    if isinstance(asked, Mapping):
        asked = asked.get("messages")
    message = _answer(named.get("output"))
    message["content"] = text_of(message.get("content"))
    sent = {
        name: value
        for name, value in _object(named.get("model.parameters")).items()
        if _FILLED_IN.get(name) != value
    }
    end = from_json(named.get("metadata.finish_reason"))
    request = {"model": named.get("model.name"), "messages": asked, **sent}
    response = chat_of(message, end, None, from_json(named.get("usage_details")))
    return request, response, {"first_token": from_json(named.get("completion_start_time"))}


def _answer(told: Any) -> dict[str, Any]:
    """Return an answer as a message; JSON that is none was what the model said."""
    said = words_from_json(told)
    parts = said if isinstance(said, list) else [said]
    if parts and isinstance(parts[-1], Mapping):
        if _OF_MESSAGES & parts[-1].keys():
            return dict(parts[-1])
        if isinstance(said, list) and all("type" in each for each in parts):
            return {"content": parts}
    if isinstance(said, Mapping | list):
        said = told if isinstance(told, str) else json.dumps(said, ensure_ascii=False)
    return {"content": said}


def chat_of(message: Mapping[str, Any], end: Any, model: Any, counts: Any) -> dict[str, Any]:
    """Return an answer in the form of a chat's."""
    told = {"choices": [{"message": dict(message), "finish_reason": end}], "usage": counts}
    return told if model is None else {**told, "model": model}


def _object(told: Any) -> dict[str, Any]:
    """Return an object, also one that is a text of JSON."""
    value = from_json(told)
    return dict(value) if isinstance(value, Mapping) else {}


def _is_pairs(cell: Any) -> bool:
    """Whether a cell is an object as Parquet has it."""
    return isinstance(cell, list) and all(isinstance(each, tuple) for each in cell)


def _count(told: Any) -> int | None:
    """Return a count, also one that is a text, as databases write long integers into JSON."""
    number = number_or_none(from_json(told))
    return int(number) if number is not None and number.is_integer() else None


def _cost_usd(row: Mapping[str, Any]) -> float | None:
    """Return what Langfuse worked out; 0 is what it says where it knows no price."""
    costs = _object(row.get("cost_details"))
    told = (row.get("total_cost"), row.get("calculated_total_cost"), costs.get("total"))
    found = (number_or_none(from_json(each)) for each in told)
    return next(filter(None, found), None)
