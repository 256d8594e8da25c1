"""Describe an answer beside its prompt by numbers that a reader could check by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from routerlib.features.answers.results import number_in, result_of
from routerlib.records.brief import both_ends
from routerlib.records.logprobs import NUMBERS
from routerlib.records.thoughts import separate

# A longer text is read at both ends only, so that an answer of megabytes costs milliseconds.
_HEAD_CHARACTERS, _TAIL_CHARACTERS = 12_000, 4_000
_MOST_EQUATIONS = 60
_TOLERANCE = 0.006
_LARGEST = 1e15

_WORD = re.compile(r"\w+")
# The same for plain text: what no word holds becomes a space, letters become small.
_PLAIN_WORDS = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() or chr(code) == "_" else ord(" ")
    for code in range(128)
).ljust(256)
# What stands before is looked at after the first digit: a search for digits alone is quicker.
_NUMBER = re.compile(r"\d(?<![\w.]\d)[\d,]*(?:\.\d+)?")
_TERM = r"(-?\$?\d[\d,]*(?:\.\d+)?)%?"
_EQUATION = re.compile(
    rf"(?<![\w.)/*×+\-=^]){_TERM}(?:\s*([-+*/×÷])\s*{_TERM})(?:\s*([-+*/×÷])\s*{_TERM})?"
    rf"\s*=\s*{_TERM}(?![\w^]|\s*[-+*/×÷^]\s*\d|\.\d)"
)
_EQUALS = re.compile(rf"=\s*{_TERM}")
# Looked up word by word: patterns of so many words took longer than all the rest.
_HEDGING = (
    "maybe perhaps possibly probably might approximately roughly assume assuming assumed seem "
    "seems unclear unsure guess likely vielleicht vermutlich peut quizá quizás"
)
_TURNING = (
    "wait actually however oops mistake recheck recalculate reevaluate reconsider correction "
    "instead incorrect contradiction contradicts impossible error wrong"
)
_HEDGES, _TURNS = frozenset(_HEDGING.split()), frozenset(_TURNING.split())
# Who refuses says so at the beginning or at the end.
_REFUSAL_CHARACTERS = 400
_REFUSALS = re.compile(
    r"\b(?:i(?:'m| am) sorry|i can(?:not|'t|’t)|i(?:'m| am) (?:unable|not able)|as an ai|"
    r"i won't|i don't have|cannot (?:be determined|help|assist)|not enough information|"
    r"es tut mir leid|je ne peux pas|lo siento)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"```|~~~|\bdef \w+\(|\bfunction \w+\(")
_ASKS_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
_ASKS_CODE = re.compile(
    r"\b(?:write|implement)\b[^.\n]{0,60}\b(?:function|code|program|script)\b", re.I
)
_ASKS_SHORT = re.compile(
    r"\b(?:one word|single word|only the (?:answer|number|letter|final)|just the (?:answer|number|"
    r"letter)|nothing else|a single (?:number|letter|word))\b",
    re.IGNORECASE,
)
_CLOSED_END = re.compile(r"[.!?。！？)\]}\"'`*>|]\s*\Z")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_SHORT_ANSWER = 60

ANSWER_NAMES: tuple[str, ...] = (
    "answer_is_empty",
    "answer_characters",
    "answer_over_prompt",
    "answer_thought_characters",
    "answer_is_only_thought",
    "answer_format_kept",
    "answer_hedges",
    "answer_turns",
    "answer_refusals",
    "answer_repetition",
    "answer_equations",
    "answer_wrong_equations",
    "answer_result_characters",
    "answer_result_is_number",
    "answer_result_is_whole",
    "answer_result_size",
    "answer_result_follows",
    "answer_result_in_prompt",
    "answer_result_mentions",
    "answer_numbers",
    "answer_numbers_used",
    "answer_numbers_new",
    "answer_words_of_prompt",
    "answer_is_closed",
    "answer_script_differs",
    "answer_lines",
)
LOGPROB_NAMES: tuple[str, ...] = tuple(f"logprob_{key}" for key in NUMBERS)


class ReadAnswer(NamedTuple):
    """What one answer says of itself.

    Attributes
    ----------
    text : str
        The answer without what was thought aloud, shortened in the middle where it is long.
    result : str
        The result that it gives, in bare form; empty where it gives none.
    columns : list of float
        In the order of `ANSWER_NAMES`.
    """

    text: str
    result: str
    columns: list[float]


def read_answer(prompt: str, answer: str) -> ReadAnswer:
    """Read an answer beside its prompt.

    >>> read = read_answer("What is 2 + 3?", "2 + 3 = 6, so the answer is 6.")
    >>> read.result, read.columns[ANSWER_NAMES.index("answer_wrong_equations")]
    ('6', 1.0)
    """
    shortened = both_ends(answer, 4 * _HEAD_CHARACTERS, 4 * _TAIL_CHARACTERS)
    parted = separate(shortened)
    text = both_ends(parted.answer.strip(), _HEAD_CHARACTERS, _TAIL_CHARACTERS)
    asked = both_ends(prompt, _HEAD_CHARACTERS, _TAIL_CHARACTERS)
    result = result_of(text)
    n_characters = len(answer) - (len(shortened) - len(parted.answer))
    thought = len(parted.thought or "")
    words = _words(text)
    columns = [
        float(not text),
        math.log1p(n_characters),
        math.log1p(n_characters) - math.log1p(len(prompt)),
        math.log1p(thought),
        float(parted.is_only_thought),
        _format_kept(asked, text),
        *_manners(text, words),
        _repetition(words),
        *_checked(text),
        *_result(asked, text, result),
        *_numbers(asked, text),
        _shared(words, asked),
        float(bool(_CLOSED_END.search(text[-8:]))),
        _script_differs(asked, text),
        math.log1p(text.count("\n")),
    ]
    return ReadAnswer(text, result, columns)


def logprob_columns(numbers: Mapping[str, float] | None) -> list[float]:
    """Lay the numbers of an answer's log-probabilities in order; NaN where there is none.

    >>> logprob_columns({"mean": -0.2})[:2]
    [-0.2, nan]
    """
    known = numbers or {}
    return [float(known.get(key, math.nan)) for key in NUMBERS]


def agreement(results: list[str], expected: list[float], at: int) -> list[float]:
    """Tell how far other answers give the same result as one does.

    `results`: of the answers at hand, in bare form.
    `expected`: quality expected of each, in [0, 1].
    `at`: which one is asked about.
    Returns the columns of `AGREEMENT_NAMES`.

    >>> agreement(["4", "4", "5"], [0.5, 0.9, 0.6], 0)
    [2.0, 1.0, 1.0, 0.9, 0.6]
    """
    others = [row for row in range(len(results)) if row != at]
    same = [row for row in others if results[at] and results[row] == results[at]]
    differ = [row for row in others if row not in same]
    return [
        float(len(others)),
        float(len(same)),
        float(len(differ)),
        max((expected[row] for row in same), default=0.0),
        max((expected[row] for row in differ), default=0.0),
    ]


AGREEMENT_NAMES: tuple[str, ...] = (
    "agreement_others",
    "agreement_same",
    "agreement_different",
    "agreement_best_same",
    "agreement_best_different",
)


def _format_kept(prompt: str, text: str) -> float:
    """Return 1 where the asked format is kept, 0 where it isn't, NaN where none was asked."""
    if _ASKS_JSON.search(prompt):
        start, end = text.find("{"), text.rfind("}")
        return float(0 <= start < end and text.count("{") == text.count("}"))
    if _ASKS_CODE.search(prompt):
        return float(bool(_CODE.search(text)))
    if _ASKS_SHORT.search(prompt):
        return float(0 < len(text) <= _SHORT_ANSWER)
    return math.nan


