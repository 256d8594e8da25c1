"""Count the marks of `vocabulary` in many plain texts at once.

A mark of few signs is a comparison of all bytes with those some places behind. One that reaches
farther is looked for by its pattern, in those texts alone that show where it could begin, and so is
one whose matches could overlap, in the texts where they do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from routerlib.features.plain_texts import PlainTexts
from routerlib.features.vocabulary import OF_ONE_CHARACTER, PATTERN_COUNTS


def mark_counts(texts: PlainTexts) -> np.ndarray:
    """Return how often each pattern matches, shape (n_texts, n_patterns).

    Patterns of one character are left at 0.

    >>> counts = mark_counts(PlainTexts(["f(x) = 2.5 and 3.5", "I call it"]))
    >>> counts[:, list(PATTERN_COUNTS).index("n_decimals")].tolist()
    [2.0, 0.0]
    """
    signs = _Signs(texts)
    counts = np.zeros((len(texts.texts), len(PATTERN_COUNTS)))
    for column, (name, pattern) in enumerate(PATTERN_COUNTS.items()):
        if name in OF_ONE_CHARACTER:
            continue
        found, doubtful = _MARKS[name](signs)
        counts[:, column] = texts.count(found)
        for row in texts.with_any(doubtful):
            counts[row, column] = len(pattern.findall(texts.texts[row]))
    return counts


# Where a mark is found, as a mask or by places, and where it takes its pattern to tell.
Found = tuple[np.ndarray, np.ndarray]
_NOWHERE = np.zeros(0, dtype=np.intp)


class _Signs:
    """What marks are made of; `at(mask, k)` asks of each byte of the texts the k-th behind it."""

    def __init__(self, texts: PlainTexts) -> None:
        self.texts, self.at = texts, texts.shifted
        self.digit, self.space, self.word = texts.digits, texts.spaces, texts.in_word
        self.letter, self.capital, self.small = texts.letters, texts.capitals, texts.small
        self.space_or_end = texts.spaces_or_ends
        self.dot, self.slash, self.colon, self.bar = map(texts.mask, "./:|")
        self.opening, self.underline, self.dollar = map(texts.mask, "(_$")
        self.equal, self.line_end = texts.mask("="), texts.mask("\n")

    @cached_property
    def words(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Where words begin and end, and how many capitals and small letters each has."""
        begins, ends = self.texts.runs(self.word)
        capitals, small = (
            np.concatenate([[0], np.cumsum(self.at(kind))]) for kind in (self.capital, self.small)
        )
        return begins, ends, capitals[ends] - capitals[begins], small[ends] - small[begins]

    def spaced(self, mask: np.ndarray) -> np.ndarray:
        """Return where one of a mask is next, or behind one space."""
        return self.at(mask, 1) | (self.at(self.space, 1) & self.at(mask, 2))

    def repeated(self, mask: np.ndarray, times: int) -> np.ndarray:
        """Return where so many of a mask begin."""
        found = self.at(mask)
        for by in range(1, times):
            found = found & self.at(mask, by)
        return found

    def twice(self, mask: np.ndarray) -> Found:
        """Return pairs of one sign; of three in a row the pattern takes two."""
        return self.repeated(mask, 2), self.repeated(mask, 3)


def _decimals(signs: _Signs) -> Found:
    at, digit = signs.at, signs.digit
    found = at(digit) & at(signs.dot, 1) & at(digit, 2)
    return found, found & at(signs.dot, 3) & at(digit, 4)


def _long_numbers(signs: _Signs) -> Found:
    return signs.repeated(signs.digit, 4) & ~signs.at(signs.digit, -1), _NOWHERE


def _operators(signs: _Signs) -> Found:
    places = np.flatnonzero(signs.at(signs.texts.mask("-+*/^")))
    operands = signs.texts.alphanumeric | signs.opening
    return places[signs.texts.leads_to(places, operands)], _NOWHERE


def _currency(signs: _Signs) -> Found:
    return signs.at(signs.dollar) & signs.spaced(signs.digit), _NOWHERE


