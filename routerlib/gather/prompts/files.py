"""Read prompts from a file: JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from routerlib.gather.judges import check_reference
from routerlib.gather.judges.number_styles import doubtful_numbers, with_decimal_comma
from routerlib.gather.judges.numbers import check_decimal
from routerlib.gather.prompts.formats import JSON_COLUMNS, check_suffix
from routerlib.gather.prompts.shapes import COLUMNS, Shape, shape_of, whole_row
from routerlib.records.answers_inside import AnswersInside, check_choice, without_answer
from routerlib.records.brief import brief, n_of, shortened
from routerlib.records.canonical import plain_json
from routerlib.records.columns import check_there
from routerlib.records.prompt import Prompt
from routerlib.records.separators import LONGEST_CSV_FIELD, SEPARATORS, separator_of, told_apart

_LOGGER = logging.getLogger(__name__)


def load_prompts(
    path: str | Path,
    *,
    answers_inside: AnswersInside = "refuse",
    columns: Mapping[str, str] | None = None,
    decimal: str = ".",
) -> list[Prompt]:
    r"""Read prompts; the second copy of a prompt is left out, and the log says how many.

    A row has ``prompt`` (a text) or ``messages`` (a list of role and content), and may have
    ``task``, ``reference``, ``judge``, ``source``, ``topic``. Other fields are kept in ``extra``.
    Columns of a CSV file may be parted by commas, semicolons, tabs or bars.
    In CSV and Parquet files ``messages``, ``reference`` and ``extra`` may be written as JSON; a
    reference that is not valid JSON is taken as text, as is a number that JSON writes otherwise,
    such as 330.000, so that the judges say how it is read, and a word such as true or null.

    Parameters
    ----------
    path : str or Path
        A .jsonl, .csv or .parquet file; text in UTF-8.
    answers_inside : str, default="refuse"
        What becomes of messages that end with the assistant's turn, as in chat data: it would show
        every candidate the answer. ``refuse``, or ``cut`` it off and keep it as the reference,
        where there is no other.
    columns : mapping of str to str or None, default=None
        Our name of a column -> the file's, such as ``{"prompt": "question"}``; None = ours, or
        those of a common shape (question and answer, instruction and output, and others), which
        the log says.
    decimal : {".", ","}, default="."
        What parts off decimals in references that are numbers, and in answers to them; with a
        comma, points part thousands.

    Returns
    -------
    list of Prompt
        In file order, each `prompt_id` once.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no prompts or a row is wrong, as one that holds its own answer is; the
        message names file and line.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.jsonl"
    >>> _ = path.write_text('{"prompt": "Hello"}\n{"prompt": "Bye", "task": "chat"}\n')
    >>> [(prompt.text, prompt.task) for prompt in load_prompts(path)]
    [('Hello', None), ('Bye', 'chat')]
    """
    prompts: dict[str, Prompt] = {}
    n_rows = 0
    for _, prompt in read_prompts(path, answers_inside, columns, _LOGGER.warning, decimal):
        prompts.setdefault(prompt.prompt_id, prompt)
        n_rows += 1
    if doubt := doubtful_numbers(prompts.values()):
        _LOGGER.warning("%s: %s", path, doubt)
    if n_rows > len(prompts):
        _LOGGER.warning("%s: %s left out", path, n_of(n_rows - len(prompts), "repeated prompts"))
    return list(prompts.values())


def read_prompts(
    path: str | Path,
    answers_inside: AnswersInside = "refuse",
    columns: Mapping[str, str] | None = None,
    say: Callable[[str], object] = lambda _: None,
    decimal: str = ".",
) -> Iterator[tuple[str, Prompt]]:
    """Yield each row of a prompt file with its place, repeated prompts too.

    `columns`, `decimal`: as of `load_prompts`. `say`: told once what was recognised, where the
    file has a shape of its own.
    """
    path = Path(path)
    check_choice(answers_inside)
    check_decimal(decimal)
    _check_readable(path)
    records = {".jsonl": _jsonl_records, ".csv": _csv_records, ".parquet": _parquet_records}
    n_rows = 0
    told: dict[str, None] = {}
    for where, record in records[path.suffix.lower()](path, columns or {}, told, decimal):
        styled = _with_comma(record) if decimal == "," else record
        yield where, prompt_from_record(styled, f"{path} {where}", answers_inside)
        n_rows += 1
    for said in told:
        say(f"{path}: {said}")
    if not n_rows:
        raise ValueError(f"{path} holds no prompts; write one row per prompt, with 'prompt'")


def _with_comma(record: Any) -> Any:
    """Return a row whose reference is read with a decimal comma, where it is a number."""
    if not isinstance(record, Mapping) or "reference" not in record:
        return record
    return {**record, "reference": with_decimal_comma(record["reference"], record.get("judge"))}


def prompt_from_record(
    record: Mapping[str, Any], where: str, answers_inside: AnswersInside = "refuse"
) -> Prompt:
    """Make a Prompt from one row of a file."""
    if not isinstance(record, Mapping):
        raise ValueError(
            f'{where}: expected an object such as {{"prompt": "..."}}, got {brief(record)}'
        )
    try:
        for name in ("task", "judge", "source", "topic"):
            if not isinstance(record.get(name), str | None):
                raise ValueError(f"{name} must be a text, got {brief(record[name])}")
        messages, answer = without_answer(_messages(record), answers_inside)
        reference = record.get("reference")
        prompt = Prompt(
            messages=messages,
            task=record.get("task") or None,
            reference=answer if reference is None else reference,
            judge=record.get("judge") or None,
            source=record.get("source") or "user",
            topic=record.get("topic") or None,
            extra=_extra(record),
        )
        if prompt.judge is not None:
            check_reference(prompt.judge, prompt.reference)
        prompt.prompt_id  # noqa: B018  a lone surrogate is found here, not when it is logged
    except ValueError as error:
        raise ValueError(f"{where}: {shortened(str(error))}") from error
    return prompt


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file of prompts inside it")
    if not path.exists():
        raise FileNotFoundError(f"no prompts at {path}; check the path")
    check_suffix(path)
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty; write one row per prompt, with 'prompt'")


def _messages(record: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    text, messages = record.get("prompt"), record.get("messages")
    if (text is None) == (messages is None):
        found = "both" if messages is not None else f"neither in {brief(sorted(map(str, record)))}"
        raise ValueError(f"each row needs 'prompt' or 'messages', got {found}")
    if messages is None:
        if not isinstance(text, str):
            raise ValueError(f"'prompt' must be a text, got {brief(text)}")
        return ({"role": "user", "content": text},)
    if not isinstance(messages, list) or not all(isinstance(each, Mapping) for each in messages):
        raise ValueError(
            f"'messages' must be a list of objects with 'role' and 'content', got {brief(messages)}"
        )
    return tuple(_plain(message) for message in messages)


def _plain(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse what is more than text: no judge could look at it."""
    content = _text(message.get("content"))
    if not isinstance(message.get("role"), str) or not isinstance(content, str):
        raise ValueError(
            "each message needs text, and nothing but text, in 'role' and 'content', "
            f"got {brief(dict(message))}"
        )
    return {**message, "content": content}


