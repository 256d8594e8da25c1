"""Learn straight from the wording: the simple learners whose estimates the trees build upon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.arrays import pack_array, unpack_array
from routerlib.embedding import EMBEDDING_DIMENSIONS, N_TOKENS, Encoded, unit_rows

_MAX_TERMS = 20_000
_MAX_TOPIC_DIMENSIONS = 256
_MIN_TOPIC_PROMPTS = 8
# Ridge penalties tried, for columns whose variance sums to one in each of the two blocks.
_PENALTIES = tuple(float(penalty) for penalty in np.geomspace(0.05, 50, 9))


class TermIndex:
    """Weigh the tokens and token pairs of texts by how telling they are (tf-idf).

    Parameters
    ----------
    terms : ndarray of int64, shape (n_terms,)
        Sorted numbers of the terms: a token's own, or ``(first + 1) * 32000 + second``.
    weights : ndarray of shape (n_terms,)
        Inverse document frequencies.
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
        columns = np.minimum(np.searchsorted(self.terms, found), len(self.terms) - 1)
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


class WordRegression:
    """Ridge regression of several targets on the wording and the meaning of prompts.

    Terms are condensed to at most 256 dimensions (latent semantic analysis) for fitting, and the
    fitted weights are unfolded to one number for each term, so that a prediction is a sum.

    Parameters
    ----------
    index : TermIndex
        Known terms.
    term_weights : ndarray of shape (n_terms, n_targets)
        Contribution of each term.
    vector_weights : ndarray of shape (256, n_targets)
        Contribution of the unit-length embedding.
    constants : ndarray of shape (n_targets,)
        Added to each prediction.
    """

    def __init__(
        self,
        index: TermIndex,
        term_weights: np.ndarray,
        vector_weights: np.ndarray,
        constants: np.ndarray,
    ) -> None:
        self.index = index
        self.term_weights = term_weights
        self.vector_weights = vector_weights
        self.constants = constants

    @classmethod
    def fit_out_of_fold(
        cls, encoded: Encoded, targets: np.ndarray, folds: np.ndarray, random_state: int
    ) -> tuple[Self, np.ndarray]:
        """Fit on all rows, and predict each row from the other folds.

        Parameters
        ----------
        encoded : Encoded
            The prompts, n_prompts of them.
        targets : ndarray of shape (n_prompts, n_targets)
            NaN = not observed.
        folds : ndarray of int, shape (n_prompts,)
            Near-duplicates share a fold.
        random_state : int
            Seed of the condensation.

        Returns
        -------
        WordRegression
            Fitted on all rows, with the penalty that predicts best out of fold.
        ndarray of shape (n_prompts, n_targets)
            Out-of-fold predictions.
        """
        index = TermIndex.fit(encoded.token_ids)
        topics, unfold = _condense(index.matrix(encoded.token_ids), random_state)
        vectors = unit_rows(encoded.vectors)
        blocks = [(vectors, np.eye(EMBEDDING_DIMENSIONS)), (topics, unfold)]
        columns, scales = _balanced([block for block, _ in blocks])
        centre = columns.mean(axis=0)
        columns = columns - centre
        by_penalty = _cross_predict(columns, targets, folds)
        errors = [np.nanmean((predicted - targets) ** 2) for predicted in by_penalty]
        best = int(np.argmin(errors))
        slopes, constants = _ridge(columns, targets, (_PENALTIES[best],))[0]
        n_vector = EMBEDDING_DIMENSIONS
        regression = cls(
            index,
            (unfold @ (slopes[n_vector:] * scales[1])).astype(np.float32),
            (slopes[:n_vector] * scales[0]).astype(np.float32),
            constants - centre @ slopes,
        )
        return regression, by_penalty[best]

    def predict(self, encoded: Encoded) -> np.ndarray:
        """Return predictions of shape (n_prompts, n_targets)."""
        predicted = unit_rows(encoded.vectors) @ self.vector_weights + self.constants
        for row, ids in enumerate(encoded.token_ids):
            columns, weights = self.index.row(ids)
            predicted[row] += weights @ self.term_weights[columns]
        return predicted

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "terms": pack_array(self.index.terms),
            "idf": pack_array(self.index.weights),
            "term_weights": pack_array(self.term_weights),
            "vector_weights": pack_array(self.vector_weights),
            "constants": pack_array(self.constants),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(
            TermIndex(unpack_array(state["terms"]), unpack_array(state["idf"])),
            unpack_array(state["term_weights"]),
            unpack_array(state["vector_weights"]),
            unpack_array(state["constants"]),
        )


