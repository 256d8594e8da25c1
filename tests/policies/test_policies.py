"""Policies: estimates in, choices out, cost never rising with its weight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from routerlib.outcomes.worlds import make_world
from routerlib.policies.exploration import Greedy
from routerlib.policies.pacer import BudgetPacer
from routerlib.policies.policies import (
    Choices,
    CostWeight,
    MeanBudget,
    Policy,
    QualityFloor,
    Threshold,
)
from routerlib.records.decision import Estimates
from routerlib.routers.baselines import BestSingle

MODELS = ("small", "large")


def estimates_of(quality: list[list[float]], cost_usd: list[list[float]]) -> Estimates:
    return Estimates(MODELS, np.array(quality), np.array(cost_usd))


TWO_PROMPTS = estimates_of([[0.5, 0.9], [0.7, 0.8]], [[0.1, 1.1], [0.1, 1.1]])


@st.composite
def any_estimates(draw: st.DrawFn) -> Estimates:
    shape = (draw(st.integers(1, 6)), 3)
    # Hundredths, so that ties happen and rounding doesn't.
    quality = draw(arrays(float, shape, elements=st.integers(0, 100).map(lambda n: n / 128)))
    cost_usd = draw(arrays(float, shape, elements=st.integers(0, 100).map(lambda n: n / 128)))
    return Estimates(("a", "b", "c"), quality, cost_usd)


weights = st.integers(0, 200).map(lambda n: n / 16)


def mean_cost(estimates: Estimates, choices: Choices) -> float:
    return float(estimates.cost_usd[np.arange(len(estimates)), choices.arms].mean())


@pytest.mark.parametrize(
    ("cost_weight", "arms"), [(0.0, [1, 1]), (0.2, [1, 0]), (0.4, [0, 0]), (9.0, [0, 0])]
)
def test_a_cost_weight_trades_quality_for_dollars(cost_weight: float, arms: list[int]) -> None:
    assert CostWeight(cost_weight).choose(TWO_PROMPTS).arms.tolist() == arms


def test_ties_go_to_the_cheaper() -> None:
    tied = estimates_of([[0.8, 0.8], [0.8, 0.8]], [[2.0, 1.0], [1.0, 2.0]])

    assert CostWeight(0).choose(tied).arms.tolist() == [1, 0]
    assert QualityFloor(0).choose(tied).arms.tolist() == [1, 0]


def test_unknown_costs_are_fine_only_when_they_are_not_weighed() -> None:
    unknown = estimates_of([[0.5, 0.9]], [[0.1, np.nan]])

    assert CostWeight(0).choose(unknown).arms.tolist() == [1]
    for policy in (CostWeight(1.0), MeanBudget(1.0), QualityFloor(0.1)):
        with pytest.raises(ValueError, match="the cost of 'large' is unknown"):
            policy.choose(unknown)


@pytest.mark.parametrize(("budget_usd", "arms"), [(0.1, [0, 0]), (0.6, [1, 0]), (1.1, [1, 1])])
def test_a_budget_buys_the_largest_gains_first(budget_usd: float, arms: list[int]) -> None:
    assert MeanBudget(budget_usd).choose(TWO_PROMPTS).arms.tolist() == arms


def test_a_budget_under_the_cheapest_choice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"can't be held: the cheapest choice costs 0\.1"):
        MeanBudget(0.05).choose(TWO_PROMPTS)


@pytest.mark.parametrize(("max_loss", "arms"), [(0.0, [1, 1]), (0.11, [1, 0]), (0.5, [0, 0])])
def test_a_quality_floor_takes_the_cheapest_that_is_good_enough(
    max_loss: float, arms: list[int]
) -> None:
    assert QualityFloor(max_loss).choose(TWO_PROMPTS).arms.tolist() == arms


@pytest.mark.parametrize("policy", [CostWeight, MeanBudget, QualityFloor])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_numbers_out_of_range_are_refused(policy: type, value: float) -> None:
    with pytest.raises(ValueError, match="must be finite and at least 0"):
        policy(value)


@pytest.mark.parametrize("policy", [CostWeight(1.0), MeanBudget(1.0), QualityFloor(0.1)])
def test_no_prompts_give_no_choices(policy: CostWeight | MeanBudget | QualityFloor) -> None:
    none = Estimates(MODELS, np.zeros((0, 2)), np.zeros((0, 2)))
    assert policy.choose(none).arms.shape == (0,)


@given(any_estimates(), weights, weights)
def test_expected_cost_never_rises_with_cost_weight(
    estimates: Estimates, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    dearer = mean_cost(estimates, CostWeight(low).choose(estimates))
    assert mean_cost(estimates, CostWeight(high).choose(estimates)) <= dearer


@given(any_estimates(), st.floats(0, 1))
def test_propensities_lie_above_0_and_up_to_1(estimates: Estimates, number: float) -> None:
    cheapest = float(estimates.cost_usd.min(axis=1).mean())
    for policy in (CostWeight(number), QualityFloor(number), MeanBudget(cheapest + number)):
        choices = policy.choose(estimates)
        assert ((choices.propensities > 0) & (choices.propensities <= 1)).all()
        assert ((choices.arms >= 0) & (choices.arms < 3)).all()


@given(any_estimates(), st.floats(0, 1))
def test_a_budget_is_held(estimates: Estimates, extra: float) -> None:
    budget = float(estimates.cost_usd.min(axis=1).mean()) + extra
    choices = MeanBudget(budget).choose(estimates)
    assert mean_cost(estimates, choices) <= budget * (1 + 1e-6)


@given(any_estimates(), st.floats(0, 1))
def test_a_quality_floor_is_kept_on_every_prompt(estimates: Estimates, max_loss: float) -> None:
    choices = QualityFloor(max_loss).choose(estimates)
    chosen = estimates.quality[np.arange(len(estimates)), choices.arms]
    assert (chosen >= estimates.quality.max(axis=1) - max_loss - 1e-9).all()


@given(any_estimates(), st.floats(-1, 1), st.floats(0, 1))
def test_strong_calls_never_rise_with_the_threshold(
    estimates: Estimates, threshold: float, more: float
) -> None:
    strong, weak = "c", "a"
    calls = [
        (Threshold(strong, weak, each).choose(estimates).arms == 2).sum()
        for each in (threshold, threshold + more)
    ]
    assert calls[1] <= calls[0]
    assert set(Threshold(strong, weak, threshold).choose(estimates).arms) <= {0, 2}


def test_a_pair_needs_two_known_models_and_a_number() -> None:
    with pytest.raises(ValueError, match="a pair needs two candidate models, got 'a' twice"):
        Threshold("a", "a", 0.1)
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        Threshold("a", "b", float("nan"))
    with pytest.raises(ValueError, match="model must be one of small, large, got 'huge'"):
        Threshold("huge", "small", 0.1).choose(TWO_PROMPTS)


@given(any_estimates(), st.floats(0, 1))
def test_a_floor_set_by_a_model_never_costs_more_than_that_model(
    estimates: Estimates, max_loss: float
) -> None:
    arms = QualityFloor(max_loss, model="b").choose(estimates).arms
    rows = np.arange(len(estimates))
    assert (estimates.cost_usd[rows, arms] <= estimates.cost_usd[:, 1] + 1e-12).all()
    assert (estimates.quality[rows, arms] >= estimates.quality[:, 1] - max_loss - 1e-9).all()


class AlwaysFirst(Policy):
    """The least that a policy of one's own needs."""

    def choose(self, estimates: Estimates) -> Choices:
        return Choices(np.zeros(len(estimates), dtype=int), np.ones(len(estimates)))


def test_a_policy_of_ones_own_gives_choose_and_nothing_else() -> None:
    own = AlwaysFirst()
    assert own.probabilities(TWO_PROMPTS).tolist() == [[1, 0], [1, 0]]
    assert own.present_cost_weight is None
    assert not own.needs_spread
    train = make_world(n_prompts=20, n_models=2).outcomes
    router = BestSingle().fit(train)
    decision = router.route("What is 2 + 2?", policy=own)
    assert (decision.model, decision.propensity) == (train.models[0], 1.0)
    assert decision.cost_weight == router.cost_weight_


def test_a_decision_says_at_which_cost_weight_a_policy_weighed() -> None:
    router = BestSingle().fit(make_world(n_prompts=20, n_models=2).outcomes)
    for policy in (CostWeight(3), Greedy(3), BudgetPacer(1.0, cost_weight=3)):
        assert router.route("What is 2 + 2?", policy=policy).cost_weight == 3
    assert QualityFloor(0.1).present_cost_weight is None
    assert MeanBudget(1.0).present_cost_weight is None