def _text(content: Any) -> Any:
    """Join the parts of a message's content where all of them are text."""
    is_parts = isinstance(content, list) and bool(content)
    if not is_parts or any(
        not isinstance(each, Mapping)
        or each.get("type") != "text"
        or not isinstance(each.get("text"), str)
        for each in content
    ):
        return content
    return "".join(part["text"] for part in content)


def _text_of(path: Path) -> str:
    payload = path.read_bytes()
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = payload[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} line {line}: not UTF-8 (byte {payload[error.start]:#04x}); "
            "save the file as UTF-8"
        ) from error


def _jsonl_records(
    path: Path, columns: Mapping[str, str], told: dict[str, None], _: str
) -> Iterable[tuple[str, Any]]:
    found: dict[str, None] = {}
    # Not splitlines(): a prompt may hold U+2028 or a form feed, which end no JSON line.
    for number, line in enumerate(_text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path} line {number}: not valid JSON ({error}); write one object a line"
            ) from error
        if isinstance(record, Mapping):
            found |= dict.fromkeys(record)
            record = _whole(record, columns, told)
            shape = _shape(path, record, columns, told, is_sure=False)
            record = shape.named(record)
        yield f"line {number}", record
    check_there(path, found, columns)


def _shape(
    path: Path,
    found: Iterable[Any],
    columns: Mapping[str, str],
    told: dict[str, None],
    *,
    is_sure: bool = True,
) -> Shape:
    """Return how columns are read, and note what was recognised."""
    shape = shape_of(path, list(found), columns, is_sure=is_sure)
    if shape.said:
        told[shape.said] = None
    return shape


