"""Find the pairs of vectors that point nearly the same way, most others by a few numbers each."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

_logger = logging.getLogger(__name__)

# Up to so many vectors every pair is found for sure.
EXACT_UP_TO = 100_000
# Directions in which vectors differ most; of the rest only the length is looked at first.
_N_LEADING = 32
_ROWS_AT_ONCE, _COLUMNS_AT_ONCE, _PAIRS_AT_ONCE = 1024, 2048, 16_384
# More than rounding adds.
_SLACK = 1e-4
# Of more vectors, each is compared with those that have one of its nearest centres in common.
_ROWS_PER_CENTRE, _N_NEAREST = 512, 8
# Vectors whose partners are looked for among all as well, to measure what was missed.
_N_MEASURED, _MEASURED_AT_ONCE = 500, 50


def close_pairs(
    unit: np.ndarray, cosine: float, told: list[str] | None = None
) -> Iterator[np.ndarray]:
    """Yield the pairs of rows whose cosine reaches a threshold, shape (2, n_pairs).

    Exact up to 100,000 rows. What two vectors have in common in 32 directions, and the lengths of
    what is left of them, bound their cosine (Cauchy and Schwarz); only where the bound reaches the
    threshold all is multiplied. Of more rows only those are compared that have one of their eight
    nearest centres in common, and may come more than once; how many pairs are missed is measured
    on 500 rows and told.

    `unit` (n_rows, n_dimensions): float32, of length 1 or 0.
    `told`: gets a line once all pairs are yielded, where they were looked for around centres;
        None = it is logged.

    >>> unit = np.array([[1, 0], [0, 1], [0.8, 0.6]], dtype=np.float32)
    >>> np.hstack(list(close_pairs(unit, 0.8))).tolist()
    [[0], [2]]
    """
    short = _shortened(unit) if len(unit) > _ROWS_AT_ONCE else unit
    if len(unit) <= EXACT_UP_TO:
        yield from _close_among(unit, short, cosine)
    else:
        yield from _close_in_lists(unit, short, cosine, told)


def _close_among(unit: np.ndarray, short: np.ndarray, cosine: float) -> Iterator[np.ndarray]:
    """Yield close pairs, the smaller row first; dot products of `short` bound those of `unit`."""
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


def _close_in_lists(
    unit: np.ndarray, short: np.ndarray, cosine: float, told: list[str] | None
) -> Iterator[np.ndarray]:
    """Yield close pairs that share a centre; log how many some rows have besides."""
    n_measured = min(_N_MEASURED, len(unit))
    rows = np.sort(np.random.default_rng(1).choice(len(unit), n_measured, replace=False))
    is_measured = np.zeros(len(unit), dtype=bool)
    is_measured[rows] = True
    kept = [np.zeros((2, 0), dtype=int)]
    for members in _lists(short):
        for pairs in _close_among(unit[members], short[members], cosine):
            found = members[pairs]
            kept.append(found[:, is_measured[found].any(axis=0)])
            yield found
    exact = [np.zeros((2, 0), dtype=int)]
    for some in np.split(rows, range(_MEASURED_AT_ONCE, n_measured, _MEASURED_AT_ONCE)):
        others, at = np.nonzero(unit @ unit[some].T >= cosine)
        pairs = np.sort([some[at], others], axis=0)
        exact.append(pairs[:, pairs[0] < pairs[1]])
    recall = _told_recall(len(unit), n_measured, np.hstack(exact), np.hstack(kept))
    if told is None:
        _logger.warning("texts of one meaning among %d were %s", len(unit), recall)
    else:
        told.append(recall)


def _told_recall(n_rows: int, n_measured: int, exact: np.ndarray, found: np.ndarray) -> str:
    """Say how many of the pairs of some rows were found, `exact, found` (2, n_pairs)."""
    if not exact.size:
        return (
            f"looked for around centres: {n_measured} of them, compared with all, have none to find"
        )
    keys = [pairs[0] * n_rows + pairs[1] for pairs in (exact, found)]
    return (
        f"looked for around centres: it found {int(np.isin(keys[0], keys[1]).sum())} of the "
        f"{len(keys[0])} pairs that looking at all finds for {n_measured} of them"
    )


def _lists(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows around each centre, ascending; centres are rows drawn at random."""
    n_rows = len(vectors)
    drawn = np.random.default_rng(0).choice(n_rows, max(n_rows // _ROWS_PER_CENTRE, 1), False)
    centres = vectors[drawn].T
    n_nearest = min(_N_NEAREST, len(drawn))
    nearest = np.empty((n_rows, n_nearest), dtype=np.int32)
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        distances = -(vectors[start : start + _ROWS_AT_ONCE] @ centres)
        found = np.argpartition(distances, n_nearest - 1, axis=1)[:, :n_nearest]
        nearest[start : start + _ROWS_AT_ONCE] = found
    order = np.argsort(nearest, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(nearest.ravel(), minlength=len(drawn)))
    yield from np.split(order // n_nearest, ends[:-1])


def _shortened(unit: np.ndarray) -> np.ndarray:
    """Turn vectors so that the first numbers tell most; keep these, and the length of the rest.

    Shape (n_rows, 33).
    """
    axes = np.linalg.eigh(unit.T @ unit)[1][:, ::-1][:, :_N_LEADING]
    leading = unit @ axes
    rest = (unit * unit).sum(axis=1) - (leading * leading).sum(axis=1)
    return np.column_stack([leading, np.sqrt(np.maximum(rest, 0))])
