"""Exploring policies: probabilities that sum to one, and propensities that are exact."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.exploration import (
    EpsilonGreedy,
    Explorer,
    Greedy,
    Thompson,
    UpperConfidence,
    best_probabilities,
    draw,
)
from routerlib.policies.input_costs import InputCost, InputCosts
from routerlib.policies.pacer import BudgetPacer
from routerlib.policies.policies import Choices
from routerlib.policies.vowpal import VowpalBandit
from routerlib.records.decision import Estimates
from routerlib.routers.baselines import BestSingle
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.rivals import KNNRouter

MODELS = ("small", "medium", "large")


def make_explorers(cost_weight: float) -> list[Explorer]:
    return [
        Greedy(cost_weight),
        EpsilonGreedy(cost_weight, epsilon=0.2, random_state=0),
        Thompson(cost_weight, random_state=0),
        UpperConfidence(cost_weight, random_state=0),
        BudgetPacer(0.5, cost_weight=cost_weight, epsilon=0.1, random_state=0),
    ]


@st.composite
def any_estimates(draw_: st.DrawFn) -> Estimates:
    shape = (draw_(st.integers(1, 6)), 3)
    numbers = st.integers(0, 100).map(lambda n: n / 128)
    parts = [draw_(arrays(float, shape, elements=numbers)) for _ in range(3)]
    return Estimates(MODELS, parts[0], parts[1], quality_sd=parts[2] / 4)


@given(any_estimates(), st.integers(0, 50).map(float))
def test_probabilities_sum_to_one_and_choices_carry_them(
    estimates: Estimates, cost_weight: float
) -> None:
    for explorer in make_explorers(cost_weight):
        probabilities = explorer.probabilities(estimates)
        assert probabilities.shape == estimates.quality.shape
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
        choices = explorer.choose(estimates)
        rows = np.arange(len(estimates))
        assert (choices.propensities > 0).all()
        np.testing.assert_array_equal(choices.propensities, probabilities[rows, choices.arms])


@pytest.mark.parametrize("number", range(5))
def test_choices_come_as_often_as_their_propensity_says(number: int) -> None:
    one = Estimates(
        MODELS,
        np.array([[0.5, 0.6, 0.65]]),
        np.full((1, 3), 0.01),
        quality_sd=np.array([[0.1, 0.1, 0.02]]),
    )
    explorer = make_explorers(0.0)[number]
    n = 20_000
    many = Estimates(
        MODELS,
        np.repeat(one.quality, n, axis=0),
        np.repeat(one.cost_usd, n, axis=0),
        quality_sd=np.repeat(one.quality_sd, n, axis=0),
    )
    shares = np.bincount(explorer.choose(many).arms, minlength=3) / n
    np.testing.assert_allclose(shares, explorer.probabilities(one)[0], atol=0.015)


def test_the_same_seed_draws_the_same_choices() -> None:
    estimates = Estimates(MODELS, np.full((50, 3), 0.5), np.zeros((50, 3)))
    first, second = (EpsilonGreedy(epsilon=1, random_state=3).choose(estimates) for _ in range(2))
    np.testing.assert_array_equal(first.arms, second.arms)
    assert set(first.arms.tolist()) == {0, 1, 2}


def test_an_arm_of_probability_zero_is_never_drawn() -> None:
    rows = np.tile([0.0, 0.5, 0.5, 0.0], (5000, 1))
    assert set(draw(rows, np.random.default_rng(0)).arms.tolist()) == {1, 2}


@pytest.mark.parametrize("row", [[0.5, 0.4], [1.2, -0.2], [np.nan, 1.0]])
def test_what_is_no_distribution_is_refused(row: list[float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        draw(np.array([row]), np.random.default_rng(0))


def test_probability_of_being_best_agrees_with_a_million_draws() -> None:
    means = np.array([[0.2, 0.5, 0.4], [0.9, 0.1, 0.89], [0.3, 0.3, 0.3]])
    sds = np.array([[0.3, 0.05, 0.2], [0.02, 0.5, 0.1], [0.1, 0.1, 0.1]])
    rng = np.random.default_rng(0)
    drawn = rng.normal(means, sds, size=(1_000_000, 3, 3)).argmax(axis=2)
    frequency = np.stack([(drawn == arm).mean(axis=0) for arm in range(3)], axis=1)
    np.testing.assert_allclose(best_probabilities(means, sds), frequency, atol=0.01)


def test_without_spread_the_largest_mean_is_best_for_sure() -> None:
    exact = best_probabilities(np.array([[0.2, 0.5]]), np.zeros((1, 2)))
    np.testing.assert_allclose(exact, [[0.0, 1.0]])


def test_uncertainty_draws_exploration_and_knowledge_ends_it() -> None:
    unsure, sure = (
        Estimates(
            MODELS[:2], np.array([[0.5, 0.6]]), np.zeros((1, 2)), quality_sd=np.full((1, 2), s)
        )
        for s in (0.3, 0.01)
    )
    assert Thompson(floor=0).probabilities(unsure)[0, 0] > 0.3
    assert Thompson(floor=0).probabilities(sure)[0, 0] < 1e-6


@pytest.mark.parametrize("explorer", [Thompson(), UpperConfidence()])
def test_estimates_without_spread_are_refused_where_it_is_needed(explorer: Explorer) -> None:
    plain = Estimates(MODELS[:2], np.array([[0.5, 0.6]]), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="use a router with quality_interval, or EpsilonGreedy"):
        explorer.choose(plain)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        EpsilonGreedy(epsilon=value)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        Thompson(floor=value)


def test_a_router_that_explores_logs_the_probability_it_drew_from() -> None:
    outcomes = Outcomes(
        ["cook rice", "boil an egg", "tax law"], ["a", "b"], [[1, 0], [1, 0], [0, 1]]
    )
    router = KNNRouter(n_neighbors=2).fit(outcomes)
    seen = {
        router.route("fry an egg", policy=EpsilonGreedy(epsilon=0.4, random_state=seed)).propensity
        for seed in range(20)
    }
    assert {round(value, 6) for value in seen} == {0.2, 0.8}
    with pytest.raises(ValueError, match="use a router with quality_interval"):
        router.route("fry an egg", policy=Thompson())


@pytest.mark.parametrize("explorer", [Thompson(random_state=0), UpperConfidence(random_state=0)])
def test_the_trees_say_how_unsure_they_are_and_chance_is_exact(explorer: Explorer) -> None:
    outcomes = make_world(n_prompts=90, seed=3).outcomes
    router = LGBMRouter(random_state=0).fit(outcomes.take(range(60)))
    fresh = list(outcomes.prompts[60:])
    estimates = router.predict_with_spread(fresh)
    assert estimates.quality_sd is not None
    assert (estimates.quality_sd > 0).all()
    chances = explorer.probabilities(estimates)
    assert chances.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert (chances >= explorer.floor / len(estimates.models)).all()
    decisions = [router.route(text, policy=explorer) for text in fresh[:5]]
    drawn = [chances[row, router.models_.index(each.model)] for row, each in enumerate(decisions)]
    assert [each.propensity for each in decisions] == pytest.approx(drawn)


# -- pacing ---


@given(st.lists(st.integers(1, 40).map(lambda n: n / 10), min_size=20, max_size=200))
def test_overspending_is_bounded_by_the_cost_weight_whatever_arrives(paid: list[float]) -> None:
    pacer = BudgetPacer(1.0, step=0.1)
    for cost_usd in paid:
        pacer.update(cost_usd)
    bound = pacer.cost_weight * pacer.budget_usd**2 / (pacer.step * len(paid))
    assert np.mean(paid) - pacer.budget_usd <= bound + 1e-9


def test_the_budget_is_held_though_prices_triple_halfway() -> None:
    rng = np.random.default_rng(0)
    pacer = BudgetPacer(0.003, step=0.05)
    paid = []
    for number in range(4000):
        price = 1 if number < 2000 else 3
        one = Estimates(
            ("small", "large"),
            np.array([[0.5, rng.uniform(0.5, 1.0)]]),
            np.array([[0.0005, 0.005]]) * price,
        )
        paid.append(float(one.cost_usd[0, pacer.choose(one).arms[0]]))
        pacer.update(paid[-1])
    assert np.mean(paid[1000:2000]) == pytest.approx(0.003, rel=0.05)
    assert np.mean(paid[3000:]) == pytest.approx(0.003, rel=0.05)


@pytest.mark.parametrize("cost_usd", [-1.0, float("nan")])
def test_an_unknown_payment_is_refused(cost_usd: float) -> None:
    with pytest.raises(ValueError, match="cost_usd must be finite"):
        BudgetPacer(1.0).update(cost_usd)


# -- Vowpal Wabbit ---


def test_the_bandit_learns_which_arm_answers_which_prompts() -> None:
    rng = np.random.default_rng(0)
    bandit = VowpalBandit(["a", "b"], epsilon=0.1, random_state=1)
    texts = ["cook rice soup", "court law appeal"]
    for _ in range(400):
        number = int(rng.integers(2))
        choices = bandit.choose([texts[number]])
        is_right = choices.arms[0] == number
        bandit.update([texts[number]], choices, np.array([float(is_right)]))
    probabilities = bandit.probabilities(texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    assert (probabilities.argmax(axis=1) == [0, 1]).all()
    assert probabilities.min() == pytest.approx(0.05, abs=1e-5)


def test_the_bandit_chooses_only_what_is_available() -> None:
    bandit = VowpalBandit(["a", "b", "c"], random_state=0)
    probabilities = bandit.probabilities(["hello"], available=[True, False, True])
    assert probabilities[0, 1] == 0
    assert probabilities.sum() == pytest.approx(1)


def test_the_bandit_learns_nothing_from_an_answer_without_verdict() -> None:
    bandit = VowpalBandit(["a", "b"], random_state=0)
    before = bandit.probabilities(["hello"])
    bandit.update(["hello"], Choices(np.array([1]), np.array([0.5])), np.array([np.nan]))
    np.testing.assert_array_equal(bandit.probabilities(["hello"]), before)


def test_without_vowpal_wabbit_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "vowpalwabbit", None)
    with pytest.raises(ImportError, match=r"pip install 'routerlib\[bandit\]'"):
        VowpalBandit(["a", "b"])


def test_a_choice_by_chance_says_so_and_what_would_have_been_chosen_else() -> None:
    outcomes = Outcomes(["a", "b"], ["cheap", "dear"], [[0.7, 0.9]] * 2, [[1e-6, 1e-4]] * 2)
    router = BestSingle().fit(outcomes)
    policy = EpsilonGreedy(100_000.0, epsilon=0.5, random_state=0)
    counted = InputCosts(policy, {"cheap": InputCost(2e-6)})
    usual = router.route("c", cost_weight=100_000.0)
    assert usual.model == "cheap"
    for rule in (policy, counted):
        drawn = [router.route("c", policy=rule) for _ in range(40)]
        told = {each.model: (each.propensity, each.reason) for each in drawn}
        assert told == {
            "cheap": (0.75, f"{usual.reason}; drawn with probability 0.75"),
            "dear": (0.25, f"drawn with probability 0.25; else cheap: {usual.reason}"),
        }


def test_without_chance_the_even_share_and_the_spread_play_no_part() -> None:
    sd = np.array([[0.5, 0.0]])
    estimates = Estimates(("a", "b"), np.array([[0.6, 0.7]]), np.zeros((1, 2)), quality_sd=sd)
    for policy in (EpsilonGreedy(epsilon=1.0), Thompson(), UpperConfidence()):
        assert policy.without_draw(estimates).tolist() == [1]
    assert UpperConfidence().probabilities(estimates).argmax() == 0
