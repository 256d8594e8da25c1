"""A certified operating point keeps its promise as often as it says, and is given where it can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import World, make_world
from routerlib.policies.utility import choose_arms
from routerlib.records.decision import Estimates
from routerlib.routers.baselines import RandomRouter
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.bets import gain_p_values, saving_p_value
from routerlib.routers.training.certification import (
    Observed,
    Way,
    certified_operating_point,
    starts_of,
    try_in_order,
)
from routerlib.routers.training.train import at_certified_point, train_router

N_REPEATS = 500
EPSILON, DELTA = 0.03, 0.1
# If the promise failed with probability delta exactly, so many failures of 500 would be exceeded
# in one of a thousand such simulations: the most that a test may tolerate.
MOST_VIOLATIONS = int(binom.ppf(0.999, N_REPEATS, DELTA))


def simulated(kind: str, n_prompts: int, noise: float, seed: int) -> tuple[int, int]:
    """Return how often a cost weight was certified, and how often wrongly, in 500 repeats.

    In each repeat the estimates err anew per topic, calibration prompts are drawn anew from a
    population whose expected qualities are known, and with them the true loss.
    """
    population = make_world(n_prompts=600, seed=seed, kind=kind)
    truth, cost_usd = population.expected_quality, population.outcomes.cost_usd
    best = len(truth.T) - 1  # the dearest; among equals it is the one named
    topics = np.unique(population.outcomes.topics, return_inverse=True)[1]
    weights = np.concatenate([[0], np.geomspace(300, 3e4, 15)])
    rng = np.random.default_rng(seed)
    n_certified = n_wrong = 0
    for _ in range(N_REPEATS):
        errors = rng.normal(0, noise, (topics.max() + 1, truth.shape[1]))[topics]
        drawn = rng.integers(0, len(truth), n_prompts)
        believed = Estimates(population.outcomes.models, truth + errors, cost_usd)
        tested = try_in_order(
            Way.once(believed).on(drawn),
            Observed(
                (rng.random((n_prompts, truth.shape[1])) < truth[drawn]).astype(float),
                cost_usd[drawn],
                np.arange(n_prompts),
                best,
            ),
            epsilon=EPSILON,
            delta=DELTA,
            cost_weights=weights,
        )
        accepted = [
            choose_arms(believed, each.cost_weight)[:, None] for each in tested if each.is_accepted
        ]
        kept = [np.take_along_axis(truth, arms, axis=1).mean() for arms in accepted]
        paid = [np.take_along_axis(cost_usd, arms, axis=1).mean() for arms in accepted]
        n_certified += bool(accepted)
        # The strictest count: a repeat fails if any accepted cost weight breaks the promise.
        n_wrong += any(each < truth.mean(axis=0).max() - EPSILON for each in kept) or any(
            each >= cost_usd[:, best].mean() for each in paid
        )
    return n_certified, n_wrong


@pytest.mark.parametrize(
    ("kind", "n_prompts", "noise", "fewest"),
    [
        ("skill", 300, 0.1, 450),  # there is much to gain: it must be certified nearly always
        ("price", 800, 0.05, 250),  # every saving costs quality: the limit is what is tested
        ("nothing", 300, 0.15, 0),  # estimates are nothing but error
    ],
)
def test_the_promise_fails_at_most_as_often_as_it_says(
    kind: str, n_prompts: int, noise: float, fewest: int
) -> None:
    n_certified, n_wrong = simulated(kind, n_prompts, noise, seed=7)
    assert n_wrong <= MOST_VIOLATIONS
    assert n_certified >= fewest


@pytest.mark.parametrize("share_unlike", [0.04, 0.3, 1.0])
def test_at_the_edge_of_the_hypothesis_it_is_rejected_at_most_as_often_as_the_level(
    share_unlike: float,
) -> None:
    # The true mean gain is -epsilon exactly: each rejection is an error.
    worse = (share_unlike + EPSILON) / 2
    rng = np.random.default_rng(0)
    gains = rng.choice(
        [-1.0, 1.0, 0.0], size=(400, N_REPEATS), p=[worse, share_unlike - worse, 1 - share_unlike]
    )
    rejected = int((gain_p_values(gains, np.arange(400), EPSILON, DELTA) <= DELTA).sum())
    assert rejected <= MOST_VIOLATIONS


def test_copies_count_as_one_draw() -> None:
    gains = np.zeros((100, 1))
    alone = gain_p_values(gains, np.arange(100), 0.05, 0.1)
    copied = gain_p_values(np.repeat(gains, 3, axis=0), np.repeat(np.arange(100), 3), 0.05, 0.1)
    assert copied[0] == pytest.approx(alone[0])


def test_no_prompts_are_no_evidence() -> None:
    assert gain_p_values(np.zeros((0, 2)), [], 0.05, 0.1).tolist() == [1, 1]


def test_it_must_hold_against_the_truly_best_model_and_not_the_one_named() -> None:
    # On the calibration prompts "b" is always right; the router, like train, believes in "a".
    world = make_world(n_prompts=300, n_models=2)
    quality = np.tile([0.8, 1.0], (300, 1))
    outcomes = Outcomes(world.outcomes.prompts, ["a", "b"], quality, np.ones((300, 2)))
    estimates = Estimates(("a", "b"), np.tile([0.9, 0.1], (300, 1)), np.ones((300, 2)))
    certificate = certified_operating_point(
        estimates, outcomes, epsilon=0.05, delta=0.1, best_single="a", cost_weights=[0.0]
    )
    assert not certificate.is_certified
    assert certificate.quality_difference == 0
    assert certificate.sentence.startswith("Not certified, so it keeps to a: no cost weight")


def test_without_costs_only_quality_is_certified() -> None:
    world = make_world(n_prompts=300, n_models=2)
    outcomes = Outcomes(world.outcomes.prompts, world.outcomes.models, world.expected_quality)
    unknown = np.full((300, 2), np.nan)
    certificate = certified_operating_point(
        Estimates(outcomes.models, world.expected_quality, unknown),
        outcomes,
        epsilon=0.05,
        delta=0.1,
        best_single="m0",
        cost_weights=[0.0, 10.0],
    )
    assert certificate.cost_weight == 0


@pytest.mark.parametrize(("epsilon", "delta"), [(-0.1, 0.1), (1, 0.1), (0.1, 0), (0.1, 1)])
def test_numbers_out_of_range_are_refused(epsilon: float, delta: float) -> None:
    outcomes = make_world(n_prompts=60).outcomes
    with pytest.raises(ValueError, match=r"(epsilon|delta) must lie in"):
        at_certified_point(KNNRouter(), outcomes, epsilon=epsilon, delta=delta)


def with_a_dear_best(n_prompts: int, seed: int) -> World:
    """Return a world with much to gain, in which the best single model is the dearer one."""
    made = make_world(n_prompts=n_prompts, n_models=2, seed=seed, kind="skill")
    truth = np.add(made.expected_quality, [0.0, 0.08])
    drawn = np.random.default_rng(seed).random(truth.shape) < truth
    return World(replace(made.outcomes, quality=drawn.astype(float)), truth)


def test_trained_routers_keep_the_promise_too() -> None:
    population = with_a_dear_best(3000, seed=3)
    n_certified = n_wrong = 0
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(3000)
        router = at_certified_point(
            KNNRouter(), population.outcomes.take(order[:900]), epsilon=0.03, delta=0.1
        )
        assert set(router.train_prompt_ids_) == {
            population.outcomes.prompt_ids[row] for row in order[:900]
        }
        truth = population.expected_quality[order[900:]]
        estimates = router.predict([population.outcomes.prompts[row] for row in order[900:]])
        arms = choose_arms(estimates, router.cost_weight_)
        reached = np.take_along_axis(truth, arms[:, None], axis=1).mean()
        is_certified = router.training_["cost_weight_is"] == "certified"
        n_certified += is_certified
        n_wrong += is_certified and reached < truth.mean(axis=0).max() - 0.03
    assert n_certified >= 4
    assert n_wrong <= 1


def test_train_router_certifies_or_keeps_to_the_best_single() -> None:
    skill = with_a_dear_best(600, seed=1).outcomes
    router = train_router(skill, certify=(0.05, 0.1))
    assert isinstance(router, LGBMRouter)
    assert router.fallback_ is None
    assert router.training_["cost_weight"] == router.cost_weight_
    assert router.training_["certificate"].startswith("Certified with 90 % confidence on 180")

    few = skill.take(range(60))
    router = train_router(few, certify=(0.01, 0.05))
    assert router.route(few.prompts[0]).model == router.best_single_
    assert "could be certified to lose at most 1 points" in str(router.fallback_)


def test_what_is_better_but_no_cheaper_is_refused() -> None:
    # The router is right where the best single model, the cheapest of all, is wrong: for more.
    n = 300
    quality = np.tile([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], (n // 3, 1))
    cost = np.tile([1.0, 4.0], (n, 1))
    prompts = make_world(n_prompts=n).outcomes.prompts
    outcomes = Outcomes(prompts, ["cheap", "dear"], quality, cost)
    truth = Estimates(("cheap", "dear"), quality, cost)
    how = {"epsilon": 0.05, "delta": 0.1, "cost_weights": [0.0, 0.1]}
    against_cheap = certified_operating_point(truth, outcomes, best_single="cheap", **how)
    against_dear = certified_operating_point(truth, outcomes, best_single="dear", **how)
    assert not against_cheap.is_certified
    assert against_cheap.shortage.startswith(
        "no cost weight could be certified to lose at most 5 points of quality and to cost less"
    )
    assert against_dear.is_certified
    assert against_dear.sentence.endswith("whichever that is, and cheaper than dear.")


def test_a_cost_weight_that_fails_does_not_end_the_others() -> None:
    # At cost weight 0 the dearest is always called; higher up the middle one, which is as good.
    n = 400
    quality = np.tile([0.2, 0.9, 0.9], (n, 1))
    cost = np.tile([1.0, 2.0, 20.0], (n, 1))
    expected = Estimates(("a", "b", "c"), np.tile([0.2, 0.9, 0.91], (n, 1)), cost)
    tested = try_in_order(
        Way.once(expected),
        Observed(quality, cost, np.arange(n), best=2),
        epsilon=EPSILON,
        delta=DELTA,
        cost_weights=[0.0, 1e-5, 1e-4, 0.01, 0.02, 0.05, 0.1, 0.2],
    )
    assert [each.cost_weight for each in tested if each.is_accepted] == [0.01, 0.02, 0.05, 0.1, 0.2]
    assert sum(each.level for each in tested if each.cost_weight in (0, 1e-5)) <= DELTA
    assert all(each.level <= DELTA for each in tested)


def test_at_the_edge_of_no_saving_it_is_rejected_at_most_as_often_as_the_level() -> None:
    # Most prompts save a little, a few cost much more: the mean saving is 0, each rejection wrong.
    rng = np.random.default_rng(0)
    for share_dear in (0.5, 0.1, 0.01):
        dear = rng.random((N_REPEATS, 300)) < share_dear
        savings = np.where(dear, -(1 - share_dear), share_dear)
        groups = np.arange(300)
        p_values = [saving_p_value(row, groups, most_usd=1.0) for row in savings]
        assert np.sum(np.array(p_values) <= DELTA) <= MOST_VIOLATIONS


def test_a_saving_that_is_there_is_found_whatever_the_scale_of_the_bound() -> None:
    savings = np.tile([0.5, 0.0], 100)
    groups = np.arange(200)
    assert saving_p_value(savings, groups, most_usd=1.0) < 1e-6
    assert saving_p_value(savings, groups, most_usd=10.0) < 0.1
    assert saving_p_value(-savings, groups, most_usd=1.0) == 1
    assert saving_p_value(np.zeros(0), [], most_usd=1.0) == 1


def test_a_given_cost_weight_is_not_certified() -> None:
    outcomes = make_world(n_prompts=60).outcomes
    with pytest.raises(ValueError, match="give cost_weight or certify, not both"):
        train_router(outcomes, cost_weight=1.0, certify=(0.05, 0.1))


def test_a_router_without_estimates_can_not_be_certified() -> None:
    with pytest.raises(ValueError, match="a RandomRouter estimates no quality"):
        at_certified_point(
            RandomRouter(), make_world(n_prompts=60).outcomes, epsilon=0.1, delta=0.1
        )


def test_what_is_missing_counts_at_its_worst() -> None:
    # Cheap is as good wherever its answer came; where it was cut off nobody knows.
    n = 300
    quality = np.tile([1.0, 1.0], (n, 1))
    cost = np.tile([1.0, 4.0], (n, 1))
    prompts = make_world(n_prompts=n).outcomes.prompts
    expected = Estimates(("cheap", "dear"), np.tile([1.0, 1.0], (n, 1)), cost)
    how = {"epsilon": 0.05, "delta": 0.1, "best_single": "dear", "cost_weights": [0.0]}
    whole = certified_operating_point(
        expected, Outcomes(prompts, expected.models, quality, cost), **how
    )
    assert whole.is_certified
    assert (whole.n_prompts, whole.n_incomplete) == (n, 0)
    quality = quality.copy()
    quality[::8, 0] = np.nan
    cut_off = Outcomes(prompts, expected.models, quality, cost)
    holey = certified_operating_point(expected, cut_off, **how)
    assert not holey.is_certified
    assert (holey.n_prompts, holey.n_incomplete, holey.quality_difference) == (n - 38, 38, 0)
    assert "262 calibration prompts (38 more with something missing, counted at its worst)" in (
        holey.sentence
    )
    # Never called, what it misses doesn't matter.
    always_dear = Estimates(expected.models, np.tile([0.0, 1.0], (n, 1)), cost)
    tested = try_in_order(
        Way.once(always_dear),
        Observed(quality, None, np.arange(n), best=1),
        epsilon=0.5,
        delta=0.1,
        cost_weights=[0.0],
    )
    assert tested[0].is_accepted


def test_a_sequence_begins_where_a_third_and_two_thirds_are_sent_elsewhere() -> None:
    # The large model is worth 1, .5 and .1 of quality more, at a price of 1.
    quality = np.array([[0.0, 1.0], [0.4, 0.9], [0.8, 0.9]])
    estimates = Estimates(("small", "large"), quality, np.tile([0.0, 1.0], (3, 1)))
    weights = [0.0, 0.05, 0.2, 0.6, 2.0]
    assert starts_of(estimates, "large", weights) == [0.2, 0.6]
    assert starts_of(estimates, "large", [0.0, 2.0]) == [2.0]
    assert starts_of(estimates, "large", [0.0]) == []
