"""Read rows whose columns have other names: named by the reader, or of a common shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from routerlib.records.brief import brief
from routerlib.records.columns import check_there

COLUMNS = ("prompt", "messages", "task", "reference", "judge", "source", "topic", "extra")
# What can be named of a file: these, and further fields that have a meaning.
NAMED = (*COLUMNS, "group", "user")

_PROMPTS = ("question", "instruction", "problem", "query", "input")
_REFERENCES = ("answer", "output", "solution", "target", "ideal", "expected", "response")
_OPTIONS = ("choices", "options")
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
_ROLES["system"] = "system"


class Shape(NamedTuple):
    """How the columns of a file are read.

    `names`: our column -> the file's; one of the file may be several of ours. `said`: what was
    recognised, in words; "" where nothing had to be.
    """

    names: Mapping[str, str]
    said: str = ""

    def named(self, row: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return a row under our names; what was named goes before what is called so."""
        taken = set(self.names.values())
        rest = {name: cell for name, cell in row.items() if name not in taken}
        return rest | {ours: row[theirs] for ours, theirs in self.names.items() if theirs in row}


def parse_columns(text: str | None, known: Collection[str] = NAMED) -> dict[str, str]:
    """Read what the command line says of columns: ours, then the file's.

    `known`: ours that the file may have.

    >>> parse_columns("prompt=question,reference=answer")
    {'prompt': 'question', 'reference': 'answer'}
    """
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    columns: dict[str, str] = {}
    for ours, theirs in ((ours.strip(), theirs.strip()) for ours, _, theirs in pairs):
        if ours not in known or not theirs:
            raise ValueError(
                "columns are named as OURS=THEIRS, such as prompt=question,reference=answer, where "
                f"OURS is one of {', '.join(known)}; got {text!r}"
            )
        if columns.setdefault(ours, theirs) != theirs:
            raise ValueError(
                f"{ours!r} is one column, got {columns[ours]!r} and {theirs!r}: name one of them"
            )
    return columns


def shape_of(
    path: Path, found: Collection[Any], columns: Mapping[str, str], *, is_sure: bool = True
) -> Shape:
    """Return how the columns of a file are read.

    `found`: the file's columns. `columns`: ours -> the file's, as the reader named them; none =
    recognise a common shape. `is_sure`: whether further rows can't have further columns.

    >>> shape_of(Path("p.csv"), ["question", "answer"], {}).names
    {'prompt': 'question', 'reference': 'answer'}
    """
    if columns:
        if is_sure:
            check_there(path, found, columns)
        return Shape(columns)
    if {"prompt", "messages"} & set(found):
        return Shape({})
    known = {str(name).strip().lower(): name for name in found}
    prompt = next((known[name] for name in _PROMPTS if name in known), None)
    if prompt is None or _is_structured(known):
        return Shape({})
    if options := next((known[name] for name in _OPTIONS if name in known), None):
        raise ValueError(
            f"{path}: {brief(sorted(map(str, found)))} look like multiple choice: write the "
            f"options of {options!r} into 'prompt' and the right letter into 'reference', with "
            "judge 'letter'"
        )
    reference = next((known[name] for name in _REFERENCES if name in known), None)
    names = {"prompt": prompt}
    if reference and "reference" not in found:
        names["reference"] = reference
    told = " and ".join(f"{theirs!r} as the {ours}" for ours, theirs in names.items())
    return Shape(names, f"reading {told}; --columns prompt=...,reference=... names others")


def _is_structured(known: Mapping[str, Any]) -> bool:
    """Tell whether rows are put together by `whole_row`, whatever their columns are called."""
    return {"instruction", "input"} <= set(known)


def whole_row(row: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], str]:
    """Put a row of a common shape together; return it, and what was recognised in words.

    Chats of ``conversations`` (from, value), an ``input`` that is a list of messages beside
    ``ideal``, and an ``instruction`` that has an ``input``.
    """
    if {"prompt", "messages"} & set(row):
        return row, ""
    if isinstance(chat := row.get("conversations"), list):
        rest = {name: cell for name, cell in row.items() if name != "conversations"}
        return {**rest, "messages": [_turn(each) for each in chat]}, "reading 'conversations'"
    if isinstance(row.get("input"), list):
        rest = {name: cell for name, cell in row.items() if name not in ("input", "ideal")}
        answer = {"reference": row["ideal"]} if "ideal" in row else {}
        return {**rest, **answer, "messages": row["input"]}, "reading 'input' as the messages"
    if {"instruction", "input"} <= set(row):
        taken = ("instruction", "input", "output")
        rest = {name: cell for name, cell in row.items() if name not in taken}
        texts = [str(row[name]) for name in ("instruction", "input") if row[name]]
        answer = {"reference": row["output"]} if row.get("output") is not None else {}
        joined = {**rest, **answer, "prompt": "\n\n".join(texts)}
        return joined, "reading 'instruction' with its 'input' as the prompt"
    return row, ""


def _turn(each: Any) -> Any:
    if not isinstance(each, Mapping) or each.get("from") not in _ROLES:
        return each
    return {"role": _ROLES[each["from"]], "content": each.get("value")}
