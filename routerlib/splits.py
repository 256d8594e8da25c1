"""Split prompts so that near-duplicates never stand on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SHINGLE_CHARS = 5
_N_HASHES = 2**20
_ROWS_AT_ONCE = 512


def near_duplicate_groups(prompts: Sequence[str], threshold: float = 0.8) -> np.ndarray:
    """Group prompts that are copies or nearly so.

    Two prompts are linked when the Jaccard similarity of their sets of five-character
    shingles (lower case, white space folded) reaches the threshold; a group is a connected
    component of links. Exact, not sampled, so the time grows with the square of the number
    of prompts: fine for ten thousand, too slow for a million.

    Parameters
    ----------
    prompts : sequence of str, length n_prompts
        Texts.
    threshold : float, default=0.8
        Jaccard similarity in (0, 1] from which two prompts count as copies.

    Returns
    -------
    ndarray of int, shape (n_prompts,)
        Group numbers, 0 for the first prompt's group, in order of appearance.

    Examples
    --------
    >>> near_duplicate_groups(["What is the capital of Peru?",
    ...                        "what is  the capital of Peru?", "Sum 2 and 3"]).tolist()
    [0, 0, 1]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold!r}")
    if len(prompts) == 0:
        return np.zeros(0, dtype=int)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = _links(_shingles(prompts), threshold)
    n_prompts = len(prompts)
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n_prompts, n_prompts))
    labels = connected_components(links, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _shingles(prompts: Sequence[str]):  # type: ignore[no-untyped-def]
    from sklearn.feature_extraction.text import HashingVectorizer

    padded = [" ".join(text.lower().split()).ljust(_SHINGLE_CHARS) for text in prompts]
    vectorizer = HashingVectorizer(
        analyzer="char",
        ngram_range=(_SHINGLE_CHARS, _SHINGLE_CHARS),
        n_features=_N_HASHES,
        binary=True,
        norm=None,
        alternate_sign=False,
        lowercase=False,
        dtype=np.float32,
    )
    return vectorizer.transform(padded)


def _links(shingles, threshold: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    sizes = np.asarray(shingles.sum(axis=1)).ravel()
    transposed = shingles.T.tocsc()
    rows, columns = [], []
    for start in range(0, shingles.shape[0], _ROWS_AT_ONCE):
        shared = (shingles[start : start + _ROWS_AT_ONCE] @ transposed).tocoo()
        row = shared.row + start
        jaccard = shared.data / (sizes[row] + sizes[shared.col] - shared.data)
        is_link = jaccard >= threshold
        rows.append(row[is_link])
        columns.append(shared.col[is_link])
    return np.concatenate(rows), np.concatenate(columns)


def grouped_folds(groups: np.ndarray, n_folds: int, random_state: int = 0) -> np.ndarray:
    """Deal whole groups into folds of nearly equal size.

    Parameters
    ----------
    groups : ndarray of int, shape (n_prompts,)
        Group numbers as of `near_duplicate_groups`.
    n_folds : int
        Number of folds, at least 2 and at most the number of groups.
    random_state : int, default=0
        Seed of the order in which groups are dealt.

    Returns
    -------
    ndarray of int, shape (n_prompts,)
        Fold numbers from 0 to n_folds - 1.

    Raises
    ------
    ValueError
        If there are fewer groups than folds.

    Examples
    --------
    >>> folds = grouped_folds(np.array([0, 0, 1, 2]), n_folds=2)
    >>> bool(folds[0] == folds[1]), sorted(set(folds.tolist()))
    (True, [0, 1])
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
