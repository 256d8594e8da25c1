"""Read numbers out of a table's column, for sure or not at all."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from routerlib.gather.judges.numbers import SWAPPED_MARKS

_MISSING = frozenset({"", "na", "n/a", "<na>", "nan", "null", "none", "-"})
_TRUTH = {"true": 1.0, "false": 0.0}
# "007" is a label.
_POINT = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?inf", re.IGNORECASE
)
_COMMA = re.compile(r"[+-]?(?:0|[1-9]\d*),\d+(?:e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_SWAPPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+,\d+")


def read_numbers(
    values: Sequence[Any], *, is_text: bool, decimal: str | None = None
) -> list[float] | None:
    """Return a column's numbers (length n_rows), NaN where one is missing; None = no numbers.

    `decimal`: what parts off decimals, a point or a comma, and the other one thousands; None = what
        the column shows for sure.

    >>> read_numbers(["0,5", "1", None], is_text=True)
    [0.5, 1.0, nan]
    >>> read_numbers(["2,067e-05", "1"], is_text=True)
    [2.067e-05, 1.0]
    >>> read_numbers(["007", "1"], is_text=True) is None
    True
    >>> read_numbers(["1.234", "0,5"], is_text=True, decimal=",")
    [1234.0, 0.5]
    """
    if not is_text:
        return _typed(values)
    texts = ["" if value is None else str(value).strip() for value in values]
    known = [text for text in texts if not is_missing(text)]
    if decimal is not None:
        return _in_style(texts, known, decimal)
    if not known or not all(map(_is_number, known)):
        return None
    has_decimal_comma = _has_decimal_comma(known)
    return [_number(text, has_decimal_comma) for text in texts]


def is_missing(value: object) -> bool:
    """Tell whether a cell says that there is no number."""
    return value is None or str(value).strip().casefold() in _MISSING


def _in_style(texts: Sequence[str], known: Sequence[str], decimal: str) -> list[float] | None:
    """Read numbers of which it was said what parts off their decimals."""
    if decimal == ",":
        texts, known = ([each.translate(SWAPPED_MARKS) for each in some] for some in (texts, known))
    forms = (_POINT, _THOUSANDS)
    if not known or not all(
        each.casefold() in _TRUTH or any(form.fullmatch(each) for form in forms) for each in known
    ):
        return None
    return [_number(text, has_decimal_comma=False) for text in texts]


def _typed(values: Sequence[Any]) -> list[float] | None:
    known = [value for value in values if value is not None]
    if not known or not all(isinstance(value, bool | int | float) for value in known):
        return None
    numbers = [math.nan if value is None else float(value) for value in values]
    return None if all(map(math.isnan, numbers)) else numbers


def _is_number(text: str) -> bool:
    if text.casefold() in _TRUTH:
        return True
    return any(form.fullmatch(text) for form in (_POINT, _COMMA, _THOUSANDS, _SWAPPED))


def _has_decimal_comma(texts: Sequence[str]) -> bool:
    """Tell what the commas of a column are; raise ValueError where they tell both or neither."""
    with_comma = [text for text in texts if "," in text]
    if not with_comma:
        return False
    decimal = [each for each in with_comma if not _THOUSANDS.fullmatch(each)]
    thousands = [each for each in with_comma if not (_COMMA.fullmatch(each) or each in decimal)]
    with_point = [each for each in texts if "." in each and "," not in each]
    if decimal and not thousands and not with_point:
        return True
    if thousands and not decimal:
        return False
    shown = with_comma[0]
    raise ValueError(
        f"holds {shown!r}, whose comma may part thousands or decimals; write numbers with a "
        "decimal point and no other marks, such as 1234.5, or say which it is: --decimal , or "
        "--decimal . (from Python Options(decimal=...))"
    )


def _number(text: str, has_decimal_comma: bool) -> float:
    small = text.casefold()
    if small in _MISSING:
        return math.nan
    if small in _TRUTH:
        return _TRUTH[small]
    if has_decimal_comma:
        return float(text.replace(".", "").replace(",", "."))
    return float(text.replace(",", ""))
