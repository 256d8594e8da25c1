"""Ask trees for their scores through LightGBM's own library, without its Python package.

The package imports pandas and scikit-learn, 130 MB and a second that a served router needs for
nothing else. What is called is LightGBM's documented C API
(https://lightgbm.readthedocs.io/en/stable/C-API.html), the same function that the package calls, so
scores are the same to the last bit.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

_FLOAT64 = 1  # C_API_DTYPE_FLOAT64
_TRANSFORMED, _RAW = 0, 1  # C_API_PREDICT_NORMAL, C_API_PREDICT_RAW_SCORE
_ALL_ROUNDS = -1
_PARAMETERS = b"num_threads=1"
_NAMES = {"win32": "lib_lightgbm.dll", "darwin": "lib_lightgbm.dylib"}


class Scorer:
    """Trees from a model text that `check_model_text` has found sound.

    >>> from routerlib.routers.lightgbm.binned import BinnedRows
    >>> from routerlib.routers.lightgbm.boosters import train_cost
    >>> columns = np.random.default_rng(0).random((40, 2))
    >>> booster = train_cost(BinnedRows(columns), columns[:, 0], random_state=0)
    >>> scores = Scorer(booster.model_to_string(), 1).raw(columns)
    >>> bool((scores[:, 0] == booster.predict(columns, raw_score=True)).all())
    True
    """

    def __init__(self, text: str, n_classes: int) -> None:
        self._text, self._n_classes = text, n_classes
        self._handle = ctypes.c_void_p()
        n_rounds = ctypes.c_int()
        _call(
            "LGBM_BoosterLoadModelFromString",
            ctypes.c_char_p(text.encode("ascii")),
            ctypes.byref(n_rounds),
            ctypes.byref(self._handle),
        )
        weakref.finalize(self, _call, "LGBM_BoosterFree", self._handle)
        # What LightGBM works out before a call, kept by number of columns: for one row it takes
        # as long as a few hundred trees.
        self._prepared: dict[int, _OneRow] = {}

    def __reduce__(self) -> tuple[type[Scorer], tuple[str, int]]:
        return Scorer, (self._text, self._n_classes)

    def raw(self, columns: np.ndarray) -> np.ndarray:
        """Return raw scores of shape (n_rows, n_classes)."""
        if len(columns) == 1:
            return self._predict_one(columns)
        return self._predict(columns, _RAW)

    def probabilities(self, columns: np.ndarray) -> np.ndarray:
        """Return the probability of each class, shape (n_rows, n_classes)."""
        return self._predict(columns, _TRANSFORMED)

    def _predict_one(self, columns: np.ndarray) -> np.ndarray:
        table = np.ascontiguousarray(columns, dtype=np.float64)
        n_columns = table.shape[1]
        if n_columns not in self._prepared:
            self._prepared[n_columns] = _OneRow(self._handle, n_columns)
        scores = np.empty((1, self._n_classes))
        self._prepared[n_columns].score(table, scores)
        return scores

    def _predict(self, columns: np.ndarray, kind: int) -> np.ndarray:
        table = np.ascontiguousarray(columns, dtype=np.float64)
        scores = np.empty((len(table), self._n_classes))
        n_scores = ctypes.c_int64()
        _call(
            "LGBM_BoosterPredictForMat",
            self._handle,
            table.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(table.shape[0]),
            ctypes.c_int32(table.shape[1]),
            ctypes.c_int(1),  # row by row
            ctypes.c_int(kind),
            ctypes.c_int(0),
            ctypes.c_int(_ALL_ROUNDS),
            ctypes.c_char_p(_PARAMETERS),
            ctypes.byref(n_scores),
            scores.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )
        if n_scores.value != scores.size:
            raise RuntimeError(f"LightGBM gave {n_scores.value} scores, expected {scores.size}")
        return scores


class _OneRow:
    """Raw scores of single rows of so many columns, asked of one booster again and again."""

    def __init__(self, booster: ctypes.c_void_p, n_columns: int) -> None:
        self._handle = ctypes.c_void_p()
        _call(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            booster,
            ctypes.c_int(_RAW),
            ctypes.c_int(0),
            ctypes.c_int(_ALL_ROUNDS),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(n_columns),
            ctypes.c_char_p(_PARAMETERS),
            ctypes.byref(self._handle),
        )
        weakref.finalize(self, _call, "LGBM_FastConfigFree", self._handle)

    def score(self, row: np.ndarray, scores: np.ndarray) -> None:
        """Write the scores of one row, both arrays of float64 and without gaps."""
        n_scores = ctypes.c_int64()
        _call(
            "LGBM_BoosterPredictForMatSingleRowFast",
            self._handle,
            ctypes.c_void_p(row.ctypes.data),
            ctypes.byref(n_scores),
            ctypes.c_void_p(scores.ctypes.data),
        )
        if n_scores.value != scores.size:
            raise RuntimeError(f"LightGBM gave {n_scores.value} scores, expected {scores.size}")


def _call(name: str, *arguments: Any) -> None:
    library = _library()
    if getattr(library, name)(*arguments) != 0:
        raise ValueError(f"LightGBM: {library.LGBM_GetLastError().decode(errors='replace')}")


@cache
def _library() -> Any:
    """Return LightGBM's library, from its package's folder or, where it isn't there, through it."""
    path = _library_path()
    if path is None:
        from lightgbm.basic import _LIB as library
    else:
        library = ctypes.CDLL(str(path))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _library_path() -> Path | None:
    package = find_spec("lightgbm")
    folders = (package.submodule_search_locations if package else None) or []
    name = _NAMES.get(sys.platform, "lib_lightgbm.so")
    paths = [Path(folder) / kind / name for folder in folders for kind in ("lib", "bin")]
    return next((path for path in paths if path.is_file()), None)
