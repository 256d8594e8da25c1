"""Ask whether choices fall as often as the propensities that are logged with them say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from claims.study import Claim, Study
from routerlib.policies.exploration import EpsilonGreedy, Explorer, Thompson, UpperConfidence
from routerlib.records.decision import Estimates

_N_PROMPTS = 20_000
_COST_WEIGHT = 20.0
_MAKERS: Mapping[str, tuple[str, Callable[..., Explorer]]] = {
    "epsilon": ("a tenth evenly among all", partial(EpsilonGreedy, epsilon=0.1)),
    "thompson": ("by the chance that each is the best", Thompson),
    "upper": ("the upper end of what is expected, a fifth evenly", UpperConfidence),
}


def off(seed: int, name: str) -> dict[str, float]:
    """Draw choices, and take what their propensities promise from how often they fall."""
    rng = np.random.default_rng(seed)
    shape = (_N_PROMPTS, 3)
    estimates = Estimates(
        ("small", "middle", "large"),
        rng.random(shape),
        rng.random(shape) * np.array([1e-4, 1e-3, 1e-2]),
        quality_sd=0.2 * rng.random(shape),
    )
    policy = _MAKERS[name][1](_COST_WEIGHT, random_state=seed)
    expected = policy.probabilities(estimates)
    arms, propensities = policy.choose(estimates)
    # Any other policy's value by weights: of qualities that are known, it must be their mean.
    values = rng.random(shape)
    weighed = values[np.arange(_N_PROMPTS), arms] / propensities / shape[1]
    return {
        "rarest": float((arms == expected.argmin(axis=1)).mean() - expected.min(axis=1).mean()),
        "weighed": float(weighed.mean() - values.mean()),
    }


_CLAIMS = {
    "rarest": Claim("the least likely is chosen as often as is logged, off by", -2e-4, 2e-4),
    "weighed": Claim("choosing evenly, valued by propensities, is off by", -0.02, 0.02),
}

STUDIES = {
    name: Study(
        f"{_N_PROMPTS:,} prompts, three models, {words}",
        partial(off, name=name),
        _CLAIMS,
        n_quick=60,
        n_full=400,
    )
    for name, (words, _) in _MAKERS.items()
}
