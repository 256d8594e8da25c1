"""Split prompts so that near-duplicates never stand on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from routerlib.outcomes.masking import (
    BEGINNING_CHARS,
    FIRST_OPTION,
    MAX_SHARED_BEGINNING,
    STEM_CHARS,
    letters_of,
    without_forms,
)
from routerlib.outcomes.set_join import similar_sets
from routerlib.outcomes.similar_sets import components, connected, merged
from routerlib.records.trajectories import spoken_text

_SHINGLE_CHARS = 5
_HASH_BITS = 22
_PROMPTS_AT_ONCE = 256
# Odd and without pattern, as multiplicative hashing wants it (2^64 / golden ratio).
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class GroupStatistics(NamedTuple):
    """How many near-duplicates some prompts hold.

    `n_copied`: prompts that have at least one near-duplicate.
    """

    n_prompts: int
    n_groups: int
    n_copied: int
    largest: int


def group_statistics(groups: np.ndarray) -> GroupStatistics:
    """Count near-duplicates.

    `groups` (n_prompts,): as of `near_duplicate_groups`.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    copied = sizes[sizes > 1]
    return GroupStatistics(len(groups), len(sizes), int(copied.sum()), int(max(sizes, default=0)))


def near_duplicate_groups(
    prompts: Sequence[str], threshold: float = 0.8, told: list[str] | None = None
) -> np.ndarray:
    """Group prompts that are copies, nearly so, or ask about the same text.

    Two prompts are linked when the Jaccard similarity of their sets of five-character shingles
    (lower case, white space folded) reaches the threshold; when they are the same multiple-choice
    question with other options; or when they begin with the same 120 letters and digits, as
    questions about one passage do, unless more than 20 prompts begin so, which is a form and
    isn't compared. A group is a connected component of links. Exact up to 100,000 prompts, and
    of more where their rare shingles stay rare; otherwise a pair may be missed, and how many were
    is measured (`similar_sets`). Translations of one prompt are not found.

    `prompts` (length n_prompts): texts.
    `threshold`: jaccard similarity in (0, 1] from which two prompts count as copies.
    `told`: as of `similar_sets`.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold!r}")
    if len(prompts) == 0:
        return np.zeros(0, dtype=int)
    prompts = list(map(spoken_text, prompts))
    shingles = _shingles(without_forms(prompts))
    alike = connected(similar_sets(shingles, threshold, told=told), len(prompts))
    return merged(alike, components(_same_text(prompts), len(prompts)))


def joined(groups: np.ndarray, group_ids: Sequence[str | None] | None) -> np.ndarray:
    """Join groups that share a group's name, in order of appearance.

    `groups` (n_prompts,): as of `near_duplicate_groups`.
    `group_ids` (length n_prompts): what each prompt belongs to; None = to nothing of a name.
    """
    if group_ids is None:
        return groups
    first_of_name: dict[str, int] = {}
    first_of_group: dict[int, int] = {}
    links = []
    for row, (group, name) in enumerate(zip(groups.tolist(), group_ids, strict=True)):
        links.append((first_of_group.setdefault(group, row), row))
        if name is not None:
            links.append((first_of_name.setdefault(name, row), row))
    return components(np.array(links, dtype=int).reshape(-1, 2).T, len(groups))


def _shingles(prompts: Sequence[str]) -> Any:
    """Return which hashed shingles each prompt holds, a sparse matrix of ones."""
    from scipy.sparse import csr_array

    blocks = [
        _cells(prompts[start : start + _PROMPTS_AT_ONCE])
        for start in range(0, len(prompts), _PROMPTS_AT_ONCE)
    ]
    columns = np.concatenate([columns for columns, _ in blocks])
    starts = np.concatenate([[0], np.cumsum(np.concatenate([sizes for _, sizes in blocks]))])
    del blocks
    ones = np.ones(len(columns), np.int8)
    return csr_array((ones, columns, starts), shape=(len(prompts), 2**_HASH_BITS))


def _cells(prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashed shingles of some prompts, one after the other, and how many each has."""
    texts = [" ".join(text.lower().split()).ljust(_SHINGLE_CHARS) for text in prompts]
    characters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4")
    n_shingles = len(characters) - _SHINGLE_CHARS + 1
    hashed = np.zeros(n_shingles, dtype=np.uint64)
    for offset in range(_SHINGLE_CHARS):
        hashed = hashed * _HASH_FACTOR + characters[offset : offset + n_shingles]
    # The upper bits of the product depend on all five characters.
    columns = (hashed * _HASH_FACTOR >> np.uint64(64 - _HASH_BITS)).astype(np.int64)
    row_of = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    is_inside = row_of[:n_shingles] == row_of[_SHINGLE_CHARS - 1 :]
    cells = row_of[:n_shingles][is_inside] << _HASH_BITS | columns[is_inside]
    cells.sort()  # and each once: numpy's own way goes through a hash table, in twice the time
    cells = cells[np.flatnonzero(np.diff(cells, prepend=-1))]
    sizes = np.bincount(cells >> _HASH_BITS, minlength=len(texts))
    return (cells & (2**_HASH_BITS - 1)).astype(np.int32), sizes


def _same_text(prompts: Sequence[str]) -> np.ndarray:
    """Link prompts of the same question or the same long beginning, shape (2, n_links)."""
    by_key: dict[tuple[str, str], list[int]] = {}
    for row, text in enumerate(prompts):
        for key in _keys(text):
            by_key.setdefault(key, []).append(row)
    links = [
        (rows[0], row)
        for rows in by_key.values()
        if len(rows) <= MAX_SHARED_BEGINNING
        for row in rows[1:]
    ]
    return np.array(links, dtype=int).reshape(-1, 2).T


def _keys(text: str) -> Iterator[tuple[str, str]]:
    letters = letters_of(text)
    if len(letters) >= BEGINNING_CHARS:
        yield "beginning", letters[:BEGINNING_CHARS]
    option = FIRST_OPTION.search(text)
    if option:
        stem = letters_of(text[: option.start()])
        if len(stem) >= STEM_CHARS:
            yield "question", stem


def grouped_folds(groups: np.ndarray, n_folds: int, random_state: int = 0) -> np.ndarray:
    """Deal whole groups into folds of nearly equal size.

    `groups` (n_prompts,): group numbers as of `near_duplicate_groups`.
    `n_folds`: number of folds, at least 2 and at most the number of groups.
    """
    groups = np.asarray(groups)
    names, sizes = np.unique(groups, return_counts=True)
    if not 2 <= n_folds <= len(names):
        raise ValueError(
            f"n_folds must lie between 2 and the {len(names)} groups of distinct prompts, "
            f"got {n_folds!r}; add prompts or use fewer folds"
        )
    shuffled = np.random.default_rng(random_state).permutation(len(names))
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    filled = np.zeros(n_folds, dtype=int)
    fold_of_group = np.empty(len(names), dtype=int)
    for group in largest_first:
        fold_of_group[group] = np.argmin(filled)
        filled[fold_of_group[group]] += sizes[group]
    return fold_of_group[np.searchsorted(names, groups)]