class Neighbours:
    """Mean target of the prompts that are nearest in meaning (cosine of static embeddings).

    Parameters
    ----------
    vectors : ndarray of float16, shape (n_prompts, 256)
        Unit-length embeddings of the training prompts.
    targets : ndarray of shape (n_prompts, n_targets)
        NaN = not observed.
    n_neighbors : int
        Prompts that have a say.
    temperature : float
        Neighbours are weighed by ``exp(cosine / temperature)``.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        targets: np.ndarray,
        n_neighbors: int,
        temperature: float,
    ) -> None:
        self.vectors = vectors
        self.targets = targets
        self.n_neighbors = n_neighbors
        self.temperature = temperature
        self._unit = vectors.astype(np.float32)
        self._means = _nan_means(targets)

    @classmethod
    def fit(
        cls,
        encoded: Encoded,
        targets: np.ndarray,
        n_neighbors: int = 40,
        temperature: float = 0.1,
    ) -> Self:
        """Remember the prompts."""
        vectors = unit_rows(encoded.vectors).astype(np.float16)
        return cls(vectors, targets, n_neighbors, temperature)

    def predict(self, encoded: Encoded) -> np.ndarray:
        """Return predictions of shape (n_prompts, n_targets)."""
        similarity = unit_rows(encoded.vectors).astype(np.float32) @ self._unit.T
        return self._average(similarity)

    def nearest(self, encoded: Encoded, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and cosines of the k nearest prompts, each of shape (n_prompts, k)."""
        similarity = unit_rows(encoded.vectors).astype(np.float32) @ self._unit.T
        rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        return rows, np.take_along_axis(similarity, rows, axis=1).astype(float)

    def predict_out_of_fold(self, folds: np.ndarray) -> np.ndarray:
        """Predict each training prompt from the prompts of the other folds."""
        similarity = self._unit @ self._unit.T
        similarity[folds[:, np.newaxis] == folds] = -np.inf
        return self._average(similarity)

    def _average(self, similarity: np.ndarray) -> np.ndarray:
        kept = min(self.n_neighbors, similarity.shape[1])
        nearest = np.argpartition(-similarity, kept - 1, axis=1)[:, :kept]
        cosines = np.take_along_axis(similarity, nearest, axis=1)
        weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / self.temperature)
        values = self.targets[nearest]
        is_observed = ~np.isnan(values)
        seen = (weights[:, :, np.newaxis] * is_observed).sum(axis=1)
        total = (weights[:, :, np.newaxis] * np.where(is_observed, values, 0)).sum(axis=1)
        # One neighbour's weight goes to the overall mean: no observed neighbour gives just that.
        return (total + self._means) / (seen + 1)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "vectors": pack_array(self.vectors),
            "targets": pack_array(self.targets),
            "n_neighbors": self.n_neighbors,
            "temperature": self.temperature,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(
            unpack_array(state["vectors"]),
            unpack_array(state["targets"]),
            state["n_neighbors"],
            state["temperature"],
        )


def _terms(ids: np.ndarray) -> np.ndarray:
    wide = ids.astype(np.int64)
    return np.unique(np.concatenate([wide, (wide[:-1] + 1) * N_TOKENS + wide[1:]]))


def _condense(matrix: Any, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Return condensed rows (n, rank) and the map (n_terms, rank) that condenses."""
    rank = min(_MAX_TOPIC_DIMENSIONS, matrix.shape[0] // 2, matrix.shape[1] - 1)
    if rank < _MIN_TOPIC_PROMPTS:
        return np.zeros((matrix.shape[0], 0)), np.zeros((matrix.shape[1], 0))
    from sklearn.utils.extmath import randomized_svd

    unfold = randomized_svd(matrix, rank, n_iter=4, random_state=random_state)[2].T
    return matrix @ unfold, unfold


def _balanced(blocks: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
    """Scale blocks of columns so that the variances of each sum to one."""
    scales = []
    for block in blocks:
        variance = float(block.var(axis=0).sum())
        scales.append(1 / np.sqrt(variance) if variance > 0 else 1.0)
    scaled = [block * scale for block, scale in zip(blocks, scales, strict=True)]
    return np.hstack(scaled).astype(float), scales


def _cross_predict(columns: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> list[np.ndarray]:
    """Return out-of-fold predictions (n, n_targets) for each of the penalties.

    Every fold's constant is moved to the overall mean: the mean of the other folds is the lower,
    the higher the fold's own targets are, and a later learner would learn that.
    """
    predicted = [np.empty(targets.shape) for _ in _PENALTIES]
    overall = _nan_means(targets)
    for fold in np.unique(folds):
        is_held_out = folds == fold
        fits = _ridge(columns[~is_held_out], targets[~is_held_out], _PENALTIES)
        for (slopes, constants), into in zip(fits, predicted, strict=True):
            drift = overall - _nan_means(targets[~is_held_out])
            into[is_held_out] = columns[is_held_out] @ slopes + constants + drift
    return predicted


def _ridge(
    columns: np.ndarray, targets: np.ndarray, penalties: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return slopes (n_columns, n_targets) and constants (n_targets,) for each penalty."""
    fits = [
        (np.zeros((columns.shape[1], targets.shape[1])), _nan_means(targets)) for _ in penalties
    ]
    is_observed = ~np.isnan(targets)
    patterns, pattern_of = np.unique(is_observed, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        if pattern.sum() < 2:
            continue
        group = np.flatnonzero(pattern_of.ravel() == number)
        seen, wanted = columns[pattern], targets[np.ix_(pattern, group)]
        centre, means = seen.mean(axis=0), wanted.mean(axis=0)
        values, axes = np.linalg.eigh((seen - centre).T @ (seen - centre))
        projected = axes.T @ ((seen - centre).T @ (wanted - means))
        for (slopes, constants), penalty in zip(fits, penalties, strict=True):
            slopes[:, group] = axes @ (projected / (np.maximum(values, 0) + penalty)[:, np.newaxis])
            constants[group] = means - centre @ slopes[:, group]
    return fits


def _nan_means(targets: np.ndarray) -> np.ndarray:
    """Return the mean of each column's observed cells, 0 where there are none."""
    counts = (~np.isnan(targets)).sum(axis=0)
    return np.nansum(targets, axis=0) / np.maximum(counts, 1)
