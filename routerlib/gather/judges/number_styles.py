"""Which references of a file the reader of numbers takes for something else than their column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from routerlib.gather.judges.numbers import read_number
from routerlib.gather.judges.rules import BadReference
from routerlib.records.brief import n_of
from routerlib.records.prompt import Prompt

_READ_AS_NUMBERS = (None, "numeric", "math")  # judges; None may become one of them
_READ_AS_TEXTS = ("exact", "match", "verbatim", "contains", "regex")
_HEAD = r"[1-9]\d{0,2}"
_NUMBER = re.compile(r"(?<![\d.,])\d+(?:[.,]\d+)+(?![\d.,]*\d)")
# What shows that a comma parts off decimals in a column, and a point thousands.
_DECIMAL_COMMA = re.compile(r"\d+,(?:\d{1,2}|\d{4,})|0,\d+|\d+(?:\.\d{3})+,\d+|\d+(?:\.\d{3}){2,}")
_ONE_MARK = re.compile(rf"{_HEAD}[.,]\d{{3}}")
_POINT = re.compile(r"\d+\.\d+")
_FEWEST = 2  # points before three digits and before no other number, that may be thousands
_EXAMPLES = 3


def doubtful_numbers(prompts: Iterable[Prompt]) -> str:
    """Say which references may be read as another number than they were meant; "" = none.

    A point before three digits parts off decimals for the judges, a comma thousands. In a column
    whose other numbers show decimal commas, or in which three digits stand behind each point, that
    is no longer sure.

    >>> column = [Prompt.from_text(text, reference=text) for text in ("330.000", "37,50")]
    >>> print(doubtful_numbers(column))
    1 reference may be read as another number than was meant: '330.000' as 330, while '37,50'
    has a decimal comma; with --decimal , (from Python decimal=',') the judge numeric reads
    references and answers so; or write thousands without a mark and decimals with a point (330000),
    and ask for answers in this form, since they are read alike
    >>> doubtful_numbers(column[:1])
    ''
    """
    prompts = [prompt for prompt in prompts if prompt.judge in _READ_AS_NUMBERS]
    numbers = [number for prompt in prompts for number in _numbers_of(prompt)]
    shown = next(filter(_DECIMAL_COMMA.fullmatch, numbers), None)
    if shown is not None:
        doubtful = list(filter(_ONE_MARK.fullmatch, numbers))
        mark = "a decimal comma" if "," in shown else "points between thousands"
        why = f"while {shown!r} has {mark}"
    else:
        pointed = list(filter(_POINT.fullmatch, numbers))
        is_all = len(pointed) >= _FEWEST and all(map(_ONE_MARK.fullmatch, pointed))
        # No number of JSON ends with a zero behind the point: then it is a spreadsheet's text.
        is_text = any(each.endswith("0") for each in pointed)
        why = "while three digits stand behind every point"
        doubtful = pointed if is_all and is_text else []
    if not doubtful:
        return ""
    read = [f"{each!r} as {_read(each)}" for each in islice(dict.fromkeys(doubtful), _EXAMPLES)]
    meant = re.sub(r"[.,]", "" if "." in doubtful[0] else ".", doubtful[0])
    return (
        f"{n_of(len(doubtful), 'references')} may be read as another number than was meant: "
        f"{', '.join(read)}, {why}; with --decimal , (from Python decimal=',') the judge "
        "numeric reads references and answers so; or write thousands without a mark and decimals "
        f"with a point ({meant}), and ask for answers in this form, since they are read alike"
    )


def with_decimal_comma(reference: Any, judge: str | None) -> Any:
    """Return a reference whose number has a decimal comma, as `numeric` reads it; others as given.

    Only a text has marks: a number is what it is, and the answers to it are read with the comma.

    >>> with_decimal_comma("330.000", None), with_decimal_comma(37.5, None)
    ({'value': '330.000', 'decimal': ','}, {'value': 37.5, 'decimal': ','})
    >>> with_decimal_comma("Paris", None)
    'Paris'
    """
    if judge not in (None, "numeric") or isinstance(reference, bool):
        return reference
    if isinstance(reference, dict):
        return {"decimal": ",", **reference} if "value" in reference else reference
    if isinstance(reference, int | float):
        return {"value": reference, "decimal": ","}
    if not isinstance(reference, str):
        return reference
    reading = read_number(reference, ",")
    is_number = reading.number is not None and reading.is_alone
    return {"value": reference, "decimal": ","} if is_number else reference


def for_judge(reference: Any, judge: str) -> Any:
    """Return a reference as a judge takes it; one with a decimal comma is its text for many.

    >>> for_judge({"value": "330.000", "decimal": ","}, "exact")
    '330.000'
    >>> for_judge({"value": "330.000", "decimal": ","}, "numeric")
    {'value': '330.000', 'decimal': ','}
    """
    if not _has_mark(reference):
        return reference
    if judge in _READ_AS_TEXTS:
        return as_written(reference)
    if judge == "math" and reference["decimal"] == ",":
        raise BadReference(
            f"judge 'math' reads decimal points only, and the reference {reference['value']!r} was "
            "given with a decimal comma (--decimal ,); name the judge 'numeric', which reads "
            "it, or write references, and ask for answers, with a decimal point"
        )
    return reference["value"] if judge == "math" else reference


def as_written(reference: Any) -> Any:
    """Return a reference as it stands in its file, without what is said of its decimals.

    >>> as_written({"value": "330.000", "decimal": ","})
    '330.000'
    """
    return reference["value"] if _has_mark(reference) else reference


def _has_mark(reference: Any) -> bool:
    return isinstance(reference, Mapping) and set(reference) == {"value", "decimal"}


def _numbers_of(prompt: Prompt) -> Iterator[str]:
    """Yield the numbers with a mark inside that a reference holds, as they are written."""
    reference = prompt.reference
    if isinstance(reference, dict):
        reference = None if "decimal" in reference else reference.get("value")
    if isinstance(reference, str | float):
        yield from _NUMBER.findall(str(reference))


def _read(text: str) -> str:
    number = read_number(text).number
    return "no number" if number is None else f"{float(number.value):.12g}"
