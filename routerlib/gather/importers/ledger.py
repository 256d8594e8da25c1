"""Count what an import read, so that nothing of it is lost without a word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """The rows of a file and what became of them.

    `n_rows`: rows, lines or samples that were read.
    `n_further`: calls that a row tells of beyond its first: other draws, other models.
    `n_merged`: rows that tell of a call which an earlier row told of.
    `left_out, unscored`: calls, and scores, that could not come in: reason -> how many.
    """

    n_rows: int = 0
    n_further: int = 0
    n_merged: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)

    @property
    def n_told(self) -> int:
        """Calls that the file tells of."""
        return self.n_rows + self.n_further - self.n_merged

    def check(self, n_read: int, where: str) -> None:
        """Raise RuntimeError unless every call came in or was left out with its reason."""
        n_left_out = self.left_out.total()
        if self.n_told != n_read + n_left_out:
            raise RuntimeError(
                f"{where} tells of {self.n_told} calls ({self.n_rows} rows, {self.n_further} "
                f"further calls in them, {self.n_merged} merged), but {n_read} were read and "
                f"{n_left_out} left out; nothing was added: please report this"
            )
