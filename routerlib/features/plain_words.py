"""The words of many plain texts, counted all at once."""

from __future__ import annotations

from itertools import repeat

import numpy as np

from routerlib.features.plain_texts import PlainTexts
from routerlib.features.vocabulary import COLUMNS_OF_WORD, WORD_COUNTS, WORD_LISTS

# Row of each listed word in what tells the lists that hold it.
_LISTED_AT = {word: at for at, word in enumerate(COLUMNS_OF_WORD)}
_IS_LISTED = np.zeros((len(_LISTED_AT), len(WORD_LISTS)), dtype=bool)
for _word, _columns in COLUMNS_OF_WORD.items():
    _IS_LISTED[_LISTED_AT[_word], _columns] = True


class PlainWords:
    """The words of many plain texts."""

    def __init__(self, texts: PlainTexts) -> None:
        begins, ends = texts.runs(texts.alphanumeric)
        self.rows, self.lengths = texts.rows[begins], ends - begins
        self.n_texts = len(texts.texts)
        self.firsts = np.flatnonzero(np.diff(self.rows, prepend=-1))
        self.n_words = np.bincount(self.rows, minlength=self.n_texts)
        self.divisors = np.maximum(self.n_words, 1)
        # Words by number, each number once.
        self.number_of = {word: at for at, word in enumerate(dict.fromkeys(texts.words))}
        found = map(self.number_of.__getitem__, texts.words)
        self.numbers = np.fromiter(found, dtype=np.intp, count=len(texts.words))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the words of each text of numbers, shape (n_words,)."""
        return np.bincount(self.rows, weights=values, minlength=self.n_texts)

    def n_distinct(self) -> np.ndarray:
        """Return how many different words each text has."""
        pairs = np.sort(self.rows * len(self.number_of) + self.numbers)
        firsts = pairs[np.flatnonzero(np.diff(pairs, prepend=-1))]
        return np.bincount(firsts // max(len(self.number_of), 1), minlength=self.n_texts)

    def begin_with(self, words: frozenset[str]) -> np.ndarray:
        """Return in which texts the first word is one of some, as 0 or 1."""
        wanted = [self.number_of[word] for word in words & self.number_of.keys()]
        begun = np.zeros(self.n_texts)
        begun[self.rows[self.firsts]] = np.isin(self.numbers[self.firsts], wanted)
        return begun

    def longest(self) -> np.ndarray:
        """Return the length of the longest word of each text, 0 where there is none."""
        longest = np.zeros(self.n_texts)
        if len(self.firsts):
            longest[self.rows[self.firsts]] = np.maximum.reduceat(self.lengths, self.firsts)
        return longest

    def listed(self) -> np.ndarray:
        """Return how often each text has a word of each of `WORD_LISTS`, of some as a share."""
        known = map(_LISTED_AT.get, self.number_of, repeat(len(_LISTED_AT)))
        listed = np.fromiter(known, dtype=np.intp, count=len(self.number_of))[self.numbers]
        places = np.flatnonzero(listed < len(_LISTED_AT))
        words, columns = np.nonzero(_IS_LISTED[listed[places]])
        cells = self.rows[places[words]] * len(WORD_LISTS) + columns
        found = np.bincount(cells, minlength=self.n_texts * len(WORD_LISTS))
        found = found.reshape(self.n_texts, -1)
        shares = found[:, len(WORD_COUNTS) :] / self.divisors[:, np.newaxis]
        return np.hstack([found[:, : len(WORD_COUNTS)], shares])
