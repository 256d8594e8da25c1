"""Ask whether a verdict says the right word where the truth is known, at 3,000 prompts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.evaluation.cross_fit import cross_evaluate
from routerlib.evaluation.evaluate import evaluate
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.arrays import Floats
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.router import Router
from routerlib.routers.training.train import at_operating_point

_N = 3000
_USD = (0.1, 1.0)
# Chances to be right of the small and the large model, by half of the topics.
_NOTHING = ((0.55, 0.80), (0.55, 0.80))
_SAVES = ((0.85, 0.85), (0.30, 0.85))
_GAINS = ((0.92, 0.78), (0.45, 0.80))


class _OfWords(Router):
    """Expect what ridge regression makes of the words: many trainings in little time."""

    name = "ridge of words"

    def _learn(self, outcomes: Outcomes) -> None:
        words = sorted({word for text in outcomes.prompts for word in text.lower().split()})
        self._at = {word: at for at, word in enumerate(words)}
        columns = self._columns(outcomes.prompts)
        square = columns.T @ columns + 20 * np.eye(columns.shape[1])
        self._slopes = np.linalg.solve(square, columns.T @ outcomes.quality)

    def _estimate(self, texts: list[str], topics: object) -> tuple[Floats, Floats]:
        quality = np.clip(self._columns(texts) @ self._slopes, 0, 1)
        return quality, np.tile(self.mean_cost_usd_, (len(texts), 1))

    def _columns(self, texts: Sequence[str]) -> Floats:
        columns = np.zeros((len(texts), len(self._at) + 1))
        columns[:, -1] = 1.0
        for row, text in enumerate(texts):
            for word in text.lower().split():
                if word in self._at:
                    columns[row, self._at[word]] = 1.0
        return columns


def _trained(outcomes: Outcomes) -> Router:
    return at_operating_point(_OfWords(), outcomes)


def _said(
    seed: int,
    chances: tuple[tuple[float, float], ...],
    word: str,
    out_of_fold: bool = False,
) -> dict[str, float]:
    """Draw prompts whose topics tell the chances, train, judge, and compare the word."""
    rng = np.random.default_rng(seed)
    drawn = make_world(n_prompts=_N, n_models=2, seed=seed).outcomes
    names = sorted(set(drawn.topics or ()))
    half = np.array([names.index(topic) % 2 for topic in drawn.topics or ()])
    # Within a topic prompts differ in ways that no words tell.
    chance = np.clip(np.array(chances)[half] + rng.uniform(-0.1, 0.1, (_N, 1)), 0, 1)
    quality = (rng.random(chance.shape) < chance).astype(float)
    usd = np.array(_USD) * rng.lognormal(0, 0.3, (_N, 1))
    outcomes = Outcomes(drawn.prompts, ("small", "large"), quality, usd, topics=drawn.topics)
    outcomes = in_groups(outcomes, np.arange(_N))
    if out_of_fold:
        verdict = cross_evaluate(outcomes, fit_router=_trained, n_bootstrap=200).evaluation.verdict
    else:
        train, test = outcomes.split(random_state=seed)
        router = at_operating_point(KNNRouter(), train)
        verdict = evaluate(router, test, n_bootstrap=200).verdict
    return {
        "right": float(verdict.kind == word),
        "wrong": float(verdict.kind in {"pays", "does_not_pay"} - {word}),
    }


_CLAIMS = {
    "right": Claim("the verdict says the right word", at_least=0.8),
    "wrong": Claim("it says the opposite", at_most=0.05),
}

_HELD_OUT = "3,000 prompts, 30 % held out"
_OUT_OF_FOLD = "3,000 prompts, all tested out of fold"
_WORDS = {
    "nothing": ("two models, no words tell which is right", _NOTHING, "does_not_pay"),
    "saves": (
        "on half of the prompts the small model is as good at a tenth of the cost, -45 % at equal "
        "quality",
        _SAVES,
        "pays",
    ),
    "gains": ("each model is the better one of half of the prompts", _GAINS, "pays"),
}

STUDIES = {
    f"{name}{' out of fold' if out_of_fold else ''}": Study(
        f"{_OUT_OF_FOLD if out_of_fold else _HELD_OUT}; {told}: {word}",
        partial(_said, chances=chances, word=word, out_of_fold=out_of_fold),
        _CLAIMS,
        n_quick=12,
        n_full=200,
    )
    for out_of_fold in (False, True)
    for name, (told, chances, word) in _WORDS.items()
}
