"""With many labels the boosters of the folds are the router's trees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.lightgbm import trees
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router

PROMPTS = ["What is 3 times 4?", "Tell me about the sea."]


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return make_world(n_prompts=150, n_models=3, kind="price").outcomes


@pytest.fixture(scope="module")
def router(outcomes: Outcomes) -> LGBMRouter:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "_MANY_LABELS", 100)
        return LGBMRouter().fit(outcomes)


def test_no_other_boosters_are_trained(router: LGBMRouter) -> None:
    assert router._trees.n_boosters == router._cost.n_boosters == 5


def test_a_loaded_router_estimates_the_same(router: LGBMRouter, tmp_path: Path) -> None:
    router.save(tmp_path / "router.pkl")
    loaded = load_router(tmp_path / "router.pkl")

    for expected, found in zip(_arrays(router), _arrays(loaded), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_trees_say_the_mean_of_their_boosters(router: LGBMRouter) -> None:
    columns = router.features(PROMPTS)

    for arm in range(3):
        total = router._trees.single(arm).predict(columns, raw_score=True)
        np.testing.assert_allclose(router._trees.log_odds(columns)[:, arm], total / 5, atol=1e-12)


@pytest.mark.parametrize("target", ["quality", "cost"])
def test_contributions_add_up(router: LGBMRouter, target: str) -> None:
    columns = router.features(PROMPTS)
    total = router.contributions_all(columns, target).sum(axis=2)
    estimates = router.predict(PROMPTS)

    if target == "cost":
        np.testing.assert_allclose(total, np.log(estimates.cost_usd), atol=1e-9)
    else:
        shown = np.log(estimates.quality / (1 - estimates.quality))
        np.testing.assert_allclose(total, shown, atol=1e-9)


def test_labels_that_stand_in_one_fold_are_not_many() -> None:
    folds = np.repeat(np.arange(5), 2000)
    seen = np.ones((len(folds), 2), dtype=bool)
    assert trees.are_many(seen, folds)
    seen[folds > 1, 1] = False
    seen[folds == 1, 1] = np.arange(2000) < 1000
    assert seen[:, 1].sum() == 3000
    assert not trees.are_many(seen, folds)


@pytest.mark.parametrize("count", [0, -1, 2.5, "5"])
def test_an_impossible_number_of_boosters_is_refused(router: LGBMRouter, count: object) -> None:
    state = {**router._cost.to_state(), "n_boosters": count}
    with pytest.raises(ValueError, match="n_boosters must be a whole number"):
        trees.CostTrees.from_state(state, router.features(PROMPTS).shape[1], 3)


def _arrays(router: LGBMRouter) -> list[np.ndarray]:
    estimates = router.predict(PROMPTS)
    return [estimates.quality, estimates.cost_usd]
