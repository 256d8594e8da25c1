"""Ask whether a certified operating point loses more than it promised, on new prompts."""

from __future__ import annotations

import numpy as np

from claims.study import Claim, Study
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.decision import Estimates
from routerlib.routers.training.certification import certified_operating_point

_EPSILON, _DELTA = 0.03, 0.1
_N_CALIBRATED, _N_NEW = 500, 4000


def overstated(seed: int) -> dict[str, float]:
    """Certify a router whose estimates of quality are off by much noise, then ask the truth."""
    world = make_world(_N_CALIBRATED + _N_NEW, seed=seed, kind="skill")
    rng = np.random.default_rng(seed)
    noisy = world.expected_quality + rng.normal(scale=0.3, size=world.expected_quality.shape)
    models = world.outcomes.models
    estimates = Estimates(models, np.clip(noisy, 0, 1), world.outcomes.cost_usd)
    used = np.arange(_N_CALIBRATED)
    new = np.arange(_N_CALIBRATED, _N_CALIBRATED + _N_NEW)
    calibrated = _rows(estimates, used)
    certificate = certified_operating_point(
        calibrated,
        world.outcomes.take(used),
        epsilon=_EPSILON,
        delta=_DELTA,
        best_single=world.outcomes.best_single,
        cost_weights=sweep_cost_weights(_rows(estimates, new))[::10],
    )
    if certificate.cost_weight is None:
        return {"violated": 0.0}
    arms = choose_arms(_rows(estimates, new), certificate.cost_weight)
    truth = world.expected_quality[new]
    lost = truth.mean(axis=0).max() - truth[np.arange(_N_NEW), arms].mean()
    return {"violated": float(lost > _EPSILON)}


def _rows(estimates: Estimates, rows: np.ndarray) -> Estimates:
    return Estimates(estimates.models, estimates.quality[rows], estimates.cost_usd[rows])


STUDIES = {
    "overstated": Study(
        "Three models, six topics, estimates with noise of .3; 500 prompts to certify, 4,000 new",
        overstated,
        {"violated": Claim("a certified point loses more than epsilon", at_most=_DELTA)},
        n_quick=60,
        n_full=500,
    )
}
