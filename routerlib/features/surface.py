"""Count what can be seen on the surface of a prompt: length, code, math, structure, language."""

from __future__ import annotations

import re
import unicodedata
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from operator import mul

import numpy as np

from routerlib.features.answer_options import OPTION_NAMES, option_features
from routerlib.features.marks import mark_counts
from routerlib.features.plain_texts import PLAIN_WORDS, PlainTexts
from routerlib.features.plain_words import PlainWords
from routerlib.features.vocabulary import (
    COLUMNS_OF_WORD,
    FOREIGN_COUNTS,
    FOREIGN_SHARES,
    HINTS,
    NEEDED,
    OF_ONE_CHARACTER,
    PATTERN_COUNTS,
    SHARES,
    WORD_COUNTS,
    WORD_LISTS,
    WORD_SHARES,
)
from routerlib.records.brief import both_ends

# A longer prompt is read at both ends only, so that a pasted book costs milliseconds.
_HEAD_CHARACTERS = 16_000
_TAIL_CHARACTERS = 4_000
_COMPRESSED_CHARACTERS = 2_000
# Of 16 KB (2 to the power of 14): as many bytes as these characters may be, and less to lay out.
_WINDOW = 14
_SHORT_WORD, _LONG_WORD, _VERY_LONG_WORD = 3, 6, 9
_FEWEST_OPTIONS = 3
# Numbers beyond it, and those that no number type holds, count as that large.
_LARGEST_NUMBER = 1e15
_LARGE_NUMBER = 10
# So many plain texts are counted at once, and from so many on: fewer are as quick one by one.
_TEXTS_AT_ONCE, _FEWEST_AT_ONCE = 256, 8

_WORD = re.compile(r"[^\W_㐀-鿿豈-﫿぀-ヿ฀-๿]+")
_SPACELESS = re.compile(r"[㐀-鿿豈-﫿぀-ヿ]|[฀-๿]{1,4}")
_PLAIN_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_SENTENCE_END = re.compile(r"[.!?؟।](?=\s|$)|[。！？]")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")

_SHAPE_NAMES = (
    "n_characters",
    "n_words",
    "n_lines",
    "n_sentences",
    "n_paragraphs",
    "mean_word_length",
    "mean_sentence_words",
    "max_line_characters",
    "share_unique_words",
    "is_ending_with_question",
    "is_beginning_with_imperative",
    "compressibility",
    "share_long_words",
    "readability",
    "longest_word",
    "share_short_words",
    "share_very_long_words",
    "word_length_spread",
    "vocabulary",
    "largest_number",
    "smallest_number",
    "n_distinct_numbers",
    "n_large_numbers",
    "is_multiple_choice",
)

SURFACE_NAMES: tuple[str, ...] = (
    *_SHAPE_NAMES,
    *OPTION_NAMES,
    *PATTERN_COUNTS,
    *SHARES,
    *FOREIGN_SHARES,
    *FOREIGN_COUNTS,
    *WORD_COUNTS,
    *WORD_SHARES,
)

# Patterns of one character each. In a plain text they are counted all at once: how often each
# character stands there, times which patterns it matches.
_CHARACTERS: dict[str, re.Pattern[str]] = {
    **{name: PATTERN_COUNTS[name] for name in OF_ONE_CHARACTER},
    **SHARES,
}
_MATCHES = np.array(
    [
        [float(pattern.match(chr(code)) is not None) for pattern in _CHARACTERS.values()]
        for code in range(128)
    ]
)
# Characters that some pattern can't do without, a bit each; and of each pattern of several of them
# its column, those that it needs one of, those of another kind likewise, and its hint.
_TELLING = frozenset[str]().union(*(each for needed in NEEDED.values() for each in needed))
# In a plain text these are left out at once.
_NOT_TELLING = bytes(code for code in range(128) if chr(code) not in _TELLING)
_BIT = {sign: 1 << at for at, sign in enumerate(sorted(_TELLING))}
_LOOKED_FOR: list[tuple[int, int, int, re.Pattern[str], re.Pattern[str] | None]] = [
    (
        column,
        sum(map(_BIT.__getitem__, NEEDED[name][0])),
        sum(map(_BIT.__getitem__, NEEDED[name][-1])),
        pattern,
        HINTS.get(name),
    )
    for column, (name, pattern) in enumerate(PATTERN_COUNTS.items())
    if name not in _CHARACTERS
]
_OPTIONS_AT = list(PATTERN_COUNTS).index("n_options")
_IMPERATIVES = frozenset(WORD_COUNTS["n_imperatives"].split())


