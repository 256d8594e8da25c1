"""Find the pairs of sets that are much alike, at a cost that stays near the number of sets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

_logger = logging.getLogger(__name__)

# Up to so many sets every pair above the threshold is found for sure.
EXACT_UP_TO = 100_000
# Of more sets as well, where not more than so many others stand beside the rare elements of each.
_MOST_LOOKED_UP = 5_000
# Rare elements that are looked up at once, rows that are prepared at once, and pairs that are
# looked at closely at once.
_LOOKED_UP_AT_ONCE = 1 << 23
_ROWS_IN_MEMORY = 4096
_PAIRS_AT_ONCE = 4096
# Of the rare elements similar sets share so many, where a fourth of what they share is no less.
_MOST_SHARED, _PART_SHARED = 6, 4
# Odd and without pattern, as multiplicative hashing wants it (2^64 / golden ratio).
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
# Elements are numbered anew where there are so many times more numbers than cells.
_WIDE = 8
# A set's bitmap has 16 words of 64 bits.
_WORDS = 16
# In 20 bands of 5: at a similarity of .8 all bands miss a pair with probability (1 - .8^5)^20 =
# .0004, at .2 some band finds it with .006.
_N_HASHES, _BAND_ROWS = 100, 5
# Of more sets than this in one bucket, each is compared with so many that follow it.
_BUCKET_WINDOW = 64
# Sets whose partners are looked for exactly as well, to measure what was missed.
_N_MEASURED = 2000


class Keys(NamedTuple):
    """What similar rows share some of, where it tells them apart better than their sets.

    `elements`: sparse (n_rows, n_elements) of ones.
    `with_smaller, with_larger` (n_rows,): how many a row shares at least with any similar one that
        is no larger, or no smaller; at least 1 where a row has any.
    `band_rows`: hashes of a band; fewer find pairs that share a smaller part.
    """

    elements: Any
    with_smaller: np.ndarray
    with_larger: np.ndarray
    band_rows: int = _BAND_ROWS

    @classmethod
    def of(cls, sets: Any, threshold: float) -> Keys:
        """Take the elements themselves: a larger row's share is its own part of what both have."""
        sizes = np.diff(sets.indptr)
        shares = (threshold, 2 * threshold / (1 + threshold))
        return cls(sets, *(np.ceil(share * sizes - 1e-9).astype(int) for share in shares))

    def take(self, rows: np.ndarray) -> Keys:
        """Return the keys of some rows."""
        least = self.with_smaller[rows], self.with_larger[rows]
        return Keys(self.elements[rows], *least, self.band_rows)


def similar_sets(
    sets: Any, threshold: float, keys: Keys | None = None, told: list[str] | None = None
) -> Iterator[np.ndarray]:
    """Yield the pairs of rows whose Jaccard similarity reaches a threshold, shape (2, n_pairs).

    Exact up to 100,000 rows, and of more wherever their rarest elements stay rare. Pairs are looked
    at only where they share some of these, up to six, which no pair above the threshold can avoid,
    of the smaller set fewer; where their sizes allow it; and where bitmaps of the two differ in few
    enough bits, which is a lower bound of what only one of them has. Otherwise MinHash and
    locality-sensitive hashing propose the pairs, each of which is verified; how many are missed is
    measured on 2,000 rows and told.

    Bayardo, Ma and Srikant (2007), Scaling up all pairs similarity search, WWW (prefix filter).
    Xiao, Wang, Lin and Yu (2008), Efficient similarity joins for near duplicate detection, WWW
    (shorter prefix of the smaller set). Wang, Li and Feng (2012), Can we beat the prefix
    filtering?, SIGMOD (longer prefixes of which more must be shared). Sandes, Teodoro and Melo
    (2020), Bitmap filter, Information Systems 88. Broder (1997), On the resemblance and containment
    of documents (MinHash).

    `sets` (n_rows, n_elements): sparse rows of ones, each element once.
    `threshold`: in (0, 1].
    `keys`: what pairs are proposed by; only pairs that share as many as it says are found. None =
        the elements.
    `told`: gets a line once all pairs are yielded, where hashing proposed them; None = it is
        logged.

    >>> from scipy.sparse import csr_array
    >>> sets = csr_array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 1]])
    >>> [pairs.T.tolist() for pairs in similar_sets(sets, 0.8)]
    [[[0, 1]]]
    """
    order = np.argsort(np.diff(sets.indptr), kind="stable")
    # In that order only, from here on: of many sets a second copy would be the most that is held.
    sets, keys = sets[order], None if keys is None else keys.take(order)
    join = _Join.of(sets, order, threshold, Keys.of(sets, threshold) if keys is None else keys)
    del sets, keys
    if join.n_rows <= EXACT_UP_TO or join.n_looked_up.sum() <= _MOST_LOOKED_UP * join.n_rows:
        for rows in join.blocks(np.arange(join.n_rows)):
            yield join.verified(*join.sharing(rows))
    else:
        yield from _found_by_hashing(join, told)


