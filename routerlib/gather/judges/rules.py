"""Compare a response with a reference by rules on words and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from routerlib.gather.judges.answers import (
    answer_text,
    count_words,
    final_answer,
    has_phrase,
    has_words,
    is_same_text,
    result_line,
    words,
)
from routerlib.gather.judges.numbers import Number, read_number
from routerlib.gather.judges.quantities import agree, number_of
from routerlib.records.brief import shortened
from routerlib.records.call import Score
from routerlib.records.errors import RouterlibError

_KIND_NAMES = {
    str: "a text",
    int: "a whole number",
    int | float: "a number",
    list: "a list",
    Mapping: "an object",
}


class BadReference(RouterlibError, ValueError):
    """A reference that its judge can't use: the prompt is at fault, not the response."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message))


def verdict(name: str, is_right: bool, rationale: str) -> Score:
    """Return a Score of 1 for right, 0 for wrong."""
    return Score(name, 1.0 if is_right else 0.0, shortened(rationale))


def reference_texts(name: str, reference: Any) -> list[str]:
    """Return a reference of one text or number, or a list of them, as texts."""
    items = reference if isinstance(reference, list) else [reference]
    if not items or any(
        isinstance(item, bool) or not isinstance(item, str | int | float) or not str(item).strip()
        for item in items
    ):
        raise BadReference(f"judge {name!r} needs a text or a list of texts, got {reference!r}")
    return [str(item) for item in items]


def reference_field(name: str, reference: Any, key: str, kind: Any, default: Any = None) -> Any:
    """Return a field of an object reference, checked for its type."""
    if not isinstance(reference, Mapping):
        raise BadReference(f"judge {name!r} needs an object with {key!r}, got {reference!r}")
    value = reference.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadReference(f"judge {name!r} needs {key!r} to be {_KIND_NAMES[kind]}, got {value!r}")
    return value


def exact(response: str, reference: Any) -> Score:
    """Compare the whole final answer with the reference, blind to case, punctuation and spaces.

    A sentence around the right word is wrong; use `match` where that is fine. Signs, points and
    other marks of numbers count: 3.5 is not 35, 1/2 not 12, -7 not 7.
    """
    got = final_answer(response)
    golds = reference_texts("exact", reference)
    return verdict("exact", any(is_same_text(got, gold) for gold in golds), f"got {got!r}")


def match(response: str, reference: Any) -> Score:
    """Require the reference's words in the final answer, blind to case and punctuation.

    For answers that may be a sentence: "It is Paris." is right where "Paris" is wanted. The words
    must stand there whole, in order and together; marks of numbers count as in `exact`. What the
    sentence says of them is not looked at: "not Paris" is right too.
    """
    got = final_answer(response)
    golds = reference_texts("match", reference)
    is_right = any(is_same_text(got, gold) or has_words(got, gold) for gold in golds)
    return verdict("match", is_right, f"got {got!r}")


def verbatim(response: str, reference: Any) -> Score:
    """Compare letter by letter, but for wrapping quotes, outer space and a last full stop."""
    got = final_answer(response)
    golds = [_bare(text) for text in reference_texts("verbatim", reference)]
    return verdict("verbatim", _bare(got) in golds, f"got {got!r}")


def _bare(text: str) -> str:
    return " ".join(final_answer(text).removesuffix(".").split())


def numeric(response: str, reference: Any) -> Score:
    r"""Compare the one number that the final answer gives with the reference, by what it is worth.

    Forms, percent and units are read as `numbers` tells. An object with ``value`` may have a
    ``tolerance``, in the unit of the value, and a ``decimal``: "," where value and answers have a
    decimal comma, and points between thousands.

    >>> numeric("Answer: 330000", {"value": "330.000", "decimal": ","}).score
    1.0
    >>> numeric("Answer: $2.5\\times10^3$ m", "2.5 km").score
    1.0
    >>> numeric("Answer: 3.1", {"value": 3.14159, "tolerance": 0.05}).score
    1.0
    """
    gold, tolerance, decimal = _numeric_reference(reference)
    reading = read_number(result_line(response), decimal)
    if reading.number is None:
        return verdict("numeric", False, f"got {reading.why}")
    is_right = agree(reading.number, gold, tolerance)
    return verdict("numeric", is_right, f"got {reading.number}")


