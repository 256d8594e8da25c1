"""Judge answers that are at hand, whichever of them these are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from routerlib.records.arrays import Floats

# Log-odds of the answers in `cells` (n_rows, 2) where `held` (n_rows, n_models) are at hand.
Judge = Callable[[np.ndarray, np.ndarray], Floats]


class JudgedPrompts:
    """Judged log-odds of the answers to some prompts, remembered by which are at hand.

    `is_there` (n_prompts, n_models): answers that can be asked for.
    """

    def __init__(self, judge: Judge, is_there: np.ndarray) -> None:
        self._judge, self.is_there = judge, is_there
        self._known: dict[tuple[int, ...], Floats] = {}

    def odds(self, held: tuple[int, ...]) -> Floats:
        """Return judged log-odds, shape (n_prompts, n_models); NaN for what isn't at hand.

        `held`: sorted columns of the candidates whose answers are at hand.
        """
        if held not in self._known:
            n_prompts, n_models = self.is_there.shape
            mask = np.zeros(n_models, dtype=bool)
            mask[list(held)] = True
            odds = np.full((n_prompts, n_models), np.nan)
            cells = np.argwhere(self.is_there & mask)
            odds[cells[:, 0], cells[:, 1]] = self._judge(cells, self.is_there[cells[:, 0]] & mask)
            self._known[held] = odds
        return self._known[held]
