"""Ask whether a verdict is misled where answers are missing because they were bad."""

from __future__ import annotations

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.routing import route_all
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.train import at_operating_point

_N_TRAIN, _N_TEST = 1000, 500
_WORDS = (
    "river stone market window garden letter engine copper planet harbour winter lesson bridge",
    "candle forest ladder mirror needle orange pencil rocket silver tunnel violet wagon anchor",
)
_CLAIMS_GAIN = ("pays", "saves_at_a_price")


def _prompts(n: int, rng: np.random.Generator) -> tuple[list[str], Floats, np.ndarray]:
    """Write prompts of 8 to 60 words; tell their lengths, from 0 to 1, and which of two topics."""
    lengths, topics = rng.integers(8, 60, n), rng.integers(0, 2, n)
    texts = [
        f"{' '.join(rng.choice(_WORDS[topic].split(), size))} {row}?"
        for row, (size, topic) in enumerate(zip(lengths, topics, strict=True))
    ]
    return texts, (lengths - 8) / 52, topics


def _world(seed: int, cut_off: str) -> tuple[Outcomes, Floats]:
    """Draw outcomes with missing cells, and the true expected quality, failures counted as 0."""
    rng = np.random.default_rng(seed)
    n = _N_TRAIN + _N_TEST
    prompts, length, topic = _prompts(n, rng)
    # Each model is the better one of a topic.
    truth = np.column_stack([np.where(topic == 0, 0.9, 0.5), np.where(topic == 0, 0.7, 0.85)])
    quality = (rng.random(truth.shape) < truth).astype(float)
    if cut_off == "long":
        is_cut = rng.random(n) < np.clip(1.6 * length - 0.45, 0, 0.97)
        quality[is_cut, 0] = np.nan
        truth[:, 0] *= 1 - np.clip(1.6 * length - 0.45, 0, 0.97)
    elif cut_off == "wrong":
        # Whoever judged left most wrong answers of the small model without a score.
        is_cut = (quality[:, 0] == 0) & (rng.random(n) < 0.8)
        quality[is_cut, 0] = np.nan
    else:
        quality[rng.random(n) < 0.02, 0] = np.nan
    usd = np.column_stack([1e-4 * (1 + length), 1e-3 * (1 + length)])
    usd[np.isnan(quality)] = np.nan
    return Outcomes(prompts, ("small", "large"), quality, usd), truth


def _judged(seed: int, cut_off: str) -> dict[str, float]:
    outcomes, truth = _world(seed, cut_off)
    train, test = outcomes.take(range(_N_TRAIN)), outcomes.take(range(_N_TRAIN, len(outcomes)))
    router = at_operating_point(KNNRouter(), train)
    found = evaluate(router, test, n_bootstrap=200)
    expected = truth[_N_TRAIN:]
    chosen = expected[np.arange(_N_TEST), route_all(router, test).arms].mean()
    real = chosen - expected[:, test.models.index(router.best_single_)].mean()
    harm = chosen - expected.mean(axis=0).max()
    claims = found.verdict.kind in _CLAIMS_GAIN
    ends = (
        found.missing.bounds[router.best_single_]["quality_difference"] if found.missing else None
    )
    return {
        "wrong": float(claims and harm < -0.03),
        "covers": float(ends is not None and ends.low <= real <= ends.high),
        "claims": float(claims),
    }


def cut_off_long(seed: int) -> dict[str, float]:
    """Draw a world in which the small model's answers to long prompts are cut off."""
    return _judged(seed, "long")


def wrong_unscored(seed: int) -> dict[str, float]:
    """Draw a world in which wrong answers of the small model mostly have no score."""
    return _judged(seed, "wrong")


def few_at_random(seed: int) -> dict[str, float]:
    """Draw a world in which one cell in fifty is missing by chance."""
    return _judged(seed, "few")


_HONEST = {
    "wrong": Claim("a gain is claimed where more than three points are lost", at_most=0.05),
    "covers": Claim("the bounds hold the true difference to the best single model", at_least=0.9),
}

STUDIES = {
    "cut_off": Study(
        "1,000 prompts to train, 500 to test; the small model's answers to long prompts are cut "
        "off (worthless) and come as empty cells",
        cut_off_long,
        _HONEST,
        n_quick=20,
        n_full=300,
    ),
    "unscored": Study(
        "The same sizes; four of five wrong answers of the small model have no score",
        wrong_unscored,
        _HONEST,
        n_quick=20,
        n_full=300,
    ),
    "few": Study(
        "The same sizes; one cell in fifty is missing by chance, and routing does save",
        few_at_random,
        _HONEST | {"claims": Claim("a true gain is still claimed", at_least=0.5)},
        n_quick=20,
        n_full=300,
    ),
}
