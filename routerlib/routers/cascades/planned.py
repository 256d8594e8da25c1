"""Choose sets of candidates to ask, as cascade routing does, on the estimates of a cascade."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.records.arrays import Arms
from routerlib.routers.cascades.evidence import exact_logits, possible
from routerlib.routers.cascades.replay import NOBODY, Bench, Way

# Draws of what answers may be judged, the same for all prompts.
_N_DRAWS = 100


class PlannedBench(Bench):
    """Follow the strategy of arXiv:2410.10347 over the prompts of another bench."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.estimates, bench.judged, bench.evidence)
        self._situations = bench._situations
        n_models = bench.estimates.quality.shape[1]
        draws = np.random.default_rng(0).standard_normal((_N_DRAWS // 2, n_models))
        self._draws = np.concatenate([draws, -draws])

    def _choose(self, held: tuple[int, ...], rows: Arms | slice, way: Way, further: int) -> Arms:
        situation, cost_weight = self.situation(held), way.cost_weight
        expected, best = situation.expected[rows], situation.best[rows]
        cost_usd = self.estimates.cost_usd[rows]
        spread = self.evidence.later if situation.held else self.evidence.first
        seen = sigmoid(possible(exact_logits(expected), spread, self._draws.T[None]))
        free = [arm for arm in range(expected.shape[1]) if arm not in situation.held]
        arms = np.full(len(best), NOBODY, dtype=np.intp)
        worth = best.copy() if situation.held else np.full(len(best), -np.inf)
        for planned in _sets(free, further + 1):
            within = list(planned)
            reached = np.maximum(seen[:, within].max(axis=1), best[:, None]).mean(axis=1)
            if len(planned) == 1 and not situation.held:
                reached = expected[:, within[0]]
            value = reached - (cost_weight * cost_usd[:, within].sum(axis=1) if cost_weight else 0)
            cheapest = np.array(within)[np.argmin(cost_usd[:, within], axis=1)]
            is_better = value > worth + 1e-12
            arms, worth = np.where(is_better, cheapest, arms), np.where(is_better, value, worth)
        return arms


def _sets(free: list[int], most: int) -> Iterator[tuple[int, ...]]:
    for size in range(1, min(most, len(free)) + 1):
        yield from combinations(free, size)
