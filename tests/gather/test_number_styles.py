"""Any number, written in any style, is read back exactly."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerlib.gather.judges import BadReference, judge
from routerlib.gather.judges.number_styles import doubtful_numbers
from routerlib.gather.judges.numbers import read_number
from routerlib.gather.judges.proposing import with_judge
from routerlib.gather.judges.quantities import agree, number_of
from routerlib.gather.judges.rules import numeric
from routerlib.gather.prompts.checks import check_prompts
from routerlib.gather.prompts.files import load_prompts
from routerlib.records.prompt import Prompt

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
_DEVANAGARI = str.maketrans("0123456789", "०१२३४५६७८९")


def _grouped(number: Decimal, separator: str, point: str) -> str:
    whole, _, decimals = f"{number:,f}".partition(".")
    return whole.replace(",", separator) + (f"{point}{decimals}" if decimals else "")


def _with_comma(number: Decimal, separator: str) -> str:
    """Write a decimal comma so that it can't be taken for thousands: never three decimals."""
    whole, _, decimals = f"{number:f}".partition(".")
    decimals = decimals or "0"
    decimals += "0" * (len(decimals) == 3)
    return _grouped(Decimal(whole), separator, "") + "," + decimals


def _indian(number: Decimal) -> str:
    whole, _, decimals = f"{number.copy_abs():f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    pairs = re.findall(r"..?", head[::-1])
    joined = ",".join([*(pair[::-1] for pair in reversed(pairs)), tail])
    return "-" * number.is_signed() + joined + (f".{decimals}" if decimals else "")


def _scientific(number: Decimal, digits_of_power: dict[int, int] | None = None) -> tuple[str, str]:
    digits, _, exponent = f"{number:e}".partition("e")
    return digits, str(int(exponent)).translate(digits_of_power or {})


STYLES = {
    "plain": lambda number: f"{number:f}",
    "English": lambda number: _grouped(number, ",", "."),
    "German": lambda number: _with_comma(number, "."),
    "French": lambda number: _with_comma(number, "\N{NARROW NO-BREAK SPACE}"),
    "Swiss": lambda number: _grouped(number, "'", "."),
    "Indian": _indian,
    "spaced": lambda number: _grouped(number, " ", "."),
    "LaTeX spaced": lambda number: f"${_grouped(number, chr(92) + ',', '.')}$",
    "LaTeX commas": lambda number: f"${_grouped(number, '{,}', '.')}$",
    "Python": lambda number: _grouped(number, "_", "."),
    "exponent": lambda number: f"{number:e}",
    "Exponent": lambda number: f"{number:E}",
    "LaTeX power": lambda number: "${}\\times 10^{{{}}}$".format(*_scientific(number)),
    "raised power": lambda number: " · 10".join(_scientific(number, _RAISED)),
    "Arabic": lambda number: f"{number:f}".translate(_ARABIC).replace(".", "٫"),
    "Devanagari": lambda number: _indian(number).translate(_DEVANAGARI),
    "Unicode minus": lambda number: f"{number:f}".replace("-", "−"),
    "bold": lambda number: f"**{number:f}**",
    "boxed": lambda number: f"So $x = \\boxed{{{number:f}}}$.",
    "equation": lambda number: f"x = {number:f}",
    "sentence": lambda number: f"It is about {_grouped(number, ',', '.')} km.",
    "money": lambda number: f"{'-' * number.is_signed()}${_grouped(number.copy_abs(), ',', '.')}",
}
numbers = st.decimals(
    min_value=-(10**15), max_value=10**15, allow_nan=False, allow_infinity=False, places=None
).filter(lambda number: number.is_zero() or number.adjusted() >= -20) | st.integers(
    -(10**40), 10**40
).map(Decimal)


@given(number=numbers, style=st.sampled_from(sorted(STYLES)))
@settings(max_examples=400)
def test_any_number_in_any_style_is_read_back_exactly(number: Decimal, style: str) -> None:
    text = STYLES[style](number)
    found = read_number(text).number
    assert found is not None, text
    assert found.value == Fraction(number), text


@given(top=st.integers(-(10**9), 10**9), bottom=st.integers(1, 10**6))
@settings(max_examples=200)
def test_any_fraction_is_read_back_exactly(top: int, bottom: int) -> None:
    value = Fraction(top, bottom)
    sign, absolute = "-" * (value < 0), abs(value)
    whole, rest = divmod(absolute.numerator, absolute.denominator)
    spellings = [f"{top}/{bottom}", f"$\\frac{{{top}}}{{{bottom}}}$", f"{top} / {bottom}"]
    if whole and rest and not 100 <= rest <= 999:  # 1 234/567 could be 1234/567
        spellings += [
            f"{sign}{whole} {rest}/{absolute.denominator}",
            f"${sign}{whole}\\tfrac{{{rest}}}{{{absolute.denominator}}}$",
        ]
    for text in spellings:
        found = read_number(text).number
        assert found is not None, text
        assert found.value == value, text


@given(
    pair=st.tuples(st.integers(-2000, 2000), st.integers(-2000, 2000)),
    styles=st.tuples(st.sampled_from(sorted(STYLES)), st.sampled_from(sorted(STYLES))),
)
@settings(max_examples=300)
def test_two_different_whole_numbers_are_never_the_same(
    pair: tuple[int, int], styles: tuple[str, str]
) -> None:
    one, other = (
        read_number(STYLES[style](Decimal(number))).number
        for number, style in zip(pair, styles, strict=True)
    )
    assert one is not None
    assert other is not None
    is_length_and_money = {"sentence", "money"} == set(styles)
    assert agree(one, other) == (pair[0] == pair[1] and not is_length_and_money)


