"""Find the pairs of vectors that point nearly the same way, most others by a few numbers each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Directions in which vectors differ most; of the rest only the length is looked at first.
_N_LEADING = 32
_ROWS_AT_ONCE, _COLUMNS_AT_ONCE, _PAIRS_AT_ONCE = 1024, 2048, 16_384
# More than rounding adds.
_SLACK = 1e-4


def close_pairs(unit: np.ndarray, cosine: float) -> Iterator[np.ndarray]:
    """Yield the pairs of rows whose cosine reaches a threshold, shape (2, n_pairs), exactly.

    What two vectors have in common in 32 directions, and the lengths of what is left of them, bound
    their cosine (Cauchy and Schwarz); only where the bound reaches the threshold all is multiplied.

    `unit` (n_rows, n_dimensions): float32, of length 1 or 0.

    >>> unit = np.array([[1, 0], [0, 1], [0.8, 0.6]], dtype=np.float32)
    >>> np.hstack(list(close_pairs(unit, 0.8))).tolist()
    [[0], [2]]
    """
    short = _shortened(unit) if len(unit) > _ROWS_AT_ONCE else unit
    for top in range(0, len(unit), _ROWS_AT_ONCE):
        rows = short[top : top + _ROWS_AT_ONCE]
        for first in range(top, len(unit), _COLUMNS_AT_ONCE):
            bounds = rows @ short[first : first + _COLUMNS_AT_ONCE].T
            at = np.flatnonzero(bounds >= cosine - _SLACK)
            left, right = np.divmod(at, bounds.shape[1])
            pairs = np.stack([left + top, right + first])
            pairs = pairs[:, pairs[0] < pairs[1]]
            for start in range(0, pairs.shape[1], _PAIRS_AT_ONCE):
                some = pairs[:, start : start + _PAIRS_AT_ONCE]
                yield some[:, np.einsum("ij,ij->i", unit[some[0]], unit[some[1]]) >= cosine]


def _shortened(unit: np.ndarray) -> np.ndarray:
    """Turn vectors so that the first numbers tell most; keep these, and the length of the rest.

    Shape (n_rows, 33).
    """
    axes = np.linalg.eigh(unit.T @ unit)[1][:, ::-1][:, :_N_LEADING]
    leading = unit @ axes
    rest = (unit * unit).sum(axis=1) - (leading * leading).sum(axis=1)
    return np.column_stack([leading, np.sqrt(np.maximum(rest, 0))])
