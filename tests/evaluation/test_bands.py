"""One band holds round a router at all its cost weights at once."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.evaluation import contenders as laid
from routerlib.evaluation.bands import curve_band
from routerlib.evaluation.evaluate import evaluate
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.decision import Estimates
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter

N = 150


def test_looking_at_twelve_weights_claims_nothing_where_nothing_is_to_be_gained():
    claims, claims_alone = 0, 0
    names = [" ".join(f"{(7 * at + k) ** 3 % 99991:x}" for k in range(6)) for at in range(N)]
    for seed in range(40):
        rng = np.random.default_rng(seed)
        quality = (rng.random((N, 3)) < 0.5).astype(float)
        cost = np.tile([1.0, 2.0, 4.0], (N, 1))
        tested = laid.TestedPrompts.of(Outcomes(names, "abc", quality, cost), "c", "a")
        noise = Estimates(tuple("abc"), rng.random((N, 3)), cost)
        router = laid.estimates_contender(tested, noise, np.full(N, 2), n_points=12)
        band = curve_band(tested, router, n_bootstrap=200, random_state=seed)
        claims += bool((band.difference_low > 0).any())
        gains = router.curve_quality - quality[:, [2]]
        alone = gains.mean(axis=0) - 1.96 * gains.std(axis=0) / np.sqrt(N)
        claims_alone += bool((alone > 1e-9).any())
    assert claims <= 1 < 3 <= claims_alone


def test_the_band_lies_round_the_curve_of_an_evaluation():
    train, test = make_world(n_prompts=150).outcomes.split(random_state=0)
    found = evaluate(KNNRouter().fit(train), test, n_bootstrap=60)
    assert found.band.cost_usd == pytest.approx(found.curve.cost_usd)
    assert found.band.quality == pytest.approx(found.curve.quality)
    assert (found.band.quality_low <= found.band.quality).all()
    assert (found.band.quality <= found.band.quality_high).all()
    assert set(found.as_dict()["band"]) == set(found.band._fields)


def test_who_always_calls_the_best_single_model_differs_by_nothing_for_sure():
    train, test = make_world(n_prompts=90).outcomes.split(random_state=0)
    band = evaluate(BestSingle().fit(train), test, n_bootstrap=30).band
    is_best = band.cost_usd == band.cost_usd.max()
    at = int(np.flatnonzero(band.difference == 0)[0])
    assert is_best.any()
    assert (band.difference_low[at], band.difference_high[at]) == (0, 0)


def test_without_prompts_nothing_is_known():
    train, test = make_world(n_prompts=90).outcomes.split(random_state=0)
    band = evaluate(BestSingle().fit(train), test.take([]), n_bootstrap=30).band
    assert np.isnan(band.quality).all()
    assert np.isnan(band.difference_low).all()


def test_savings_stand_beside_what_they_cost_in_quality():
    train, test = make_world(n_prompts=240).outcomes.split(random_state=0)
    router = KNNRouter().fit(train)
    band = evaluate(router, test, n_bootstrap=60).band
    assert (band.saving_low <= band.saving + 1e-12).all()
    assert (band.saving <= band.saving_high + 1e-12).all()
    for at in (0, 20, -1):
        router.stand_at(float(band.cost_weights[at]))
        found = evaluate(router, test, n_bootstrap=60).operating
        assert found["saving"].value == pytest.approx(band.saving[at])
        assert found["quality_difference"].value == pytest.approx(band.difference[at])


def test_without_costs_the_band_round_quality_remains():
    train, test = make_world(n_prompts=240).outcomes.split(random_state=0)
    bare = Outcomes(test.prompts, test.models, test.quality)
    band = evaluate(KNNRouter().fit(train), bare, n_bootstrap=60).band
    assert np.isnan(band.saving_low).all()
    assert (band.difference_low < band.difference_high).any()
