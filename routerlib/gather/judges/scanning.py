"""Find the numbers of a line in plain spelling, each with its sign, scale and unit."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from routerlib.gather.judges.amounts import DIGITS, Amount, amount_at
from routerlib.gather.judges.quantities import Number
from routerlib.gather.judges.units import MONEY, unit_at, unit_called, unit_over

# Billion is 10^9 as in English; words that mean other powers in other languages are refused.
_SCALES = {
    r"dozens?|dutzend|douzaines?": 12,
    r"hundreds?|hundert": 100,
    r"thousands?|tausend": 1000,
    r"lakhs?": 10**5,
    r"millions?|millionen|millones|mio\.?|mln|mn": 10**6,
    r"crores?": 10**7,
    r"milliards?|milliarden?|mrd\.?|billions?|bn": 10**9,
    r"trillions?": 10**12,
}
_SCALE = re.compile(
    r"\s?(?:" + "|".join(f"({words})" for words in _SCALES) + r")(?![^\W\d_])", re.IGNORECASE
)
_ONE_LETTER = re.compile(r"[^\W\d_](?![^\W\d_])")
_KILO = re.compile(r"k(?![^\W\d_])")  # 5k, but 5 k and 5K may be other things
_ORDINAL = re.compile(
    r"(?:(?<=1)st|(?<=2)nd|(?<=3)rd|(?<=[04-9])th|(?<=1[123])th|ème|eme|[ºª])(?![^\W\d_])"
)
_MINUS = "-–"
_LEAD = re.compile(
    rf"(?:(?<![^\W\d_])(?P<word>minus|negative|moins|menos|meno)\s+)?(?P<sign>[-+–])?(?P<gap>\s*)"
    rf"(?:(?<![^\W\d_$€£¥])(?P<money>{MONEY})\s?(?P<inner>[-+–]?))?$",
    re.IGNORECASE,
)
_LONGEST_LEAD = 24
_GLUED = re.compile(r"(?:[^\W\d]|[^\W\d_](?:-|\^-?)|[_\\])$")
_GAP = re.compile(r"\s?(?:-(?=[^\W\d_]))?")
_TOKEN = re.compile(DIGITS)
_WORDS = re.compile(r"\s?(?:-|/\s?)?([^\W\d_]{2,}(?:[ -][^\W\d_]{2,}){0,2})")


class Found(NamedTuple):
    """A number and where it stands: `lead` is its first sign or currency, `end` behind its unit."""

    number: Number | None
    lead: int
    start: int
    end: int
    sign: str
    is_spaced: bool


def numbers_in(line: str) -> list[Found]:
    """Return the numbers of a line in order; None stands for digits that are no one number.

    Digits glued to a letter before them, as in H2O and F-16, are part of a word.

    >>> [str(found.number.value) for found in numbers_in("F-16 costs -$1.5 million, 2 km/h")]
    ['-1500000', '2']
    """
    found = []
    position = 0
    while token := _TOKEN.search(line, position):
        start = token.start()
        if line[start] == "." and line[:start][-1:].isalpha():
            start += 1  # the point of an abbreviation, as in No.5
        amount, position = amount_at(line, start)
        lead = _LEAD.search(line[:start][-_LONGEST_LEAD:])
        if lead is None or (not lead["money"] and _GLUED.search(line[:start])):
            continue
        one = _found(line, start, position, amount, lead)
        found.append(one)
        position = one.end
    return found


def _found(line: str, start: int, end: int, amount: Amount | None, lead: re.Match[str]) -> Found:
    signs = [sign for sign in (lead["word"], lead["sign"], lead["inner"]) if sign]
    is_spaced = bool(lead["sign"] and lead["gap"] and not lead["money"])
    begin = start - len(lead[0].lstrip())
    if amount is None or len(signs) > 1:
        return Found(None, begin, start, end, "".join(signs), is_spaced)
    sign = "".join(signs)
    if sign and sign != "+":
        amount = amount.times(Fraction(-1))
    is_product = bool(_ONE_LETTER.match(line, end)) and not lead["money"]
    factor, end = _scale(line, end)
    number, end = _with_unit(line, end, amount.times(Fraction(factor)), lead["money"])
    return Found(replace(number, is_product=is_product), begin, start, end, sign, is_spaced)


def _scale(line: str, end: int) -> tuple[int, int]:
    """Return the worth of the words such as million at a place, and where they end."""
    if ordinal := _ORDINAL.match(line, end):
        return 1, ordinal.end()
    factor = 1
    if kilo := _KILO.match(line, end):
        factor, end = 1000, kilo.end()
    while scale := _SCALE.match(line, end):
        assert scale.lastindex is not None
        factor, end = factor * list(_SCALES.values())[scale.lastindex - 1], scale.end()
    return factor, end


def _with_unit(line: str, end: int, amount: Amount, money: str | None) -> tuple[Number, int]:
    unit, unit_end = unit_at(line, _behind_gap(line, end))
    if line[end:unit_end] == "K":  # 5K may be 5000, 300 K is a temperature
        return Number(amount), end
    if money is None and unit is not None:
        return Number(amount, unit), unit_end
    words = _WORDS.match(line, end)
    if money is None:
        return Number(amount, words=words[1] if words else ""), end
    paid = unit_called(money) or unit_called(money.upper())
    assert paid is not None, money
    if unit == paid:  # $5 USD
        return Number(amount, unit), unit_end
    whole, whole_end = unit_over(paid, line, end)
    if whole is None:  # $5/head
        return Number(amount, words=f"{money} {words[1] if words else ''}".strip()), end
    return Number(amount, whole), whole_end


def _behind_gap(line: str, end: int) -> int:
    gap = _GAP.match(line, end)
    return gap.end() if gap else end
