"""Ask whether a verdict is decided at the number of prompts that an open one asks for."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.evaluation.contenders import TestedPrompts, arms_contender
from routerlib.evaluation.fallback import columns_of
from routerlib.evaluation.replicates import measure
from routerlib.evaluation.verdict import Verdict, judge_by_intervals
from routerlib.outcomes.outcomes import Outcomes

_USD = (0.1, 1.0)
_LARGE = 0.8
# Gain over mixing by chance: a quarter of what the small model has more on the first half.
_GAINS = {"none": 0.0, "half": 0.015, "smallest": 0.03, "double": 0.06}
_EFFECT = 0.03


def _judged(rng: np.random.Generator, n: int, gain: float, plan: bool) -> Verdict:
    """Draw prompts of two halves, send the first to the small model, and judge that."""
    is_first = rng.random(n) < 0.5
    small = np.where(is_first, 0.7 + 2 * gain, 0.7 - 2 * gain)
    quality = np.column_stack([rng.random(n) < small, rng.random(n) < _LARGE]).astype(float)
    usd = np.array(_USD) * rng.lognormal(0, 0.3, (n, 1))
    names = [f"{row}" for row in range(n)]
    outcomes = Outcomes(names, ("small", "large"), quality, usd, prompt_ids=names)
    tested = TestedPrompts.of(in_groups(outcomes, np.arange(n)), "large", "small")
    arms = np.where(is_first, 0, 1)
    contenders = {"router": arms_contender(tested, arms)}
    measured = measure(tested, contenders, n_bootstrap=300, random_state=0).intervals("router")
    return judge_by_intervals(
        measured,
        best_single="large",
        share_of_best_single=float((arms == 1).mean()),
        n=n,
        n_groups=n,
        margin=_EFFECT,
        columns=columns_of(tested, arms, measured) if plan else None,
    )


def planned(seed: int, gain: float, n_pilot: int) -> dict[str, float]:
    """Look at a few prompts; where these don't decide, look at as many others as they ask for."""
    rng = np.random.default_rng([seed, n_pilot, round(1e4 * gain)])
    pilot = _judged(rng, n_pilot, gain, plan=True)
    needed = pilot.numbers.get("prompts_needed")
    if pilot.kind != "not_measurable" or needed is None:
        return {"decided": float("nan"), "needed": float("nan"), "wide": float("nan")}
    after = _judged(rng, int(needed), gain, plan=False)
    low, high = pilot.numbers["prompts_needed_low"], pilot.numbers["prompts_needed_high"]
    return {
        "decided": float(after.kind != "not_measurable"),
        "needed": float(needed),
        "wide": float((high or 0) / (low or 1)),
    }


def _claims(gain: float) -> dict[str, Claim]:
    most = 0.95 if gain <= _EFFECT else 1.0
    says = "the verdict is decided at the planned number of prompts"
    return {
        "decided": Claim(says, at_least=0.8, at_most=most),
        "wide": Claim("the high end of the range is so many times the low one", at_most=2.5),
    }


STUDIES = {
    f"{name}_{n_pilot}": Study(
        f"two models, one half of the prompts each; routing gains {100 * gain:g} points over "
        f"mixing; planned from {n_pilot} prompts for a smallest gain of 3 points",
        partial(planned, gain=gain, n_pilot=n_pilot),
        _claims(gain),
        n_quick=40,
        n_full=400,
    )
    for (name, gain), n_pilot in product(_GAINS.items(), (60, 150))
}
