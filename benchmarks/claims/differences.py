"""Ask whether the differences between families of routers in a benchmark hold the true ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from claims.study import Claim, Study, in_groups
from routerlib.evaluation.benchmark import benchmark
from routerlib.outcomes.splits import Parts
from routerlib.outcomes.worlds import make_world
from routerlib.routers.rivals import KNNRouter, LinearRouter

_N_TRAIN, _N_TEST, _N_TRUE = 150, 150, 3000
_MAKES = {"linear": LinearRouter, "knn": KNNRouter}


def held(seed: int) -> Mapping[str, float]:
    """Compare two fits on a few prompts, and the same two on very many."""
    n = _N_TRAIN + _N_TEST + _N_TRUE
    outcomes = in_groups(make_world(n, seed=seed).outcomes, np.arange(n))
    train, test, true = np.split(np.arange(n), [_N_TRAIN, _N_TRAIN + _N_TEST])
    told = benchmark(_MAKES, outcomes, [Parts(train, test)], n_bootstrap=400)
    truth = benchmark(_MAKES, outcomes, [Parts(train, true)], n_bootstrap=2)
    row, right = told.differences("linear").loc["knn"], truth.differences("linear").loc["knn"]
    return {
        metric: float(row[f"{metric}_low"] <= right[metric] <= row[f"{metric}_high"])
        for metric in _CLAIMS
    }


_CLAIMS = {
    metric: Claim(f"the interval of a difference in {metric} holds the true one", at_least=0.93)
    for metric in ("quality", "AIQ")
}

STUDIES = {
    "families of routers": Study(
        f"a linear router against nearest neighbours, {_N_TRAIN} prompts to train, {_N_TEST} to "
        "test, three models each best at some topics",
        held,
        _CLAIMS,
        n_quick=20,
        n_full=200,
    )
}
