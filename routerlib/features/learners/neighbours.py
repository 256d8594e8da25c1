"""Estimate by the mean of the prompts that stand nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.features.learners.index import MOST_LOOKED_AT, ListIndex
from routerlib.features.learners.linear import observed_means
from routerlib.features.pieces import begin, share
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.weights.embedding import unit_rows

_ROWS_AT_ONCE = 512
# Looking for heaps that hold fewer costs more than it saves.
_FEWEST_IN_HEAP = 8


class Nearest(NamedTuple):
    """The nearest training prompts of each prompt, the nearest first.

    Attributes
    ----------
    rows : ndarray of int, shape (n_prompts, k)
        Numbers of training prompts.
    similarities : ndarray of shape (n_prompts, k)
        Cosines, in [-1, 1]; they don't rise along a row.
    """

    rows: np.ndarray
    similarities: np.ndarray


class Neighbours:
    """Mean target of the prompts with the most similar vectors (cosine).

    Parameters
    ----------
    vectors : ndarray of float16, shape (n_prompts, n_dimensions)
        Unit-length vectors of the training prompts.
    targets : ndarray of shape (n_prompts, n_targets)
        NaN = not observed.
    n_neighbors : int
        Prompts that have a say.
    temperature : float
        Neighbours are weighed by ``exp(cosine / temperature)``.
    index : ListIndex or None, default=None
        By which the nearest are found without looking at all; None = all are looked at.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        targets: np.ndarray,
        n_neighbors: int,
        temperature: float,
        index: ListIndex | None = None,
    ) -> None:
        self.vectors = vectors
        self.targets = targets
        self.n_neighbors = n_neighbors
        self.temperature = temperature
        self.index = index
        self._unit = vectors.astype(np.float32)
        self._means = observed_means(targets)
        self._is_complete = not np.isnan(targets).any()

    @classmethod
    def fit(
        cls,
        vectors: np.ndarray,
        targets: np.ndarray,
        n_neighbors: int = 40,
        temperature: float = 0.1,
    ) -> Self:
        """Remember the prompts.

        Parameters
        ----------
        vectors : ndarray of shape (n_prompts, n_dimensions)
            Of any length.
        targets : ndarray of shape (n_prompts, n_targets)
            NaN = not observed.
        n_neighbors : int, default=40
            Prompts that have a say.
        temperature : float, default=0.1
            Above 0.

        Returns
        -------
        Neighbours

        Examples
        --------
        >>> near = Neighbours.fit(np.eye(2), np.array([[0.0], [1.0]]), n_neighbors=1)
        >>> near.predict(np.array([[0.1, 2.0]])), near.nearest(np.array([[0.1, 2.0]]), 1).rows
        (array([[0.75]]), array([[1]]))
        """
        unit = unit_rows(vectors).astype(np.float16, order="C")
        index = ListIndex.fit(unit.astype(np.float32)) if len(unit) > MOST_LOOKED_AT else None
        return cls(unit, targets.copy(order="C"), n_neighbors, temperature, index)

    def __reduce__(self) -> tuple[Any, ...]:
        # On the way to a worker: of what can be made anew there, nothing; it is four times as much.
        lists = None if self.index is None else (self.index.centres, self.index.lists)
        given = self.vectors, self.targets, self.n_neighbors, self.temperature
        return _made_anew, (*given, lists)

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return predictions of shape (n_prompts, n_targets)."""
        unit = unit_rows(vectors).astype(np.float32, copy=False)
        found = [self._average(*some) for some in self._in_sight(unit)]
        return found[0] if len(found) == 1 else np.vstack(found)

    def begin_out_of_fold(self, folds: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to predict each training prompt from the prompts of the other folds."""
        given = share(self), share(folds)
        starts = range(0, len(folds), _ROWS_AT_ONCE)
        held_out = begin(_held_out, [(*given, at) for at in starts], "nearest prompts")
        return lambda: np.vstack(held_out())

    def held_out(self, folds: np.ndarray, some: slice) -> np.ndarray:
        """Predict some of the training prompts from the prompts of the other folds."""
        found = self._in_sight(self._unit[some], folds, folds[some])
        return np.vstack([self._average(*rows) for rows in found])

    def nearest(self, vectors: np.ndarray, k: int) -> Nearest:
        """Return the k most similar training prompts of each prompt; all where there are fewer."""
        unit = unit_rows(vectors).astype(np.float32)
        if self.index is None:
            similarity = unit @ self._unit.T
            order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
            return Nearest(order, np.clip(np.take_along_axis(similarity, order, axis=1), -1, 1))
        shape = (len(unit), min(k, len(self._unit)))
        rows, similarities = np.zeros(shape, dtype=int), np.zeros(shape)
        for at, query in enumerate(unit):
            known, cosines = self.index.near(query, k)
            order = np.lexsort((known, -cosines))[:k]
            rows[at], similarities[at] = known[order], np.clip(cosines[order], -1, 1)
        return Nearest(rows, similarities)

    def _in_sight(
        self,
        unit: np.ndarray,
        folds: np.ndarray | None = None,
        own: np.ndarray | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield, for some prompts at a time, the nearest training prompts and their cosines.

        `folds, own`: of the training prompts, and of those that are looked for; training prompts
            of the same fold are -inf.
        """
        if self.index is not None:
            for row, query in enumerate(unit):
                rows, cosines = self.index.near(query)
                if folds is not None and own is not None:
                    cosines = np.where(folds[rows] == own[row], -np.inf, cosines)
                found, cosines = _largest(cosines[np.newaxis], min(self.n_neighbors, len(rows)))
                yield rows[found], cosines
            return
        kept = min(self.n_neighbors, len(self._unit))
        for start in range(0, len(unit), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            similarity = unit[some] @ self._unit.T
            if folds is not None and own is not None:
                similarity[own[some, np.newaxis] == folds] = -np.inf
            yield _largest(similarity, kept)

    def shares(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which training prompts have a say on one prompt, and what each adds.

        `vector` (n_dimensions,): of the prompt.
        Returns rows of training prompts (n_neighbors,), and shape (n_neighbors, n_targets): what
            each adds to the mean of all training prompts; 0 where it was not observed.
        """
        unit = unit_rows(vector[np.newaxis]).astype(np.float32)
        rows, cosines = next((rows[0], cosines[0]) for rows, cosines in self._in_sight(unit))
        weights = np.exp((cosines - cosines.max()) / self.temperature)[:, None]
        values = self.targets[rows]
        is_observed = ~np.isnan(values)
        above = np.where(is_observed, values - self._means, 0.0)
        return rows, weights * above / ((weights * is_observed).sum(axis=0) + 1)

    @property
    def means(self) -> np.ndarray:
        """Mean of each target over all training prompts, shape (n_targets,)."""
        return self._means

    def _average(self, nearest: np.ndarray, cosines: np.ndarray) -> np.ndarray:
        """Return weighed means of targets.

        `nearest, cosines` (n_prompts, n_neighbors): training prompts, and how alike they are.
        """
        most = np.maximum.reduce(cosines, axis=1, keepdims=True)
        # As float64: sums don't depend on the order of the neighbours beyond the last digits.
        above = (cosines - np.where(np.isfinite(most), most, 0)).astype(float)
        weights = np.exp(above / self.temperature)
        values = self.targets.take(nearest, axis=0)
        if self._is_complete:
            seen = np.add.reduce(weights, axis=1, keepdims=True)
            total = np.einsum("nk,nkt->nt", weights, values)
        else:
            is_observed = ~np.isnan(values)
            seen = np.einsum("nk,nkt->nt", weights, is_observed)
            total = np.einsum("nk,nkt->nt", weights, np.where(is_observed, values, 0))
        # One neighbour's weight goes to the overall mean: no observed neighbour gives just that.
        return np.asarray((total + self._means) / (seen + 1))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "vectors": pack_array(self.vectors),
            "targets": pack_array(self.targets),
            "n_neighbors": self.n_neighbors,
            "temperature": self.temperature,
            # Nothing where all are looked at: files of such routers are as they were.
            **({} if self.index is None else {"index": self.index.to_state()}),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        vectors = unpack_array(state["vectors"])
        index = None
        if "index" in state:
            index = ListIndex.from_state(state["index"], vectors.astype(np.float32))
        return cls(
            vectors,
            unpack_array(state["targets"]),
            state["n_neighbors"],
            state["temperature"],
            index,
        )


def _made_anew(
    vectors: np.ndarray,
    targets: np.ndarray,
    n_neighbors: int,
    temperature: float,
    lists: tuple[np.ndarray, np.ndarray] | None,
) -> Neighbours:
    index = None if lists is None else ListIndex(*lists, vectors.astype(np.float32))
    # They come beginning at any byte; of such an array numpy copies all to take a few rows.
    targets = np.require(targets, requirements="A")
    return Neighbours(vectors, targets, n_neighbors, temperature, index)


def _held_out(neighbours: Neighbours, folds: np.ndarray, start: int) -> np.ndarray:
    """Predict some training prompts, from one on, from the prompts of the other folds."""
    return neighbours.held_out(folds, slice(start, start + _ROWS_AT_ONCE))


def _largest(values: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the largest values of each row stand, in any order, and those values.

    Columns are dealt into twice as many heaps as are kept: as many values as are kept are at
    least as large as the median of the heaps' largest, and few more. Only those are compared.
    """
    n_heaps = 2 * kept
    depth = values.shape[1] // n_heaps
    if depth >= _FEWEST_IN_HEAP:
        heaps = values[:, : depth * n_heaps].reshape(len(values), depth, n_heaps)
        tops = np.maximum.reduce(heaps, axis=1)
        tops.partition(kept, axis=1)
        least = tops[:, kept, np.newaxis]
        if len(values) == 1:
            found = _largest_of_one(values[0], kept, least[0, 0])
            if found is not None:
                return found
        # Places one behind the other are found in a fifth of the time of rows and columns.
        rows, columns = np.divmod(np.flatnonzero(values >= least), values.shape[1])
        counts = np.bincount(rows, minlength=len(values))
        if counts.min(initial=kept) >= kept:  # fewer: not all are numbers
            return _largest_of(values, kept, rows, columns, counts)
    where = np.argpartition(-values, kept - 1, axis=1)[:, :kept]
    return where, np.take_along_axis(values, where, axis=1)


def _largest_of_one(
    values: np.ndarray, kept: int, least: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what `_largest` does, of one row in fewer steps; None where not all are numbers."""
    columns = np.flatnonzero(values >= least)
    if len(columns) < kept:
        return None
    seen = values.take(columns).astype(float)
    order = seen.argpartition(len(seen) - kept)[np.newaxis, len(seen) - kept :]
    return columns[order], seen[order]


def _largest_of(
    values: np.ndarray, kept: int, rows: np.ndarray, columns: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `_largest` does, of cells that hold all of it, row by row."""
    width = int(counts.max(initial=kept))
    is_cell = np.arange(width) < counts[:, np.newaxis]
    places, found = np.zeros(is_cell.shape, dtype=np.intp), np.full(is_cell.shape, -np.inf)
    places[is_cell], found[is_cell] = columns, values[rows, columns]
    order = np.argpartition(found, width - kept, axis=1)[:, width - kept :]
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(found, order, axis=1)
