"""Join rows that belong together: sets as sparse rows, and what pairs of them connect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from routerlib.records.progress import watched


def components(links: np.ndarray, n_rows: int) -> np.ndarray:
    """Return the connected component of each row, numbered in order of appearance.

    `links` (2, n_links): rows that belong together.

    >>> components(np.array([[0], [2]]), 3).tolist()
    [0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not n_rows:
        return np.zeros(0, dtype=int)
    graph = coo_array((np.ones(links.shape[1]), tuple(links)), shape=(n_rows, n_rows))
    labels = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def merged(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return what is together in one of two groupings, or through both.

    >>> merged(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
    [0, 0, 0, 1]
    """
    links = [_to_first(one), _to_first(other)]
    return components(np.hstack(links), len(one))


def connected(
    blocks: Iterable[np.ndarray],
    n_rows: int,
    belong: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Return components of pairs that come in blocks; pairs that are connected aren't asked again.

    `blocks`: pairs of rows, shape (2, n_pairs) each.
    `belong`: takes pairs, returns which of them belong together; None = all.
    """
    parents = np.arange(n_rows)
    for pairs in watched(blocks, "blocks of pairs that may be near-duplicates"):
        roots = _roots(parents, pairs)
        is_apart = roots[0] != roots[1]
        pairs, roots = pairs[:, is_apart], roots[:, is_apart]
        if belong is not None and pairs.shape[1]:
            roots = roots[:, belong(pairs)]
        if roots.shape[1]:
            names, ends = np.unique(roots, return_inverse=True)
            joined = components(ends.reshape(roots.shape), len(names))
            parents[names] = names[np.unique(joined, return_index=True)[1]][joined]
    return components(np.stack([_roots(parents, np.arange(n_rows)), np.arange(n_rows)]), n_rows)


def _roots(parents: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Follow parents up to the first row of each group, and shorten the way there."""
    roots = parents[rows]
    while not np.array_equal(above := parents[roots], roots):
        roots = above
    parents[rows] = roots
    return roots


def _to_first(groups: np.ndarray) -> np.ndarray:
    """Link each row to the first of its group, shape (2, n_rows)."""
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    return np.stack([first[group_of], np.arange(len(groups))])


def sets_of(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Any:
    """Return a sparse matrix of ones.

    `rows, columns` (n_cells,): sorted by row, then by column; each cell once.
    """
    from scipy.sparse import csr_array

    starts = np.searchsorted(rows, np.arange(shape[0] + 1))
    return csr_array((np.ones(len(rows), np.int8), columns, starts), shape=shape)
