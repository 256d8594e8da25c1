"""What every importer gives: a prompt, a call, its scores; and how odd fields become them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from routerlib.records.call import Call, CandidateModel, Score, Usage
from routerlib.records.canonical import plain_json, tagged_hash
from routerlib.records.prompt import Prompt

# Why answers end, in the words of many providers.
_CUT_OFF = frozenset({"length", "max_tokens", "model_length", "max_output_tokens"})
_REFUSED = frozenset({"content_filter", "refusal", "safety"})


class Imported(NamedTuple):
    """One call of another tool."""

    prompt: Prompt
    call: Call
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True)
class Options:
    """What a file to import does not say itself.

    `costs`: model -> a table's column of its costs in US dollars, where the column's name
        doesn't say.
    """

    candidate: str | None = None
    requests: Path | None = None
    prompt: str = "prompt"
    topic: str = "topic"
    scores: Sequence[str] = ()
    costs: Mapping[str, str] = field(default_factory=dict)
    judge: str = "table"
    prices: Sequence[CandidateModel] = ()
    output_tokens: int | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    understood: list[str] = field(default_factory=list)


def origin(kind: str, *identity: Any) -> str:
    """Return the identity of an imported call: equal for the same call of the same tool."""
    return f"{kind}:{tagged_hash(plain_json(list(identity)))}"


def params_hash(model: str, parameters: Any = None) -> str:
    """Hash how a model was asked, as far as the file tells."""
    return tagged_hash({"model": model, "system": None, "parameters": plain_json(parameters or {})})


def status_of(response: str | None, finish_reason: str | None, error: Any = None) -> str:
    """Type an outcome: one of `routerlib.records.call.CALL_STATUSES`.

    >>> status_of("4", "stop"), status_of("4", "length"), status_of("", "stop")
    ('ok', 'truncated', 'empty')
    >>> status_of(None, None, error="timed out")
    'error'
    """
    if error:
        return "error"
    if finish_reason in _REFUSED:
        return "refused"
    if finish_reason in _CUT_OFF:
        return "truncated"
    return "ok" if response and response.strip() else "empty"


def usage_of(found: Any, names: Mapping[str, str]) -> Usage | None:
    """Read token counts; None where input or output are not known, never 0 for it."""
    if not isinstance(found, Mapping):
        return None
    counts = {field_: found.get(name) for field_, name in names.items()}
    if not all(_is_count(counts.get(name)) for name in ("input_tokens", "output_tokens")):
        return None
    return Usage(**{name: int(n) for name, n in counts.items() if _is_count(n)})  # type: ignore[arg-type]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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
        if text is None:
            return None
        plain.append({"role": message["role"], "content": text})
    return tuple(plain) if any(each["content"].strip() for each in plain) else None


def rest_of(record: Mapping[str, Any], *used: str) -> dict[str, Any] | None:
    """Return the fields of a record that have no column of their own."""
    rest = {name: value for name, value in record.items() if name not in used and value is not None}
    return plain_json(rest) or None


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON lines file with their places."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{path} line {number}"
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where}: not valid JSON: {error}") from error
            if not isinstance(record, dict):
                raise ValueError(f"{where}: expected an object, got {record!r:.80}")
            yield where, record
