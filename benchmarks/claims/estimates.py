"""Ask whether intervals of estimates, and planned numbers of prompts, hold what they say."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.evaluation.contenders import TestedPrompts, arms_contender
from routerlib.evaluation.replicates import measure
from routerlib.metrics.sample_size import plan_sample_size
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import Kind, make_world
from routerlib.routers.lightgbm.router import LGBMRouter

_N_NEW = 300
_LEVEL, _POWER = 0.9, 0.8
_DISAGREEMENT = 0.2
_SLOWNESS = (1.0, 3.0)


def held(seed: int, kind: Kind, n: int) -> dict[str, float]:
    """Train on some prompts, and look how often intervals hold the true quality of others."""
    world = make_world(n + _N_NEW, 3, seed, kind)
    new = np.arange(n, n + _N_NEW)
    router = LGBMRouter().fit(world.outcomes.take(np.arange(n)))
    low, high = router.quality_interval(world.outcomes.take(new).prompts, level=_LEVEL)
    truth = world.expected_quality[new]
    return {"held": float(((low <= truth) & (truth <= high)).mean())}


def under(seed: int, n: int) -> dict[str, float]:
    """Train on seconds that rise with a prompt's words, and count new calls under the quantile."""
    rng = np.random.default_rng([seed, n])
    outcomes = make_world(n + _N_NEW, 2, seed).outcomes
    words = np.array([len(prompt.split()) for prompt in outcomes.prompts])
    seconds = 0.01 * words[:, None] ** 2 * np.array(_SLOWNESS)
    seconds = seconds * rng.lognormal(0, 0.5, seconds.shape)
    # An answer's first piece comes after a tenth, more or less.
    first = 0.1 * seconds * rng.lognormal(0, 0.3, seconds.shape)
    timed = replace(outcomes, latency_s=seconds, first_token_s=first)
    timed = in_groups(timed, np.arange(len(words)))
    new = np.arange(n, n + _N_NEW)
    router = LGBMRouter().fit(timed.take(np.arange(n)))
    latency = router.predict(timed.take(new).prompts).latency
    assert latency is not None  # it was trained on seconds
    return {
        "under": float((seconds[new] <= latency.p90_s).mean()),
        "first": float((first[new] <= latency.first_token_p95_s).mean()),
    }


def told(seed: int, margin: float) -> dict[str, float]:
    """Draw as many prompts as were planned, and look whether the difference is told from none."""
    n = plan_sample_size(margin, disagreement=_DISAGREEMENT, power=_POWER)
    rng = np.random.default_rng([seed, n])
    wins, losses = (_DISAGREEMENT + margin) / 2, (_DISAGREEMENT - margin) / 2
    drawn = rng.random(n)
    quality = np.full((n, 2), 0.5)
    quality[drawn < wins] = 0, 1
    quality[drawn > 1 - losses] = 1, 0
    names = [f"{row}" for row in range(n)]
    outcomes = Outcomes(names, ("old", "new"), quality, np.ones((n, 2)), prompt_ids=names)
    tested = TestedPrompts.of(in_groups(outcomes, np.arange(n)), "old", "old")
    contenders = {"new": arms_contender(tested, np.ones(n, dtype=np.intp))}
    found = measure(tested, contenders, n_bootstrap=300, random_state=0).intervals("new")
    return {"told": float(found["quality_difference"].low > 0)}


_HELD = Claim("90 % intervals of expected quality hold the truth, over prompts", at_least=0.9)
_UNDER = {
    "under": Claim("nine of ten new calls take no longer than the 90 % quantile", 0.88, 0.95),
    "first": Claim("95 of 100 first pieces come no later than the 95 % quantile", 0.93, 0.99),
}
_TOLD = Claim("the 95 % interval excludes 0 at the planned number of prompts", at_least=_POWER)
_WORDS = {
    "skill": "each of three models is the best one of some topics",
    "price": "three models, prompts from easy to hard, the dearer the better on each",
}

_INTERVALS = {
    f"{kind}_{n}": Study(
        f"{words}; {n} training prompts like the {_N_NEW} that are asked for",
        partial(held, kind=kind, n=n),
        {"held": _HELD},
        n_quick=8,
        n_full=60,
    )
    for kind, words in _WORDS.items()
    for n in (100, 400)
}
_SECONDS = {
    f"seconds_{n}": Study(
        f"two models whose seconds rise with a prompt's words, with spread; {n} training prompts",
        partial(under, n=n),
        _UNDER,
        n_quick=8,
        n_full=60,
    )
    for n in (100, 400)
}
_PLANNED = {
    f"planned_{round(100 * margin)}": Study(
        f"two models differ on {100 * _DISAGREEMENT:g} % of prompts, by {100 * margin:g} points",
        partial(told, margin=margin),
        {"told": _TOLD},
        n_quick=100,
        n_full=1000,
    )
    for margin in (0.03, 0.1)
}
STUDIES = _INTERVALS | _SECONDS | _PLANNED
