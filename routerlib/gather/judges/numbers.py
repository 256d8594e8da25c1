r"""The one reader of numbers that all judges share: a short text -> the one number that it gives.

- *Which number.* That in the last ``\boxed{}``; else behind the last ``=``; else the last one. What
  stands in brackets at the end is a remark. Several numbers side by side or joined by a word
  or mark ("3 or 5", "5-10", "[3, 5]", "±5", "> 5") are not one number.
- *Separators.* One comma before exactly three digits is English thousands (1,234 is 1234), any
  other single comma a decimal comma, one point always a decimal point; several of them, spaces,
  apostrophes and ``_`` group digits.
- *Percent.* 50% is 0.5. Beside a bare number above 1 the sign counts as left out: 50 is 50% too,
  but 0.5 is never 0.5%.
- *Units.* The same unit, or none on one of the two sides; another unit of the same kind is
  converted where its worth is certain; any other is wrong.
- *Rounding.* Two numbers are the same when they are equal, or one is the other rounded or cut off
  to six digits or more; two whole numbers only when they are equal.

Digits may be of any script; other numerals (V, 五, ⑤), words (five) and infinity are no numbers.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from routerlib.gather.judges.amounts import Amount
from routerlib.gather.judges.quantities import Number
from routerlib.gather.judges.scanning import Found, numbers_in
from routerlib.gather.judges.spelling import boxed, plain, without_inner_boxes
from routerlib.gather.judges.units import unit_at

# What turns a number with a decimal comma, and points between thousands, into one with a point.
SWAPPED_MARKS = str.maketrans(".,", ",.")
_MARKED = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)+(?![.,]?\d)")
_LONGEST = 4000  # characters at the end of a line that are looked at

_PROSE = re.compile(r"[^\W\d_]{2,}")
_OTHER_BASE = re.compile(r"(?<!\w)0(?:x[0-9a-f]|b[01]|o[0-7])", re.IGNORECASE)
_EQUALS = re.compile(r"[=≈→⇒⟹➔]")
# 2x = 10 and x^2 = 4 give no value of x.
_UNSOLVED = re.compile(
    r"\d\s?[xyz](?![\w(])(?!\s?\d)|(?<!\w)[xyz]\s?[-+*/×^]|[-+*/×]\s?[xyz](?!\w)"
)
# x = 3 or x = 5, but not 2x = 10, x = 5.
_NAME = re.compile(r"\s*(?:[^\W\d_][\w ]*(?:\([^\W\d_]\))?)?\s*")
_AND = r"(?:and|or|und|oder|et|ou)"
_TWO_RESULTS = re.compile(
    rf"(?:^|[:,;]|\b[^\W\d_]{{2,}}\s)\s*[^\W\d_]\w?\s*=\s*[^=]*?"
    rf"(?:[,;]\s*(?:{_AND}\s)?|\b{_AND}\s)\s*[^\W\d_]\w?\s*=[^=]*$"
)
_JOINED = re.compile(
    r"\s*(?:[^\W\d_]+\s*)?"
    rf"(?:[,;]+|[/&–×]|(?<![^\W\d_])(?:{_AND}|to|through|till|until|bis|à|out of|of|in|over|by|"
    r"times|plus|minus|mod|modulo|divided by|versus|vs\.?|per|sur|auf|von|y|o|e|x)(?![^\W\d_]))"
    rf"\s*(?:{_AND}\s+)?(?:an?\s+|the\s+)?",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"\s*(?:,?\s*(?:and|und|et)|,)?\s*")


class _Rule(NamedTuple):
    """What may not stand beside a number, and whether the two may be a formula."""

    pattern: re.Pattern[str]
    is_formula: bool


_BEFORE = tuple(
    _Rule(re.compile(pattern, re.IGNORECASE), is_formula)
    for pattern, is_formula in (
        (r"[<>≤≥≠±]\s*$", False),
        (r"\d(?::|\s:\s?)$", True),
        (r"[-+*/×÷^·⋅√∛∑∏∫∞|\[{]\s*$|[\w).']\(\s*$|[)\]]$|\\[a-z]+\s*$", True),
        (r"(?<![^\W\d_])(?:sqrt|log|ln|sin|cos|tan|exp)\s*$", True),
        (
            r"(?<![^\W\d_])(?:(?:half|third|quarter|tenth|root|square|cube|twice|double)\s(?:of\s)?|"
            r"(?:more|less|fewer|greater|smaller|larger|higher|lower)\sthan\s|power\sof\s)$",
            False,
        ),
        (r"(?<!\w)[^\W\d_]\s?[,;]\s?$", False),
        (r"[(\[{][^()\[\]{}]*[,;][^()\[\]{}]*$", False),
    )
)
_BEHIND = tuple(
    _Rule(re.compile(pattern, re.IGNORECASE), is_formula)
    for pattern, is_formula in (
        (r"\s*[<>≤≥≠±]|\s*\+\s*$|\s?[-–]\s?\d|\s*[%‰]", False),
        (r"\s?[,;]\s?[^\W\d_](?:[)\]},;^]|$)", False),
        (r"\s(?:minus|plus|times|mod|modulo|over|divided by|to the power|squared|cubed)\b", False),
        (r"\s(?:and|plus)\s+(?:an?|one|half|three)\s(?:half|quarter|third|fifth|tenth)", False),
        (r"\s(?:factorial|hal(?:f|ves)|thirds?|quarters?|fifths?|\w*ths)\b", False),
        (
            r"\s(?:and|plus)\s+(?:half|three)\b|\s?einhalb\b|\s?(?:billionen|billiarden?|mil)\b",
            False,
        ),
        (r"\s*[+*×÷^·⋅=|∪∩√π∞\\{\[\]}_]|\(|\s*/\s*(?![^\W\d_]{2})", True),
        (r"['\"″′]\s*$", False),
        (r"[^\W_]|[\u0300-\u036f\u203e]", True),
        (r"\s*[-–]\s*(?:[^\W\d_](?![^\W\d_])|\(|\\)", True),
        (r"\)(?:[\w^!\\(π√]|\s?[-+*/×÷·^\\])", True),
        (r"\s[^\W\d_]\s*(?:$|[-+*/×÷^=)(,.;]|\d)", True),
    )
)


class Reading(NamedTuple):
    """The number of a text; where it is None, why, and whether the text may be a formula.

    `is_alone` tells that no other number stands beside it; `is_equation` that a formula does.
    """

    number: Number | None
    why: str = ""
    is_formula: bool = False
    is_alone: bool = True
    is_equation: bool = False


_SEVERAL = Reading(None, "several numbers")
_FORMULA = Reading(None, "a formula", is_formula=True)


def check_decimal(decimal: str | None) -> None:
    """Raise ValueError for what parts off no decimals; None = nothing is said."""
    if decimal not in (None, ".", ","):
        raise ValueError(f"decimal must be '.' or ',', got {decimal!r}")


def read_number(text: str, decimal: str = ".") -> Reading:
    r"""Read the one number that a line of text gives.

    `decimal`: with a comma one point before three digits parts thousands, any single comma
        decimals; marks are read the other way round then.

    >>> read_number("15 - 26 = **-11**").number.value
    Fraction(-11, 1)
    >>> read_number("$10\\,000$").number.value, read_number("about 1 1/2 km").number.value
    (Fraction(10000, 1), Fraction(3, 2))
    >>> read_number("5 or 6").why
    'several numbers'
    >>> read_number("330.000,5 km", decimal=",").number.value
    Fraction(660001, 2)
    """
    line = _end_of(text)
    if line is not None and decimal == ",":
        line = _MARKED.sub(lambda found: found[0].translate(SWAPPED_MARKS), line)
    return Reading(None, "a line too long") if line is None else _read(line)


@lru_cache(maxsize=512)  # a reference is read for every answer
def _read(line: str) -> Reading:
    line = _without_remark(plain(_boxes_only(line)))
    if _OTHER_BASE.search(line):
        return Reading(None, "digits of another base")
    if _TWO_RESULTS.search(line):
        return _SEVERAL
    parts = _EQUALS.split(line)
    while len(parts) > 1 and not re.search(r"\d", parts[-1]):
        parts.pop()
    if len(parts) > 1 and _UNSOLVED.search(re.split(r"[,;:]\s", parts[-2])[-1]):
        return _FORMULA
    found = _with_compound(parts[-1], numbers_in(parts[-1]))
    if not found:
        return Reading(None, "no number", is_formula=True)
    reading = _last_of(parts[-1], found, is_sentence=bool(_PROSE.search(line)))
    is_equation = any(
        re.search(r"[^\W\d_]", left) and not _NAME.fullmatch(left) for left in parts[:-1]
    )
    return reading._replace(is_equation=is_equation)


def last_value(text: str) -> Fraction | None:
    """Return what the last digits of a text are worth, whatever stands around them."""
    found = numbers_in(plain(text))
    if not found or found[-1].number is None:
        return None
    value = found[-1].number.value
    return abs(value) if found[-1].is_spaced else value  # 11 - 78 ends with 78


def _last_of(part: str, found: list[Found], is_sentence: bool) -> Reading:
    """Return the last number of what stands behind the last equals sign."""
    last = found[-1]
    if refused := _refusal(part, found):
        return refused
    if re.match(r"\s?!", part[last.end :]) and not is_sentence:
        return _FORMULA  # five factorial
    if last.number is None:
        return Reading(None, "digits that are no one number")
    if re.match(r"\.\.|…", part[last.end :]) and last.number.amount.is_rough:
        return Reading(None, "digits that go on")
    is_alone = all(
        each.number is not None and each.number.value == last.number.value for each in found
    )
    return Reading(last.number, is_alone=is_alone)


def _refusal(part: str, found: list[Found]) -> Reading | None:
    """Return why the last number is not the one that counts, None if nothing speaks against it."""
    last = found[-1]
    before, behind = part[: last.lead], part[last.end :]
    is_minus_or_plus = last.sign in ("-", "+")
    if last.is_spaced and is_minus_or_plus and before.strip() and not before.endswith(": "):
        return _FORMULA
    if is_minus_or_plus and re.search(r"[\w)\]]$", before):
        return _FORMULA
    if joined := _joined(part, found):
        return joined
    digits = part[last.start : last.end]
    if digits.count(",") == 1 and before.endswith("(") and behind.startswith((")", "]")):
        return _SEVERAL
    for rules, beside in ((_BEFORE, before), (_BEHIND, behind)):
        for pattern, is_formula in rules:
            if (pattern.search if rules is _BEFORE else pattern.match)(beside):
                return _FORMULA if is_formula else _SEVERAL
    return None


def _joined(part: str, found: list[Found]) -> Reading | None:
    """Tell a list, range or operation of the last two numbers from two numbers of a sentence."""
    if len(found) < 2:
        return None
    previous, last = found[-2:]
    between = part[previous.end : last.lead]
    if not between.strip():
        return _FORMULA if last.sign in ("-", "+") else _SEVERAL
    return _SEVERAL if _JOINED.fullmatch(between) else None


def _with_compound(part: str, found: list[Found]) -> list[Found]:
    """Take 2 hours and 30 minutes for one number where they are the last two."""
    if len(found) < 2:
        return found
    large, small = found[-2:]
    if not _BESIDE.fullmatch(part[large.end : small.lead]) or small.sign:
        return found
    whole = _sum(large.number, small.number)
    return found if whole is None else [*found[:-2], large._replace(number=whole, end=small.end)]


def _sum(large: Number | None, small: Number | None) -> Number | None:
    """Add a number in a smaller unit of the same kind, if it is less than one of the larger."""
    if large is None or small is None or large.unit is None or small.unit is None:
        return None
    worth = small.unit.factor / large.unit.factor
    rest = small.value * worth
    if large.unit.is_share or large.unit.kind != small.unit.kind or worth >= 1 or rest >= 1:
        return None
    return Number(Amount(large.value + (rest if large.value >= 0 else -rest)), large.unit)


def _end_of(line: str) -> str | None:
    """Return a line, of a very long one its end from a space on; None where it has none."""
    if len(line) <= _LONGEST:
        return line
    _, _, end = line[-_LONGEST:].partition(" ")
    return end or None


def _boxes_only(text: str) -> str:
    r"""Return what stands in the boxes of a text, from a sign before to the unit behind them."""
    text = without_inner_boxes(text)
    boxes = boxed(text)
    if not boxes:
        return text
    lead = re.search(r"(?:[-+−±–]|\\pm|\\\$|[€£¥])?\s*\$?$", text[: boxes[0][0]])
    sign = lead[0].replace(r"\$", "USD ").replace("$", "") if lead else ""
    pieces = [sign]
    position = boxes[0][0]
    for start, end, content in boxes:
        pieces += [text[position:start], re.sub(r"^\$(.*)\$$", r"\1", content), " "]
        position = end
    behind = plain(text[position:].replace("$", "", 1)).lstrip()
    unit, end = unit_at(behind, 0)
    return "".join(pieces) + (behind[:end] if unit else "")


def _without_remark(line: str) -> str:
    """Take off what stands in brackets at the end, unless it is a unit."""
    ended = line.rstrip(" .")
    before, bracket, inside = ended[:-1].rpartition("(")
    if not (
        ended.endswith(")") and bracket and ")" not in inside and re.search(r"\d.*\s$", before)
    ):
        return line
    unit, end = unit_at(inside, 0)
    return f"{before}{inside}" if unit and end == len(inside) else before
