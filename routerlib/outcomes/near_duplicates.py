"""Split prompts so that near-duplicates never stand on both sides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

_SHINGLE_CHARS = 5
_HASH_BITS = 22
# Odd and without pattern, as multiplicative hashing wants it (2^64 / golden ratio).
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_PAIRS_AT_ONCE = 4096
# Letters and digits that a beginning must have to tell one text from others.
_BEGINNING_CHARS = 120
_STEM_CHARS = 40
# What more prompts than this begin with is a form that they were written in, not a shared text.
_MAX_SHARED_BEGINNING = 20
_FIRST_OPTION = re.compile(r"^[ \t]*\(?[Aa][.):][ \t]", re.MULTILINE)


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


def near_duplicate_groups(prompts: Sequence[str], threshold: float = 0.8) -> np.ndarray:
    """Group prompts that are copies, nearly so, or ask about the same text.

    Two prompts are linked when the Jaccard similarity of their sets of five-character shingles
    (lower case, white space folded) reaches the threshold; when they are the same multiple-choice
    question with other options; or when they begin with the same 120 letters and digits, as
    questions about one passage do, unless more than 20 prompts begin so, which is a form. A group
    is a connected component of links. Exact, not sampled: pairs are looked at only where they
    share one of their rarest shingles, which no pair above the threshold can avoid. Translations
    of one prompt are not found.

    Bayardo, Ma and Srikant (2007), Scaling up all pairs similarity search, WWW (prefix filter).

    `prompts` (length n_prompts): texts.
    `threshold`: jaccard similarity in (0, 1] from which two prompts count as copies.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold!r}")
    if len(prompts) == 0:
        return np.zeros(0, dtype=int)
    links = np.hstack([_similar(_shingles(prompts), threshold), _same_text(prompts)])
    return _components(links, len(prompts))


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
    return _components(np.array(links, dtype=int).reshape(-1, 2).T, len(groups))


def _components(links: np.ndarray, n_prompts: int) -> np.ndarray:
    """Return the connected component of each prompt, numbered in order of appearance.

    `links` (2, n_links): rows that belong together.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not n_prompts:
        return np.zeros(0, dtype=int)
    graph = coo_array((np.ones(links.shape[1]), tuple(links)), shape=(n_prompts, n_prompts))
    labels = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _shingles(prompts: Sequence[str]):  # type: ignore[no-untyped-def]
    """Return which hashed shingles each prompt holds, a sparse matrix of ones."""
    from scipy.sparse import csr_array

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
    cells = np.unique(row_of[:n_shingles][is_inside] << _HASH_BITS | columns[is_inside])
    rows, columns = cells >> _HASH_BITS, cells & (2**_HASH_BITS - 1)
    starts = np.searchsorted(rows, np.arange(len(texts) + 1))
    ones = np.ones(len(cells), np.float32)
    return csr_array((ones, columns, starts), shape=(len(texts), 2**_HASH_BITS))


def _similar(shingles, threshold: float) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Return the pairs of rows that reach the threshold, shape (2, n_pairs)."""
    from scipy.sparse import csr_array

    sizes = np.diff(shingles.indptr)
    row_of = np.repeat(np.arange(len(sizes)), sizes)
    frequency = np.bincount(shingles.indices, minlength=shingles.shape[1])
    order = np.lexsort((shingles.indices, frequency[shingles.indices], row_of))
    # Of two sets that alike, one of the few rarest elements of each is in both.
    n_prefix = sizes - np.ceil(threshold * sizes - 1e-9).astype(int) + 1
    rank = np.arange(len(order)) - np.repeat(shingles.indptr[:-1], sizes)
    kept = order[rank < np.repeat(n_prefix, sizes)]
    prefix = csr_array(
        (np.ones(len(kept), np.float32), (row_of[kept], shingles.indices[kept])), shingles.shape
    )
    candidates = (prefix @ prefix.T).tocoo()
    smaller = np.minimum(sizes[candidates.row], sizes[candidates.col])
    larger = np.maximum(sizes[candidates.row], sizes[candidates.col])
    is_close = (candidates.row < candidates.col) & (smaller >= threshold * larger)
    left, right = candidates.row[is_close], candidates.col[is_close]
    shared = _shared(shingles, left, right)
    jaccard = shared / (sizes[left] + sizes[right] - shared)
    return np.stack([left, right])[:, jaccard >= threshold]


def _shared(shingles, left: np.ndarray, right: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Count the shingles that pairs of rows share, a block of pairs at a time."""
    counts = np.zeros(len(left))
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        both = shingles[left[block]].multiply(shingles[right[block]])
        counts[block] = np.asarray(both.sum(axis=1)).ravel()
    return counts


def _same_text(prompts: Sequence[str]) -> np.ndarray:
    """Link prompts of the same question or the same long beginning, shape (2, n_links)."""
    by_key: dict[tuple[str, str], list[int]] = {}
    for row, text in enumerate(prompts):
        for key in _keys(text):
            by_key.setdefault(key, []).append(row)
    links = [
        (rows[0], row)
        for rows in by_key.values()
        if len(rows) <= _MAX_SHARED_BEGINNING
        for row in rows[1:]
    ]
    return np.array(links, dtype=int).reshape(-1, 2).T


def _keys(text: str) -> Iterator[tuple[str, str]]:
    letters = "".join(filter(str.isalnum, text.lower()))
    if len(letters) >= _BEGINNING_CHARS:
        yield "beginning", letters[:_BEGINNING_CHARS]
    option = _FIRST_OPTION.search(text)
    if option:
        stem = "".join(filter(str.isalnum, text[: option.start()].lower()))
        if len(stem) >= _STEM_CHARS:
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
