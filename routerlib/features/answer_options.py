"""Describe the answer options of a multiple-choice prompt."""

from __future__ import annotations

import re
from itertools import combinations

_MARK = re.compile(r"(?:^|\s)\(?[A-H][.):](?=\s|$)", re.MULTILINE)
# An option that is short: a number, a formula, a word in small letters.
_FORMULA = re.compile(r"[-+\d.,/%$ ^*()=a-z\\]{1,12}")
_DIGIT = re.compile(r"\d")
# More options than this are compared by the first ones.
_MAX_OPTIONS = 12

OPTION_NAMES: tuple[str, ...] = (
    "question_characters",
    "mean_option_characters",
    "option_length_spread",
    "longest_option_characters",
    "share_options_with_digits",
    "share_options_formulas",
    "share_options_capitalized",
    "share_options_sentences",
    "share_options_beginning_alike",
    "option_overlap",
    "last_option_length",
    "n_question_words_in_options",
)


def option_features(text: str) -> list[float]:
    r"""Describe options that are marked A. to H., in lines of their own or in running text.

    `text`: a prompt; it should hold at least two marks.

    >>> row = option_features("Which?\nA. 3 km\nB. 5 km\nC. blue")
    >>> found = dict(zip(OPTION_NAMES, row))
    >>> found["question_characters"], found["longest_option_characters"]
    (6.0, 4.0)
    >>> round(found["share_options_with_digits"], 2), round(found["option_overlap"], 2)
    (0.67, 0.11)
    """
    pieces = _MARK.split(text)
    question, options = pieces[0].rstrip(), [_first_line(piece) for piece in pieces[1:]]
    if not options:
        return [0.0] * len(OPTION_NAMES)
    n_options = len(options)
    lengths = [len(option) for option in options]
    mean = max(sum(lengths) / n_options, 1.0)
    variance = sum((length - mean) ** 2 for length in lengths) / n_options
    words = [option.lower().split() for option in options[:_MAX_OPTIONS]]
    firsts = {each[0] for each in words if each}
    said = set(question.lower().split())
    return [
        float(len(question)),
        mean,
        variance**0.5 / mean,
        float(max(lengths)),
        sum(_DIGIT.search(option) is not None for option in options) / n_options,
        sum(_FORMULA.fullmatch(option) is not None for option in options) / n_options,
        sum(option[:1].isupper() for option in options) / n_options,
        sum(option.endswith(".") for option in options) / n_options,
        1 - len(firsts) / len(words),
        _overlap([set(each) for each in words]),
        lengths[-1] / mean,
        float(len(said.intersection(*[set().union(*words)]))),
    ]


def _first_line(piece: str) -> str:
    return piece.lstrip().partition("\n")[0].rstrip()


def _overlap(options: list[set[str]]) -> float:
    shares = [
        len(one & other) / max(len(one | other), 1) for one, other in combinations(options, 2)
    ]
    return sum(shares) / max(len(shares), 1)
