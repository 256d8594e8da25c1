"""Neural sentence encoders: an option that costs milliseconds a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from routerlib.weights.cache import ENCODERS, ensure_encoder
from routerlib.weights.embedding import Encoder, unit_rows

EncoderChoice = str | Encoder | None
_MAX_TOKENS = 256
# What a saved router says of a function that it can't keep.
OWN_ENCODER = "own"


def resolve_encoder(encoder: EncoderChoice) -> Encoder | None:
    """Return the function behind a name; a function or None is returned as it is.

    `encoder`: ``"minilm"``, or a function from a list of n texts to an array of shape (n,
        n_dimensions).

    >>> resolve_encoder("word2vec")
    Traceback (most recent call last):
        ...
    ValueError: encoder must be 'minilm', a function or None, got 'word2vec'
    """
    if encoder is None or not isinstance(encoder, str):
        return encoder
    if encoder == OWN_ENCODER:
        raise ValueError(
            "this router was trained with an encoder of its own; hand it over: "
            "load_router(path, encoder=...)"
        )
    if encoder not in ENCODERS:
        raise ValueError(
            f"encoder must be {' or '.join(map(repr, ENCODERS))}, a function or None, "
            f"got {encoder!r}"
        )
    return onnx_encoder(encoder)


def encoder_name(encoder: EncoderChoice) -> str | None:
    """Return what a saved router says of its encoder: a name, ``"own"`` for a function, None."""
    return encoder if encoder is None or isinstance(encoder, str) else OWN_ENCODER


@cache
def onnx_encoder(name: str) -> Encoder:
    """Return an encoder whose weights are fetched once and verified; needs the extra `encoder`."""
    try:
        import onnxruntime
        import tokenizers
    except ImportError as error:
        raise ModuleNotFoundError(
            "a neural encoder needs onnxruntime and tokenizers: pip install 'routerlib[encoder]'"
        ) from error
    model, vocabulary = ensure_encoder(name)
    tokenizer = tokenizers.Tokenizer.from_file(str(vocabulary))
    tokenizer.enable_truncation(_MAX_TOKENS)
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums everywhere
    session = onnxruntime.InferenceSession(
        Path(model).read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    return _OnnxEncoder(tokenizer, session)


class _OnnxEncoder:
    """Mean of the token vectors of a transformer, scaled to length one."""

    def __init__(self, tokenizer: object, session: object) -> None:
        self.tokenizer = tokenizer
        self.session = session

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        readable = [text.encode("utf-8", "replace").decode() for text in texts]
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(readable)]  # type: ignore[attr-defined]
        # One text at a time: padding would change the sums of an int8 network.
        return unit_rows(np.array([self._vector(each) for each in ids], dtype=np.float32))

    def _vector(self, ids: list[int]) -> np.ndarray:
        tokens = np.array([ids], dtype=np.int64)
        inputs = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        names = {each.name for each in self.session.get_inputs()}  # type: ignore[attr-defined]
        given = {name: value for name, value in inputs.items() if name in names}
        hidden = self.session.run(None, given)[0]  # type: ignore[attr-defined]
        return np.asarray(hidden[0].mean(axis=0))