@given(value=st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_json_number_is_the_number_that_its_text_gives(value: float) -> None:
    number, read = number_of(value), read_number(repr(value)).number
    assert number is not None
    assert read is not None
    assert number.value == read.value


@given(
    text=st.text(alphabet="0123456789.,+-−–eE^×/%$€()[]{}\\\\ '_abkmx=<>½³\u202f\n", max_size=30)
)
@settings(max_examples=500)
def test_no_text_breaks_the_reader(text: str) -> None:
    reading = read_number(text)
    assert (reading.number is None) == bool(reading.why)


def test_a_decimal_comma_that_was_said_holds_for_references_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "prompt;reference;judge\nA;330.000;numeric\nB;37,50;\nC;1.234;numeric\nD;5;numeric\n"
        "E;Paris;match\nF;330.000;exact\n"
    )
    prompts = load_prompts(path, decimal=",")
    values = [each.reference for each in prompts]
    assert values[:4] == [
        {"value": value, "decimal": ","} for value in ("330.000", "37,50", "1.234", "5")
    ]
    assert values[4:] == ["Paris", "330.000"]
    assert doubtful_numbers(prompts) == ""
    for answer, reference, score in (
        ("Es sind 330.000 Euro.", values[0], 1.0),
        ("330000", values[0], 1.0),
        ("330", values[0], 0.0),
        ("37,5", values[1], 1.0),
        ("37.5", values[1], 1.0),
        ("1234", values[2], 1.0),
        ("1,234", values[2], 0.0),
        ("330.000km", values[0], 1.0),
    ):
        assert numeric(answer, reference).score == score, answer
    with pytest.raises(ValueError, match=r"decimal must be '\.' or ','"):
        load_prompts(path, decimal=";")


def test_judges_of_texts_take_a_reference_with_a_decimal_comma_as_it_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt;reference\nA;330.000\nB;Paris\n")
    number, city = load_prompts(path, decimal=",")
    for name in ("exact", "match", "verbatim", "contains", "regex"):
        named, _ = with_judge([number, city], name)
        assert [judge(named, answer).score for answer in ("330.000", "330000")] == [1.0, 0.0]
    with pytest.raises(BadReference, match=r"decimal points only.* '330.000'.* judge 'numeric'"):
        with_judge([number, city], "math")
    assert "name the judge 'numeric'" in str(judge(number, "330", "math").rationale)
    assert with_judge([number], None)[0].judge is None


def test_a_number_of_parquet_has_no_marks_and_a_text_has_them(tmp_path: Path) -> None:
    for column, expected in (
        ([1.234, 37.5], [1.234, 37.5]),
        (["1.234", "37,5"], ["1.234", "37,5"]),
    ):
        path = tmp_path / "p.parquet"
        pd.DataFrame({"prompt": ["A", "B"], "reference": column}).to_parquet(path)
        references = [each.reference for each in load_prompts(path, decimal=",")]
        assert references == [{"value": value, "decimal": ","} for value in expected]
        answer = "1,234" if expected[0] == 1.234 else "1234"
        assert numeric(answer, references[0]).score == 1.0


def test_the_warning_names_what_reads_such_numbers(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt;reference\nA;330.000\nB;37,50\n")
    assert "--decimal ," in str(check_prompts(path))
    assert "may be read" not in str(check_prompts(path, decimal=","))


def _column(*references: Any, judge: str | None = None) -> list[Prompt]:
    return [
        Prompt.from_text(f"question {number}", reference=reference, judge=judge)
        for number, reference in enumerate(references)
    ]


def test_references_that_may_be_thousands_are_named_where_their_column_shows_it() -> None:
    told = doubtful_numbers(_column("330.000", 4.125, "3,142", "1.234,50", "12"))
    assert told.startswith("3 references may be read as another number than was meant: ")
    assert "'330.000' as 330, '4.125' as 4.125, '3,142' as 3142, while '1.234,50' has a" in told
    assert "write thousands without a mark and decimals with a point (330000)" in told
    assert "while '1.080.000' has points between" in doubtful_numbers(_column("1.080.000", "4.500"))
    assert "while three digits stand behind every" in doubtful_numbers(_column("330.000", "4.500"))
    assert not doubtful_numbers(_column("330.000", "3.14")), "points are decimal here"
    assert not doubtful_numbers(_column(1.125, 2.375)), "numbers of JSON are in no doubt"
    assert not doubtful_numbers(_column("1,234", "2,345,678", "0.5")), "English thousands"
    assert not doubtful_numbers(_column("330.000", "37,50", judge="match")), "read as words"


def test_a_semicolon_file_of_german_numbers_is_warned_of_and_keeps_its_references(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "german.csv"
    path.write_text("prompt;reference\na;330.000\nb;1.080.000\nc;37,50\nd;391\ne;4.500\nf;2.5\n")
    report = check_prompts(path, judge="auto")
    references = ["330.000", "1.080.000", "37,50", 391, "4.500", 2.5]
    assert [prompt.reference for prompt in report.prompts] == references
    assert {prompt.judge for prompt in report.prompts} == {"numeric"}
    assert "2 references may be read as another number" in str(report)
    assert "'330.000' as 330, '4.500' as 4.5, while '1.080.000' has points" in str(report)
    assert [prompt.reference for prompt in load_prompts(path)] == references
    assert "2 references may be read as another number" in caplog.text
    path.write_text(path.read_text().replace("330.000", "330000").replace("4.500", "4500"))
    assert "another number" not in str(check_prompts(path))
