"""Turn texts into vectors by a static embedding that lies inside an installed package."""

from __future__ import annotations

import logging
import re
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from routerlib.records.brief import both_ends

_HEAD_CHARACTERS = 3_000
_TAIL_CHARACTERS = 1_000

Encoder = Callable[[list[str]], np.ndarray]

# What stands for spaces and line breaks among words.
BLANK = "(blank)"
_WORDS = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['\u2019]\w+)*|[^\w\s]")

# The tokenizer has no word splitter, so its time grows faster than the text. No token of it goes on
# after a word or over a line's end, or holds letters beside other signs or a digit beside anything,
# so that text may be cut there. Short pieces are remembered, and so is what stands between two
# spaces: that is less, and found faster.
_PIECES = re.compile(r" *(?:[^\W\d_\xb2]+|(?:[^\w\n ]|[_\xb2])+)| +|[^ ]", re.DOTALL)
_AFTER_SPACE = re.compile(" ( *[^ ]*)")
_SPACE = "\u2581"
_LONGEST_REMEMBERED, _MOST_REMEMBERED = 24, 65_536

EMBEDDING_DIMENSIONS = 256
N_TOKENS = 32_000
# So many texts are embedded together; fewer than some are as quick one by one.
_TEXTS_TOGETHER, _FEWEST_TOGETHER = 1024, 8


class Encoded(NamedTuple):
    """Texts as the embedding sees them.

    `token_ids`: tokens of each text, in [0, `N_TOKENS`).
    `vectors` (n_texts, 256): mean of the vectors of the tokens; zeros for an empty text.
    `neural` (n_texts, n_dimensions): vectors of a neural encoder, where one is used.
    """

    token_ids: list[np.ndarray]
    vectors: np.ndarray
    neural: np.ndarray | None = None

    def take(self, rows: np.ndarray | slice) -> Encoded:
        """Return some of the texts."""
        if isinstance(rows, slice):
            token_ids = self.token_ids[rows]
        else:
            token_ids = [self.token_ids[row] for row in rows]
        neural = None if self.neural is None else self.neural[rows]
        return Encoded(token_ids, self.vectors[rows], neural)


def encode(texts: Sequence[str], encoder: Encoder | None = None) -> Encoded:
    """Embed texts locally; the weights are read once a process, without a network.

    Of a text over 4,000 characters only the two ends are read.

    `encoder`: turns a list of texts into an array of shape (n_texts, n_dimensions), in
        addition.
    """
    token_ids = [_token_ids(_readable(text)) for text in texts]
    # Importing it for this takes as long as 20,000 texts; whoever trained a router has it.
    has_sparse = len(texts) >= _FEWEST_TOGETHER and "scipy.sparse" in sys.modules
    vectors = (_means_of_many if has_sparse else _means_of_few)(token_ids)
    return Encoded(token_ids, vectors, None if encoder is None else _neural(texts, encoder))


def _means_of_few(token_ids: list[np.ndarray]) -> np.ndarray:
    """Return the mean of the vectors of each text's tokens, text by text."""
    weights = _static_embedding()[1]
    vectors = np.zeros((len(token_ids), EMBEDDING_DIMENSIONS), dtype=np.float32)
    for row, ids in enumerate(token_ids):
        if len(ids):
            np.add.reduce(weights.take(ids, axis=0), axis=0, out=vectors[row])
            vectors[row] /= len(ids)
    return vectors


def _means_of_many(token_ids: list[np.ndarray]) -> np.ndarray:
    """Return the same, by adding in the same order without a copy of each token's vector."""
    from scipy.sparse import csr_array

    vectors = np.zeros((len(token_ids), EMBEDDING_DIMENSIONS), dtype=np.float32)
    for start in range(0, len(token_ids), _TEXTS_TOGETHER):
        some = token_ids[start : start + _TEXTS_TOGETHER]
        lengths, tokens = np.array(list(map(len, some))), np.concatenate(some)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        once = np.ones(len(tokens), dtype=np.float32)
        held = csr_array((once, tokens, ends), shape=(len(some), N_TOKENS))
        sums = held @ _static_embedding()[1]
        counted = np.maximum(lengths, 1).astype(np.float32)
        np.divide(sums, counted[:, np.newaxis], out=vectors[start : start + len(some)])
    return vectors


def token_vectors(token_ids: np.ndarray) -> np.ndarray:
    """Return the vectors of tokens, shape (n_tokens, 256), whose mean is that of their text."""
    return np.asarray(_static_embedding()[1][token_ids])


def words_of_tokens(text: str) -> list[str]:
    """Return the word, number or sign that each token of a text begins in, in small letters.

    Of as many tokens as `encode` gives.

    >>> words_of_tokens("Prove it.")
    ['prove', 'prove', 'it', '.']
    """
    readable = _readable(text)
    encoding = _static_embedding()[0].encode(readable, add_special_tokens=False)
    words = list(_WORDS.finditer(readable))
    starts = np.array([word.start() for word in words])
    found = []
    for start, end in encoding.offsets:
        token = readable[start:end]
        first = start + len(token) - len(token.lstrip())
        at = int(np.searchsorted(starts, first, side="right")) - 1
        is_inside = at >= 0 and first < words[at].end()
        found.append(words[at].group().lower() if is_inside else BLANK)
    return found


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length one, so that dot products are cosines; zero rows stay zero.

    `vectors` (n, n_dimensions): any vectors.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    lengths = np.sqrt(np.add.reduce(vectors * vectors, axis=1, keepdims=True))
    if len(lengths) != 1 or not lengths[0, 0] > 0:
        lengths = np.where(lengths > 0, lengths, 1)
    return vectors / lengths


def _token_ids(text: str) -> np.ndarray:
    """Return the tokens of a text, piece by piece where that gives the same."""
    tokenizer, _ = _static_embedding()
    if _SPACE in text or any(sign in text for sign in _special_tokens()):
        return np.array(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)
    if not text:
        return np.zeros(0, dtype=np.int32)
    spaced = f" {text}"
    words = _AFTER_SPACE.findall(spaced) if "  " in spaced else text.split(" ")
    return np.frombuffer(b"".join(map(_WORDS_KNOWN.__getitem__, words)), dtype=np.int32)


class _Known(dict[str, bytes]):
    """Tokens of short texts, four bytes each, found out when first asked for."""

    def __init__(self, find_out: Callable[[str], bytes]) -> None:
        self._find_out = find_out

    def __missing__(self, text: str) -> bytes:
        tokens = self._find_out(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[text] = tokens
        return tokens


def _tokens_of_piece(piece: str) -> bytes:
    tokens = _static_embedding()[0].model.tokenize(piece.replace(" ", _SPACE))
    return array("i", [token.id for token in tokens]).tobytes()


def _tokens_after_space(word: str) -> bytes:
    return b"".join(map(_PIECES_KNOWN.__getitem__, _PIECES.findall(f" {word}")))


_PIECES_KNOWN, _WORDS_KNOWN = _Known(_tokens_of_piece), _Known(_tokens_after_space)


@cache
def _special_tokens() -> tuple[str, ...]:
    """Return what the tokenizer takes for a mark of its own wherever it stands in a text."""
    added = _static_embedding()[0].get_added_tokens_decoder().values()
    return tuple(token.content for token in added)


def _neural(texts: Sequence[str], encoder: Encoder) -> np.ndarray:
    vectors = np.asarray(encoder(list(texts)), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise ValueError(
            f"an encoder must return finite numbers of shape ({len(texts)}, n_dimensions) for "
            f"{len(texts)} texts, got shape {vectors.shape}"
        )
    return vectors


def _readable(text: str) -> str:
    ends = both_ends(text, _HEAD_CHARACTERS, _TAIL_CHARACTERS)
    return ends.encode("utf-8", "replace").decode()  # the tokenizer refuses lone surrogates


@cache
def _static_embedding() -> tuple[Any, np.ndarray]:
    wordllama = _import_without_its_logging()
    model = wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )
    model.tokenizer.no_padding()
    return model.tokenizer, model.embedding


def _import_without_its_logging() -> Any:
    """Import wordllama, and undo that it sends every library's messages to the terminal."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    import wordllama

    root.setLevel(level)
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
    return wordllama
