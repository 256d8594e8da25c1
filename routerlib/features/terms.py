"""Weigh the tokens and token pairs of texts by how telling they are (tf-idf)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.embedding import N_TOKENS

_MAX_TERMS = 20_000


class TermIndex:
    """Terms that stand in at least two of the texts it was fitted on.

    `terms` (n_terms,): sorted numbers of the terms: a token's own, or ``(first + 1) * 32000 +
        second``.
    `weights` (n_terms,): inverse document frequencies.

    >>> index = TermIndex.fit([np.array([5, 7]), np.array([7, 5, 7])])
    >>> columns, weights = index.row(np.array([5, 7, 9]))
    >>> [int(term) for term in index.terms[columns]], round(float(weights @ weights), 3)
    ([5, 7, 192007], 1.0)
    """

    def __init__(self, terms: np.ndarray, weights: np.ndarray) -> None:
        self.terms = terms
        self.weights = weights

    @classmethod
    def fit(cls, token_ids: Sequence[np.ndarray]) -> Self:
        """Keep the terms that stand in at least two texts, the most frequent ones first."""
        seen = [_terms(ids) for ids in token_ids]
        terms, frequencies = np.unique(
            np.concatenate([*seen, np.zeros(0, dtype=np.int64)]), return_counts=True
        )
        is_kept = frequencies >= 2
        terms, frequencies = terms[is_kept], frequencies[is_kept]
        order = np.sort(np.argsort(-frequencies, kind="stable")[:_MAX_TERMS])
        weights = np.log((1 + len(seen)) / (1 + frequencies[order])) + 1
        return cls(terms[order], weights.astype(np.float32))

    def row(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns and unit-length weights of the terms that one text holds."""
        if len(self.terms) == 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        found = _terms(ids)
        columns = np.minimum(self.terms.searchsorted(found), len(self.terms) - 1)
        columns = columns[self.terms[columns] == found]
        weights = self.weights[columns]
        return columns, weights / max(float(np.sqrt(weights @ weights)), 1e-12)

    def matrix(self, token_ids: Sequence[np.ndarray]) -> Any:
        """Return a sparse matrix of shape (n_texts, n_terms)."""
        from scipy.sparse import csr_array

        rows = [self.row(ids) for ids in token_ids]
        starts = np.cumsum([0, *(len(columns) for columns, _ in rows)])
        return csr_array(
            (
                np.concatenate([weights for _, weights in rows]),
                np.concatenate([columns for columns, _ in rows]),
                starts,
            ),
            shape=(len(rows), len(self.terms)),
        )


def _terms(ids: np.ndarray) -> np.ndarray:
    """Return the terms of a text, sorted, each once."""
    wide = ids.astype(np.int64)
    found = np.concatenate([wide, (wide[:-1] + 1) * N_TOKENS + wide[1:]])
    found.sort()
    is_new = np.ones(len(found), dtype=bool)
    is_new[1:] = found[1:] != found[:-1]
    return found[is_new]
