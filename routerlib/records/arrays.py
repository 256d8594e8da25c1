"""Kinds of arrays; arrays as plain builtins, so that a file of them opens without running code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Column of a candidate model, per prompt.
Arms = NDArray[np.intp]

# No array here is longer; one without cells must not claim to be, for its columns are summed.
_LONGEST = 2**27
_DTYPES = ("float16", "float32", "float64", "int32", "int64")


def pack_array(array: np.ndarray) -> dict[str, Any]:
    """Return an array as a dict of builtins.

    `array`: floats or integers.
    """
    name = array.dtype.name
    if name not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {name!r}; convert first")
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": name, "shape": [int(n) for n in array.shape], "bytes": ordered.tobytes()}


def unpack_array(packed: Mapping[str, Any]) -> np.ndarray:
    """Return the array that `pack_array` packed.

    `packed`: with ``dtype``, ``shape`` and ``bytes``.
    """
    name, shape, payload = packed["dtype"], packed["shape"], packed["bytes"]
    if name not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {name!r}")
    if not all(type(n) is int and 0 <= n <= _LONGEST for n in shape):
        raise ValueError(f"lengths must be whole numbers from 0 to {_LONGEST}, got {shape!r}")
    dtype = np.dtype(name).newbyteorder("<")
    expected = math.prod(shape) * dtype.itemsize
    if len(payload) != expected:
        raise ValueError(f"an array of shape {shape} needs {expected} bytes, got {len(payload)}")
    return np.frombuffer(payload, dtype=dtype).reshape(shape).astype(name)


def some_rows(n_rows: int, most: int) -> np.ndarray | slice:
    """Return which rows to learn from, at most so many, drawn evenly and the same at every call.

    `most`: how many tell as much as all.

    >>> some_rows(3, 5), len(some_rows(100, 5))
    (slice(None, None, None), 5)
    """
    if n_rows <= most:
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(n_rows, most, replace=False))
