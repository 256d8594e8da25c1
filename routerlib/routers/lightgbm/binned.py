"""Sort rows of columns into bins once, for all boosters that learn from the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import lightgbm as lgb


class BinnedRows:
    """Rows of columns as LightGBM learns from them; only the labels differ between boosters.

    Finding the bins takes as long as a third of a training, and candidates are mostly observed on
    the same prompts. A booster is the same, bit for bit, as one of a table of its own.

    `columns` (n_rows, n_columns): prompt features.

    >>> rows = BinnedRows(np.random.default_rng(0).random((40, 2)))
    >>> settings = {"min_data_in_leaf": 3, "verbosity": -1}
    >>> first = rows.labelled(np.arange(40.0), settings)
    >>> rows.labelled(np.ones(40), settings) is first, first.get_label()[:2].tolist()
    (True, [1.0, 1.0])
    """

    def __init__(self, columns: np.ndarray) -> None:
        self.columns = columns
        self._tables: dict[str, lgb.Dataset] = {}

    def __len__(self) -> int:
        return len(self.columns)

    def labelled(self, labels: np.ndarray, settings: Mapping[str, Any]) -> lgb.Dataset:
        """Return the rows with these labels, shape (n_rows,); labels given before are gone."""
        import lightgbm as lgb

        key = repr(settings)  # bins depend on some of the settings, so on all of them here
        if key not in self._tables:
            table = lgb.Dataset(self.columns, label=labels, params=dict(settings))
            self._tables[key] = table.construct()
        return self._tables[key].set_label(labels)


class RowsOf:
    """Some rows of columns after others, kept as long as the same ones are asked for.

    `columns` (n_rows, n_columns): prompt features.

    >>> rows = RowsOf(np.eye(3))
    >>> some = rows.take(np.array([True, True, False]))
    >>> len(some), rows.take(np.array([True, True, False])) is some
    (2, True)
    """

    def __init__(self, columns: np.ndarray) -> None:
        self.columns = columns
        self._kept = np.zeros(0, dtype=bool)
        self._rows = BinnedRows(columns[:0])

    def take(self, kept: np.ndarray) -> BinnedRows:
        """Return the rows that a mask of shape (n_rows,) keeps."""
        if not np.array_equal(kept, self._kept):
            self._kept, self._rows = kept, BinnedRows(self.columns[kept])
        return self._rows
