"""Numbers in answers: what each form is worth, and that judges agree on it."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest
from number_forms import FORMS, FORMULAS, MAYBE_A_LIST, NO_ONE_NUMBER, UNITS

from routerlib.gather.judges import JUDGES, BadReference, check_reference
from routerlib.gather.judges.numbers import read_number
from routerlib.gather.judges.quantities import number_of


def _parts(form: str) -> tuple[Fraction, str]:
    value, _, unit = FORMS[form].partition(" ")
    return Fraction(value), unit


def _mean_the_same(one: str, other: str) -> bool:
    """Tell by the table, and the rules in docs/judges.md, whether two forms mean the same."""
    (a, a_unit), (b, b_unit) = _parts(one), _parts(other)
    if not a_unit and not b_unit:
        return a == b
    a_kind, a_worth = UNITS.get(a_unit, ("", "1"))
    b_kind, b_worth = UNITS.get(b_unit, ("", "1"))
    is_same_worth = a * Fraction(a_worth) == b * Fraction(b_worth)
    if a_unit and b_unit:
        return a_kind == b_kind and is_same_worth
    if "share" in (a_kind, b_kind):
        return is_same_worth or (a == b and abs(a) > 1)
    return a == b


def _score(name: str, response: str, reference: object) -> float:
    return JUDGES[name](response, reference).score


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_what_it_is_worth(form: str) -> None:
    number = read_number(form).number
    assert number is not None
    value, unit = _parts(form)
    assert bool(number.unit or number.words) == bool(unit)
    exact = number_of(int(value)) if value.denominator == 1 else read_number(str(value)).number
    assert exact is not None
    assert number.amount.is_same(exact.amount), str(number)


@pytest.mark.parametrize("gold", FORMS)
def test_both_judges_say_right_for_equal_values_of_any_two_forms_and_only_for_them(
    gold: str,
) -> None:
    for got in FORMS:
        expected = float(_mean_the_same(got, gold))
        assert _score("numeric", got, gold) == expected, (got, gold)
        if gold not in MAYBE_A_LIST:
            assert _score("math", got, gold) == expected, (got, gold)


@pytest.mark.parametrize("gold", MAYBE_A_LIST)
def test_math_refuses_a_decimal_comma_that_may_be_a_list(gold: str) -> None:
    with pytest.raises(BadReference, match=r"a decimal comma or a list; .* a decimal as 3\.5"):
        check_reference("math", gold)


@pytest.mark.parametrize("text", NO_ONE_NUMBER)
def test_what_gives_no_one_number_is_right_for_none_of_its_digits(text: str) -> None:
    golds = {int(digits) for digits in re.findall(r"[0-9]{1,12}", text)} | {0}
    for gold in golds:
        assert _score("numeric", text, gold) == 0
        is_worth_it = FORMULAS.get(text) == gold
        assert _score("math", text, gold) == float(is_worth_it), gold


@pytest.mark.parametrize("text", NO_ONE_NUMBER)
def test_a_reference_that_gives_no_one_number_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(BadReference, match=r"needs a number, such as .*got .*write the right"):
        check_reference("numeric", text)


def _may_be_formula(text: str) -> bool:
    """Commas, braces and comparisons are sets, intervals and conditions for math."""
    return read_number(text).is_formula or bool(re.search(r"[,;{[<>≤≥=(\\]", text))


@pytest.mark.parametrize("text", [each for each in NO_ONE_NUMBER if not _may_be_formula(each)])
def test_math_refuses_a_reference_that_is_neither_number_nor_formula(text: str) -> None:
    with pytest.raises(BadReference, match=r"needs a number or formula, .*got .*list several"):
        check_reference("math", text)


@pytest.mark.parametrize("gold", [math.inf, -math.inf, math.nan, "nan", "inf", "-inf"])
@pytest.mark.parametrize("judge_name", ["numeric", "math"])
def test_a_reference_that_is_not_finite_is_refused(judge_name: str, gold: object) -> None:
    with pytest.raises(BadReference, match=f"judge '{judge_name}' needs a number"):
        check_reference(judge_name, gold)


@pytest.mark.parametrize(("formula", "gold"), FORMULAS.items())
def test_a_formula_is_worked_out_by_math_and_wrong_for_numeric(formula: str, gold: object) -> None:
    response = f"Answer: {formula}"
    assert (_score("math", response, gold), _score("numeric", response, gold)) == (1, 0)
    assert _score("math", f"Answer: {gold}", formula) == 1


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("{3, 5}", "$\\{5, 3\\}$", "3"),
        ("{3, 5}", "\\boxed{3} and \\boxed{5}", "\\boxed{5}"),
        ("[3, 5]", "$[3, 5]$", "$(3, 5)$"),
        ("3t", "$t + 2t$", "3"),
        ("2\\pi", "$2\\pi$", "2"),
        ("5²", "25", "5"),
        ("2\\pi \\text{ cm}", "$2\\pi$ cm", "$2\\pi$ m"),
        ("2\\pi", "$2\\pi\\text{ square units}$", "$\\pi\\text{ square units}$"),
        ("2\\pi", "So it is $2\\pi$, I think.", "So it is $\\pi$, I think."),
        ("1/x", "The result is $\\frac{1}{x}$", "x"),
        ("x^2 = 5", "$x^2 = 5$", "5"),
    ],
)
def test_sets_intervals_and_formulas_are_compared_by_math(
    gold: str, right: str, wrong: str
) -> None:
    assert (_score("math", right, gold), _score("math", wrong, gold)) == (1, 0)


def test_a_formula_and_a_quantity_with_a_unit_get_no_verdict() -> None:
    assert math.isnan(_score("math", "$\\sqrt{25}$ cm", "5 km"))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("He sold 12, so 30 - 12 = 18 are left.", 18),
        ("First $\\boxed{41}$.\nNo, it is $\\boxed{42}$.\nThat was all.", 42),
        ("\\boxed{41}. Correction: \\boxed{42}", 42),
        ("Answer: 42\nas \\boxed{41} + 1", 42),
        ("The result is\n\\[\n42\n\\]", 42),
        ("Step 3: 42", 42),
        ("Answer: 42 (41 + 1)", 42),
        ("2x = 84, so x = 42", 42),
        ("42 = x", 42),
        ("Tom has 3 and Mia has 42.", 42),
        ("In No. 7 they pay $42.", 42),
        ("Since 2x = 84, **x = 42**.", 42),
        ("Answer: (B) 42", 42),
        ("He ran 5 km in 30 minutes, so his speed is 42 km/h.", 42),
        ("In all, 6 × 7 = **42** clips altogether.", 42),
        ("The probability is 3/8 (or 0.375).", 0.375),
        ("$\\text{Area} = \\pi r^2 \\approx 78.54$", 78.54),
        ("There are 12 months, so 12 × 5 = 60 payments.", 60),
        ("3 hours and 15 minutes, i.e. 3.25 hours.", 3.25),
        ("She saved 15% of her income, or $450.", 450),
        ("Let a = 10, b = 5. Then a*b = 50.", 50),
        ("one million (1,000,000)", 1000000),
        ("= 12 units²", 12),
        ("$\\log_2 8 = 3$", 3),
        ("|−7| = 7", 7),
        ("So 7! = 5040!", 5040),
        ("4 - that is the count", 4),
    ],
)
@pytest.mark.parametrize("judge_name", ["numeric", "math"])
def test_of_several_numbers_the_result_counts(
    judge_name: str, response: str, expected: float
) -> None:
    assert _score(judge_name, response, expected) == 1
    for other in {int(digits) for digits in re.findall(r"\d+", response)} - {expected}:
        assert _score(judge_name, response, other) == 0


@pytest.mark.parametrize(
    ("got", "gold", "is_same"),
    [
        ("0.333333", "1/3", True),
        ("0.3333333333333333", "1/3", True),
        ("0.33333", "1/3", False),
        ("0.30000000000000004", "0.3", True),
        ("0.666666", "2/3", True),
        ("0.666665", "2/3", False),
        ("3.14159", "3.14159265", True),
        ("3.14160", "3.14159265", False),
        ("1000001", "1000000", False),
        ("123456789012345678", "123456789012345679", False),
        ("1234567.01", "1234567.02", False),
        ("1234567.5", "1234568", False),
        ("6.02214e23", "602214076000000000000000", False),
        ("0.0000001", "0", False),
    ],
)
def test_only_rounding_to_six_digits_or_more_is_forgiven(
    got: str, gold: str, is_same: bool
) -> None:
    for name in ("numeric", "math"):
        assert _score(name, got, gold) == is_same
        assert _score(name, gold, got) == is_same


@pytest.mark.parametrize(
    ("response", "value", "tolerance", "expected"),
    [
        ("3.15", 3.14, 0.01, 1),
        ("3.1501", 3.14, 0.01, 0),
        ("5100 m", "5 km", 0.1, 1),
        ("5.2", "5 km", 0.1, 0),
        ("0.51", "50%", 1, 1),
        ("0.52", "50%", 1, 0),
    ],
)
def test_a_tolerance_is_exact_and_in_the_unit_of_the_value(
    response: str, value: object, tolerance: float, expected: float
) -> None:
    assert _score("numeric", response, {"value": value, "tolerance": tolerance}) == expected


@pytest.mark.parametrize("tolerance", [-1, math.nan, math.inf])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance: float) -> None:
    with pytest.raises(BadReference, match="'tolerance' to be a finite number from 0"):
        check_reference("numeric", {"value": 3, "tolerance": tolerance})


def test_one_letter_glued_to_a_number_is_a_unit_for_numeric_and_a_variable_for_math() -> None:
    for glued, gold in (("5m", "5 m"), ("2.5k", 2500), ("3t", 3)):
        assert _score("numeric", glued, gold) == 1
        assert _score("math", glued, gold) != 1
    assert _score("math", "$t + 2t$", "3t") == 1


def test_words_behind_a_number_must_hold_those_of_the_reference() -> None:
    assert _score("numeric", "5 red apples", "5 apples") == 1
    assert _score("numeric", "5 apple trees", "5 pears") == 0
    assert _score("numeric", "5 km", "5 apples") == 0
    assert _score("numeric", "5 apples", "5 km") == 0
    assert _score("numeric", "5 apples", 5) == 1


@pytest.mark.parametrize(
    "reference", [5, "5", "The answer is 5.", "15 - 10 = 5\n#### 5", "5 km", {"value": "10/2"}]
)
def test_a_reference_with_one_number_for_sure_is_taken(reference: object) -> None:
    assert _score("numeric", "Answer: 5", reference) == 1


def test_fields_of_json_are_read_by_the_same_reader() -> None:
    gold = {"age": 36, "share": 0.5, "id": 12345678901234567890}
    right = '{"age": "36 years", "share": "50%", "id": 12345678901234567890}'
    assert _score("json", right, gold) == 1
    assert _score("json", right.replace("890}", "891}"), gold) == 0
    assert _score("json", right.replace("36 years", "30 or 36"), gold) == 0
    assert _score("json", right.replace('"50%"', "Infinity"), gold) == 0
