"""One number with its unit: when two of them are the same, and how one is spelled."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from routerlib.gather.judges.amounts import Amount
from routerlib.gather.judges.units import Unit

_MOST_SHOWN = 40
_MOST_DECIMALS = 2100  # those of the longest number that is read, in percent


@dataclass(frozen=True)
class Number:
    """One number as a text gives it: the amount, its unit where known, else the words behind it."""

    amount: Amount
    unit: Unit | None = None
    words: str = ""
    is_product: bool = False  # one letter is glued to it, as in 3t, which may be a variable

    @property
    def value(self) -> Fraction:
        """The number as written: 50 for 50%."""
        return self.amount.value

    def __str__(self) -> str:
        """Spell it for people, as 1234.5 km or 2/3; of a very long one only the beginning."""
        digits = _decimal(self.amount) or str(self.value)
        shown = digits if len(digits) <= _MOST_SHOWN else f"{digits[:_MOST_SHOWN]}…"
        return f"{shown} {self.unit.name if self.unit else self.words}".strip()


def number_of(value: object) -> Number | None:
    """Return a JSON number as it is written; None where it is no finite number.

    >>> number_of(0.1).value, number_of(float("nan")) is None
    (Fraction(1, 10), True)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Number(Amount(Fraction(value)))
    if not isinstance(value, float) or not math.isfinite(value):
        return None
    exact = Decimal(repr(value))
    decimals = max(0, -int(exact.as_tuple().exponent))
    step = Fraction(1, 10**decimals) if decimals else Fraction(0)
    return Number(Amount(Fraction(exact), step, len(exact.as_tuple().digits)))


def agree(got: Number, gold: Number, tolerance: float = 0.0) -> bool:
    """Tell whether two numbers mean the same, at most a tolerance in the unit of `gold` apart."""
    margin = Fraction(repr(float(tolerance)))
    if gold.words and (got.unit or got.words):
        is_same_thing = not got.unit and _folded(gold.words) <= _folded(got.words)
        return is_same_thing and _is_near(got.amount, gold.amount, margin)
    if got.words and gold.unit and not gold.unit.is_share:
        return False
    return any(_is_near(a, b, margin) for a, b in _in_one_unit(got, gold))


def _in_one_unit(got: Number, gold: Number) -> list[tuple[Amount, Amount]]:
    """Return both amounts in the unit of the second, in every way in which they may be meant."""
    if got.unit and gold.unit:
        if got.unit.kind != gold.unit.kind:
            return []
        return [(got.amount.times(got.unit.factor / gold.unit.factor), gold.amount)]
    share = got.unit or gold.unit
    if share is None or not share.is_share:
        return [(got.amount, gold.amount)]
    bare = gold if got.unit else got
    is_left_out = abs(bare.value) > 1 and not bare.words
    pairs = [(got.amount, gold.amount)] if is_left_out else []
    if got.unit:
        return [*pairs, (got.amount.times(share.factor), gold.amount)]
    return [*pairs, (got.amount.times(1 / share.factor), gold.amount)]


def _is_near(got: Amount, gold: Amount, margin: Fraction) -> bool:
    return got.is_same(gold) or abs(got.value - gold.value) <= margin


def _folded(words: str) -> set[str]:
    return {word.rstrip("s") for word in re.split(r"[ -]", words.casefold())}


def spelled(number: Number) -> str:
    r"""Spell a number in LaTeX that no parser misreads: an integer, decimal or ``\frac``."""
    share = number.unit.factor if number.unit and number.unit.is_share else Fraction(1)
    amount = number.amount.times(share)
    top, bottom = amount.value.numerator, amount.value.denominator
    return _decimal(amount) or (str(top) if bottom == 1 else rf"\frac{{{top}}}{{{bottom}}}")


def _decimal(amount: Amount) -> str:
    """Spell an amount that was written with decimals, an empty text for others."""
    scaled, n_decimals = amount.value, 0
    while amount.step and scaled.denominator != 1 and n_decimals <= _MOST_DECIMALS:
        scaled, n_decimals = scaled * 10, n_decimals + 1
    if not n_decimals or scaled.denominator != 1:
        return ""
    digits = str(abs(scaled.numerator)).rjust(n_decimals + 1, "0")
    return f"{'-' * (scaled < 0)}{digits[:-n_decimals]}.{digits[-n_decimals:]}"