def _whole(
    row: Mapping[Any, Any], columns: Mapping[str, str], told: dict[str, None]
) -> Mapping[Any, Any]:
    """Put a row of a common shape together, unless its columns were named."""
    if columns:
        return row
    whole, said = whole_row(row)
    if said:
        told[said] = None
    return whole


def _needs_prompts(found: Iterable[Any], where: str) -> None:
    """Refuse a table without prompts, whose columns are no common shape either."""
    names = set(found)
    if not ({"prompt", "messages"} & names or {"instruction", "input"} <= names):
        raise ValueError(
            f"{where}: needs a column 'prompt' or 'messages', got {brief(list(found))}; "
            "--columns prompt=NAME says which it is"
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value, write null")


def _csv_records(
    path: Path, columns: Mapping[str, str], told: dict[str, None], decimal: str
) -> Iterable[tuple[str, Any]]:
    told_separator, text = told_apart(_text_of(path))
    n_before = int(told_separator is not None)  # lines before the header
    before = csv.field_size_limit(LONGEST_CSV_FIELD)
    try:
        separator = told_separator or separator_of(text, [*columns.values(), "prompt", "messages"])
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        shape = _shape(path, reader.fieldnames or (), columns, told)
        _needs_prompts(shape.named(dict.fromkeys(reader.fieldnames or ())), f"{path} line 1")
        rows = [(f"line {reader.line_num + n_before}", row) for row in _rows(reader, path)]
    finally:
        csv.field_size_limit(before)
    for where, row in rows:
        record = _whole(shape.named(row), columns, told)
        yield where, _from_plain_cells(record, f"{path} {where}", decimal)
    if separator != SEPARATORS[0]:
        told[f"reading {separator!r} between columns"] = None


def _rows(reader: csv.DictReader, path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(
            f"{path} line {reader.reader.line_num}: not valid CSV ({error})"
        ) from error


def _parquet_records(
    path: Path, columns: Mapping[str, str], told: dict[str, None], decimal: str
) -> Iterable[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # read as one file: a folder name such as task=math must not become a column
        table = pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not a readable Parquet file ({reason})") from error
    check_there(path, table.column_names, columns)
    for number, cells in enumerate(table.to_pylist(), start=1):
        row = _whole(cells, columns, told)
        row = _shape(path, row, columns, told).named(row)
        _needs_prompts(row, str(path))
        yield f"row {number}", _from_plain_cells(row, f"{path} row {number}", decimal)


def _from_plain_cells(row: Mapping[Any, Any], where: str, decimal: str) -> dict[str, Any]:
    """Leave empty cells out, and turn JSON cells into what they say.

    A number in a text with a decimal comma, such as 1.234, is none of JSON.
    """
    if None in row:
        raise ValueError(
            f"{where}: more cells than columns; put texts that hold the separator into quotes"
        )
    filled = {name: cell for name, cell in row.items() if _none_if_empty(cell) is not None}
    record: dict[str, Any] = plain_json(filled)
    for name in set(JSON_COLUMNS) & set(record):
        if isinstance(record[name], str):
            try:
                told = json.loads(record[name], parse_constant=str)
                record[name] = _as_written(told, record[name], decimal)
            except (ValueError, RecursionError):
                continue  # a plain text is a reference too; messages are refused later
    return record


def _as_written(value: Any, cell: str, decimal: str) -> Any:
    """Return what a cell of JSON holds; the text itself of words and numbers written otherwise."""
    if value is None or isinstance(value, bool):
        return cell
    is_number = isinstance(value, int | float)
    is_json = decimal == "." and json.dumps(value) == cell.strip()
    return cell if is_number and not is_json else value


def _none_if_empty(cell: Any) -> Any:
    return None if cell == "" or (isinstance(cell, float) and math.isnan(cell)) else cell


def _extra(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields that are not known by name, and what ``extra`` holds already."""
    extra = record.get("extra")
    if extra is not None and not isinstance(extra, Mapping):
        raise ValueError(f"extra must be an object, got {brief(extra)}")
    unknown = {name: record[name] for name in record if name not in COLUMNS}
    return {**(extra or {}), **unknown} or None
