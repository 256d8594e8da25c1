"""Ask the verifiers of reasoning-gym."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from routerlib.gather.judges.answers import final_answer
from routerlib.gather.judges.rules import BadReference, reference_field, verdict
from routerlib.records.call import Score

# The package gives part marks; only full marks count as right.
_FULL_MARKS = 0.99
# Verifiers that were read and only compare text and numbers. Others in that package evaluate
# the response as an expression, which would run a model's code.
_SAFE_DATASETS = frozenset({"prime_factorization", "fraction_simplification"})
# What a verifier raises on text that it can't read.
_UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, SyntaxError)


def reasoning_gym(response: str, reference: Any) -> Score:
    """Ask a reasoning-gym verifier; only full marks count as right."""
    dataset, entry = verifier_reference(reference)
    score_answer = _verifier(dataset)
    got = _spelled_for(dataset, final_answer(response))
    try:
        marks = score_answer(got, entry)
    except _UNREADABLE as error:
        return _verdict_on_failure(score_answer, entry, error)
    return verdict("reasoning_gym", marks >= _FULL_MARKS, f"got {got!r}, marks {marks:.2f}")


def _verdict_on_failure(
    score_answer: Callable[[str, Any], float], entry: Mapping[str, Any], error: Exception
) -> Score:
    try:
        score_answer(entry["answer"], entry)
    except _UNREADABLE as own_error:
        raise BadReference(f"the verifier fails on its own answer: {own_error}") from error
    return verdict("reasoning_gym", False, f"not in the required format: {error}")


def verifier_reference(reference: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the dataset and entry of a reference, checked without importing the package."""
    dataset = reference_field("reasoning_gym", reference, "dataset", str)
    entry = reference_field("reasoning_gym", reference, "entry", Mapping)
    if dataset not in _SAFE_DATASETS:
        raise BadReference(
            f"judge 'reasoning_gym' knows {', '.join(sorted(_SAFE_DATASETS))}, got {dataset!r}; "
            "use judge 'exact' or 'numeric' for others, whose verifiers may run a response as code"
        )
    reference_field("reasoning_gym", entry, "answer", str)
    reference_field("reasoning_gym", entry, "metadata", Mapping)
    return dataset, entry


@cache
def _verifier(dataset: str) -> Callable[[str, Any], float]:
    with warnings.catch_warnings():
        # A dependency of the package compares strings with "is".
        warnings.simplefilter("ignore")
        from reasoning_gym import get_score_answer_fn
    scorer: Callable[[str, Any], float] = get_score_answer_fn(dataset)
    return scorer


def _spelled_for(dataset: str, answer: str) -> str:
    """Take the result out of ``12 = 2^2 x 3`` and spell it as the verifier reads it."""
    answer = answer.rpartition("=")[2].strip()
    if dataset == "prime_factorization":
        answer = re.sub(r"\s*(?:\\times|\\cdot|[xX*·⋅×])\s*", " × ", answer)
        powers = re.compile(r"(\d{1,6})\s*\^\s*\{?(\d{1,2})\}?")
        answer = powers.sub(lambda m: " × ".join([m[1]] * int(m[2])), answer)
        products = re.findall(r"\d+(?: × \d+)+", answer)
        return products[-1] if products else answer
    fractions = re.findall(r"\d+\s*/\s*\d+", answer)
    return fractions[-1].replace(" ", "") if fractions else answer
