"""Turn texts into vectors by a static embedding that lies inside an installed package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.arrays import pack_array, unpack_array
from routerlib.surface import both_ends

# The tokenizer has no word splitter, so its time grows faster than the text.
_HEAD_CHARACTERS = 3_000
_TAIL_CHARACTERS = 1_000

EMBEDDING_DIMENSIONS = 256
N_TOKENS = 32_000


class Encoded(NamedTuple):
    """Texts as the embedding sees them.

    Parameters
    ----------
    token_ids : list of n_texts ndarrays of int
        Tokens of each text, in [0, `N_TOKENS`).
    vectors : ndarray of shape (n_texts, 256)
        Mean of the vectors of the tokens; zeros for an empty text.
    """

    token_ids: list[np.ndarray]
    vectors: np.ndarray


def encode(texts: Sequence[str]) -> Encoded:
    """Embed texts locally; the weights are read once a process, without a network.

    Of a text over 4,000 characters only the two ends are read.

    Parameters
    ----------
    texts : sequence of str
        Any texts, empty ones too.

    Returns
    -------
    Encoded
        Tokens and vectors.

    Examples
    --------
    >>> encoded = encode(["the capital of Peru", ""])
    >>> encoded.vectors.shape, len(encoded.token_ids[0]), float(encoded.vectors[1].sum())
    ((2, 256), 4, 0.0)
    """
    tokenizer, weights = _static_embedding()
    batch = [_readable(text) for text in texts]
    encodings = (
        [tokenizer.encode(batch[0], add_special_tokens=False)]
        if len(batch) == 1
        else tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    )
    token_ids = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
    vectors = np.zeros((len(batch), EMBEDDING_DIMENSIONS), dtype=np.float32)
    for row, ids in enumerate(token_ids):
        if len(ids):
            vectors[row] = weights[ids].mean(axis=0)
    return Encoded(token_ids, vectors)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length one, so that dot products are cosines; zero rows stay zero.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_dimensions)
        Any vectors.

    Returns
    -------
    ndarray of shape (n, n_dimensions)
        Rows of length 1, or 0.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


class Reduction:
    """Project vectors onto their main directions (principal components).

    Parameters
    ----------
    centre : ndarray of shape (n_dimensions,)
        Mean of the training vectors.
    directions : ndarray of shape (n_components, n_dimensions)
        Orthonormal rows, the one with the largest variance first.
    """

    def __init__(self, centre: np.ndarray, directions: np.ndarray) -> None:
        self.centre = centre
        self.directions = directions

    @classmethod
    def fit(cls, vectors: np.ndarray, n_components: int) -> Self:
        """Find the main directions; fewer than asked for where there are fewer vectors."""
        centre = vectors.mean(axis=0, dtype=float)
        centred = vectors - centre
        variances, axes = np.linalg.eigh(centred.T @ centred)
        kept = min(n_components, max(len(vectors) - 1, 1), vectors.shape[1])
        directions = axes[:, np.argsort(-variances, kind="stable")[:kept]].T
        # The sign of an eigenvector is arbitrary: fix it, so that equal data give equal columns.
        largest = np.abs(directions).argmax(axis=1)
        signs = np.sign(directions[np.arange(kept), largest])
        return cls(
            centre.astype(np.float32), (directions * signs[:, np.newaxis]).astype(np.float32)
        )

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Return the coordinates, shape (n, n_components)."""
        return (vectors - self.centre) @ self.directions.T

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"centre": pack_array(self.centre), "directions": pack_array(self.directions)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(unpack_array(state["centre"]), unpack_array(state["directions"]))


def _readable(text: str) -> str:
    ends = both_ends(text, _HEAD_CHARACTERS, _TAIL_CHARACTERS)
    return ends.encode("utf-8", "replace").decode()  # the tokenizer refuses lone surrogates


@cache
def _static_embedding() -> tuple[Any, np.ndarray]:
    import wordllama

    model = wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )
    model.tokenizer.no_padding()
    return model.tokenizer, model.embedding