def surface_features(texts: Sequence[str]) -> np.ndarray:
    """Describe each text by counts and shares that a reader could check by hand.

    Words of scripts without spaces are counted one a character (Chinese, Japanese) or
    one for four characters (Thai); full-width letters, digits and signs count as the plain ones.
    A text over 20,000 characters is read at both ends only; its length is still the true one.
    *readability* is LIX, words a sentence + percentage of words over six letters: it needs no
    dictionary of any language (C.-H. Björnsson, Läsbarhet, 1968).

    Returns shape (n_texts, n_surface_features): counts at least 0 and shares in [0, 1], in the
        order of `SURFACE_NAMES`.
    """
    rows = np.zeros((len(texts), len(SURFACE_NAMES)))
    plain = [row for row, text in enumerate(texts) if _is_plain(text)]
    if len(plain) < _FEWEST_AT_ONCE:
        plain = []
    for start in range(0, len(plain), _TEXTS_AT_ONCE):
        some = plain[start : start + _TEXTS_AT_ONCE]
        rows[some] = _describe_plain(PlainTexts([texts[row] for row in some]))
    together = set(plain)
    for row, text in enumerate(texts):
        if row not in together:
            rows[row] = _describe(text)
    return rows


def _is_plain(text: str) -> bool:
    """Tell whether a text can be counted among others at once: it is read whole, in ASCII."""
    return 0 < len(text) <= _HEAD_CHARACTERS + _TAIL_CHARACTERS and text.isascii()


def _describe(text: str) -> list[float]:
    seen = both_ends(text, _HEAD_CHARACTERS, _TAIL_CHARACTERS)
    if not seen:
        return [0.0] * len(SURFACE_NAMES)
    is_plain = seen.isascii()
    if not is_plain:
        seen = unicodedata.normalize("NFKC", seen)
        is_plain = seen.isascii()
    words, n_words = _words(seen, is_plain)
    characters = _character_counts(seen, is_plain)
    counts = _pattern_counts(seen, characters)
    return [
        *_shape(text, seen, words, n_words, characters["share_digits"]),
        *_options(seen, counts[_OPTIONS_AT]),
        *counts,
        *(characters[name] / len(seen) for name in SHARES),
        *_foreign_shares(seen),
        *_listed_words(words, n_words),
    ]


def _words(seen: str, is_plain: bool) -> tuple[list[str], int]:
    """Return the words in lower case, and how many words there are of any script."""
    if is_plain:
        words = seen.encode().translate(PLAIN_WORDS).decode().split()
        return words, len(words)
    words = _WORD.findall(seen.lower())
    return words, len(words) + len(_SPACELESS.findall(seen))


def _character_counts(seen: str, is_plain: bool) -> dict[str, float]:
    if not is_plain:
        return {name: float(len(found.findall(seen))) for name, found in _CHARACTERS.items()}
    times = np.bincount(np.frombuffer(seen.encode(), dtype=np.uint8), minlength=128)
    return dict(zip(_CHARACTERS, (times @ _MATCHES).tolist(), strict=True))


def _pattern_counts(seen: str, characters: dict[str, float]) -> list[float]:
    told = seen.encode().translate(None, _NOT_TELLING).decode() if seen.isascii() else seen
    present = sum(map(_BIT.__getitem__, _TELLING.intersection(told)))
    if characters["share_digits"]:
        present |= _BIT["0"]
    counts = [characters.get(name, 0.0) for name in PATTERN_COUNTS]
    for column, one, another, pattern, hint in _LOOKED_FOR:
        if present & one and present & another and (hint is None or hint.search(seen)):
            counts[column] = float(len(pattern.findall(seen)))
    return counts


