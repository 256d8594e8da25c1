"""Ask whether intervals of an AUC hold the one that the law of scores has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
from scipy.stats import norm

from claims.study import Claim, Study
from routerlib.show.notebooks.cascades import _auc

_SHARE_GOOD = 0.6
# Standard deviations that scores of good answers lie above those of bad ones, and what they share.
_APART, _SHARED = 1.0, 0.7


def held(seed: int, n: int, family: int) -> Mapping[str, float]:
    """Draw scores of answers, and tell whether the interval of their AUC holds the true one."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // family
    shared = math.sqrt(_SHARED) if family > 1 else 0.0
    luck = shared * rng.normal(size=groups[-1] + 1)[groups]
    good = norm.cdf(luck + math.sqrt(1 - shared**2) * rng.normal(size=n)) < _SHARE_GOOD
    noise = shared * rng.normal(size=groups[-1] + 1)[groups]
    scores = _APART * good + noise + math.sqrt(1 - shared**2) * rng.normal(size=n)
    found = _auc(scores, good, groups)
    return {"holds": float(found.low <= norm.cdf(_APART / math.sqrt(2)) <= found.high)}


_CLAIMS = {"holds": Claim("the interval of the AUC holds the true one", at_least=0.93)}

STUDIES = {
    name: Study(words, partial(held, n=n, family=family), _CLAIMS, n_quick=100, n_full=500)
    for name, words, n, family in (
        ("single", "120 answers, 60 % of them right", 120, 1),
        ("families", "240 answers in families of four that share luck", 240, 4),
    )
}
