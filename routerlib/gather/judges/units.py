"""Units of measure and money: which are the same kind, and what one is worth in another."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

Kind = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unit:
    """A unit as powers of base units and its worth in them; no base units = a share, as percent."""

    kind: Kind
    factor: Fraction
    name: str = field(default="", compare=False)

    @property
    def is_share(self) -> bool:
        """Whether it only scales a plain number: percent and per mille."""
        return not self.kind


# base unit -> spelling -> worth. Symbols keep their case; a word may stand in any case and plural.
# What is not surely convertible is a base unit of its own: gallons and pints of two countries,
# kB of 1000 or 1024 bytes, ounces, degrees of temperature.
_SYMBOLS: dict[str, dict[str, str]] = {
    "metre": {
        "nm": "1e-9", "µm": "1e-6", "um": "1e-6", "mm": "1e-3", "cm": "1e-2", "dm": "1e-1",
        "m": "1", "km": "1e3", "Km": "1e3", "KM": "1e3", "CM": "1e-2",
        "ft": "0.3048", "yd": "0.9144", "mi": "1609.344",
    },
    "gram": {
        "µg": "1e-6", "mg": "1e-3", "g": "1", "kg": "1e3", "Kg": "1e3", "KG": "1e3", "t": "1e6",
        "lb": "453.59237", "lbs": "453.59237",
    },
    "second": {
        "ns": "1e-9", "µs": "1e-6", "ms": "1e-3", "s": "1", "sec": "1", "secs": "1",
        "min": "60", "mins": "60", "h": "3600", "hr": "3600", "hrs": "3600", "d": "86400",
    },
    "litre": {"ml": "1e-3", "mL": "1e-3", "cl": "1e-2", "dl": "1e-1", "l": "1", "L": "1"},
    "joule": {
        "J": "1", "kJ": "1e3", "MJ": "1e6", "Wh": "3600", "kWh": "3.6e6", "MWh": "3.6e9",
        "cal": "4.184", "kcal": "4184",
    },
    "watt": {"mW": "1e-3", "W": "1", "kW": "1e3", "MW": "1e6", "GW": "1e9"},
    "newton": {"N": "1", "kN": "1e3"},
    "pascal": {"Pa": "1", "hPa": "1e2", "kPa": "1e3", "MPa": "1e6", "bar": "1e5"},
    "volt": {"mV": "1e-3", "V": "1", "kV": "1e3"},
    "ampere": {"mA": "1e-3", "A": "1"},
    "ohm": {"Ω": "1", "kΩ": "1e3", "MΩ": "1e6"},
    "hertz": {"Hz": "1", "kHz": "1e3", "MHz": "1e6", "GHz": "1e9"},
    "mole": {"mol": "1", "mmol": "1e-3"},
    "kelvin": {"K": "1"},
    "celsius": {"°C": "1", "℃": "1"},
    "fahrenheit": {"°F": "1", "℉": "1"},
    "degree": {"°": "1"},
    "radian": {"rad": "1"},
    "ounce": {"oz": "1"},
    "bit": {"bit": "1"},
    "kilobyte": {"kB": "1", "KB": "1"},
    "megabyte": {"MB": "1"},
    "gigabyte": {"GB": "1"},
    "terabyte": {"TB": "1"},
    "mph": {"mph": "1"},
    "dollar": {"$": "1", "US$": "1", "USD": "1"},
    "Australian dollar": {"A$": "1", "AUD": "1"},
    "Canadian dollar": {"C$": "1", "CAD": "1"},
    "euro": {"€": "1", "EUR": "1"},
    "pound": {"£": "1", "GBP": "1"},
    "yen": {"¥": "1", "JPY": "1"},
    "yuan": {"CNY": "1", "RMB": "1"},
    "rupee": {"₹": "1", "INR": "1", "Rs": "1", "Rs.": "1"},
    "franc": {"CHF": "1", "Fr.": "1"},
    "real": {"R$": "1", "BRL": "1"},
    "": {"%": "1e-2", "‰": "1e-3", "pct": "1e-2"},
}  # fmt: skip
_WORDS: dict[str, dict[str, str]] = {
    "metre": {
        "nanometer nanometre": "1e-9", "micrometer micrometre": "1e-6",
        "millimeter millimetre": "1e-3", "centimeter centimetre zentimeter": "1e-2",
        "meter metre metro mètre": "1", "kilometer kilometre kilometro kilomètre": "1e3",
        "inch inche": "0.0254", "foot feet": "0.3048", "yard": "0.9144", "mile": "1609.344",
    },
    "gram": {
        "milligram milligramm": "1e-3", "gram gramm gramme gramo": "1",
        "kilogram kilogramm kilo kilogramme": "1e3", "tonne": "1e6",
    },
    "second": {
        "millisecond millisekunde": "1e-3", "second sekunde sekunden seconde segundo": "1",
        "minute minuten minuto": "60", "hour stunde stunden heure hora": "3600",
        "day tag tage tagen jour día": "86400", "week woche wochen semaine": "604800",
    },
    "month": {"month monat monate moi mese": "1", "year jahr jahre jahren année año": "12"},
    "litre": {"milliliter millilitre": "1e-3", "liter litre litro": "1"},
    "joule": {"joule": "1", "kilojoule": "1e3", "kilowatthour": "3.6e6", "calorie": "4.184"},
    "watt": {"watt": "1", "kilowatt": "1e3", "megawatt": "1e6"},
    "newton": {"newton": "1"},
    "pascal": {"pascal": "1"},
    "volt": {"volt": "1"},
    "ampere": {"ampere amp": "1"},
    "ohm": {"ohm": "1"},
    "hertz": {"hertz": "1"},
    "mole": {"mole": "1"},
    "kelvin": {"kelvin": "1"},
    "degree": {"degree grad degré grado": "1"},
    "radian": {"radian": "1"},
    "ounce": {"ounce": "1"},
    "bit": {"bit": "1"},
    "byte": {"byte": "1"},
    "kilobyte": {"kilobyte": "1"},
    "megabyte": {"megabyte": "1"},
    "gigabyte": {"gigabyte": "1"},
    "gallon": {"gallon": "1"},
    "pint": {"pint": "1"},
    "weight pound": {"pound": "1"},
    "dollar": {"dollar": "1"},
    "euro": {"euro": "1"},
    "cent": {"cent": "1"},
    "yen": {"yen": "1"},
    "yuan": {"yuan": "1"},
    "rupee": {"rupee": "1"},
    "franc": {"franc franken": "1"},
    "": {"percent prozent procent percentage": "1e-2"},
}  # fmt: skip
_PHRASES = {
    r"per\s?cent\b|pour\s?cent\b|por\s?ciento\b|per\s?cento\b|percentage points?\b": "percent",
    r"per\s?mille?\b|promille\b": "‰",
    r"degrees?\s+(?:celsius|centigrade)\b|°\s?celsius\b|grad\s+celsius\b": "°C",
    r"degrees?\s+fahrenheit\b|°\s?fahrenheit\b": "°F",
    r"km/h\b|kmh\b|kph\b": "km/h",
    r"us dollars?\b": "dollar",
    r"square\s(?=[a-z])|sq\.?\s(?=[a-z])|quadrat(?=[a-z])": "^2",
    r"cubic\s(?=[a-z])|cu\.?\s(?=[a-z])|kubik(?=[a-z])": "^3",
}
_PHRASE = re.compile("|".join(f"({pattern})" for pattern in _PHRASES), re.IGNORECASE)
_MONEY = [
    *("$", "US$", "A$", "C$", "R$", "€", "£", "¥", "₹", "Rs.", "Rs", "Fr."),
    *("USD", "AUD", "CAD", "EUR", "GBP", "JPY", "CNY", "RMB", "INR", "CHF", "BRL"),
]
MONEY = "|".join(
    re.escape(symbol) + (r"(?![^\W\d_])" if symbol[-1].isalpha() else "")
    for symbol in sorted(_MONEY, key=len, reverse=True)
)
_NAME = re.compile(rf"°\s?[CF](?![^\W\d_])|{MONEY}|[^\W\d_µ]*µ?[^\W\d_]+|[%‰°℃℉]")
_POWER = re.compile(r"\s?\^\s?(-?[1-4])(?!\d)|([23])(?![\w.])")
_JOINER = re.compile(r"\s?(/|×)\s?(?=[^\W\d_])|\s(per|pro|par|por)\s", re.IGNORECASE)


def _table() -> tuple[dict[str, Unit], dict[str, Unit]]:
    symbols = {
        spelling: _unit(base, worth, spelling)
        for base, spellings in _SYMBOLS.items()
        for spelling, worth in spellings.items()
    }
    names = {
        name: _unit(base, worth, name)
        for base, spellings in _WORDS.items()
        for forms, worth in spellings.items()
        for name in forms.split()
    }
    return symbols, names


def _unit(base: str, worth: str, name: str) -> Unit:
    if base == "litre":  # a cubic decimetre
        return Unit((("metre", 3),), Fraction(worth) / 1000, name)
    return Unit(((base, 1),) if base else (), Fraction(worth), name)


_BY_SYMBOL, _BY_WORD = _table()


def unit_called(name: str) -> Unit | None:
    """Return a unit by its symbol or word, None when it is unknown.

    >>> unit_called("km").factor, unit_called("Hours").factor, unit_called("apples")
    (Fraction(1000, 1), Fraction(3600, 1), None)
    """
    word = name.casefold()
    found = _BY_SYMBOL.get(name) or _BY_WORD.get(word)
    return found or (_BY_WORD.get(word.removesuffix("s")) if len(word) > 3 else None)


def unit_at(text: str, start: int) -> tuple[Unit | None, int]:
    """Read the longest unit, such as ``km/h`` or ``square metres``, that begins at a place.

    None when no known unit begins there, or only a part of it is known; and where it ends.
    """
    unit, end = _term_at(text, start)
    return (None, start) if unit is None else unit_over(unit, text, end)


def unit_over(unit: Unit, text: str, start: int) -> tuple[Unit | None, int]:
    """Continue a unit that ends at a place, as in ``$5 per hour``; returned as by `unit_at`."""
    known: Unit | None = unit
    end = start
    while known is not None and (joiner := _JOINER.match(text, end)):
        further, end = _term_at(text, joiner.end())
        is_whole = further is not None and not known.is_share and not further.is_share
        sign = 1 if joiner[1] == "×" else -1
        known = _product(known, further, sign) if further and is_whole else None
    return (known, end) if known is not None else (None, start)


def _term_at(text: str, start: int) -> tuple[Unit | None, int]:
    power, phrase = 1, _PHRASE.match(text, start)
    position = start
    if phrase:
        meaning = list(_PHRASES.values())[phrase.lastindex - 1] if phrase.lastindex else ""
        if not meaning.startswith("^"):
            return _spelled(meaning), phrase.end()
        power, position = int(meaning[1:]), phrase.end()
    name = _NAME.match(text, position)
    unit = unit_called(name[0].replace(" ", "")) if name else None
    if name is None or unit is None:
        return None, start
    raised = _POWER.match(text, name.end())
    if raised and unit.kind:
        return _raised(unit, int(raised[1] or raised[2])), raised.end()
    return _raised(unit, power), name.end()


def _spelled(meaning: str) -> Unit | None:
    top, _, bottom = meaning.partition("/")
    unit, below = unit_called(top), unit_called(bottom)
    return _product(unit, below, -1) if unit and below else unit


def _product(unit: Unit, other: Unit, sign: int) -> Unit:
    powers = dict(unit.kind)
    for base, power in other.kind:
        powers[base] = powers.get(base, 0) + sign * power
    kind = tuple(sorted((base, power) for base, power in powers.items() if power))
    name = f"{unit.name}{'/' if sign < 0 else '·'}{other.name}"
    return Unit(kind, unit.factor * other.factor**sign, name)


def _raised(unit: Unit, power: int) -> Unit:
    kind = tuple((base, n * power) for base, n in unit.kind)
    return Unit(kind, unit.factor**power, unit.name if power == 1 else f"{unit.name}^{power}")