def _options(seen: str, n_options: float) -> list[float]:
    if n_options < _FEWEST_OPTIONS:
        return [0.0] * (1 + len(OPTION_NAMES))
    return [1.0, *option_features(seen)]


def _shape(text: str, seen: str, words: list[str], n_words: int, n_digits: float) -> list[float]:
    lines = seen.split("\n")
    sentence_end = _PLAIN_SENTENCE_END if seen.isascii() else _SENTENCE_END
    n_sentences = max(len(sentence_end.findall(seen)), 1)
    head = seen[:_COMPRESSED_CHARACTERS].encode("utf-8", "replace")
    lengths, n_distinct = sorted(map(len, words)), len(set(words))
    share_long = (len(lengths) - bisect_right(lengths, _LONG_WORD)) / max(n_words, 1)
    return [
        float(len(text)),
        float(n_words),
        float(len(lines)),
        float(n_sentences),
        float(len(_PARAGRAPH_END.findall(seen)) + 1 if len(lines) > 2 else 1),
        sum(lengths) / max(len(words), 1),
        n_words / n_sentences,
        float(max(map(len, lines))),
        n_distinct / max(len(words), 1),
        float(seen.rstrip().endswith(("?", "？", "؟"))),
        float(bool(words) and words[0] in _IMPERATIVES),
        len(zlib.compress(head, 1, _WINDOW)) / len(head),
        share_long,
        n_words / n_sentences + 100 * share_long,
        *_word_lengths(lengths, n_distinct),
        *_number_sizes(seen, n_digits),
    ]


def _word_lengths(lengths: list[int], n_distinct: int) -> list[float]:
    """Return the columns from longest_word to vocabulary, `lengths` ascending."""
    if not lengths:
        return [0.0] * 5
    mean = sum(lengths) / len(lengths)
    variance = sum(map(mul, lengths, lengths)) / len(lengths) - mean * mean
    return [
        float(lengths[-1]),
        bisect_right(lengths, _SHORT_WORD) / len(lengths),
        (len(lengths) - bisect_right(lengths, _VERY_LONG_WORD)) / len(lengths),
        sqrt(max(variance, 0.0)),
        n_distinct / sqrt(len(lengths)),  # Guiraud's index: words of its own, for its length
    ]


def _number_sizes(seen: str, n_digits: float) -> list[float]:
    """Return the columns from largest_number to n_large_numbers."""
    if not n_digits:
        return [0.0] * 4
    sizes = [_size(number) for number in set(PATTERN_COUNTS["n_numbers"].findall(seen))]
    n_large = sum(size >= _LARGE_NUMBER for size in sizes)
    return [max(sizes), min(sizes), float(len(sizes)), float(n_large)]


def _number_sizes_of_plain(texts: PlainTexts) -> np.ndarray:
    """Return what `_number_sizes` does, a text in each row."""
    columns = np.zeros((len(texts.texts), 4))
    begins, ends = texts.numbers
    if not len(begins):
        return columns
    written = texts.pieces(begins, ends)
    number_of = {number: at for at, number in enumerate(dict.fromkeys(written))}
    sizes = np.array(list(map(_size, number_of)))
    found = np.fromiter(map(number_of.__getitem__, written), dtype=np.intp, count=len(written))
    # Each number once a text.
    rows, found = np.divmod(np.unique(texts.rows[begins] * len(sizes) + found), len(sizes))
    sizes, starts = sizes[found], np.flatnonzero(np.diff(rows, prepend=-1))
    columns[rows[starts], 0] = np.maximum.reduceat(sizes, starts)
    columns[rows[starts], 1] = np.minimum.reduceat(sizes, starts)
    columns[:, 2] = np.bincount(rows, minlength=len(columns))
    columns[:, 3] = np.bincount(rows[sizes >= _LARGE_NUMBER], minlength=len(columns))
    return columns


