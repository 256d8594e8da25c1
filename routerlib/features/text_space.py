"""Place prompts in one space of few dimensions: their meaning, their wording, their surface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.features import pieces
from routerlib.records.arrays import pack_array, some_rows, unpack_array
from routerlib.weights.embedding import N_TOKENS, Encoded, token_vectors, unit_rows

_MAX_TERMS = 20_000
# Dimensions kept of the wording (latent semantic analysis), and of everything together.
_MAX_WORDING = 256
_MIN_WORDING_PROMPTS = 8
# So many texts, as a byte counts, are looked for in the terms together; and from so many on.
_TEXTS_TOGETHER, _FEWEST_TOGETHER = 256, 8
# Of so many texts the terms are looked up as one piece of a training.
_TEXTS_APART = 4096
_MAX_DIMENSIONS = 256
# More texts change the directions by less than the choice of the texts does.
MOST_SPACED = 32_768
# Beyond four standard deviations a count says no more.
_LARGEST_COUNT = 4.0
# Less is rounding: all prompts are the same.
_SMALLEST_VARIANCE = 1e-6


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
        columns = self.terms.searchsorted(found)
        columns = columns[self.terms.take(columns, mode="clip") == found]
        weights = self.weights.take(columns)
        return columns, weights / max(float(np.sqrt(weights @ weights)), 1e-12)

    def rows(self, token_ids: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield what `row` returns of each text: texts that share terms look them up once."""
        if len(token_ids) < _FEWEST_TOGETHER or len(self.terms) == 0:
            yield from map(self.row, token_ids)
            return
        for start in range(0, len(token_ids), _TEXTS_TOGETHER):
            yield from self._rows_of(token_ids[start : start + _TEXTS_TOGETHER])

    def _rows_of(self, token_ids: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        wide = np.concatenate(token_ids).astype(np.int64)
        texts = np.repeat(np.arange(len(token_ids)), list(map(len, token_ids)))
        is_pair = texts[1:] == texts[:-1]
        pairs = ((wide[:-1] + 1) * N_TOKENS + wide[1:])[is_pair]
        # By term, so that those of all texts are looked up in one go through the known ones.
        found = np.concatenate([wide, pairs]) * _TEXTS_TOGETHER
        found += np.concatenate([texts, texts[1:][is_pair]])
        found.sort()
        terms, texts = np.divmod(found[np.flatnonzero(np.diff(found, prepend=-1))], _TEXTS_TOGETHER)
        columns = np.minimum(self.terms.searchsorted(terms), len(self.terms) - 1)
        is_known = self.terms[columns] == terms
        columns, texts = columns[is_known], texts[is_known]
        columns = columns[np.argsort(texts.astype(np.uint8), kind="stable")]  # by text again
        weights = self.weights[columns]
        ends = np.cumsum(np.bincount(texts, minlength=len(token_ids)))
        for start, end in pairwise([0, *ends.tolist()]):
            some = weights[start:end]
            yield columns[start:end], some / max(float(np.sqrt(some @ some)), 1e-12)

    def sums(self, table: np.ndarray, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return what the terms of each text add to its place, shape (n_texts, n_dimensions).

        `table` (n_terms, n_dimensions): what a unit of each term adds.
        `tokens, lengths`: of all texts, one after the other, and how many each has.
        """
        # A worker's arrays begin at any byte; of such a one numpy copies all to take a few rows.
        table = np.require(table, requirements="A")
        found = np.empty((len(lengths), table.shape[1]), dtype=np.float32)
        texts = np.split(tokens, np.cumsum(lengths)[:-1])
        for row, (columns, weights) in enumerate(self.rows(texts)):
            found[row] = weights @ table.take(columns, axis=0)
        return found

    def by_token(self, ids: np.ndarray, table: np.ndarray, onto: np.ndarray) -> np.ndarray:
        """Deal what each term of a text adds to its tokens; both of a pair get half.

        `ids` (n_tokens,): at least one.
        `table` (n_terms, n_dimensions): what a unit of each term adds to each dimension.
        `onto` (n_dimensions, n_columns): and that to each column.
        Returns shape (n_tokens, n_columns).
        """
        dealt = np.zeros((len(ids), onto.shape[1]))
        columns, weights = self.row(ids)
        if len(columns) == 0:
            return dealt
        values = weights[:, np.newaxis] * (table[columns] @ onto)
        wide = ids.astype(np.int64)
        pairs = (wide[:-1] + 1) * N_TOKENS + wide[1:]
        for terms, reach, share in ((wide, 0, 1.0), (pairs, 0, 0.5), (pairs, 1, 0.5)):
            at = np.minimum(self.terms[columns].searchsorted(terms), len(columns) - 1)
            held = np.flatnonzero(self.terms[columns[at]] == terms)
            at = at[held]
            often = np.bincount(at, minlength=len(columns))[at]
            dealt[held + reach] += share * values[at] / often[:, np.newaxis]
        return dealt

    def matrix(self, token_ids: Sequence[np.ndarray]) -> Any:
        """Return a sparse matrix of shape (n_texts, n_terms)."""
        from scipy.sparse import csr_array

        rows = list(self.rows(token_ids))
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


class Place(NamedTuple):
    """Where prompts stand.

    Attributes
    ----------
    coordinates : ndarray of float32, shape (n_prompts, n_dimensions)
        Main directions first; variances fall.
    counts : ndarray of float32, shape (n_prompts, n_counts)
        Logarithms of surface counts, each with mean 0 and standard deviation 1 in training.
    """

    coordinates: np.ndarray
    counts: np.ndarray

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of dimensions and of counts."""
        return self.coordinates.shape[1], self.counts.shape[1]

    def take(self, rows: np.ndarray) -> Place:
        """Return the places of some prompts, chosen by a mask or by their rows."""
        return Place(self.coordinates[rows], self.counts[rows])


class Spread(NamedTuple):
    """What one prompt's counts, tokens and encoded meaning add to some columns.

    `counts` (n_counts, n_columns), `tokens` (n_tokens, n_columns), `encoder` (n_columns,).
    `unread` (n_columns,): what a prompt without words lacks.
    """

    counts: np.ndarray
    tokens: np.ndarray
    encoder: np.ndarray
    unread: np.ndarray


class TextSpace:
    """Principal components of blocks of columns that weigh equally much.

    Blocks are the unit-length static embedding, the wording (tf-idf of tokens and token pairs,
    condensed), the surface counts, and a neural encoder's vectors where there are some. All maps
    are linear, so fitting folds them into one table a block: placing a prompt is a sum.

    `tables` (n_columns, n_dimensions): what a unit of each column of ``vectors``, ``terms``,
        ``counts`` (and ``encoder``) adds.
    `constant` (n_dimensions,): added to every place.
    `count_means, count_scales` (n_counts,): mean and standard deviation of the logarithms of
        the counts.
    """

    def __init__(
        self,
        index: TermIndex,
        tables: Mapping[str, np.ndarray],
        constant: np.ndarray,
        count_means: np.ndarray,
        count_scales: np.ndarray,
    ) -> None:
        self.index = index
        self.tables = dict(tables)
        self.constant = constant
        self.count_means = count_means
        self.count_scales = count_scales
        self._floats = {name: table.astype(np.float32) for name, table in tables.items()}

    @classmethod
    def fit(cls, encoded: Encoded, surface: np.ndarray, random_state: int) -> tuple[Self, Place]:
        """Find the space of some prompts, by 32,768 of them at most, and where all stand.

        `surface` (n_prompts, n_counts): counts and shares.
        """
        rows = some_rows(len(surface), MOST_SPACED)
        space, matrix = cls._fit(encoded.take(rows), surface[rows], random_state)
        if len(surface) > MOST_SPACED:
            return space, space._placed_by_many(encoded, surface)
        ends = pairwise(matrix.indptr.tolist())
        known = ((matrix.indices[at:end], matrix.data[at:end]) for at, end in ends)
        return space, space._placed(encoded, surface, known)

    @classmethod
    def _fit(cls, encoded: Encoded, surface: np.ndarray, random_state: int) -> tuple[Self, Any]:
        """Find the space, and the terms of its prompts, a sparse matrix."""
        logs = _signed_log(surface)
        means, scales = logs.mean(axis=0), logs.std(axis=0)
        scales = np.where(scales > 1e-9, scales, np.inf)  # what never varied tells nothing
        index = TermIndex.fit(encoded.token_ids)
        matrix = index.matrix(encoded.token_ids)
        unfold = _condensation(matrix, random_state)
        blocks = {
            "vectors": unit_rows(encoded.vectors),
            "terms": matrix @ unfold,
            "counts": _standardized(logs, means, scales),
        }
        if encoded.neural is not None:
            blocks["encoder"] = unit_rows(encoded.neural)
        maps, constant = _main_directions(blocks)
        maps["terms"] = unfold @ maps["terms"]
        # Half precision and row by row, as in a file, before anything is learnt from them: sums
        # of a product depend on both, and a saved router estimates exactly the same.
        tables = {name: table.astype(np.float16, order="C") for name, table in maps.items()}
        return cls(index, tables, constant.astype(np.float32), means, scales), matrix

    def place(self, encoded: Encoded, surface: np.ndarray) -> Place:
        """Return where prompts stand."""
        return self._placed(encoded, surface, self.index.rows(encoded.token_ids))

    def _placed(
        self,
        encoded: Encoded,
        surface: np.ndarray,
        terms: Iterable[tuple[np.ndarray, np.ndarray]],
    ) -> Place:
        """Return where prompts stand; `terms` as of `TermIndex.rows`."""
        place = self._without_terms(encoded, surface)
        table = self._floats["terms"]
        for row, (columns, weights) in enumerate(terms):
            place.coordinates[row] += weights @ table.take(columns, axis=0)
        return place

    def _placed_by_many(self, encoded: Encoded, surface: np.ndarray) -> Place:
        """Return the same, where workers may look the terms up: it is most of the work."""
        place = self._without_terms(encoded, surface)
        known = pieces.share(self.index), pieces.share(self._floats["terms"])
        starts = range(0, len(surface), _TEXTS_APART)
        some = (encoded.token_ids[start : start + _TEXTS_APART] for start in starts)
        work = ((*known, np.concatenate(ids), np.array(list(map(len, ids)))) for ids in some)
        found = pieces.each(TermIndex.sums, work, "places of prompts", len(starts))
        for start, sums in zip(starts, found, strict=True):
            place.coordinates[start : start + _TEXTS_APART] += sums
        return place

    def _without_terms(self, encoded: Encoded, surface: np.ndarray) -> Place:
        counts = np.empty(surface.shape, dtype=np.float32)  # some at a time: no second table
        for start in range(0, len(surface), _TEXTS_TOGETHER):
            logs = _signed_log(surface[start : start + _TEXTS_TOGETHER])
            some = _standardized(logs, self.count_means, self.count_scales)
            counts[start : start + _TEXTS_TOGETHER] = some
        tables = self._floats
        coordinates = unit_rows(encoded.vectors) @ tables["vectors"]
        surroundings = counts @ tables["counts"]
        surroundings += self.constant
        coordinates += surroundings
        del surroundings
        if "encoder" in tables and encoded.neural is not None:
            coordinates += unit_rows(encoded.neural).astype(np.float32) @ tables["encoder"]
        return Place(coordinates, counts)

    def spread(self, encoded: Encoded, counts: np.ndarray, slopes: np.ndarray) -> Spread:
        """Take slopes times the coordinates of one prompt apart: exact, as all maps are linear.

        What the usual prompt has of words is taken off each token alike.

        `encoded`: of one text.
        `counts` (n_counts,): as of its `Place`.
        `slopes` (n_columns, n_dimensions): what a unit of each coordinate adds.
        """
        tables = self._floats
        ids, columns = encoded.token_ids[0], slopes.T.astype(np.float32)
        tokens = np.zeros((len(ids), slopes.shape[0]))
        unread = (self.constant @ columns).astype(float)
        if len(ids):
            length = max(float(np.linalg.norm(encoded.vectors[0])), 1e-12) * len(ids)
            tokens += token_vectors(ids) @ (tables["vectors"] @ columns) / length
            tokens += self.index.by_token(ids, tables["terms"], columns) + unread / len(ids)
            unread = np.zeros(slopes.shape[0])
        encoder = np.zeros(slopes.shape[0])
        if "encoder" in tables and encoded.neural is not None:
            encoder += unit_rows(encoded.neural)[0] @ tables["encoder"] @ columns
        return Spread(counts[:, np.newaxis] * (tables["counts"] @ columns), tokens, encoder, unread)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "terms": pack_array(self.index.terms),
            "idf": pack_array(self.index.weights),
            "tables": {name: pack_array(table) for name, table in self.tables.items()},
            "constant": pack_array(self.constant),
            "count_means": pack_array(self.count_means),
            "count_scales": pack_array(self.count_scales),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(
            TermIndex(unpack_array(state["terms"]), unpack_array(state["idf"])),
            {name: unpack_array(table) for name, table in state["tables"].items()},
            unpack_array(state["constant"]),
            unpack_array(state["count_means"]),
            unpack_array(state["count_scales"]),
        )


def _signed_log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def _standardized(logs: np.ndarray, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    standardized = (logs - means) / scales
    np.maximum(standardized, -_LARGEST_COUNT, out=standardized)
    return np.minimum(standardized, _LARGEST_COUNT, out=standardized).astype(np.float32)


def _condensation(matrix: Any, random_state: int) -> np.ndarray:
    """Return the map (n_terms, rank) that condenses rows of a sparse matrix (n, n_terms)."""
    rank = min(_MAX_WORDING, matrix.shape[0] // 2, matrix.shape[1] - 1)
    if rank < _MIN_WORDING_PROMPTS:
        return np.zeros((matrix.shape[1], 0))
    from sklearn.utils.extmath import randomized_svd

    return np.asarray(randomized_svd(matrix, rank, n_iter=3, random_state=random_state)[2].T)


def _main_directions(
    blocks: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each block's map to the principal components of all, and the common constant."""
    scales = {name: _unit_variance_scale(block) for name, block in blocks.items()}
    joined = np.hstack([block * scales[name] for name, block in blocks.items()]).astype(float)
    centre = joined.mean(axis=0)
    centred = joined - centre
    variances, axes = np.linalg.eigh(centred.T @ centred)
    kept = min(_MAX_DIMENSIONS, max(len(joined) - 1, 1), joined.shape[1])
    directions = axes[:, np.argsort(-variances, kind="stable")[:kept]]
    # The sign of an eigenvector is arbitrary: fix it, so that equal data give equal columns.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(kept)])
    ends = np.cumsum([block.shape[1] for block in blocks.values()])[:-1]
    parts = np.split(directions, ends, axis=0)
    maps = {name: part * scales[name] for name, part in zip(blocks, parts, strict=True)}
    return maps, -centre @ directions


def _unit_variance_scale(block: np.ndarray) -> float:
    """Return the factor after which the variances of a block's columns sum to one."""
    variance = float(block.var(axis=0).sum()) if block.size else 0.0
    return 1 / np.sqrt(variance) if variance > _SMALLEST_VARIANCE else 1.0
