"""Ask whether choices under a cap on seconds keep to it, and what is told of it holds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.evaluation.deadlines import measure_deadlines
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import Haste, choose_arms
from routerlib.routers.lightgbm.router import LGBMRouter

_N_TEST, _N_NEW = 120, 2000
_SLOWNESS = np.array([1.0, 2.0, 6.0])
_SPREAD = 0.5
# Seconds; the quickest model takes about two on the median prompt.
_CAPS_S = (4.0, 12.0)


def _timed(seed: int, n: int, family: int) -> Outcomes:
    """Draw prompts whose seconds rise with their words; those of a family share half the spread."""
    rng = np.random.default_rng([seed, n])
    outcomes = make_world(n, len(_SLOWNESS), seed, "price").outcomes
    words = np.array([len(prompt.split()) for prompt in outcomes.prompts])
    groups = np.arange(n) // family
    shared = rng.normal(0, 1, (groups[-1] + 1, 1))[groups]
    own = rng.normal(0, 1, (n, len(_SLOWNESS)))
    luck = (shared + own) / np.sqrt(2) if family > 1 else own
    seconds = 0.004 * words[:, None] ** 2 * _SLOWNESS * np.exp(_SPREAD * luck)
    return in_groups(replace(outcomes, latency_s=seconds), groups)


def kept(seed: int, n: int, family: int) -> dict[str, float]:
    """Train, judge the caps on 120 others, and look at 2,000 more for the truth."""
    outcomes = _timed(seed, n + _N_TEST + _N_NEW, family)
    router = LGBMRouter(random_state=seed).fit(outcomes.take(np.arange(n)))
    test = outcomes.take(np.arange(n, n + _N_TEST))
    found = measure_deadlines(router, test, _CAPS_S, n_bootstrap=300, random_state=seed)
    new = outcomes.take(np.arange(n + _N_TEST, n + _N_TEST + _N_NEW))
    estimates = router.predict(new.prompts)
    assert new.latency_s is not None
    assert estimates.latency is not None  # it was trained on seconds
    in_time, covers = [], []
    for cap_s in _CAPS_S:
        rows, arms = np.arange(_N_NEW), choose_arms(estimates, 0.0, Haste(max_latency_s=cap_s))
        seconds = new.latency_s[rows, arms]
        somebody = estimates.latency.p90_s[rows, arms] <= cap_s
        in_time.append((seconds <= cap_s)[somebody].mean())
        row = found.loc[f"cap {cap_s:g} s"]
        true = {
            "in_time": (seconds <= cap_s).mean(),
            "latency_p90_s": np.quantile(seconds, 0.9),
            "quality": new.quality[rows, arms].mean(),
        }
        covers.append(
            [row[f"{name}_low"] <= at <= row[f"{name}_high"] for name, at in true.items()]
        )
    means = np.mean(covers, axis=0)
    return {"kept": float(np.mean(in_time)), **dict(zip(true, map(float, means), strict=True))}


_CLAIMS = {
    "kept": Claim("where somebody is expected in time, the cap is kept in nine of ten", 0.88),
    "in_time": Claim("the interval of the share in time holds it", at_least=0.93),
    "latency_p90_s": Claim("that of the 90 % quantile of what was chosen does", at_least=0.93),
    "quality": Claim("that of quality does", at_least=0.93),
}

STUDIES = {
    f"{name}_{n}": Study(
        f"three models whose seconds rise with a prompt's words, with a spread of lognormal "
        f"{_SPREAD}; {n} training prompts, caps judged on {_N_TEST} others{words}",
        partial(kept, n=n, family=family),
        _CLAIMS,
        n_quick=8,
        n_full=100,
    )
    for name, family, words in (("alone", 1, ""), ("families", 4, ", families of four prompts"))
    for n in (300,)
}