@lru_cache(maxsize=512)  # most numbers are short, and the same in many texts
def _size(number: str) -> float:
    """Return a number as read in English; dots and commas that make no number are left out."""
    plain = number.replace(",", "").rstrip(".")
    if plain.count(".") > 1:
        plain = plain.replace(".", "")
    return min(float(plain), _LARGEST_NUMBER)


def _foreign_shares(seen: str) -> list[float]:
    if seen.isascii():
        return [0.0] * (len(FOREIGN_SHARES) + len(FOREIGN_COUNTS))
    shares = [len(pattern.findall(seen)) / len(seen) for pattern in FOREIGN_SHARES.values()]
    return [*shares, *(float(len(pattern.findall(seen))) for pattern in FOREIGN_COUNTS.values())]


def _listed_words(words: list[str], n_words: int) -> list[float]:
    found = [0.0] * len(WORD_LISTS)
    for word in filter(COLUMNS_OF_WORD.__contains__, words):
        for column in COLUMNS_OF_WORD[word]:
            found[column] += 1
    for column in range(len(WORD_COUNTS), len(WORD_LISTS)):
        found[column] /= max(n_words, 1)
    return found


def _describe_plain(texts: PlainTexts) -> np.ndarray:
    """Return what `_describe` does of each of many plain texts, to the last bit."""
    characters = texts.characters() @ _MATCHES
    by_name = dict(zip(_CHARACTERS, characters.T, strict=True))
    marks = mark_counts(texts)
    for name in OF_ONE_CHARACTER:
        marks[:, list(PATTERN_COUNTS).index(name)] = by_name[name]
    seen = texts.texts
    options = [_options(text, n) for text, n in zip(seen, marks[:, _OPTIONS_AT], strict=True)]
    words = PlainWords(texts)
    n_foreign = len(FOREIGN_SHARES) + len(FOREIGN_COUNTS)
    return np.column_stack(
        [
            _shape_of_plain(texts, words),
            _number_sizes_of_plain(texts),
            np.array(options),
            marks,
            *(by_name[name] / texts.lengths for name in SHARES),
            np.zeros((len(seen), n_foreign)),
            words.listed(),
        ]
    )


def _shape_of_plain(texts: PlainTexts, words: PlainWords) -> np.ndarray:
    """Return what `_shape` does, a text in each row, but for the sizes of numbers."""
    n_words, divisors, lengths = words.n_words, words.divisors, words.lengths
    n_lines = texts.count(texts.shifted(texts.mask("\n"))) + 1
    ends = texts.shifted(texts.mask(".!?")) & texts.shifted(texts.spaces_or_ends, 1)
    n_sentences = np.maximum(texts.count(ends), 1)
    paragraphs = [
        len(_PARAGRAPH_END.findall(text)) + 1 if lines > 2 else 1
        for text, lines in zip(texts.texts, n_lines, strict=True)
    ]
    heads = [text[:_COMPRESSED_CHARACTERS].encode() for text in texts.texts]
    n_distinct, share_long = words.n_distinct(), words.sums(lengths > _LONG_WORD) / divisors
    means = words.sums(lengths) / divisors
    variances = words.sums(lengths * lengths) / divisors - means * means
    return np.column_stack(
        [
            texts.lengths,
            n_words,
            n_lines,
            n_sentences,
            paragraphs,
            means,
            n_words / n_sentences,
            texts.longest_lines(),
            n_distinct / divisors,
            [text.rstrip().endswith("?") for text in texts.texts],
            words.begin_with(_IMPERATIVES),
            [len(zlib.compress(head, 1, _WINDOW)) / len(head) for head in heads],
            share_long,
            n_words / n_sentences + 100 * share_long,
            words.longest(),
            words.sums(lengths <= _SHORT_WORD) / divisors,
            words.sums(lengths > _VERY_LONG_WORD) / divisors,
            np.sqrt(np.maximum(variances, 0)),
            n_distinct / np.sqrt(divisors),
        ]
    )
