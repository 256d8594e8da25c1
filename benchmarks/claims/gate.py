"""Ask how often a daily retraining ever puts a worse router in use, and what a gain takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.retraining import retrain
from routerlib.metrics.sequences import draws_needed, level_of_test, log_e_values
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.baselines import BestSingle
from routerlib.routers.loading import load_router

_PER_DAY, _DAYS, _MARGIN, _N_FIRST = 50, 100, 0.02, 300
# True qualities: the router in use has the first, and nothing is better.
_QUALITY = np.array([0.70, 0.70, 0.67, 0.60])
# A challenger learns from so few prompts, drawn anew, that it is worse about every second time.
_N_TAUGHT = 25


def churn(seed: int) -> dict[str, float]:
    """Retrain daily for 100 days on which no router can be better than the one in use."""
    rng = np.random.default_rng(seed)
    table = _drawn(rng, _N_FIRST + _PER_DAY * _DAYS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "router_model.pkl"
        first = table.take(range(_N_FIRST))
        BestSingle().fit(_telling(first, 0)).save(path)
        in_use, worse, n_promoted = 0, False, 0
        for day in range(1, _DAYS + 1):
            log = SimpleNamespace(
                outcomes=lambda n=_N_FIRST + _PER_DAY * day, **_: table.take(range(n))
            )
            with (
                patch("routerlib.evaluation.gate.train_router", _careless(rng)),
                patch("routerlib.evaluation.retraining._drift", lambda *_: None),
            ):
                done = retrain(log, path, margin=_MARGIN)  # type: ignore[arg-type]
            if done.verdict == "replaced":
                now = table.models.index(load_router(path).best_single_)
                lost = max(_QUALITY[in_use], _QUALITY[0]) - _QUALITY[now]
                worse, n_promoted, in_use = worse or lost > _MARGIN, n_promoted + 1, now
    return {"worse": float(worse), "promotions": float(n_promoted)}


def improvement(seed: int) -> dict[str, float]:
    """Count the days until a challenger is promoted that is 5 points better than the champion."""
    rng = np.random.default_rng(seed)
    table = _drawn(rng, _N_FIRST + _PER_DAY * _DAYS, np.array([0.70, 0.65]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "router_model.pkl"
        BestSingle().fit(_telling(table.take(range(_N_FIRST)), 1)).save(path)
        for day in range(1, _DAYS + 1):
            log = SimpleNamespace(
                outcomes=lambda n=_N_FIRST + _PER_DAY * day, **_: table.take(range(n))
            )
            with (
                patch(
                    "routerlib.evaluation.gate.train_router",
                    lambda taught, **_: BestSingle().fit(_telling(taught, 0)),
                ),
                patch("routerlib.evaluation.retraining._drift", lambda *_: None),
            ):
                done = retrain(log, path, margin=_MARGIN)  # type: ignore[arg-type]
            if done.verdict == "replaced":
                return {"by day 20": float(day <= 20), "ever": 1.0}
    return {"by day 20": 0.0, "ever": 0.0}


def rare_losses(seed: int) -> dict[str, float]:
    """Judge, daily for 100 days, a challenger that loses all on 1 prompt of 25, else nothing."""
    rng = np.random.default_rng(seed)
    lost = -(rng.random(_PER_DAY * _DAYS) < 0.04).astype(float)
    grown = log_e_values(lost + _MARGIN, _MARGIN - 1)[_PER_DAY - 1 :: _PER_DAY]
    return {"passes": float((grown >= -np.log(level_of_test(1, 0.05))).any())}


def power(seed: int, gain: float = 0.05) -> dict[str, float]:
    """Count the prompts until a true gain is shown by the first challenger."""
    rng = np.random.default_rng(seed)
    n = 6000
    better, worse = 0.05 + gain, 0.05
    drawn = rng.choice([1.0, -1.0, 0.0], p=[better, worse, 1 - better - worse], size=n)
    level = level_of_test(1, 0.05)
    reached = log_e_values(drawn + _MARGIN, _MARGIN - 1) >= -np.log(level)
    needed = float(reached.argmax() + 1) if reached.any() else float(n)
    announced = draws_needed(gain + _MARGIN, better + worse - gain**2, level)
    return {"prompts": needed, "within": float(needed <= announced)}


def power_of_2(seed: int) -> dict[str, float]:
    """Count the same for a gain of 2 points."""
    return power(seed, 0.02)


def _drawn(rng: np.random.Generator, n: int, truth: np.ndarray = _QUALITY) -> Outcomes:
    """Return outcomes in which candidates are right on the same prompts mostly."""
    common = rng.random(n)[:, None]
    own = rng.random((n, len(truth)))
    level = np.where(rng.random((n, len(truth))) < 0.8, common, own)
    texts = [f"{word:016x}" for word in rng.integers(2**62, size=n)]
    names = [f"m{arm}" for arm in range(len(truth))]
    outcomes = Outcomes(texts, names, (level < truth).astype(float))
    _ = outcomes.groups  # once for all days
    return outcomes


def _telling(outcomes: Outcomes, arm: int) -> Outcomes:
    """Return outcomes by which one candidate is the best single one."""
    quality = np.full(outcomes.quality.shape, 0.5)
    quality[:, arm] = 1.0
    told = outcomes.take(range(len(outcomes)))
    return Outcomes(told.prompts, told.models, quality, told.cost_usd, prompt_ids=told.prompt_ids)


def _careless(rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """Return a way to train that believes a handful of prompts."""

    def train(taught: Outcomes, **_: object) -> BestSingle:
        believed = taught.take(rng.choice(len(taught), _N_TAUGHT, replace=False))
        return BestSingle().fit(_telling(taught, int(believed.quality.mean(axis=0).argmax())))

    return train


STUDIES = {
    "churn": Study(
        "Four models, two of which are 3 and 10 points worse, none better than the one in use; "
        "challengers that believe 25 prompts, 50 new prompts and one retraining a day, 100 days",
        churn,
        {
            "worse": Claim("a run ever promotes a worse router beyond the margin", at_most=0.05),
            "promotions": Claim("promotions in 100 days", at_most=2, is_share=False),
        },
        n_quick=12,
        n_full=300,
    ),
    "improvement": Study(
        "Two models, the router in use keeps to the one that is 5 points worse, 50 new prompts and "
        "one retraining a day",
        improvement,
        {
            "by day 20": Claim("the better router is promoted within 20 days", at_least=0.5),
            "ever": Claim("it is promoted within 100 days", at_least=0.9),
        },
        n_quick=20,
        n_full=300,
    ),
    "rare losses": Study(
        "A challenger that loses all on 4 % of prompts and nothing else, looked at on 100 days",
        rare_losses,
        {"passes": Claim("it ever passes", at_most=0.025)},
        n_quick=400,
        n_full=4000,
    ),
    "power": Study(
        "A challenger that gains 5 points: better on 10 % of prompts, worse on 5 %; margin 0.02",
        power,
        {
            "prompts": Claim("prompts until it is promoted, mean", at_most=400),
            "within": Claim("promoted within the number announced", at_least=0.5),
        },
        n_quick=200,
        n_full=2000,
    ),
    "power of 2": Study(
        "The same with a gain of 2 points: better on 7 % of prompts, worse on 5 %",
        power_of_2,
        {
            "prompts": Claim("prompts until it is promoted, mean", at_most=1200),
            "within": Claim("promoted within the number announced", at_least=0.5),
        },
        n_quick=200,
        n_full=2000,
    ),
}