class _Join(NamedTuple):
    """Sets in the order of their sizes, and what pairs are sought and filtered by.

    `order` (n_rows,): row of the caller's matrix.
    `sizes` (n_rows,): ascending.
    `keys`: in the same order.
    `probes`: sparse (n_rows, n_rare); the rarest keys with which a row looks for smaller ones.
    `index`: sparse (n_rows, n_rare); those by which a row is found by a larger one.
    `bitmaps` (n_rows, 16): of each set, 64 bits a word.
    """

    sets: Any
    threshold: float
    order: np.ndarray
    sizes: np.ndarray
    keys: Keys
    probes: Any
    index: Any
    bitmaps: np.ndarray

    @classmethod
    def of(cls, sets: Any, order: np.ndarray, threshold: float, keys: Keys) -> _Join:
        """Prepare sets that were put in an order already."""
        sizes = np.diff(sets.indptr)
        return cls(sets, threshold, order, sizes, keys, *_rarest(keys), _bitmaps(sets))

    @property
    def n_rows(self) -> int:
        return len(self.sizes)

    @property
    def n_looked_up(self) -> np.ndarray:
        """How many rows stand beside the rare keys of each, counted once for each key."""
        often = np.bincount(self.index.indices, minlength=self.index.shape[1])
        before = np.concatenate([[0], np.cumsum(often[self.probes.indices])])
        return np.diff(before[self.probes.indptr])

    def blocks(self, rows: np.ndarray) -> list[np.ndarray]:
        """Part ascending rows so that each part looks up about as much."""
        work = np.cumsum(self.n_looked_up[rows])
        return np.split(rows, np.flatnonzero(np.diff(work // _LOOKED_UP_AT_ONCE)) + 1)

    def sharing(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of ascending rows with smaller ones that share enough rare keys."""
        if len(rows) == 0:
            return rows, rows
        first = int(np.searchsorted(self.sizes, self.threshold * self.sizes[rows[0]] - 1e-9))
        found = self.probes[rows] @ self.index[first : rows[-1] + 1].T.tocsr()
        sought = _n_sought(self.keys.with_smaller), _n_sought(self.keys.with_larger)
        # Most share fewer than any pair here must.
        fewest = min(sought[0][rows].min(), sought[1][first : rows[-1] + 1].min())
        at = np.flatnonzero(found.data >= fewest)
        larger = rows[np.searchsorted(found.indptr, at, side="right") - 1]
        smaller = found.indices[at] + first
        least = np.minimum(sought[0][larger], sought[1][smaller])
        is_pair = (smaller < larger) & (found.data[at] >= least)
        return larger[is_pair], smaller[is_pair]

    def verified(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return those pairs that reach the threshold, as rows of the caller's matrix."""
        kept = [self._alike(one[part], other[part]) for part in _parts(len(one), 1 << 16)]
        pairs = self.order[np.hstack([np.zeros((2, 0), dtype=int), *kept])]
        return np.sort(pairs, axis=0)

    def _alike(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        small, large = np.minimum(one, other), np.maximum(one, other)  # rows are in order of size
        is_close = self.sizes[small] >= self.threshold * self.sizes[large] - 1e-9
        small, large = small[is_close], large[is_close]
        both = self.sizes[small] + self.sizes[large]
        least = np.ceil(self.threshold / (1 + self.threshold) * both - 1e-9)
        differing = np.bitwise_count(self.bitmaps[small] ^ self.bitmaps[large]).sum(axis=1)
        is_close = differing <= both - 2 * least
        small, large, both = small[is_close], large[is_close], both[is_close]
        n_shared = shared(self.sets, small, large)
        with np.errstate(invalid="ignore"):  # two empty sets are alike in nothing
            is_alike = n_shared / (both - n_shared) >= self.threshold
        return np.stack([small, large])[:, is_alike]


def shared(sets: Any, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Count the elements that pairs of rows share, a block of pairs at a time.

    `left, right` (n_pairs,): rows.
    """
    counts = np.zeros(len(left))
    for part in _parts(len(left), _PAIRS_AT_ONCE):
        both = sets[left[part]].multiply(sets[right[part]])
        counts[part] = np.asarray(both.sum(axis=1)).ravel()
    return counts


def _parts(n: int, n_at_once: int) -> Iterator[slice]:
    return (slice(start, start + n_at_once) for start in range(0, n, n_at_once))


def _n_sought(least: np.ndarray) -> np.ndarray:
    """Return how many rare keys a row and any similar one share, where all they share is known."""
    return np.clip(-(-least // _PART_SHARED), 1, _MOST_SHARED)


def _rarest(keys: Keys) -> tuple[Any, Any]:
    """Keep of each row so many of its rarest keys that a similar one has enough of them.

    A smaller row needs fewer than a larger one: what they must share is more of it. Of what both
    share, sorted by rarity, the first few have so much after them in both rows that they can't
    stand further behind.
    """
    from scipy.sparse import csr_array

    elements = _narrowed(keys.elements)
    frequency = np.bincount(elements.indices, minlength=elements.shape[1])
    place = np.empty(elements.shape[1], dtype=np.int64)
    place[np.argsort(frequency, kind="stable")] = np.arange(elements.shape[1])
    cells: tuple[list, list] = ([], [])
    for part in _parts(elements.shape[0], _ROWS_IN_MEMORY):
        block = elements[part]
        sizes = np.diff(block.indptr)
        row_of = np.repeat(np.arange(len(sizes)), sizes)
        by_rarity = block.indices[np.argsort(row_of * elements.shape[1] + place[block.indices])]
        rank = np.arange(len(by_rarity)) - np.repeat(block.indptr[:-1], sizes)
        for least, kept in zip((keys.with_smaller, keys.with_larger), cells, strict=True):
            n_kept = sizes - least[part] + _n_sought(least[part])
            at = np.flatnonzero(rank < np.repeat(n_kept, sizes))
            kept.append(np.stack([row_of[at] + part.start, by_rarity[at]]).astype(np.int32))
    found = []
    for kept in cells:
        found.append(np.hstack([np.zeros((2, 0), dtype=np.int32), *kept]))
        kept.clear()
    # An element that one side never looks for, or that stands in one row only, finds nothing.
    counts = [np.bincount(rare, minlength=elements.shape[1]) for _, rare in found]
    is_used = (counts[0] > 1) & (counts[1] > 0)
    column_of = np.cumsum(is_used) - 1
    matrices = []
    for rows, rare in found:
        at = np.flatnonzero(is_used[rare])
        places = (rows[at], column_of[rare[at]])
        shape = (elements.shape[0], max(int(is_used.sum()), 1))
        matrices.append(csr_array((np.ones(len(at), np.float32), places), shape))
    return matrices[0], matrices[1]


def _narrowed(sets: Any) -> Any:
    """Leave out the elements that no set holds, where that is quicker than to count them all."""
    from scipy.sparse import csr_array

    if sets.nnz * _WIDE > sets.shape[1]:
        return sets
    names, indices = np.unique(sets.indices, return_inverse=True)
    shape = (sets.shape[0], max(len(names), 1))
    return csr_array((sets.data, indices.ravel(), sets.indptr), shape)


def _bitmaps(sets: Any) -> np.ndarray:
    """Set for each element one of 1,024 bits, or clear it where another element set it before.

    Two bitmaps differ in no more bits than the number of elements that only one of the sets has.
    """
    bitmaps = np.zeros((sets.shape[0], _WORDS), np.uint64)
    for part in _parts(sets.shape[0], _ROWS_IN_MEMORY):
        block = sets[part]
        hashed = (block.indices.astype(np.uint64) * _HASH_FACTOR) >> np.uint64(54)
        word, bit = hashed >> np.uint64(6), np.uint64(1) << (hashed & np.uint64(63))
        row_of = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)) + part.start
        for number in range(_WORDS):
            at = np.flatnonzero(word == number)
            if len(at):
                starts = np.flatnonzero(np.diff(row_of[at], prepend=-1))
                bitmaps[row_of[at[starts]], number] = np.bitwise_xor.reduceat(bit[at], starts)
    return bitmaps


def _found_by_hashing(join: _Join, told: list[str] | None) -> Iterator[np.ndarray]:
    """Yield similar pairs that fall into one bucket; log how many some rows have besides."""
    n_measured = min(_N_MEASURED, join.n_rows)
    rows = np.sort(np.random.default_rng(1).choice(join.n_rows, n_measured, replace=False))
    is_measured = np.zeros(join.n_rows, dtype=bool)
    is_measured[join.order[rows]] = True
    kept = [np.zeros((2, 0), dtype=int)]
    for proposed in _hashed_alike(join):
        found = join.verified(*proposed)
        kept.append(found[:, is_measured[found].any(axis=0)])
        yield found
    exact = [join.verified(*join.sharing(some)) for some in join.blocks(rows)]
    recall = _told_recall(join.n_rows, n_measured, np.hstack(exact), np.hstack(kept))
    if told is None:
        _logger.warning("near-duplicates among %d sets were %s", join.n_rows, recall)
    else:
        told.append(recall)


def _hashed_alike(join: _Join) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs that fall into one bucket of some band, some at a time."""
    signatures = _signatures(join.keys.elements)
    for band in np.split(signatures, _N_HASHES // join.keys.band_rows, axis=1):
        key = np.zeros(join.n_rows, np.uint64)
        for column in band.T:
            key = (key ^ column) * _HASH_FACTOR
            key ^= key >> np.uint64(29)
        order = np.argsort(key, kind="stable")
        key = key[order]  # once: to look all over the memory at each step takes eight times as long
        for step in range(1, _BUCKET_WINDOW + 1):
            is_same = key[step:] == key[:-step]
            if not is_same.any():
                break
            yield order[step:][is_same], order[:-step][is_same]


def _signatures(sets: Any) -> np.ndarray:
    """Return the least of each of 100 hashes over a set's elements, shape (n_rows, 100)."""
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 2**32, _N_HASHES, dtype=np.uint32) | np.uint32(1)
    offsets = rng.integers(0, 2**32, _N_HASHES, dtype=np.uint32)
    signatures = np.full((sets.shape[0], _N_HASHES), 2**32 - 1, np.uint32)
    for part in _parts(sets.shape[0], _ROWS_IN_MEMORY):
        block = sets[part]
        mixed = (block.indices.astype(np.uint64) + np.uint64(1)) * _HASH_FACTOR >> np.uint64(32)
        mixed32 = mixed.astype(np.uint32)
        is_full = np.diff(block.indptr) > 0
        starts = block.indptr[:-1][is_full]
        for number, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            if len(starts):
                least = np.minimum.reduceat(mixed32 * factor + offset, starts)
                signatures[part, number][is_full] = least
    return signatures


def _told_recall(n_rows: int, n_measured: int, exact: np.ndarray, found: np.ndarray) -> str:
    """Say how many of the pairs of some rows were found, `exact, found` (2, n_pairs)."""
    if not exact.size:
        return f"looked for by hashing: {n_measured} of them, searched exactly, have none to find"
    keys = [pairs[0] * n_rows + pairs[1] for pairs in (exact, found)]
    return (
        f"looked for by hashing: it found {int(np.isin(keys[0], keys[1]).sum())} of the "
        f"{len(keys[0])} pairs that an exact search finds for {n_measured} of them"
    )
