"""Policies are chosen on training prompts for a budget, a floor or a share of strong calls."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.outcomes import Outcomes
from routerlib.pairs import cpt, pgr
from routerlib.policies import CostWeight, QualityFloor, Threshold
from routerlib.policy_choice import choose_for_budget, choose_quality_floor, choose_threshold
from routerlib.simulate import make_world
from routerlib.types import Estimates


@pytest.fixture(scope="module")
def known() -> tuple[Estimates, Outcomes]:
    world = make_world(n_prompts=400, seed=2, kind="price")
    noise = np.random.default_rng(0).normal(0, 0.05, world.expected_quality.shape)
    outcomes = world.outcomes
    return Estimates(outcomes.models, world.expected_quality + noise, outcomes.cost_usd), outcomes


def test_a_budget_is_held_and_nearly_used_up(known: tuple[Estimates, Outcomes]) -> None:
    estimates, outcomes = known
    budget_usd = float(outcomes.mean_cost_usd.mean())
    chosen = choose_for_budget(estimates, outcomes, budget_usd)
    assert isinstance(chosen.policy, CostWeight)
    assert chosen.is_met
    assert 0.9 * budget_usd < chosen.cost_usd <= budget_usd


def test_a_budget_under_the_cheapest_model_is_not_met(known: tuple[Estimates, Outcomes]) -> None:
    estimates, outcomes = known
    chosen = choose_for_budget(estimates, outcomes, float(outcomes.mean_cost_usd.min()) / 2)
    assert not chosen.is_met
    assert chosen.cost_usd == pytest.approx(outcomes.mean_cost_usd.min())


def test_a_floor_is_as_good_as_the_best_single_for_less(known: tuple[Estimates, Outcomes]) -> None:
    estimates, outcomes = known
    strict = choose_quality_floor(estimates, outcomes, max_quality_loss=0.01)
    loose = choose_quality_floor(estimates, outcomes, max_quality_loss=0.05)
    assert isinstance(strict.policy, QualityFloor)
    assert strict.policy.model == strict.best_single == "m2"
    assert strict.is_met
    assert strict.quality >= strict.best_single_quality - 0.01
    assert loose.cost_usd < strict.cost_usd <= strict.best_single_cost_usd


def test_a_floor_that_no_choice_keeps_is_not_met(known: tuple[Estimates, Outcomes]) -> None:
    estimates, outcomes = known
    misled = Estimates(estimates.models, 1 - estimates.quality, estimates.cost_usd)
    chosen = choose_quality_floor(misled, outcomes)
    assert not chosen.is_met
    assert chosen.policy.max_loss == 0


def test_a_threshold_makes_as_many_strong_calls_as_cpt_says(
    known: tuple[Estimates, Outcomes],
) -> None:
    estimates, outcomes = known
    chosen = choose_threshold(estimates, outcomes, strong="m2", weak="m0", recovered=0.8)
    assert isinstance(chosen.policy, Threshold)
    weak, strong = outcomes.quality[:, 0], outcomes.quality[:, 2]
    assert pgr(chosen.quality, weak.mean(), strong.mean()) >= 0.8
    arms = chosen.policy.choose(estimates).arms
    expected = cpt(0.8, weak, strong, estimates.quality[:, 2] - estimates.quality[:, 0])[0]
    assert (arms == 2).mean() == pytest.approx(expected, abs=2 / len(outcomes))


def test_a_pair_whose_strong_model_is_not_better_never_calls_it() -> None:
    outcomes = Outcomes(["kite", "whale"], ["s", "l"], [[1, 0], [1, 1]], [[1, 3], [1, 3]])
    estimates = Estimates(("s", "l"), np.array([[0.2, 0.9], [0.1, 0.9]]), outcomes.cost_usd)
    chosen = choose_threshold(estimates, outcomes, strong="l", weak="s")
    assert not chosen.is_met
    assert chosen.quality == 1


def test_wishes_out_of_range_and_unknown_costs_are_refused(
    known: tuple[Estimates, Outcomes],
) -> None:
    estimates, outcomes = known
    with pytest.raises(ValueError, match="budget_usd must be at least 0, got -1"):
        choose_for_budget(estimates, outcomes, -1)
    with pytest.raises(ValueError, match=r"recovered must lie in \[0, 1\], got 2"):
        choose_threshold(estimates, outcomes, strong="m2", weak="m0", recovered=2)
    with pytest.raises(ValueError, match="model must be one of m0, m1, m2, got 'huge'"):
        choose_threshold(estimates, outcomes, strong="huge", weak="m0")
    unpriced = Outcomes(outcomes.prompts, outcomes.models, outcomes.quality)
    with pytest.raises(ValueError, match="every cost must be known"):
        choose_quality_floor(estimates, unpriced)
    empty = Outcomes(["kite"], outcomes.models, [[np.nan] * 3])
    with pytest.raises(ValueError, match="prompts that every candidate model answered, got none"):
        choose_quality_floor(estimates, empty)
