"""Reduce a prompt to its wording: what it was filled with, and the form it stands in, left out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

# Letters and digits that a beginning must have to tell one text from others, and a rest, that
# something is asked in it.
BEGINNING_CHARS = 120
STEM_CHARS = 40
_REST_CHARS = 20
# What more prompts than this begin with is a form that they were written in, not a shared text.
MAX_SHARED_BEGINNING = 20
FIRST_OPTION = re.compile(r"^[ \t]*\(?[Aa][.):][ \t]", re.MULTILINE)

_SLOT = "#"
_NUMBER = re.compile(r"(?<![^\W_])\d+(?:[.,:]\d+)*(?![^\W_])")
# Capitalised in the middle of a sentence, or several in a row.
_NAME = re.compile(
    r"(?:(?<=[^\W\d_A-Z] )|(?<=[,;:] ))[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*"
    r"|\b[A-Z][a-z'’-]+(?: [A-Z][\w'’-]+)+"
)
_CAPITALISED = re.compile(r"\b[A-Z]")
_SLOTS_IN_A_ROW = re.compile(rf"{_SLOT}(?:[\s,;]*{_SLOT})+")
# Scripts without spaces: a character is a word. A single Latin letter is a variable's name.
_WORD = re.compile(r"[぀-ヿ㐀-鿿฀-๿]|[^\W\d_぀-ヿ㐀-鿿฀-๿]{2,}")
# Where most words have a capital, or every noun as in German, none of them tells a name.
_MOST_CAPITALISED = 1 / 2
_GERMAN = re.compile(r"\b(?:der|die|das|dem|des|und|ein|eine|einen|ist|nicht|von|für|wie|wer)\b")
_GERMAN_WORDS = 2
# So many words, or two slots beside fewer, make a template of what is equal once masked.
MIN_WORDS = 5
_MIN_WORDS_WITH_SLOTS = 2


class Masked(NamedTuple):
    """A text without numbers and names.

    `text`: lower case, white space folded, with ``#`` for what was left out.
    `n_slots`: how many were.
    """

    text: str
    n_slots: int

    @property
    def words(self) -> list[str]:
        """What is left, in order."""
        return _WORD.findall(self.text)

    @property
    def is_template(self) -> bool:
        """Whether enough is left to say that another text with the same is of the same make."""
        n_words = len(self.words)
        return n_words >= MIN_WORDS or (n_words >= _MIN_WORDS_WITH_SLOTS and self.n_slots >= 2)


def masked(text: str) -> Masked:
    """Put a mark where numbers and names stand.

    >>> masked("Anna has 12 apples, and Ben Smith 3.").text
    'anna has # apples, and #.'
    >>> masked("Compute 83 - 11 - 78.")
    Masked(text='compute # - # - #.', n_slots=3)
    """
    if _capitals_tell_names(text):
        text = _NAME.sub(_SLOT, text)
    text = _NUMBER.sub(_SLOT, text)
    n_slots = text.count(_SLOT)
    return Masked(" ".join(_SLOTS_IN_A_ROW.sub(_SLOT, text).lower().split()), n_slots)


def _capitals_tell_names(text: str) -> bool:
    words = text.split()
    n_capitalised = sum(1 for word in words if _CAPITALISED.match(word))
    is_german = len(set(_GERMAN.findall(text.lower()))) >= _GERMAN_WORDS
    return not is_german and n_capitalised <= max(2, _MOST_CAPITALISED * len(words))


def letters_of(text: str) -> str:
    """Return letters and digits only, in lower case.

    >>> letters_of("It's 5!")
    'its5'
    """
    return "".join(filter(str.isalnum, text.lower()))


def without_forms(prompts: Sequence[str]) -> list[str]:
    """Cut off what more than 20 prompts begin with, for it is a form that they were written in.

    Instructions and worked examples before a question would make all questions alike.

    `prompts` (length n_prompts): texts. Where less than 20 letters would be left, all is kept.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(prompts):
        letters = letters_of(text[: 4 * BEGINNING_CHARS])
        if len(letters) >= BEGINNING_CHARS:
            rows_of[letters[:BEGINNING_CHARS]].append(row)
    cut = list(prompts)
    for rows in rows_of.values():
        if len(rows) > MAX_SHARED_BEGINNING:
            n_shared = _n_shared([prompts[row] for row in rows])
            for row in rows:
                rest = prompts[row][n_shared:]
                if len(letters_of(rest)) >= _REST_CHARS:
                    cut[row] = rest
    return cut


def _n_shared(texts: Sequence[str]) -> int:
    """Count the characters that all texts begin with."""
    first, last = min(texts), max(texts)  # what these two share, those between them share too
    pairs = zip(first, last, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), len(first))
