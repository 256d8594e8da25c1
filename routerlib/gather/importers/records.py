"""What every importer gives: a prompt, a call, its scores; and how odd fields become them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from routerlib.gather.importers.ledger import Ledger
from routerlib.gather.judges.numbers import check_decimal
from routerlib.records.call import Call, CandidateModel, Score
from routerlib.records.canonical import plain_json, tagged_hash
from routerlib.records.prompt import Prompt

NO_NUMBER = "scores that are no number in [0, 1]"
BEGUN = "requests that end with the assistant's turn"
NO_ANSWER = "scores of answers that were cut off, refused, empty or broken"

# Columns of a table that have a meaning of their own, besides scores and costs.
TABLE_COLUMNS = ("prompt", "topic", "task", "reference", "judge", "source", "group", "user")


class Imported(NamedTuple):
    """One call of another tool.

    `has_id`: the tool named it; without, equal calls of a file are several calls, not one twice.
    """

    prompt: Prompt
    call: Call
    scores: tuple[Score, ...] = ()
    has_id: bool = True


@dataclass(frozen=True)
class Options:
    """What a file to import does not say itself.

    `columns`: ours, of `TABLE_COLUMNS` -> a table's, where it has another name there; `prompt` and
        `topic` say the same of these two.
    `scores`: model -> a table's column of its scores; or these columns, each called as its model.
        Empty = all columns of numbers.
    `costs`: model -> a table's column of its costs in US dollars, where the column's name
        doesn't say.
    `decimal`: what parts off decimals in a table's texts, "." or ","; the other one parts
        thousands. None = what a column shows for sure.
    `settings`: how a table's models were asked, in any words: a way of asking of its own, which
        counts with no other. None = nobody knows, so that it counts with how they are asked now.
    """

    candidate: str | None = None
    requests: Path | None = None
    prompt: str = "prompt"
    topic: str = "topic"
    columns: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, str] | Sequence[str] = ()
    costs: Mapping[str, str] = field(default_factory=dict)
    judge: str = "table"
    prices: Sequence[CandidateModel] = ()
    output_tokens: int | None = None
    decimal: str | None = None
    settings: str | None = None
    ledger: Ledger = field(default_factory=Ledger)
    understood: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_decimal(self.decimal)
        unknown = [ours for ours in self.columns if ours not in TABLE_COLUMNS]
        if unknown:
            raise ValueError(
                f"columns of a table are {', '.join(TABLE_COLUMNS)}, got {unknown[0]!r}"
            )
        for ours, theirs in self._said_alone.items():
            if self.columns.get(ours, theirs) != theirs:
                raise ValueError(
                    f"{ours!r} is one column, got {theirs!r} and {self.columns[ours]!r}: name one "
                    "of them"
                )

    @property
    def names(self) -> dict[str, str]:
        """Each of `TABLE_COLUMNS` -> what a table calls it."""
        return {ours: ours for ours in TABLE_COLUMNS} | self.said

    @property
    def said(self) -> dict[str, str]:
        """Which of them were named, and so must be there -> what the table calls each."""
        return self._said_alone | dict(self.columns)

    @property
    def _said_alone(self) -> dict[str, str]:
        alone = {"prompt": self.prompt, "topic": self.topic}
        return {ours: theirs for ours, theirs in alone.items() if theirs != ours}

    @property
    def score_columns(self) -> dict[str, str]:
        """Model -> a table's column of its scores, as far as these were named."""
        named = self.scores
        return dict(named) if isinstance(named, Mapping) else {name: name for name in named}


def origin(kind: str, *identity: Any) -> str:
    """Return the identity of an imported call: equal for the same call of the same tool."""
    return f"{kind}:{tagged_hash(plain_json(list(identity)))}"


def params_hash(model: str, parameters: Any = None) -> str:
    """Hash how a model was asked, as far as the file tells."""
    return tagged_hash({"model": model, "system": None, "parameters": plain_json(parameters or {})})


def number_or_none(value: Any) -> float | None:
    """Return a number of at least 0, such as a cost or seconds; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value >= 0 else None


def text_of(content: Any) -> str | None:
    """Return a message's text, of its parts too; None where a part is not text.

    >>> text_of([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    'ab'
    >>> text_of([{"type": "image_url", "image_url": {}}]) is None
    True
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = []
    for part in content:
        if isinstance(part, Mapping) and part.get("type") in ("reasoning", "thinking"):
            continue  # not what is shown to the user
        text = part if isinstance(part, str) else None
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            text = part["text"]
        if text is None:
            return None
        texts.append(text)
    return "".join(texts)


def thought_of(content: Any) -> str:
    """Return what a message's parts keep apart as thought."""
    parts = content if isinstance(content, list) else []
    kinds = ("reasoning", "thinking")
    told = [each for each in parts if isinstance(each, Mapping) and each.get("type") in kinds]
    texts = [each.get("reasoning") or each.get("thinking") or each.get("text") for each in told]
    return "\n\n".join(each for each in texts if isinstance(each, str))


_TOOLS = ("tool", "function")


def messages_of(messages: Any) -> tuple[Mapping[str, str], ...] | None:
    """Return chat messages as role and text; None where there is more than text in them."""
    if isinstance(messages, str):
        return ({"role": "user", "content": messages},)
    if not isinstance(messages, list) or not messages:
        return None
    plain = []
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            return None
        text = text_of(message.get("content"))
        if text is None or message["role"] in _TOOLS or message.get("tool_calls"):
            return None
        plain.append({"role": message["role"], "content": text})
    return tuple(plain) if any(each["content"].strip() for each in plain) else None


def rest_of(record: Mapping[str, Any], *used: str) -> dict[str, Any] | None:
    """Return the fields of a record that have no column of their own."""
    rest = {name: value for name, value in record.items() if name not in used and value is not None}
    return plain_json(rest) or None


def json_records(path: Path, lists: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of JSON lines, or of one JSON array, with their places.

    `lists`: names under which one object over the whole file may hold that array.
    """
    whole = _whole(path)
    if isinstance(whole, dict):
        named = [whole[name] for name in lists if isinstance(whole.get(name), list)]
        whole = named[0] if named else [whole]
    records = _lines(path) if whole is None else _entries(path, whole)
    for where, record in records:
        if not isinstance(record, dict):
            raise ValueError(f"{where}: expected an object, got {record!r:.80}")
        yield where, record


def _whole(path: Path) -> list[Any] | dict[str, Any] | None:
    """Return the value of a file that holds one list or object; None for lines."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip()
    first, _, rest = start.partition(b"\n")
    if start[:1] == b"{" and rest.strip() and _is_json(first):
        return None
    if start[:1] not in (b"{", b"["):
        return None
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if start[:1] == b"{":
            return None  # a broken line is told with its number
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    return value if isinstance(value, list | dict) else None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _entries(path: Path, values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for number, value in enumerate(values, start=1):
        yield f"{path} entry {number}", value


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{path} line {number}"
            if not line.strip():
                continue
            try:
                yield where, json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where}: not valid JSON: {error}") from error
