"""Find nearest vectors among many without looking at all of them: lists around centres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from routerlib.records.arrays import pack_array, unpack_array
from routerlib.weights.embedding import unit_rows

# Few enough vectors are all looked at, which is exact.
MOST_LOOKED_AT = 8192
# Of more, those in the lists around the nearest centres, until there are so many.
_CANDIDATES = 1024
# Lists per square root of the number of vectors.
_LISTS = 4.0
# Centres are found on so many vectors, in so many rounds (Lloyd).
_MOST_SAMPLED, _ROUNDS = 32_768, 2
_ROWS_AT_ONCE = 1024


class ListIndex:
    """Vectors in lists, each around a centre (inverted file: J. Sivic, A. Zisserman, 2003).

    A search takes the lists of the nearest centres, one after the other, until 1,024 vectors are
    in sight. Its time grows as the square root of their number, and hardly below a million.

    Parameters
    ----------
    centres : ndarray of float16, shape (n_lists, n_dimensions)
        Of length 1.
    lists : ndarray of int32, shape (n_vectors,)
        List of each vector.
    unit : ndarray of float32, shape (n_vectors, n_dimensions)
        The vectors, of length 1.
    """

    def __init__(self, centres: np.ndarray, lists: np.ndarray, unit: np.ndarray) -> None:
        self.centres = centres
        self.lists = lists
        self._centres = centres.astype(np.float32)
        self._order = np.argsort(lists, kind="stable")
        self._sorted = unit[self._order]
        self._starts = np.searchsorted(lists[self._order], np.arange(len(centres) + 1))
        self._sizes = np.diff(self._starts)
        # So many vectors a list holds where lists are short: most often the first try is enough.
        self._usual = max(len(lists) // len(centres) // 4, 1)

    @classmethod
    def fit(cls, unit: np.ndarray, n_lists: int | None = None) -> Self:
        """Find centres and lists, the same at every call.

        `unit` (n_vectors, n_dimensions): float32, of length 1.
        `n_lists`: None = four times the square root of the number of vectors.
        """
        n_lists = round(_LISTS * np.sqrt(len(unit))) if n_lists is None else n_lists
        rng = np.random.default_rng(0)
        sample = unit
        if len(unit) > _MOST_SAMPLED:
            sample = unit[np.sort(rng.choice(len(unit), _MOST_SAMPLED, replace=False))]
        centres = sample[rng.choice(len(sample), n_lists, replace=False)]
        for _ in range(_ROUNDS):
            own = _nearest_centre(sample, centres)
            sums = np.zeros(centres.shape)
            np.add.at(sums, own, sample)
            is_used = np.bincount(own, minlength=n_lists) > 0
            centres = np.where(is_used[:, np.newaxis], unit_rows(sums), centres).astype(np.float32)
        # Half precision, as in a file, before lists are made by them.
        kept = centres.astype(np.float16)
        lists = _nearest_centre(unit, kept.astype(np.float32))
        return cls(kept, lists.astype(np.int32), unit)

    def near(self, query: np.ndarray, at_least: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers of vectors around one of length 1, and their cosines, in no order.

        `at_least`: how many are wanted, if more than the 1,024 that are usual.
        """
        wanted = max(_CANDIDATES, at_least)
        lists = self._nearest_lists(query, min(len(self.centres), wanted // self._usual + 1))
        if self._sizes[lists].sum() < wanted:
            lists = self._nearest_lists(query, len(self.centres))
        lists = lists[: int(np.searchsorted(np.cumsum(self._sizes[lists]), wanted)) + 1]
        spans = [
            slice(start, start + size)
            for start, size in zip(self._starts[lists], self._sizes[lists], strict=True)
        ]
        rows = np.concatenate([self._order[span] for span in spans])
        return rows, np.concatenate([self._sorted[span] @ query for span in spans])

    def _nearest_lists(self, query: np.ndarray, n_lists: int) -> np.ndarray:
        """Return the lists of the nearest centres, the nearest first."""
        cosines = self._centres @ query
        kept = np.argpartition(-cosines, n_lists - 1)[:n_lists]
        return kept[np.lexsort((kept, -cosines[kept]))]

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins, the vectors apart."""
        return {"centres": pack_array(self.centres), "lists": pack_array(self.lists)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], unit: np.ndarray) -> Self:
        """Rebuild from `to_state` and the vectors."""
        centres, lists = unpack_array(state["centres"]), unpack_array(state["lists"])
        is_sound = len(lists) == len(unit) > 0 and lists.min() >= 0 and lists.max() < len(centres)
        if not is_sound or centres.shape[1:] != unit.shape[1:]:
            raise ValueError("lists of vectors name vectors or centres that there aren't")
        return cls(centres, lists, unit)


def _nearest_centre(unit: np.ndarray, centres: np.ndarray) -> np.ndarray:
    starts = range(0, len(unit), _ROWS_AT_ONCE)
    found = [(unit[start : start + _ROWS_AT_ONCE] @ centres.T).argmax(axis=1) for start in starts]
    return np.concatenate(found)