def _unknowns(signs: _Signs) -> Found:
    at = signs.at
    times = at(signs.digit) & at(signs.texts.mask("xyzn"), 1) & ~at(signs.word, 2)
    alone = at(signs.letter) & ~at(signs.word, -1) & signs.spaced(signs.texts.mask("=^+*/"))
    return times | alone, _NOWHERE


def _latex(signs: _Signs) -> Found:
    at, texts = signs.at, signs.texts
    commands = at(texts.mask("\\")) & at(signs.letter | signs.opening | texts.mask("["), 1)
    found, doubtful = signs.twice(signs.dollar)
    return commands | found, doubtful


def _code_symbols(signs: _Signs) -> Found:
    at, texts = signs.at, signs.texts
    closing = texts.mask(">")
    ends = at(closing, 1) & at(texts.mask("-"))
    ends |= at(closing | signs.equal, 1) & at(signs.equal)
    ends |= at(signs.equal, 1) & at(texts.mask("!"))
    doubtful = at(signs.equal) & at(signs.equal, 1) & at(closing | signs.equal, 2)
    doubtful |= at(texts.mask("!")) & at(signs.equal, 1) & at(closing | signs.equal, 2)
    for sign in (texts.mask("&"), signs.bar, signs.colon):
        found, unsure = signs.twice(sign)
        ends |= found
        doubtful |= unsure
    return ends | at(texts.mask(";{}")), doubtful


def _calls(signs: _Signs) -> Found:
    return signs.at(signs.word) & signs.at(signs.opening, 1), _NOWHERE


def _identifiers(signs: _Signs) -> Found:
    at, plain = signs.at, signs.small | signs.digit
    joined = at(plain) & at(signs.underline, 1) & at(plain, 2)
    again = at(signs.underline, 3) & at(plain, 4) | at(signs.small, 2) & at(signs.capital, 3)
    return joined | at(signs.small) & at(signs.capital, 1), joined & again


def _indented_lines(signs: _Signs) -> Found:
    at, blank = signs.at, signs.texts.mask(" ")
    indented = at(blank, 1) & at(blank, 2) | at(signs.texts.mask("\t"), 1)
    return at(signs.line_end) & indented, _NOWHERE


def _options(signs: _Signs) -> Found:
    at, ends = signs.at, signs.space_or_end
    begun = at(ends, -1) | at(signs.opening, -1) & at(ends, -2)
    marked = at(signs.texts.between("A", "H")) & at(signs.texts.mask(".):"), 1)
    return marked & at(ends, 2) & begun, _NOWHERE


def _capital_words(signs: _Signs) -> Found:
    begins, ends, capitals, _ = signs.words
    return begins[(capitals == ends - begins) & (capitals > 1)], _NOWHERE


def _names(signs: _Signs) -> Found:
    begins, ends, _, small = signs.words
    opened = signs.at(signs.capital)[begins] & signs.at(signs.small, 1)[begins]
    is_first = opened & (small == ends - begins - 1)
    is_near = signs.at(signs.texts.mask(" "))[np.minimum(ends[:-1], len(signs.texts.rows) - 1)]
    linked = is_first[:-1] & opened[1:] & is_near & (begins[1:] == ends[:-1] + 1)
    return begins[:-1][linked], begins[1:-1][linked[:-1] & linked[1:]]


def _single_capitals(signs: _Signs) -> Found:
    at = signs.at
    return at(signs.capital) & ~at(signs.word, -1) & ~at(signs.word, 1), _NOWHERE


def _years(signs: _Signs) -> Found:
    at, digit = signs.at, signs.digit
    century = at(signs.texts.mask("1")) & at(digit, 1)
    century |= at(signs.texts.mask("2")) & at(signs.texts.mask("0"), 1)
    outside = ~at(signs.word, -1) & ~at(signs.word, 4)
    return century & at(digit, 2) & at(digit, 3) & outside, _NOWHERE


