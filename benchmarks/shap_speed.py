"""How long SHAP values of 5,000 prompts x 9 candidates take: LightGBM's TreeSHAP beside shap's.

shap.TreeExplainer hands a LightGBM booster to LightGBM's own code, so as it is usually called the
two are one; here shap is made to use its own.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np

from routerlib.outcomes.worlds import make_world
from routerlib.routers.lightgbm.router import LGBMRouter

N_TRAIN, N_PROMPTS, N_MODELS = 1000, 5000, 9
# The two take turns, so that a busy machine slows both; ratios are those of the same turn.
N_TURNS = 5
N_WHOLE = 3


def seconds(explain: Callable[[], object]) -> float:
    """Return wall-clock seconds of one call."""
    start = time.perf_counter()
    explain()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    import shap

    world = make_world(n_prompts=N_TRAIN + N_PROMPTS, n_models=N_MODELS, seed=0).outcomes
    router = LGBMRouter(random_state=0).fit(world.take(range(N_TRAIN)))
    columns = router.features(world.prompts[N_TRAIN:])
    boosters = [router.booster(model) for model in router.models_]
    explainers = [shap.TreeExplainer(booster) for booster in boosters]
    for each in explainers:
        each.model.model_type = "internal"  # else shap calls LightGBM's code itself

    def by_lightgbm() -> list[np.ndarray]:
        return [each.predict(columns, pred_contrib=True, num_threads=1) for each in boosters]

    def by_shap() -> list[np.ndarray]:
        return [each.shap_values(columns) for each in explainers]

    gaps = [a[:, :-1] - b for a, b in zip(by_lightgbm(), by_shap(), strict=True)]
    turns = np.array([[seconds(by_lightgbm), seconds(by_shap)] for _ in range(N_TURNS)])
    whole = min(seconds(lambda: router.contributions_all(columns)) for _ in range(N_WHOLE))
    ratios = turns[:, 1] / turns[:, 0]
    n_trees = sum(booster.num_trees() for booster in boosters)
    print(f"{N_PROMPTS} prompts x {N_MODELS} candidates, {columns.shape[1]} features,")
    print(f"{n_trees} trees, one thread, {N_TURNS} turns")
    print("| SHAP values | fastest | median |")
    print("| --- | --- | --- |")
    names = ("of the trees by LightGBM", "of the trees by shap's own code")
    for name, took in zip(names, turns.T, strict=True):
        print(f"| {name} | {took.min():.2f} s | {np.median(took):.2f} s |")
    print(f"| of the whole blend, by `router.contributions_all` | {whole:.2f} s | |")
    low, high = ratios.min(), ratios.max()
    print(f"shap / LightGBM: median {np.median(ratios):.2f}, from {low:.2f} to {high:.2f}")
    print(f"largest difference of a SHAP value: {np.abs(gaps).max():.1e}")


if __name__ == "__main__":
    main()
