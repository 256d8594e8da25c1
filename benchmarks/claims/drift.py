"""Ask how often a daily look at drift alarms without one, and how soon it tells a real change."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from claims.study import Claim, Study
from routerlib.evaluation.drift import measure_drift
from routerlib.evaluation.misjudged import judge_estimates
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates
from routerlib.routers.held_out_errors import HeldOutErrors
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.train import at_operating_point

_PER_DAY, _DAYS, _FALL = 50, 100, 0.10
_N_TOPICS, _N_MODELS, _N_FOLDS = 6, 3, 5
# What `measure_drift` leaves to candidates of its 5 %.
_ALPHA = 0.045
# A topic that has become seldom comes so often, compared with the others.
_SELDOM = 0.2


def candidates(seed: int, n_train: int, *, mixed: bool = False) -> dict[str, float]:
    """Look at the candidates on 100 days on which none of them changes."""
    first = _first_alarm(seed, n_train, _DAYS, mixed=mixed)
    return {"alarm": float(np.isfinite(first))}


def fallen(seed: int, n_train: int, since: int) -> dict[str, float]:
    """Count the days until a fall of 10 points of one candidate is told."""
    first = _first_alarm(seed, n_train, since + 12, falls_on=since)
    return {"in time": float(since < first <= since + 12), "too early": float(first <= since)}


def everything(seed: int) -> dict[str, float]:
    """Look at prompts and candidates by the public function, a neighbour router, real texts."""
    n_train = 300
    outcomes = make_world(n_train + _PER_DAY * 26, seed=seed).outcomes
    router = at_operating_point(KNNRouter(), outcomes.take(range(n_train)))
    # Prompts are compared at each doubling of 40 only, so these looks see all that daily ones do.
    looks = [n_train + n for n in (40, 80, 160, 320, 640, 1280)]
    return {
        "alarm": float(any(measure_drift(router, outcomes.take(range(n))).reasons for n in looks))
    }


def _first_alarm(
    seed: int, n_train: int, n_days: int, *, mixed: bool = False, falls_on: int | None = None
) -> float:
    """Return the first day with an alarm on any candidate; infinite = none."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.4, 0.97, size=(_N_TOPICS, _N_MODELS))
    topics = rng.integers(_N_TOPICS, size=n_train)
    observed = (rng.random((n_train, _N_MODELS)) < truth[topics]).astype(float)
    shares = np.where(np.arange(_N_TOPICS) < _N_TOPICS / 2 * mixed, _SELDOM, 1.0)
    later = rng.choice(_N_TOPICS, _PER_DAY * n_days, p=shares / shares.sum())
    expected = truth[later].copy()
    if falls_on is not None:
        expected[_PER_DAY * falls_on :, 0] -= _FALL
    quality = (rng.random(expected.shape) < expected).astype(float)
    texts = [f"{word:016x}" for word in rng.integers(2**62, size=len(later))]
    recent = Outcomes(texts, [f"m{arm}" for arm in range(_N_MODELS)], quality)
    _ = recent.groups  # once for all days
    folds = rng.integers(_N_FOLDS, size=n_train)
    held_out = np.zeros_like(observed)
    for fold in range(_N_FOLDS):
        is_out = folds == fold
        held_out[is_out] = _topic_means(topics[~is_out], observed[~is_out])[topics[is_out]]
    errors = HeldOutErrors.of(held_out, observed, np.arange(n_train))
    estimates = _topic_means(topics, observed)[later]
    for day in range(1, n_days + 1):
        n = day * _PER_DAY
        found = Estimates(tuple(recent.models), estimates[:n], np.zeros((n, _N_MODELS)))
        router = SimpleNamespace(
            models_=recent.models, held_out_errors_=errors, predict=lambda _, found=found: found
        )
        judged = judge_estimates(router, recent.take(range(n)), _ALPHA)  # type: ignore[arg-type]
        if any(each.is_misjudged for each in judged.values()):
            return float(day)
    return float("inf")


def _topic_means(topics: np.ndarray, observed: Floats, weight: float = 5.0) -> Floats:
    """Estimate per topic as a router does: drawn towards the mean of all."""
    member = np.eye(_N_TOPICS)[topics]
    sums = member.T @ observed + weight * observed.mean(axis=0)
    return np.asarray(sums / (member.sum(axis=0)[:, None] + weight))


_WORLD = "Three models, six topics, all answers scored, a router of topic means, 50 prompts a day"
_QUIET = {"alarm": Claim("a run of 100 daily looks ever alarms", at_most=0.05)}
_TOLD = {
    "in time": Claim("told within 12 days", at_least=0.5),
    "too early": Claim("told before it happens", at_most=0.05),
}

STUDIES = {
    "unchanged": Study(
        f"{_WORLD}; nothing changes after training on 300",
        partial(candidates, n_train=300),
        _QUIET,
        n_quick=30,
        n_full=1000,
    ),
    "mixed": Study(
        f"{_WORLD}; half of the topics become five times rarer after training on 300",
        partial(candidates, n_train=300, mixed=True),
        _QUIET,
        n_quick=30,
        n_full=1000,
    ),
    "fallen": Study(
        f"{_WORLD}; one model falls by 10 points right after training on 450",
        partial(fallen, n_train=450, since=0),
        _TOLD,
        n_quick=40,
        n_full=1000,
    ),
    "fallen later": Study(
        f"{_WORLD}; one model falls by 10 points 30 days after training on 450",
        partial(fallen, n_train=450, since=30),
        _TOLD,
        n_quick=30,
        n_full=1000,
    ),
    "everything": Study(
        "make_world's texts, a router of neighbours trained on 300; prompts and candidates",
        everything,
        {"alarm": Claim("any look alarms", at_most=0.05)},
        n_quick=6,
        n_full=300,
    ),
}
