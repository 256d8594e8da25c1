"""Families of routers that the field uses: each finds what it assumes, where the truth is known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import routerlib as rl
from routerlib.evaluation.benchmark_fits import usual_routers
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import World, make_world
from routerlib.routers.baselines import BestSingle
from routerlib.routers.clusters import ClusterTable
from routerlib.routers.factors import LowRankRouter, MFRouter, OneFactorRouter
from routerlib.routers.rivals import LinearRouter
from routerlib.routers.router import Router
from routerlib.routers.untuned import UntunedLGBMRouter

FAMILIES = {
    "one-factor": OneFactorRouter,
    "low-rank": LowRankRouter,
    "mf": MFRouter,
    "cluster table": ClusterTable,
    "lightgbm untuned": UntunedLGBMRouter,
}
N_TRAIN = 300


def estimated(router: Router, world: World, train: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Return what a router expects of the world's last prompts, and the truth."""
    prompts = world.outcomes.prompts[N_TRAIN:]
    return router.fit(train).predict(prompts).quality, world.expected_quality[N_TRAIN:]


def error(router: Router, world: World, train: Outcomes) -> float:
    quality, truth = estimated(router, world, train)
    return float(np.abs(quality - truth).mean())


def chosen(router: Router, world: World, train: Outcomes) -> float:
    quality, truth = estimated(router, world, train)
    return float(truth[np.arange(len(truth)), quality.argmax(axis=1)].mean())


def with_gaps(outcomes: Outcomes, kept: np.ndarray) -> Outcomes:
    quality = np.where(kept, outcomes.quality, np.nan)
    return Outcomes(outcomes.prompts, outcomes.models, quality, outcomes.cost_usd)


@pytest.fixture(scope="module")
def hard() -> World:
    """Return a world of easy and hard prompts, the same for all candidates."""
    return make_world(n_prompts=600, n_models=4, seed=3, kind="price")


@pytest.fixture(scope="module")
def skilled() -> World:
    """Return a world in which each topic has a winner of its own."""
    return make_world(n_prompts=600, n_models=3, seed=11)


def test_every_family_stands_in_the_table_and_at_the_front_door() -> None:
    named = usual_routers(all_families=True)

    assert list(named)[: len(usual_routers())] == list(usual_routers())
    assert {name: type(named[name]()) for name in FAMILIES} == FAMILIES
    assert all(getattr(rl, kind.__name__) is kind for kind in FAMILIES.values())


def test_one_factor_finds_how_hard_prompts_are_and_who_is_able(hard: World) -> None:
    train = hard.outcomes.take(range(N_TRAIN))
    quality, truth = estimated(OneFactorRouter(), hard, train)

    for arm in range(4):
        assert np.corrcoef(quality[:, arm], truth[:, arm])[0, 1] > 0.9
    assert (np.diff(quality.mean(axis=0)) > 0).all()
    assert np.abs(quality - truth).mean() < min(0.08, error(LinearRouter(), hard, train))


def test_one_factor_learns_from_one_answer_a_prompt_what_the_others_do_too(hard: World) -> None:
    train = hard.outcomes.take(range(N_TRAIN))
    answered = np.random.default_rng(0).integers(4, size=N_TRAIN)
    sparse = with_gaps(train, answered[:, np.newaxis] == np.arange(4))

    shared = error(OneFactorRouter(), hard, sparse)

    assert shared < 0.8 * error(LinearRouter(), hard, sparse)
    assert shared < 0.8 * error(BestSingle(), hard, sparse)


def test_one_factor_estimates_a_candidate_of_fifteen_labels_from_the_others(hard: World) -> None:
    train = hard.outcomes.take(range(N_TRAIN))
    kept = np.ones(train.quality.shape, dtype=bool)
    kept[15:, 3] = False
    quality, truth = estimated(OneFactorRouter(), hard, with_gaps(train, kept))

    assert np.corrcoef(quality[:, 3], truth[:, 3])[0, 1] > 0.8
    assert quality[:, 3].mean() > quality[:, 0].mean()


def test_one_factor_cannot_tell_specialists_apart(skilled: World) -> None:
    train = skilled.outcomes.take(range(N_TRAIN))
    gain = chosen(OneFactorRouter(), skilled, train) - chosen(BestSingle(), skilled, train)

    assert abs(gain) < 0.1  # there are 0.3 to gain


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "one-factor"])
def test_the_others_find_specialists(skilled: World, name: str) -> None:
    train = skilled.outcomes.take(range(N_TRAIN))
    gain = chosen(FAMILIES[name](), skilled, train) - chosen(BestSingle(), skilled, train)

    assert gain > 0.15


