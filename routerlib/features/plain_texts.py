"""Many texts in ASCII as one row of bytes, so that what stands in them is counted all at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np

# Stands between texts: no sign of ASCII, and as wide as any mark looks ahead or back.
_BETWEEN = b"\xff" * 8
_WIDTH = len(_BETWEEN)
# Characters that no word of a plain text holds become spaces, letters become small.
PLAIN_WORDS = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() else ord(" ") for code in range(128)
).ljust(256)


class PlainTexts:
    """Texts in ASCII, none of them empty.

    A mask tells of each byte whether it is wanted; `shifted` asks it of the bytes before or behind.

    >>> texts = PlainTexts(["Is 2 > 1?", "No."])
    >>> texts.count(texts.shifted(texts.mask("0123456789"))), texts.words
    (array([2, 0]), ['is', '2', '1', 'no'])
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.lengths = np.fromiter(map(len, texts), dtype=np.intp, count=len(texts))
        joined = _BETWEEN.join([b"", *map(str.encode, texts), _BETWEEN])
        self.words = joined.translate(PLAIN_WORDS).decode().split()
        self._joined = joined.decode("latin-1")
        self._bytes = np.frombuffer(joined, dtype=np.uint8)
        # Text of each byte; those behind a text count to it.
        self.rows = np.repeat(np.arange(len(texts)), self.lengths + _WIDTH)
        self.starts = np.cumsum(self.lengths + _WIDTH) - self.lengths - _WIDTH
        alone = self.mask("\xff")
        self.digits, self.capitals = self.between("0", "9"), self.between("A", "Z")
        self.small = self.between("a", "z")
        self.letters = self.capitals | self.small
        self.alphanumeric = self.letters | self.digits
        self.in_word = self.alphanumeric | self.mask("_")
        self.spaces = self.between("\t", "\r") | self.between("\x1c", " ")
        self.spaces_or_ends = self.spaces | alone

    def mask(self, signs: str) -> np.ndarray:
        """Return which bytes are one of some signs."""
        found = self._bytes == ord(signs[0])
        for sign in signs[1:]:
            found |= self._bytes == ord(sign)
        return found

    def between(self, first: str, last: str) -> np.ndarray:
        """Return which bytes are a sign from the first to the last."""
        return (self._bytes - np.uint8(ord(first))) <= ord(last) - ord(first)

    def shifted(self, mask: np.ndarray, by: int = 0) -> np.ndarray:
        """Return of each byte of the texts what a mask says of the one so many places behind."""
        return mask[_WIDTH + by : len(mask) - _WIDTH + by]

    def leads_to(self, places: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return of some places whether a wanted byte follows, after spaces or at once."""
        others = np.flatnonzero(~self.spaces)  # so that a long row of spaces is passed in one step
        return mask[others[others.searchsorted(places + _WIDTH + 1)]]

    def count(self, found: np.ndarray) -> np.ndarray:
        """Return how many bytes of each text are found, by a shifted mask or by their places."""
        places = np.flatnonzero(found) if found.dtype == bool else found
        return np.bincount(self.rows[places], minlength=len(self.texts))

    def with_any(self, found: np.ndarray) -> np.ndarray:
        """Return the texts in which a shifted mask finds something."""
        return np.flatnonzero(self.count(found))

    def characters(self) -> np.ndarray:
        """Return how often each text has each character, shape (n_texts, 128)."""
        shown = self._bytes[_WIDTH:-_WIDTH].astype(np.intp)
        cells = np.bincount(self.rows * 256 + shown, minlength=256 * len(self.texts))
        return cells.reshape(-1, 256)[:, :128]

    def runs(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where each run of wanted bytes begins, and where it has ended."""
        here = self.shifted(mask)
        begins = np.flatnonzero(here & ~self.shifted(mask, -1))
        return begins, np.flatnonzero(here & ~self.shifted(mask, 1)) + 1

    @cached_property
    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each number begins: at a digit; and ends: behind further digits, dots, commas."""
        begins, ends = self.runs(self.digits | self.mask(".,"))
        digits = np.append(np.flatnonzero(self.shifted(self.digits)), len(self.rows))
        begins = digits[digits.searchsorted(begins)]
        has_digit = begins < ends
        return begins[has_digit], ends[has_digit]

    def pieces(self, begins: np.ndarray, ends: np.ndarray) -> list[str]:
        """Return what stands from some places to others."""
        places = zip((begins + _WIDTH).tolist(), (ends + _WIDTH).tolist(), strict=True)
        return [self._joined[begin:end] for begin, end in places]

    def matched(self, places: np.ndarray, pattern: re.Pattern[str]) -> np.ndarray:
        """Return those of some places at which a pattern matches the text."""
        rows = self.rows[places]
        within = zip(rows.tolist(), (places - self.starts[rows]).tolist(), strict=True)
        is_match = [pattern.match(self.texts[row], at) is not None for row, at in within]
        return places[np.array(is_match, dtype=bool)]

    def longest_lines(self) -> np.ndarray:
        """Return the length of the longest line of each text."""
        breaks = np.flatnonzero(self.shifted(self.mask("\n")))
        ends = np.sort(np.concatenate([breaks, self.starts + self.lengths]))
        rows = self.rows[ends]
        begins = np.maximum(np.concatenate([[0], ends[:-1] + 1]), self.starts[rows])
        longest = np.zeros(len(self.texts), dtype=np.intp)
        np.maximum.at(longest, rows, ends - begins)
        return longest