def _manners(text: str, words: list[str]) -> list[float]:
    per = 100 / max(len(words), 20)
    ends = both_ends(text, _REFUSAL_CHARACTERS, _REFUSAL_CHARACTERS)
    return [
        sum(map(_HEDGES.__contains__, words)) * per,
        sum(map(_TURNS.__contains__, words)) * per,
        float(len(_REFUSALS.findall(ends))),
    ]


def _repetition(words: list[str]) -> float:
    """Return the share of runs of four words that stood there before."""
    runs = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _checked(text: str) -> list[float]:
    """Return how many sums stand in a text, and how many of them are wrong."""
    n_checked = n_wrong = 0
    for found in _EQUATION.finditer(text):
        if n_checked >= _MOST_EQUATIONS:
            break
        left, first, middle, second, right, told = found.groups()
        value = _computed(left, first, middle, second, right)
        if value is None:
            continue
        n_checked += 1
        stated = _float(told)
        n_wrong += abs(value - stated) > _TOLERANCE * max(1.0, abs(stated))
    return [float(n_checked), float(n_wrong)]


def _computed(
    left: str, first: str, middle: str, second: str | None, right: str | None
) -> float | None:
    terms = [_float(left), _float(middle)]
    signs = [first]
    if second and right:
        terms.append(_float(right))
        signs.append(second)
    if len(signs) == 2 and signs[0] in "+-" and signs[1] in "*/×÷":
        product = _apply(terms[1], signs[1], terms[2])
        return None if product is None else _apply(terms[0], signs[0], product)
    value: float | None = terms[0]
    for sign, term in zip(signs, terms[1:], strict=True):
        value = None if value is None else _apply(value, sign, term)
    return value


def _apply(left: float, sign: str, right: float) -> float | None:
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign in "*×":
        return left * right
    return left / right if right else None


def _float(number: str) -> float:
    digits = number.replace(",", "").replace("$", "")
    return min(float(digits), _LARGEST) if len(digits) < 20 else _LARGEST


def _result(prompt: str, text: str, result: str) -> list[float]:
    value = number_in(result)
    is_number = not math.isnan(value)
    stated = [_float(each) for each in _EQUALS.findall(text)[-1:]]
    follows = math.nan
    if is_number and stated:
        follows = float(abs(stated[0] - value) < _TOLERANCE * max(1.0, abs(value)))
    mentions = float(text.count(result)) if 0 < len(result) < _SHORT_ANSWER else math.nan
    return [
        float(len(result)),
        float(is_number),
        float(value == round(value)) if is_number else math.nan,
        math.copysign(math.log1p(abs(value)), value) if is_number else math.nan,
        follows,
        float(bool(result) and result in prompt.casefold()),
        mentions,
    ]


def _numbers(prompt: str, text: str) -> list[float]:
    asked = set(_NUMBER.findall(prompt))
    said = _NUMBER.findall(text)
    kinds = set(said)
    used = len(asked & kinds) / len(asked) if asked else math.nan
    new = len(kinds - asked) / len(kinds) if kinds else math.nan
    return [math.log1p(len(said)), used, new]


def _shared(words: list[str], prompt: str) -> float:
    kinds = set(words)
    return len(kinds.intersection(_words(prompt))) / len(kinds) if kinds else 0.0


def _words(text: str) -> list[str]:
    """Return the words of a text in small letters."""
    if text.isascii():
        return text.encode().translate(_PLAIN_WORDS).decode().split()
    return _WORD.findall(text.casefold())


def _script_differs(prompt: str, text: str) -> float:
    shares = [
        len(_FOREIGN.findall(each)) / len(each) if each else 0.0
        for each in (prompt[:2_000], text[:2_000])
    ]
    return abs(shares[0] - shares[1])