def _units(signs: _Signs) -> Found:
    # Matches hold one digit, so that none overlaps another.
    places = np.flatnonzero(signs.at(signs.digit) & signs.spaced(signs.letter))
    return signs.texts.matched(places, PATTERN_COUNTS["n_units"]), _NOWHERE


def _beginning(mask: Callable[[_Signs], np.ndarray]) -> Callable[[_Signs], Found]:
    """Return a mark that only its pattern tells, in texts where a mask finds something."""
    return lambda signs: (_NOWHERE, mask(signs))


def _fractions(signs: _Signs) -> np.ndarray:
    at = signs.at
    return at(signs.slash) & (at(signs.digit, -1) | at(signs.space, -1) & at(signs.digit, -2))


def _list_items(signs: _Signs) -> np.ndarray:
    at = signs.at
    points = at(signs.texts.mask("-*")) & at(signs.space_or_end, -1)
    numbers = at(signs.texts.mask(".)")) & at(signs.digit, -1)
    return (points | numbers) & at(signs.space, 1)


def _shots(signs: _Signs) -> np.ndarray:
    has_colon = signs.texts.count(signs.at(signs.colon)) > 0
    begun = signs.at(signs.texts.mask("QAqaIiOoEeUu"))
    begun &= signs.at(signs.line_end | signs.space_or_end & ~signs.space, -1)
    places = np.flatnonzero(begun)
    return places[has_colon[signs.texts.rows[places]]]


def _urls(signs: _Signs) -> np.ndarray:
    at = signs.at
    named = signs.repeated(signs.texts.mask("w"), 3) & at(signs.dot, 3)
    return at(signs.colon) & at(signs.slash, 1) & at(signs.slash, 2) | named


_MARKS: dict[str, Callable[[_Signs], Found]] = {
    "n_numbers": lambda signs: (signs.texts.numbers[0], _NOWHERE),
    "n_decimals": _decimals,
    "n_long_numbers": _long_numbers,
    "n_operators": _operators,
    "n_currency": _currency,
    "n_fractions": _beginning(_fractions),
    "n_unknowns": _unknowns,
    "n_latex": _latex,
    "n_code_fences": _beginning(
        lambda signs: (
            signs.repeated(signs.texts.mask("`"), 3) | signs.repeated(signs.texts.mask("~"), 3)
        )
    ),
    "n_inline_code": _beginning(lambda signs: signs.at(signs.texts.mask("`"))),
    "n_code_symbols": _code_symbols,
    "n_calls": _calls,
    "n_identifiers": _identifiers,
    "n_indented_lines": _indented_lines,
    "n_json_keys": _beginning(
        lambda signs: signs.at(signs.texts.mask("\"'")) & signs.spaced(signs.colon)
    ),
    "n_html_tags": _beginning(
        lambda signs: signs.at(signs.texts.mask("<")) & signs.at(signs.letter | signs.slash, 1)
    ),
    "n_emails": _beginning(
        lambda signs: signs.at(signs.texts.mask("@")) & signs.at(signs.word, -1)
    ),
    "n_urls": _beginning(_urls),
    "n_dates": _beginning(
        lambda signs: (
            signs.at(signs.digit, -1)
            & signs.at(signs.texts.mask("-/.:"))
            & signs.at(signs.digit, 1)
        )
    ),
    "n_list_items": _beginning(_list_items),
    "n_options": _options,
    "n_table_rows": _beginning(lambda signs: signs.at(signs.bar)),
    "n_capital_words": _capital_words,
    "n_names": _names,
    "n_single_capitals": _single_capitals,
    "n_roman_numerals": _beginning(
        lambda signs: signs.repeated(signs.texts.mask("IVX"), 2) & ~signs.at(signs.word, -1)
    ),
    "n_years": _years,
    "n_units": _units,
    "n_blanks": _beginning(
        lambda signs: signs.repeated(signs.underline, 3) | signs.repeated(signs.dot, 4)
    ),
    "n_shots": _beginning(_shots),
}
