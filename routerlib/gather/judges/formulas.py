"""Compare formulas by what they mean, with math-verify in a process of its own."""

from __future__ import annotations

import math
import re
from importlib.util import find_spec
from typing import Any

from routerlib.gather.judges import math_process
from routerlib.gather.judges.answers import result_line
from routerlib.gather.judges.formula_text import (
    as_formula,
    formula_in,
    is_prose,
    last_formula,
    without_unit,
)
from routerlib.gather.judges.numbers import Number, Reading, read_number
from routerlib.gather.judges.quantities import agree, number_of, spelled
from routerlib.gather.judges.rules import BadReference, reference_texts, verdict
from routerlib.gather.judges.spelling import boxed, without_inner_boxes
from routerlib.gather.judges.units import Unit
from routerlib.records.call import Score

_NOTATION = re.compile(r"[\[({\\,;<>≤≥=$]")
_COMMA = re.compile(r"[\s$]*[-+−]?\d+,\d+[\s$.]*")
_MARKED = re.compile(r"\$|\\")
_OR = re.compile(r"(?<![^\W\d_])(?:and|or|to|und|oder|bis|et|ou)(?![^\W\d_])", re.IGNORECASE)


def mathematics(response: str, reference: Any) -> Score:
    r"""Compare the final answer with the reference as mathematics.

    Numbers are read and compared as by judge ``numeric``; the rest is left to math-verify, which
    never sees a number of the reference or the answer but in a spelling that it can't misread.

    >>> mathematics("Answer: $\\frac{2}{4}$", "1/2").score
    1.0
    """
    if find_spec("math_verify") is None:
        raise RuntimeError(
            "judge 'math' needs math-verify; install it with: pip install 'routerlib[judges]'"
        )
    numbers, formulas = math_reference(reference)
    line = without_inner_boxes(result_line(response))
    if is_prose(line):
        line = last_formula(response) or line
    reading = read_number(line)
    got = _certain(reading)
    if got is not None and any(agree(got, number) for number in numbers):
        return verdict("math", True, f"got {got}")
    if got is not None:
        wrong = verdict("math", False, f"got {got}")
        return _score_of_formulas(formulas, [_spelled(got)], got.unit) or wrong
    score = _score_of_formulas(formulas, *_spellings(line, reading))
    if score is not None and score.score != 0:
        return score
    if numbers and _may_be_formula(reading):
        return _score_of_formula(line, numbers)
    return score or verdict("math", False, f"got {reading.why}")


def _may_be_formula(reading: Reading) -> bool:
    return reading.is_formula or reading.number is not None


def _spellings(line: str, reading: Reading) -> tuple[list[str], Unit | None]:
    """Return a line that is no number as formulas to try in order, and their unit."""
    boxes = boxed(line)
    whole = as_formula(boxes[0][2] if len(boxes) == 1 else line)
    texts = [whole, formula_in(line)] if _may_be_formula(reading) else [whole]
    bare = [without_unit(text) for text in texts]
    unit = next((unit for _, unit in [*bare, without_unit(line)] if unit), None)
    return [text for text, _ in bare], unit


def math_reference(reference: Any) -> tuple[list[Number], list[str]]:
    """Return the numbers and the formulas of a reference, checked without math-verify."""
    reference_texts("math", reference)
    numbers, formulas = [], []
    for item in reference if isinstance(reference, list) else [reference]:
        number = number_of(item)
        if isinstance(item, str):
            reading = read_number(result_line(item))
            number = None if reading.is_equation or not reading.is_alone else _certain(reading)
            if why := _doubt(item, reading, number):
                raise _not_certain(item, why)
        elif number is None:
            raise _not_certain(item, "no finite number")
        if number is not None:
            numbers.append(number)
        elif formula := _formula(item):
            formulas.append(formula)
        else:
            raise _not_certain(item, "no number and no formula")
    return numbers, formulas


def _formula(text: str) -> str:
    text = without_inner_boxes(text)
    return as_formula(text) or formula_in(text)


def _not_certain(item: Any, why: str) -> BadReference:
    return BadReference(
        "judge 'math' needs a number or formula, plain or LaTeX, or a list of them, got "
        f"{item!r}, which gives {why}; list several right answers, write a set as {{3, 5}}, an "
        "interval as [3, 5], a decimal as 3.5"
    )


def _doubt(text: str, reading: Reading, number: Number | None) -> str:
    """Return why a text is neither a number nor a formula for sure, an empty text if it is one."""
    if number is not None:
        return "a decimal comma or a list" if _COMMA.fullmatch(text) and number.amount.step else ""
    if text.strip().casefold() in ("nan", "inf", "-inf", "infinity"):
        return "no finite number"
    if reading.is_equation or (reading.number and reading.is_alone) or reading.is_formula:
        return ""
    is_notation = _NOTATION.search(text) and not (_OR.search(text) and not _MARKED.search(text))
    return "" if is_notation else reading.why or "several numbers"


def _certain(reading: Reading) -> Number | None:
    """Return the number that was read, but for 3t, which in mathematics may be 3 times t."""
    return None if reading.number is None or reading.number.is_product else reading.number


def _score_of_formulas(formulas: list[str], texts: list[str], unit: Unit | None) -> Score | None:
    """Compare an answer, in several spellings, with formulas; None where there are none."""
    score = None
    for formula in formulas:
        gold, wanted_unit = without_unit(formula)
        is_other = unit is not None and wanted_unit is not None and unit != wanted_unit
        reply = math_process.ask([gold], [] if is_other else texts)
        if reply is None:
            return _no_verdict()
        if not reply["n_golds"]:
            raise BadReference(f"judge 'math' can't read the reference {formula!r} as a formula")
        score = verdict("math", reply["is_same"], f"got {reply['got']!r}")
        if reply["is_same"]:
            break
    return score


def _score_of_formula(line: str, numbers: list[Number]) -> Score:
    """Compare an answer that is a formula with references that are numbers."""
    golds = [_spelled(number) for number in numbers if not number.unit or number.unit.is_share]
    if not golds:
        return Score(
            "math", math.nan, "a formula can't be compared with a quantity that has a unit"
        )
    part = formula_in(line)
    if not part:
        return verdict("math", False, "got no number or formula")
    reply = math_process.ask(golds, [without_unit(part)[0]])
    if reply is None:
        return _no_verdict()
    return verdict("math", reply["is_same"], f"got {reply['got']!r}")


def _no_verdict() -> Score:
    return Score("math", math.nan, f"no verdict within {math_process.ANSWER_S:.0f} s")


def _spelled(number: Number) -> str:
    return f"${spelled(number)}$"
