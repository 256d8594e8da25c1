"""Recognise prompts of one family: one template, one text with a word changed, one question."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from routerlib.outcomes.close_vectors import close_pairs
from routerlib.outcomes.masking import MIN_WORDS, Masked, masked, without_forms
from routerlib.outcomes.near_duplicates import near_duplicate_groups
from routerlib.outcomes.set_join import Keys, shared, similar_sets
from routerlib.outcomes.similar_sets import connected, merged, sets_of
from routerlib.records.brief import n_of
from routerlib.records.trajectories import spoken_text
from routerlib.weights.embedding import encode, unit_rows

_logger = logging.getLogger(__name__)

Rule = Literal["copies", "templates", "wording", "meaning"]
RULES: tuple[Rule, ...] = get_args(Rule)

# Share of words that stand in the same order in both. Two prompts of a family in each of which
# one word of fourteen was redrawn have .86 or more; of the unrelated ones in worlds of 26 words,
# none has more than .58 (benchmarks/claims/families.py).
WORDING_THRESHOLD = 0.8
# Cosine of the embeddings of the words, and the share of words that both have, in any order. In
# the same worlds no two unrelated prompts have a cosine of more than .93.
MEANING_THRESHOLD = 0.95
_SHARED_WORDS = 0.6
# A pattern that more than a fifth of the prompts follow, and more than ten, is what they are about
# and no draw among many patterns: as groups, five of them could tell nothing.
_LARGEST_SHARE, _LARGEST_SURE = 0.2, 10


class Families(NamedTuple):
    """Which prompts are of one family, and by which rule.

    `groups` (n_prompts,): numbers in order of appearance.
    `copies` (n_prompts,): the same by the first rule alone.
    `n_joined`: by how many groups each rule in turn left fewer.
    `is_in_common` (n_prompts,): whose pattern more than a fifth of all share, and so is no family.
    `approximated`: per rule that may have missed a pair, how it looked and how many it found.
    """

    groups: np.ndarray
    copies: np.ndarray
    n_joined: dict[Rule, int]
    is_in_common: np.ndarray
    approximated: dict[Rule, str]

    @property
    def n_in_common(self) -> int:
        """How many prompts share a pattern that is no family."""
        return int(self.is_in_common.sum())

    @property
    def told(self) -> str:
        """What was joined by which rule, with its threshold.

        >>> families_of(["What is 17 * 23?", "What is 4 * 39?", "Sing a song."]).told
        '2 groups of 3 prompts: 1 joined as prompts of one template (numbers and names masked)'
        """
        start = (
            f"{n_of(len(np.unique(self.groups)), 'groups')} of {n_of(len(self.groups), 'prompts')}"
        )
        joined = [f"{n} {_TOLD[rule]}" for rule, n in self.n_joined.items() if n]
        told = f"{start}: {', '.join(joined)}" if joined else start
        if not self.n_in_common:
            return told
        return (
            f"{told}; {self.n_in_common} prompts follow patterns that more than a fifth of these "
            "prompts share: that is what they are about here and joins none, among more prompts "
            "of other kinds it would (name a `group` to say which hang together)"
        )


_TOLD: dict[Rule, str] = {
    "copies": "joined as near-copies",
    "templates": "joined as prompts of one template (numbers and names masked)",
    "wording": f"by wording (at least {100 * WORDING_THRESHOLD:.0f} % of the words, in order)",
    "meaning": f"by meaning (cosine at least {MEANING_THRESHOLD})",
}


def families_of(prompts: Sequence[str]) -> Families:
    """Group prompts that were made from one another, or from one pattern.

    Four rules, one after the other. *copies*: `near_duplicate_groups`. *templates*: equal once
    numbers and names are masked. *wording*: more than 80 % of the words, numbers and names left
    out, stand in both in the same order (length of the longest common subsequence, times two, by
    the number of words). *meaning*: the embedded words have a cosine of at least 0.95, and at least
    60 % of them are the same, in whichever order. Instructions and examples that more than 20
    prompts begin with are not compared. What more than a fifth of all prompts (and more than 10)
    would be joined into is what they are about, and no family.

    `prompts` (length n_prompts): texts.
    """
    told: dict[Rule, list[str]] = {rule: [] for rule in RULES}
    groups = copies = near_duplicate_groups(prompts, told=told["copies"])
    n_joined: dict[Rule, int] = {"copies": len(prompts) - len(np.unique(groups))}
    prompts = list(map(spoken_text, prompts))
    texts = [masked(text) for text in prompts]
    wordings = [
        whole if rest is text else masked(rest)
        for whole, text, rest in zip(texts, prompts, without_forms(prompts), strict=True)
    ]
    asked = _Asked.of(each.words for each in wordings)
    found = {
        "templates": _equal(texts),
        "wording": asked.spread(asked.by_wording(told["wording"])),
        "meaning": asked.spread(asked.by_meaning(told["meaning"])),
    }
    is_in_common = np.zeros(len(prompts), dtype=bool)
    for rule in RULES[1:]:
        is_form = _is_large(found[rule])
        wider = merged(groups, _apart(found[rule], is_form))
        n_joined[rule] = len(np.unique(groups)) - len(np.unique(wider))
        groups, is_in_common = wider, is_in_common | is_form
    approximated = {rule: " ".join(lines) for rule, lines in told.items() if lines}
    if approximated:
        _logger.warning("near-duplicates of %d prompts: %s", len(prompts), _in_words(approximated))
    return Families(groups, copies, n_joined, is_in_common, approximated)


def _in_words(approximated: Mapping[Rule, str]) -> str:
    """Say how pairs were looked for, of rules that say the same once.

    >>> _in_words({"copies": "looked for by hashing", "wording": "looked for by hashing"})
    'copies and wording looked for by hashing'
    """
    rules: dict[str, list[str]] = {}
    for rule, how in approximated.items():
        rules.setdefault(how, []).append(rule)
    return "; ".join(f"{' and '.join(names)} {how}" for how, names in rules.items())


def _equal(texts: Sequence[Masked]) -> np.ndarray:
    """Join what is equal once masked; what is too short for a template is alone."""
    first: dict[str, int] = {}
    return np.array(
        [
            first.setdefault(each.text, row) if each.is_template else row
            for row, each in enumerate(texts)
        ],
        dtype=int,
    )


def _is_large(groups: np.ndarray) -> np.ndarray:
    """Return which prompts are of a group that a large part of all are of."""
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(sizes[group_of] > max(_LARGEST_SURE, _LARGEST_SHARE * len(groups)))


def _apart(groups: np.ndarray, is_form: np.ndarray) -> np.ndarray:
    """Take some prompts out of their groups, each alone."""
    alone = groups.max(initial=0) + 1 + np.arange(len(groups))
    return np.where(is_form, alone, groups)


class _Asked(NamedTuple):
    """Distinct wordings that are long enough to be compared.

    `at` (n_prompts,): which one each prompt has, -1 = none.
    `words`: numbers of the words of each, one after the other.
    `row_of` (n_words,): whose they are.
    `sets`: sparse (n_wordings, n_elements); the second time a word stands is another element.
    """

    wordings: list[tuple[str, ...]]
    at: np.ndarray
    words: np.ndarray
    row_of: np.ndarray
    sets: Any

    @classmethod
    def of(cls, words: Iterable[Sequence[str]]) -> _Asked:
        numbers: dict[tuple[str, ...], int] = {}
        at = [
            # Of a word that many hold there is one in memory.
            numbers.setdefault(tuple(map(sys.intern, each)), len(numbers))
            if len(each) >= MIN_WORDS
            else -1
            for each in words
        ]
        wordings = list(numbers)
        known: dict[str, int] = {}
        held = [known.setdefault(word, len(known)) for each in wordings for word in each]
        row_of = np.repeat(np.arange(len(wordings)), [len(each) for each in wordings])
        ids = np.array(held, dtype=np.int64)
        sets = _counted(row_of, ids, len(wordings))
        return cls(wordings, np.array(at, dtype=int), ids, row_of, sets)

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.sets.indptr)

    def spread(self, groups: np.ndarray) -> np.ndarray:
        """Return groups of prompts from those of wordings; prompts without one are alone."""
        alone = len(groups) + np.arange(len(self.at))
        return np.where(self.at < 0, alone, groups[self.at] if len(groups) else alone)

    def by_wording(self, told: list[str]) -> np.ndarray:
        """Join what has most words in the same order; then most words are shared, too."""
        threshold = WORDING_THRESHOLD / (2 - WORDING_THRESHOLD)
        pairs = similar_sets(self.sets, threshold, self._neighbouring_words(threshold), told)
        return connected(pairs, len(self.wordings), self._in_order)

    def _neighbouring_words(self, threshold: float) -> Keys:
        """Return the pairs of words that stand side by side, and how many wordings alike share.

        Of n words of both, n WORDING_THRESHOLD / 2 = m are matched in order. Each of the n - 2 m
        others parts at most one pair of neighbours: m - 1 - (n - 2 m) are side by side in both.
        """
        is_pair = self.row_of[1:] == self.row_of[:-1]
        pairs = self.words[:-1] * (self.words.max(initial=0) + 1) + self.words[1:]
        numbers = np.unique(pairs[is_pair], return_inverse=True)[1].ravel()
        elements = _counted(self.row_of[1:][is_pair], numbers, len(self.wordings))
        n_words = self.sizes + np.stack([np.ceil(threshold * self.sizes - 1e-9), self.sizes])
        least = (1.5 * WORDING_THRESHOLD - 1) * n_words - 1
        larger, smaller = np.maximum(np.ceil(least - 1e-9), 1).astype(int)
        # Where wordings share so few of them, a pair is found by two hashes of 100.
        return Keys(elements, larger, smaller, band_rows=2)

    def _in_order(self, pairs: np.ndarray) -> np.ndarray:
        masks: dict[int, dict[str, int]] = {}
        found = []
        for left, right in pairs.T.tolist():
            one, other = self.wordings[left], self.wordings[right]
            if left not in masks:
                masks = {left: _places(one)}
            common = _longest_common(masks[left], len(one), other)
            found.append(2 * common >= WORDING_THRESHOLD * (len(one) + len(other)))
        return np.array(found, dtype=bool)

    def by_meaning(self, told: list[str]) -> np.ndarray:
        """Join what the embedding puts into nearly one place."""
        return connected(self._close(told), len(self.wordings), self._of_the_same_words)

    def _close(self, told: list[str]) -> Iterator[np.ndarray]:
        if not self.wordings:
            return iter(())
        units = unit_rows(encode([" ".join(each) for each in self.wordings]).vectors)
        return close_pairs(units, MEANING_THRESHOLD, told)

    def _of_the_same_words(self, pairs: np.ndarray) -> np.ndarray:
        left, right = pairs
        n_words = self.sizes[left] + self.sizes[right]
        return 2 * shared(self.sets, left, right) >= _SHARED_WORDS * n_words


def _counted(rows: np.ndarray, values: np.ndarray, n_rows: int) -> Any:
    """Return which values each row holds; its second one of a kind is another element.

    `rows, values` (n_cells,): rows ascending; values from 0 on, of which most are there.
    """
    n_values = int(values.max(initial=0)) + 1
    cells = rows * n_values + values
    cells.sort()  # rows are in order already: each keeps its place
    values = cells - rows * n_values
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    times = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    # Elements in the order of their values, as many of each as some row has.
    n_kinds = np.zeros(n_values, dtype=np.int64)
    n_kinds[values] = 1
    again = np.flatnonzero(times)
    np.maximum.at(n_kinds, values[again], times[again] + 1)
    first = np.cumsum(n_kinds) - n_kinds
    return sets_of(rows, first[values] + times, (n_rows, max(int(n_kinds.sum()), 1)))


def _places(words: Sequence[str]) -> dict[str, int]:
    """Return per word the bits of its places."""
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    return places


def _longest_common(places: dict[str, int], n_words: int, other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a word of the other at a time.

    Hyyrö (2004), Bit-parallel LCS-length computation revisited.
    """
    every = (1 << n_words) - 1
    unmatched = every
    for word in other:
        here = unmatched & places.get(word, 0)
        unmatched = (unmatched + here | unmatched - here) & every
    return n_words - unmatched.bit_count()
