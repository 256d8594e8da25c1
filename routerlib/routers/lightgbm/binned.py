"""Sort rows of columns into bins once, for all boosters that learn from the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import lightgbm as lgb


# What settles how columns are sorted into bins; the rest of the settings is about trees.
_OF_BINS = ("max_bin", "min_data_in_bin", "feature_pre_filter", "is_enable_sparse", "verbosity")


class Columns(Protocol):
    """Columns of prompts: an array of shape (n_rows, n_columns), or what becomes one when asked."""

    def __len__(self) -> int: ...

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> np.ndarray: ...


class BinnedRows:
    """Rows of columns as LightGBM learns from them; only the labels differ between boosters.

    Finding the bins takes as long as a third of a training, and candidates are mostly observed on
    the same prompts.

    `columns` (n_rows, n_columns): prompt features.

    >>> rows = BinnedRows(np.random.default_rng(0).random((40, 2)))
    >>> settings = {"min_data_in_leaf": 3, "verbosity": -1}
    >>> first = rows.labelled(np.arange(40.0), settings)
    >>> rows.labelled(np.ones(40), settings) is first, first.get_label()[:2].tolist()
    (True, [1.0, 1.0])
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._tables: dict[str, lgb.Dataset] = {}

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def columns(self) -> np.ndarray:
        """The columns themselves, shape (n_rows, n_columns)."""
        return np.asarray(self._columns)

    @property
    def whole(self) -> BinnedRows:
        """The rows that the bins are found by, which hold these."""
        return self

    @property
    def kept(self) -> np.ndarray:
        """Mask of the rows among the whole, shape (n_whole,)."""
        return np.ones(len(self), dtype=bool)

    def labelled(self, labels: np.ndarray, settings: Mapping[str, Any]) -> lgb.Dataset:
        """Return the rows with these labels, shape (n_rows,); labels given before are gone."""
        return self.table(settings).set_label(labels)

    def table(self, settings: Mapping[str, Any]) -> lgb.Dataset:
        """Return the rows in bins, without labels of their own."""
        of_bins = {name: settings[name] for name in _OF_BINS if name in settings}
        key = repr(of_bins)
        if key not in self._tables:
            self._tables[key] = self._sorted(of_bins).construct()
        return self._tables[key]

    def to_bytes(self, settings: Mapping[str, Any]) -> bytes:
        """Return the rows in bins as a file of LightGBM's, an eighth as large as the columns."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.bin"
            self.table(settings).save_binary(path)
            return path.read_bytes()

    def _sorted(self, of_bins: dict[str, Any]) -> lgb.Dataset:
        import lightgbm as lgb

        return lgb.Dataset(self.columns, params=of_bins)


class FoundBins(BinnedRows):
    """Rows in bins that another process has found: boosters learn the same from them, to the bit.

    `found`: from `BinnedRows.to_bytes`.
    """

    def __init__(self, found: bytes) -> None:
        super().__init__(np.zeros((0, 0)))
        self._found = found

    @property
    def columns(self) -> np.ndarray:
        """Refuse: they stayed where the bins were found."""
        raise TypeError("of rows in bins that another process has found only the bins are known")

    def _sorted(self, of_bins: dict[str, Any]) -> lgb.Dataset:
        import lightgbm as lgb

        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.bin"
            path.write_bytes(self._found)
            return lgb.Dataset(path, params=of_bins).construct()


class _SomeRows(BinnedRows):
    """Some rows of others, in the bins of all of them."""

    def __init__(self, whole: BinnedRows, kept: np.ndarray) -> None:
        super().__init__(whole._columns)
        self._whole, self._kept, self._rows = whole, kept, np.flatnonzero(kept)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def columns(self) -> np.ndarray:
        return super().columns[self._rows]

    @property
    def whole(self) -> BinnedRows:
        return self._whole

    @property
    def kept(self) -> np.ndarray:
        return self._kept

    def _sorted(self, of_bins: dict[str, Any]) -> lgb.Dataset:
        return self._whole.table(of_bins).subset(self._rows.tolist())


class RowsOf:
    """Some rows of columns after others, kept as long as the same ones are asked for.

    Bins are found once, for all rows: as the columns themselves they know nothing of labels.

    `columns` (n_rows, n_columns): prompt features, or all rows in bins.

    >>> rows = RowsOf(np.eye(3))
    >>> some = rows.take(np.array([True, True, False]))
    >>> len(some), rows.take(np.array([True, True, False])) is some
    (2, True)
    """

    def __init__(self, columns: Columns | BinnedRows) -> None:
        self._whole = columns if isinstance(columns, BinnedRows) else BinnedRows(columns)
        self._kept = np.zeros(0, dtype=bool)
        self._rows = self._whole

    @property
    def columns(self) -> np.ndarray:
        """The columns themselves, shape (n_rows, n_columns)."""
        return self._whole.columns

    def take(self, kept: np.ndarray) -> BinnedRows:
        """Return the rows that a mask of shape (n_rows,) keeps."""
        if not np.array_equal(kept, self._kept):
            self._kept = kept
            self._rows = self._whole if kept.all() else _SomeRows(self._whole, kept)
        return self._rows
