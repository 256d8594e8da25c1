"""Read the final answer and its words out of a model's response."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from routerlib.gather.judges.amounts import GROUPED
from routerlib.gather.judges.spelling import boxed

# The system prompt asks for "Answer:"; models that are asked in another language translate it.
_MARK = re.compile(
    r"\b(?:answer|antwort|réponse|reponse|respuesta|risposta|resposta|antwoord)\s*[*_`]*\s*[:：]",
    re.IGNORECASE,
)
_MARK_AT_END = re.compile(_MARK.pattern + r"[\s*_`]*$", re.IGNORECASE)
_OPENING_TAG = re.compile(r"<\s*(?:final[\s_-]*)?answer\s*>", re.IGNORECASE)
_CLOSING_TAG = re.compile(r"<\s*/\s*(?:final[\s_-]*)?answer\s*>", re.IGNORECASE)
# Lines that only open or close a block of code or of mathematics.
_FENCE = re.compile(r"^\s*(?:(?:```|~~~)\w*|\\[\[\]()]|\\(?:begin|end)\{[^}]*\})\s*$")
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_WRAPPING = " \t\r\n*_`\"'“”„‘’‚«»$"

# Characters that a text may have more than another and still say the same: marks and spaces.
_LONGER_THAN_ANY = 10_000
_MOST_MARKS = 10

_SPACED_SIGN = re.compile(r"(^|=)\s*[-−]\s+(?=\d)")
_THOUSANDS = re.compile(rf"(?<![\w.,]){GROUPED}")
_DASH = re.compile("[\u2010-\u2015\u2212]")
_DECORATION = re.compile(r"\*\*|[_`$€£\"“”„]")
# What joins two numbers, and the sign or point that a number begins with; a hyphen that follows
# a letter, as in F-16, is neither.
_MARKS_OF_NUMBERS = re.compile(
    r"(?<=\d)\s*[-+.,/:*×÷^=<>][-+.,/:*×÷^=<>\s]*(?=\d)|(?<![\w.,)])[-.](?=\.?\d)"
)


def answer_text(response: str) -> str:
    """Return everything after the last answer mark that is followed by text."""
    return _marked_text(response) or _with_marks(response).strip()


def final_answer(response: str) -> str:
    r"""Return the one line that a response gives as its result.

    Tags such as ``<answer>`` count as the mark ``Answer:``. The first line after the last mark
    that is followed by text is the answer; without a mark it is the last line. Wrapping
    asterisks, backticks, quotes, dollar signs and ``\boxed{}`` are taken off.
    """
    return _BOXED.sub(r"\1", _result(response)).strip(_WRAPPING)


def result_line(response: str) -> str:
    r"""Return the line of the final answer as it stands, for reading a number or formula in it.

    Without a mark it is the last line with a ``\\boxed{}``, if there is one.

    >>> result_line("So $x = \\boxed{5}$.\nThis was easy.")
    'So $x = \\boxed{5}$.'
    """
    if not _marked_text(response):
        for line in reversed(response.splitlines()):
            if boxed(line):
                return line.strip()
    return _result(response).strip()


def _result(response: str) -> str:
    marked = _marked_text(response)
    text = marked or _MARK_AT_END.sub("", _with_marks(response))
    lines = [line for line in text.splitlines() if _has_text(line)]
    return (lines[0] if marked else lines[-1]) if lines else ""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return re.findall(r"\w+", _plain(text))


def count_words(text: str) -> int:
    """Return how many words a text has, however many they are."""
    return sum(1 for _ in re.finditer(r"\w+", _plain(text)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("_", " ")


def has_phrase(text: str, phrase: str) -> bool:
    """Tell whether the words of a phrase stand in a text, whole and in that order.

    >>> has_phrase("The cat sat.", "cat"), has_phrase("concatenate", "cat")
    (True, False)
    """
    wanted = words(phrase)
    # Not by the words of the text: of an answer of megabytes they are millions.
    run = r"\W+".join(map(re.escape, wanted))
    return bool(wanted) and re.search(rf"(?<!\w){run}(?!\w)", _plain(text)) is not None


def is_same_text(got: str, gold: str) -> bool:
    """Tell whether two texts agree, blind to case, spaces and punctuation around words.

    Marks that make another number or list of it count, thousands separators don't.
    """
    if len(got) > _LONGER_THAN_ANY + _MOST_MARKS * len(gold):  # no marks make up for so much
        return False
    return not _spellings(got).isdisjoint(_spellings(gold))


def has_words(text: str, phrase: str) -> bool:
    """Tell whether a phrase stands in a text, as `is_same_text` compares them.

    Unlike in `has_phrase`, marks that make another number count: 7 does not stand in -7.

    >>> has_words("It is New-York.", "new york"), has_words("about -7 or 3.5", "7")
    (True, False)
    """
    wanted, runs = _squash(phrase), set[str]()
    squash = lru_cache(maxsize=1_000)(_squash)
    for found in re.finditer(r"\S+", text):
        piece = squash(found[0])
        # two numbers side by side are not one
        longer = (
            f"{run} {piece}" if run[-1:].isdigit() and piece[:1].isdigit() else run + piece
            for run in (*runs, "")
        )
        runs = {run for run in longer if len(run) <= len(wanted)}
        if wanted in runs:
            return True
    return False


def _spellings(text: str) -> set[str]:
    """Return a text in bare form with its thousands separators, as in 100,200, and without."""
    joined = _THOUSANDS.sub(lambda number: re.sub(r"[^\d.]", "", number[0]), text)
    return {_squash(text), _squash(joined)}


def _squash(text: str) -> str:
    """Reduce a text to letters, digits and what stands between or before digits for a reason.

    A text made of other characters only stays as it is, so that ``+`` and ``-`` differ.
    """
    folded = unicodedata.normalize("NFKC", _DASH.sub("-", text)).casefold().replace("⁄", "/")
    folded = _SPACED_SIGN.sub(r"\1-", _DECORATION.sub("", folded))
    meant = {i for match in _MARKS_OF_NUMBERS.finditer(folded) for i in range(*match.span())}
    kept = "".join(
        character
        for i, character in enumerate(folded)
        if unicodedata.category(character)[0] in "LMN" or (i in meant and not character.isspace())
    )
    return kept or text.strip()


def _with_marks(response: str) -> str:
    return _CLOSING_TAG.sub("\n", _OPENING_TAG.sub("\nAnswer: ", response))


def _has_text(line: str) -> bool:
    return bool(line.strip(_WRAPPING)) and not _FENCE.match(line)


def _marked_text(response: str) -> str:
    """Return the text after the last mark that is followed by any, or an empty text."""
    response = _with_marks(response)
    marks = list(_MARK.finditer(response))
    starts = [mark.start() for mark in marks]
    for mark, end in reversed(list(zip(marks, [*starts[1:], len(response)], strict=False))):
        text = response[mark.end() : end].strip(" \t\r\n*_")
        if any(_has_text(line) for line in text.splitlines()):
            return text
    return ""