def _numeric_reference(reference: Any) -> tuple[Number, float, str]:
    """Return a reference's number, its tolerance in that unit, and what parts off decimals."""
    gold, tolerance, decimal = reference, 0.0, "."
    if isinstance(reference, Mapping):
        gold = reference.get("value")
        tolerance = float(reference_field("numeric", reference, "tolerance", int | float, 0.0))
        if not 0 <= tolerance < math.inf:
            raise BadReference(
                f"judge 'numeric' needs 'tolerance' to be a finite number from 0, got {tolerance!r}"
            )
        decimal = reference_field("numeric", reference, "decimal", str, ".")
        if decimal not in (".", ","):
            raise BadReference(
                f"judge 'numeric' needs 'decimal' to be . or a comma, got {decimal!r}"
            )
    number, why = number_of(gold), "no finite number"
    if isinstance(gold, str):
        reading = read_number(result_line(gold), decimal)
        number = reading.number if reading.is_alone else None
        why = reading.why or "several numbers"
    if number is None:
        raise BadReference(
            "judge 'numeric' needs a number, such as 1234, '3/4', '2.5e-3' or '5 km', or an "
            f"object with 'value' and 'tolerance', got {reference!r}, which gives {why}; write "
            "the right number alone and in digits"
        )
    return number, tolerance, decimal


def contains(response: str, reference: Any) -> Score:
    """Require words or phrases, whole and in any order."""
    if not isinstance(reference, Mapping):
        reference = {"phrases": [reference] if isinstance(reference, str) else reference}
    phrases = reference_texts("contains", reference_field("contains", reference, "phrases", list))
    forbidden = reference_field("contains", reference, "forbidden", list, [])
    at_least = reference_field("contains", reference, "at_least", int, len(phrases))
    min_words = reference_field("contains", reference, "min_words", int, 0)
    max_words = reference_field("contains", reference, "max_words", int, 1_000_000)
    if not 1 <= at_least <= len(phrases) or not all(words(text) for text in phrases):
        raise BadReference(f"judge 'contains' needs 1 <= at_least <= phrases, got {reference!r}")
    text = answer_text(response)
    found = [phrase for phrase in phrases if has_phrase(text, phrase)]
    unwanted = [phrase for phrase in forbidden if has_phrase(text, str(phrase))]
    n_words = count_words(text)
    is_right = len(found) >= at_least and not unwanted and min_words <= n_words <= max_words
    return verdict("contains", is_right, f"found {found + unwanted!r} in {n_words} words")


def regex(response: str, reference: Any) -> Score:
    """Search the final answer for a regular expression."""
    if not isinstance(reference, str) or not reference:
        raise BadReference(f"judge 'regex' needs a pattern, got {reference!r}")
    try:
        pattern = re.compile(reference)
    except re.error as error:
        raise BadReference(
            f"judge 'regex' needs a valid pattern, got {reference!r}: {error}"
        ) from error
    got = final_answer(response)
    return verdict("regex", pattern.search(got) is not None, f"got {got!r}")


def summary(response: str, reference: Any) -> Score:
    """Require one sentence that keeps the key facts and is shorter than its source."""
    source = reference_field("summary", reference, "source", str)
    facts = reference_field("summary", reference, "facts", list)
    forms_of_facts = [reference_texts("summary", fact) for fact in facts]
    longest = count_words(source) - 1
    limit = min(reference_field("summary", reference, "max_words", int, longest), longest)
    text = " ".join(answer_text(response).split())
    n_words = count_words(text)
    n_sentences = len(re.findall(r"[^.!?]*\w[^.!?]*(?:[.!?](?=\s|$)|$)", _joined_numbers(text)))
    missing = [
        forms[0] for forms in forms_of_facts if not any(has_phrase(text, form) for form in forms)
    ]
    is_right = n_sentences == 1 and 0 < n_words <= limit and not missing
    rationale = f"{n_sentences} sentences, {n_words} words, missing {missing!r}"
    return verdict("summary", is_right, rationale)


def _joined_numbers(text: str) -> str:
    """Take out points inside numbers and words, which end no sentence."""
    return re.sub(r"(?<=\w)[.](?=\w)", "", text)
