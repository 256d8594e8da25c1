"""Tell which of several options a response chose: by its name, or by its letter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from routerlib.gather.judges.answers import final_answer, has_phrase, is_same_text, words
from routerlib.gather.judges.rules import BadReference, reference_field, reference_texts, verdict
from routerlib.records.call import Score

# "(B)", "B.", "B) Paris", "B: Paris" at the start; or the letter alone.
_LEADING = re.compile(r"^[\s(\[{*]*([A-Za-z])(?:\s*[)\]}.:*]+(?:\s|$)|\s*$)")
# "the answer is B", "option (C)", "I choose D".
_TOLD = re.compile(
    r"\b(?:answer|option|choice|choose|chose|pick|select|antwort|réponse|respuesta)\b"
    r"(?:\s+(?:is|ist|est|es|would be|letter))*\s*[:=]?\s*[(\[*]*([A-Z])\b(?!['’])"
)
_IN_BRACKETS = re.compile(r"(?<!\w)\(?([A-Z])\)")
_ALONE = re.compile(r"(?<![\w'’-])([B-HJ-Z])(?![\w'’-])")


def choice(response: str, reference: Any) -> Score:
    """Require that the final answer names the right label, and no other of the labels.

    A word that isn't among `labels` is not looked at, so give all of them, and what a sentence
    says of a label is not either: "neutral, as nothing negative is said" is right where "negative"
    is wanted and "neutral" is no label, and wrong where it is one.
    """
    label = reference_field("choice", reference, "label", str)
    labels = reference_texts("choice", reference_field("choice", reference, "labels", list))
    if label not in labels or not all(words(text) for text in labels):
        raise BadReference(f"judge 'choice' needs 'label' to be one of 'labels', got {reference!r}")
    got = final_answer(response)
    named = [text for text in labels if has_phrase(got, text)]
    # "very good" names "good" as well: only the longer label is meant.
    meant = [text for text in named if not any(text != t and has_phrase(t, text) for t in named)]
    return verdict("choice", meant == [label], f"named {meant!r}")


def letter(response: str, reference: Any) -> Score:
    """Require the letter of the right option of a multiple-choice question, and no other.

    The letter may stand alone, in brackets, before the option's text, or after words such as
    "the answer is". With the options given, the right option's own text is right too.
    """
    gold, options = _letter_reference(reference)
    got = final_answer(response)
    found = _letters(got)
    if not found and options:
        found = {chr(ord("A") + i) for i, text in enumerate(options) if is_same_text(got, text)}
    return verdict("letter", found == {gold}, f"chose {''.join(sorted(found)) or 'no letter'}")


def _letter_reference(reference: Any) -> tuple[str, list[str]]:
    options: list[str] = []
    gold = reference
    if isinstance(reference, Mapping):
        gold = reference_field("letter", reference, "letter", str)
        options = reference_texts("letter", reference_field("letter", reference, "options", list))
    if not isinstance(gold, str) or not re.fullmatch(r"[A-Z]", gold.strip().upper()):
        raise BadReference(f"judge 'letter' needs a letter from A to Z, got {gold!r}")
    gold = gold.strip().upper()
    if options and ord(gold) - ord("A") >= len(options):
        raise BadReference(f"judge 'letter' has {len(options)} options, got the letter {gold!r}")
    return gold, options


def _letters(got: str) -> set[str]:
    """Return the letters that an answer names, by the clearest way in which it names any."""
    if leading := _LEADING.findall(got):
        # "A) yes (B) no" repeats the options and chooses none of them
        return {each.upper() for each in leading + _IN_BRACKETS.findall(got)}
    for pattern in (_TOLD, _IN_BRACKETS, _ALONE):
        if found := set(pattern.findall(got)):
            return found
    return set()
