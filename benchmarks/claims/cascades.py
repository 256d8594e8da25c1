"""Ask whether a certified cascade loses more, or costs more with all its calls, than promised."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from claims.curves import World, drawn_of
from claims.study import Claim, Study, in_groups
from routerlib.evaluation.cascade_worth import evaluate_cascade
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_answer_world
from routerlib.policies.utility import sweep_cost_weights
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.cascades.evidence import Evidence, exact_logits
from routerlib.routers.cascades.judged import JudgedPrompts
from routerlib.routers.cascades.replay import Bench
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.certification import Chosen, Way, certified_operating_point
from routerlib.routers.training.train import at_operating_point

_EPSILON, _DELTA = 0.03, 0.1
_N_CALIBRATED, _N_TRUE, _N_LEARNT = 500, 8_000, 2_000
_MOST_CALLS = 3
_N_TRAIN, _N_TEST, _N_NEW = 300, 150, 1_500


class Judged(NamedTuple):
    """A world, and how answers are judged in it, in log odds.

    `tells`: what a right answer is judged better by than a wrong one.
    `noise`: spread of a judgement that has no cause.
    `believed`: spread that the cascade believes that judgements have, and that they are right by;
        None = it learnt it from other prompts.
    """

    world: World
    tells: float
    noise: float
    believed: float | None = None


_WORLDS = {
    "gains": Judged(World(skill=2.0, noise=0.5), tells=3.0, noise=1.0),
    "heavy": Judged(World(skill=2.0, noise=0.5, tail=1.5), tells=3.0, noise=1.0),
    "edge": Judged(World(tail=0.8), tells=1.5, noise=1.0),
    "overstated": Judged(World(skill=1.2), tells=0.3, noise=2.0, believed=2.0),
    "dearest": Judged(World(dearest=-0.8, skill=1.2), tells=2.0, noise=1.0),
}
_WORDS = {
    "gains": "four models, answers tell much, learnt from 2,000 prompts",
    "heavy": "the same with costs that are lognormal with sigma 1.5",
    "edge": "four models, answers tell less, little can be saved within epsilon",
    "overstated": "answers tell hardly anything, and are believed to tell much",
    "dearest": "the dearest model is not the best: at small cost weights routing is dearer than it",
}


class Truth(NamedTuple):
    """All prompts of a world, followed at each cost weight, and what each gives on average.

    `lost, share`: mean quality under the best model's, and cost as a share of its, by cost weight.
    """

    estimates: Estimates
    quality: Floats
    cost_usd: Floats
    best: int
    weights: Floats
    chosen: dict[float, Chosen]
    lost: Floats
    share: Floats


def bench_of(judged: Judged, n: int, seed: int) -> tuple[Bench, Floats, Floats]:
    """Draw prompts with judgements of all answers; return them, their quality and cost."""
    rng = np.random.default_rng(seed)
    drawn = drawn_of(judged.world, n, rng)
    base = exact_logits(drawn.estimates.quality)
    signal = judged.tells * (drawn.quality - drawn.estimates.quality)
    odds = base + signal + judged.noise * rng.normal(size=base.shape)
    prompts = JudgedPrompts(
        lambda cells, _: odds[cells[:, 0], cells[:, 1]], np.full(odds.shape, True)
    )
    n_models = odds.shape[1]
    if judged.believed is None:
        evidence = Evidence.fit(prompts, drawn.estimates.quality, drawn.quality)
    else:
        spread = np.full(n_models, judged.believed)
        evidence = Evidence(0.5 * (1 - np.eye(n_models)), spread, spread)
    return Bench(drawn.estimates, prompts, evidence), drawn.quality, drawn.cost_usd


@lru_cache
def true_points(name: str) -> Truth:
    """Follow a fixed cascade over all prompts of a world, along the cost weights to be tested."""
    judged = _WORLDS[name]
    evidence = bench_of(judged, _N_LEARNT, 1)[0].evidence
    bench, quality, cost_usd = bench_of(judged, _N_TRUE, 2)
    bench = Bench(bench.estimates, bench.judged, evidence)
    weights = sweep_cost_weights(bench.estimates, 24)
    means, best = quality.mean(axis=0), int(quality.mean(axis=0).argmax())
    chosen, lost, share = {}, [], []
    for weight in map(float, weights):
        followed = bench.follow(weight, 1.0, _MOST_CALLS)
        asked = followed.is_asked(quality.shape[1])
        chosen[weight] = Chosen(followed.given, asked, np.ones(len(asked), dtype=bool))
        lost.append(means[best] - followed.quality(quality).mean())
        share.append(followed.cost_usd(cost_usd).mean() / cost_usd[:, best].mean())
    return Truth(
        bench.estimates, quality, cost_usd, best, weights, chosen, np.array(lost), np.array(share)
    )


def certified(name: str, seed: int) -> dict[str, float]:
    """Certify a fixed cascade on few of the prompts, then look the truth about all of them up."""
    truth = true_points(name)
    rows = np.random.default_rng([seed, 3]).integers(_N_TRUE, size=_N_CALIBRATED)
    words = np.random.default_rng(0).integers(10**9, size=(_N_CALIBRATED, 6)).astype(str)
    prompts = [" ".join(each) for each in words]
    names = truth.estimates.models
    certificate = certified_operating_point(
        Estimates(names, truth.estimates.quality[rows], truth.estimates.cost_usd[rows]),
        Outcomes(prompts, names, truth.quality[rows], truth.cost_usd[rows]),
        epsilon=_EPSILON,
        delta=_DELTA,
        best_single=names[truth.best],
        cost_weights=truth.weights,
        way=Way(lambda weight: truth.chosen[weight].take(rows), _MOST_CALLS, "cascade"),
    )
    if certificate.cost_weight is None:
        return {"violated": 0.0, "dearer": 0.0, "certified": 0.0, "saved": 0.0}
    at = int(np.flatnonzero(truth.weights == certificate.cost_weight)[0])
    return {
        "violated": float(truth.lost[at] > _EPSILON or truth.share[at] >= 1),
        "dearer": float(truth.share[at] >= 1),
        "certified": 1.0,
        "saved": 1 - truth.share[at],
    }


def worth(seed: int, tell: float) -> dict[str, float]:
    """Train a cascade, say by few prompts what it is worth beside its router, and look at many."""
    n = _N_TRAIN + _N_TEST + _N_NEW
    outcomes = make_answer_world(n, 2, seed, tell=tell, price_step=4).outcomes
    outcomes = in_groups(outcomes, np.arange(n))
    train, test, new = (
        outcomes.take(np.arange(n)[rows])
        for rows in (slice(_N_TRAIN), slice(_N_TRAIN, _N_TRAIN + _N_TEST), slice(-_N_NEW, None))
    )
    cascade = Cascade(at_operating_point(KNNRouter(), train)).fit(train)
    found = evaluate_cascade(cascade, test, n_bootstrap=300, random_state=seed)
    true = evaluate_cascade(cascade, new, n_bootstrap=2).measured
    covers = {
        name: float(found.measured[name].low <= true[name].value <= found.measured[name].high)
        for name in ("quality_gain", "utility_gain", "cost_share")
    }
    return {**covers, "false": float(found.kind == "pays" and true["utility_gain"].value <= 0)}


_CLAIMS = {
    "violated": Claim(
        "a certified cascade loses more than epsilon, or isn't cheaper", at_most=_DELTA
    ),
    "dearer": Claim("a certified cascade isn't cheaper than best single", at_most=_DELTA),
    "certified": Claim("certified (no promise: how often it is)"),
    "saved": Claim("saving kept, 0 where none is certified (no promise)", is_share=False),
}
STUDIES = {
    name: Study(f"{_WORDS[name]}; 500 prompts", partial(certified, name), _CLAIMS, 100, 500)
    for name in _WORLDS
}
_WORTH = {
    name: Claim(f"the interval of `{name}` covers the truth", at_least=0.93)
    for name in ("quality_gain", "utility_gain", "cost_share")
} | {"false": Claim("the cascade is said to pay and doesn't", at_most=0.05)}
STUDIES |= {
    f"worth {tell:g}": Study(
        f"two models, {_N_TRAIN} training prompts, {_N_TEST} held out; of the wrong answers "
        f"{100 * tell:g} % show it",
        partial(worth, tell=tell),
        _WORTH,
        n_quick=10,
        n_full=100,
    )
    for tell in (0.3, 1.0)
}
