"""Read digits, their separators, fractions and powers of ten as one exact amount."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from routerlib.gather.judges.spelling import THIN

# Beyond these a number is refused: its digits would fill the memory.
MOST_DIGITS = 1000
LARGEST_EXPONENT = 1000

# Fewer digits can't tell a rounded number from a wrong one. Sums of floats are off by less.
_FEWEST_DIGITS = 6
_NOISE = Fraction(1, 10**9)

_SPACE = f"[ {THIN}]"
_HEAD = r"[1-9]\d{0,2}"
_JOINED = rf"\d+(?:[.,'_ {THIN}]\d+)*\.?"
DIGITS = rf"(?:{_JOINED}|\.{_JOINED})"
_EXPONENT = rf"(?:{_SPACE}?[eE]([-+]?\d+)|\s?(?:[×xX*])\s?10\s?\^\s?([-+]?\d+))(?![\w.]*\w)"
_TEN = re.compile(r"10\s?\^\s?([-+]?\d+)(?![\d.,]*\d|\w)")
_MIXED = re.compile(rf"(\d+){_SPACE}+(\d+)\s?/\s?(\d+)(?![.,]?\d|\s?/)")
_REPEATING = re.compile(r"(\d+)[.,](\d*)\((\d+)\)(?![\d.,]*\d)")
_FRACTION = re.compile(rf"({DIGITS})(?:{_EXPONENT})?(?:\s?/\s?({DIGITS})(?:{_EXPONENT})?)?")

# Thousands in a text that isn't read as a number, for comparing its words.
GROUPED = rf"{_HEAD}(?:[,'\u00a0\u202f]\d{{3}})+(?!\d)(?:\.\d+)?"

# How digits may be grouped; the first that fits all of them says what their marks mean. One comma
# before three digits is English thousands, one point a decimal point.
_WITH_POINT = re.compile(
    rf"{_HEAD}(?:,\d{{3}})+(?:\.\d+)?|[1-9]\d?(?:,\d{{2}})+,\d{{3}}(?:\.\d+)?"
    rf"|{_HEAD}(?:([ '_{THIN}])\d{{3}})(?:\1\d{{3}})*(?:\.\d+)?"
    rf"|\d+(?:\.\d+)?|\.\d+|\d+\.\d{{3}}(?:{THIN}\d{{3}})*{THIN}\d{{1,3}}"
)
_WITH_COMMA = re.compile(
    rf"{_HEAD}(?:\.\d{{3}})+,\d+|{_HEAD}(?:\.\d{{3}}){{2,}}|(?:0|[1-9]\d*),\d+"
    rf"|{_HEAD}(?:([ '{THIN}])\d{{3}})(?:\1\d{{3}})*,\d+"
)


@dataclass(frozen=True)
class Amount:
    """An exact value; `step` is the worth of its last decimal, 0 where it has none."""

    value: Fraction
    step: Fraction = Fraction(0)
    n_digits: int = 0

    @property
    def is_rough(self) -> bool:
        """Whether it has decimals, but too few to stand for a number with more of them."""
        return bool(self.step) and self.n_digits < _FEWEST_DIGITS

    def times(self, factor: Fraction) -> Amount:
        """Return the amount in units that are `factor` times smaller."""
        return replace(self, value=self.value * factor, step=self.step * abs(factor))

    def is_same(self, other: Amount) -> bool:
        """Tell whether both are equal, or one is the other rounded to six digits or more."""
        if self.value == other.value:
            return True
        if self.value.denominator == other.value.denominator == 1:
            return False
        largest = max(abs(self.value), abs(other.value))
        if abs(self.value - other.value) <= largest * _NOISE:
            return True
        return self._rounds(other) or other._rounds(self)

    def _rounds(self, exact: Amount) -> bool:
        """Tell whether this is a number with more decimals, rounded or cut off after its last."""
        if self.n_digits < _FEWEST_DIGITS or self.step <= exact.step:
            return False
        beyond = abs(exact.value) - abs(self.value)
        is_cut_off = 0 <= beyond < self.step and self.value * exact.value > 0
        return is_cut_off or abs(self.value - exact.value) <= self.step / 2


def amount_at(text: str, start: int) -> tuple[Amount | None, int]:
    """Read the amount that begins at a digit or point, in plain spelling.

    None when the digits there are no one number; and where they end.
    """
    if ten := _TEN.match(text, start):
        return _power(Amount(Fraction(1)), ten[1]), ten.end()
    if mixed := _MIXED.match(text, start):
        return _mixed(*mixed.groups()), mixed.end()
    if repeating := _REPEATING.match(text, start):
        return _repeating(*repeating.groups()), repeating.end()
    match = _FRACTION.match(text, start)
    if match is None:
        return None, start + 1
    end = match.end() - match[0].endswith(".")  # a full stop, as in "5."
    top = _scaled(match[1], match[2] or match[3])
    if match[4] is None or top is None:
        return top, end
    bottom = _scaled(match[4], match[5] or match[6])
    if bottom is None or not bottom.value:
        return None, end
    return Amount(top.value / bottom.value), end


def _mixed(whole: str, top: str, bottom: str) -> Amount | None:
    """Return the value of 1 1/2; None for 1 234/567 and 5 10/2, which could mean other things."""
    is_clear = len(whole) + len(bottom) <= MOST_DIGITS and len(top) != 3
    if not is_clear or not 0 < int(top) < int(bottom):
        return None
    return Amount(int(whole) + Fraction(int(top), int(bottom)))


def _repeating(whole: str, decimals: str, period: str) -> Amount | None:
    """Return the value of 0.1(6), which is 1/6."""
    if len(whole + decimals + period) > MOST_DIGITS:
        return None
    tail = Fraction(int(period), 10 ** len(period) - 1) / 10 ** len(decimals)
    return Amount(Fraction(f"{whole}.{decimals or 0}") + tail)


def _scaled(digits: str, exponent: str | None) -> Amount | None:
    amount = _plain_amount(digits)
    return amount if amount is None or exponent is None else _power(amount, exponent)


def _plain_amount(digits: str) -> Amount | None:
    if sum(map(str.isdigit, digits)) > MOST_DIGITS:
        return None
    digits = digits.rstrip(".")
    if _WITH_POINT.fullmatch(digits):
        whole, _, decimals = re.sub(f"[,'_ {THIN}]", "", digits).partition(".")
    elif _WITH_COMMA.fullmatch(digits):
        whole, _, decimals = re.sub(rf"[.'_ {THIN}]", "", digits).partition(",")
    else:
        return None
    step = Fraction(1, 10 ** len(decimals)) if decimals else Fraction(0)
    return Amount(
        Fraction(f"{whole or 0}.{decimals or 0}"), step, len((whole + decimals).lstrip("0"))
    )


def _power(amount: Amount, exponent: str) -> Amount | None:
    if not amount.value:
        return amount
    if len(exponent.lstrip("+-0")) > len(str(LARGEST_EXPONENT)):
        return None
    power = int(exponent)
    return amount.times(Fraction(10) ** power) if abs(power) <= LARGEST_EXPONENT else None