def test_low_rank_errs_less_than_linear_where_many_candidates_share_two_factors() -> None:
    # Twelve candidates, but only three winners: what differs between prompts has two directions.
    world = make_world(n_prompts=600, n_models=3, seed=5)
    truth = np.repeat(world.expected_quality, 4, axis=1)
    quality = (np.random.default_rng(0).random(truth.shape) < truth).astype(float)
    models = [f"m{arm}" for arm in range(12)]
    wide = World(Outcomes(world.outcomes.prompts, models, quality), truth)
    train = wide.outcomes.take(range(N_TRAIN))

    few = error(LowRankRouter(n_factors=2), wide, train)

    assert few < error(LinearRouter(), wide, train)
    assert few < error(LowRankRouter(n_factors=1), wide, train)


def test_low_rank_is_linear_where_there_are_no_more_candidates_than_factors(
    skilled: World,
) -> None:
    train = skilled.outcomes.take(range(N_TRAIN))
    prompts = skilled.outcomes.prompts[N_TRAIN:]

    full = LowRankRouter(n_factors=3).fit(train).predict(prompts).quality

    linear = LinearRouter().fit(train).predict(prompts).quality
    np.testing.assert_allclose(full, linear, atol=1e-5)


def test_a_table_of_clusters_has_as_many_means_as_clusters(skilled: World) -> None:
    train = skilled.outcomes.take(range(N_TRAIN))
    for n_clusters in (1, 6):
        quality, _ = estimated(ClusterTable(n_clusters), skilled, train)
        assert len(np.unique(quality, axis=0)) == n_clusters
    one, _ = estimated(ClusterTable(1), skilled, train)
    np.testing.assert_allclose(one[0], train.mean_quality)
    assert len(np.unique(estimated(ClusterTable(), skilled, train)[0], axis=0)) >= 4


def test_the_untuned_booster_overstates_what_noise_says() -> None:
    world = make_world(n_prompts=600, n_models=3, seed=1, kind="nothing")
    train = world.outcomes.take(range(N_TRAIN))
    quality, truth = estimated(UntunedLGBMRouter(), world, train)

    assert quality.max(axis=1).mean() > truth.max() + 0.03


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("n_prompts", [1, 2, 10])
def test_few_prompts_and_one_candidate_give_estimates_in_range(name: str, n_prompts: int) -> None:
    world = make_world(n_prompts=10, n_models=1, seed=0).outcomes.take(range(n_prompts))
    estimates = FAMILIES[name]().fit(world).predict(["", "law lease?", *world.prompts])

    assert estimates.quality.shape == (2 + n_prompts, 1)
    assert ((estimates.quality >= 0) & (estimates.quality <= 1)).all()
    assert np.isfinite(estimates.cost_usd).all()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_all_alike_and_the_same_prompt_everywhere_are_fine(name: str, label: float) -> None:
    same = Outcomes(["the same"] * 40, ["small", "large"], np.full((40, 2), label))
    quality = FAMILIES[name]().fit(same).predict(["the same", "another", ""]).quality

    np.testing.assert_allclose(quality, label, atol=0.06)


@pytest.mark.parametrize("name", FAMILIES)
def test_cells_may_be_missing(skilled: World, name: str) -> None:
    train = skilled.outcomes.take(range(N_TRAIN))
    kept = np.random.default_rng(0).random(train.quality.shape) < 0.7
    kept[:, 2] &= np.arange(N_TRAIN) < 20  # a candidate of few labels
    sparse = with_gaps(train, kept)

    quality, _ = estimated(FAMILIES[name](), skilled, sparse)

    assert np.isfinite(quality).all()
    means = np.nanmean(sparse.quality, axis=0)
    np.testing.assert_allclose(quality[:, :2].mean(axis=0), means[:2], atol=0.08)


@pytest.mark.parametrize("name", FAMILIES)
def test_files_are_the_same_whatever_the_number_of_threads(
    skilled: World, name: str, tmp_path
) -> None:
    from threadpoolctl import threadpool_limits

    train = skilled.outcomes.take(range(150))
    for n_threads in (1, 2):
        with threadpool_limits(limits=n_threads):
            FAMILIES[name]().fit(train).save(tmp_path / f"{n_threads}.pkl")
    assert (tmp_path / "1.pkl").read_bytes() == (tmp_path / "2.pkl").read_bytes()


def test_a_comparison_takes_every_family(skilled: World) -> None:
    train, test = skilled.outcomes.split(random_state=0)
    makes = {name: partial(kind) for name, kind in FAMILIES.items()}
    routers = {name: make().fit(train) for name, make in makes.items()}

    table = rl.compare(routers, test, n_bootstrap=20)

    assert table.index.tolist()[: len(FAMILIES)] == list(FAMILIES)
    assert np.isfinite(table.loc[list(FAMILIES), ["quality", "AIQ", "cost_usd"]]).all(axis=None)
