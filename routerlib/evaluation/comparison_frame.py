"""A comparison that shows what matters first, and the rest on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from routerlib.metrics.intervals import Interval
from routerlib.records.shown import shown_html
from routerlib.records.text_table import text_table

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

# What a first look at a comparison needs, of all that it holds; intervals stand in the cells.
SHOWN = (
    "quality", "cost_usd", "cost_share", "quality_difference", "gain_over_zero", "gap_closed",
    "AIQ", "n",
)  # fmt: skip


class ComparisonFrame(pd.DataFrame):
    """A comparison, of which eight columns are shown; it holds them all, and is a frame like any.

    What is chosen from it, such as ``table[["AIQ"]]`` or ``table.full``, is shown as it is.
    """

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    @property
    def full(self) -> pd.DataFrame:
        """All columns, to be shown too."""
        return pd.DataFrame(self)

    def _repr_html_(self) -> str:
        return shown_html(self._rest(), self._rows())

    def __repr__(self) -> str:
        return f"{text_table(pd.DataFrame(self._rows()))}\n{self._rest()}"

    def _rows(self) -> list[dict[str, object]]:
        return [
            {"router": str(name)} | {column: _cell(row, column) for column in SHOWN}
            for name, row in self.full.to_dict(orient="index").items()
        ]

    def _rest(self) -> str:
        left = f"{self.shape[1]} columns: table.full shows them, table.columns names them"
        return f"{len(SHOWN)} of {left}; 95 % intervals"


def _cell(row: Mapping[Hashable, float], column: str) -> object:
    if f"{column}_low" not in row:
        return row[column]
    return Interval(row[column], row[f"{column}_low"], row[f"{column}_high"], float("nan")).told
