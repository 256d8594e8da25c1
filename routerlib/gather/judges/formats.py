"""Compare answers written in a formal language: JSON, SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from routerlib.gather.judges.answers import answer_text, is_same_text
from routerlib.gather.judges.numbers import read_number
from routerlib.gather.judges.quantities import agree, number_of
from routerlib.gather.judges.rules import BadReference, reference_texts, verdict
from routerlib.records.call import Score

_MAX_BRACES = 50


def json_object(response: str, reference: Any) -> Score:
    """Compare the fields of the first JSON object in the answer; further fields are ignored.

    >>> json_object('Answer: {"name": "Ada", "age": "36"}', {"name": "ada", "age": 36}).score
    1.0
    """
    if not isinstance(reference, Mapping) or not reference:
        raise BadReference(f"judge 'json' needs an object with fields, got {reference!r}")
    got = _first_object(answer_text(response)) or _first_object(response)
    if got is None:
        return verdict("json", False, "no JSON object")
    wrong = [key for key in reference if not _is_same(got.get(key), reference[key])]
    return verdict("json", not wrong, f"wrong fields {wrong!r}" if wrong else "all fields agree")


def _first_object(text: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder()
    for match in list(re.finditer(r"\{", text))[:_MAX_BRACES]:
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        return dict(value)
    return None


def _is_same(got: Any, gold: Any) -> bool:
    if isinstance(gold, bool) or gold is None:
        return got is gold
    if isinstance(gold, int | float):
        number = read_number(got).number if isinstance(got, str) else number_of(got)
        wanted = number_of(gold)
        return number is not None and wanted is not None and agree(number, wanted)
    if isinstance(gold, str):
        return isinstance(got, str | int | float) and is_same_text(str(got), gold)
    if isinstance(gold, list):
        return isinstance(got, list) and len(got) == len(gold) and all(map(_is_same, got, gold))
    return isinstance(got, dict) and all(_is_same(got.get(key), gold[key]) for key in gold)


def sql(response: str, reference: Any) -> Score:
    """Compare an SQL query as normalised text; nothing is run.

    Case, spaces, quotes, a last semicolon and the order of conditions joined by AND may differ.
    """
    golds = [_plain_sql(text) for text in reference_texts("sql", reference)]
    got = _plain_sql(answer_text(response))
    return verdict("sql", got in golds, f"got {got!r}")


def _plain_sql(text: str) -> str:
    """Return the first statement of a text in one canonical spelling."""
    start = re.search(r"\b(?:select|insert|update|delete)\b", text, re.IGNORECASE)
    if start is None:
        return ""
    text = re.split(r";|```|\n\s*\n", text[start.start() :])[0]
    text = re.sub(r"[\"`´’‘“”]", "'", text).replace("!=", "<>").rstrip("' \t\r\n.")
    parts = re.split(r"('[^']*'|'[^']*$)", text)  # letters inside quotes keep their case
    parts[::2] = [part.lower() for part in parts[::2]]
    text = re.sub(r"\s*(<>|<=|>=|[=<>,()])\s*", r" \1 ", "".join(parts))
    text = re.sub(r"'(\w+)'(?=\s*(?:<>|<=|>=|[=<>,.]))", r"\1", " ".join(text.split()))
    text = re.sub(r"'(-?\d+(?:\.\d+)?)'?", r"\1", text)
    head, where, tail = text.partition(" where ")
    clause, *rest = re.split(r"(?= (?:order by|group by|limit) )", tail, maxsplit=1)
    if " or " not in clause and " between " not in clause:
        clause = " and ".join(sorted(part.strip(" '") for part in clause.split(" and ")))
    return head + where + clause + "".join(rest).rstrip("' ")
