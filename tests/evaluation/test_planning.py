"""An open verdict asks for as many prompts as its own rule needs, for a gain that matters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.planning import (
    Plan,
    PromptColumns,
    Said,
    guess_plan,
    numbers_of,
    plan_held_out,
)
from routerlib.metrics.intervals import Interval
from routerlib.metrics.sample_size import plan_sample_size
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.rivals import KNNRouter

MARGIN = 0.03


def rule(found: Mapping[str, Interval], n_groups: int) -> Said:
    """Say that routing is better than mixing, or not by more than the margin."""
    gain = found["gain_over_zero"]
    if gain.low > 0:
        return "gain"
    return "none" if gain.high - 0.315 * gain.se < MARGIN else "open"


def seen(n: int, seed: int, copies: int = 1, mean: float = 0.02) -> PromptColumns:
    rng = np.random.default_rng(seed)
    gain = rng.choice([-1.0, 0.0, 1.0], n, p=[0.1 - mean / 2, 0.8, 0.1 + mean / 2])
    gain = np.repeat(gain, copies)
    cost = np.repeat(rng.lognormal(0, 0.3, n), copies)
    return PromptColumns(np.repeat(np.arange(n), copies), gain - 0.02, gain, 0.5 * cost, cost)


def test_the_plan_follows_from_how_much_prompts_differ_and_not_from_what_they_seem_to_gain() -> (
    None
):
    needed = [
        plan_held_out(seen(200, seed, mean=mean), MARGIN, rule)
        for seed, mean in enumerate((-0.06, 0.0, 0.02, 0.06))
    ]
    numbers = [plan.n for plan in needed if plan is not None]
    assert len(numbers) == 4
    assert max(numbers) < 1.8 * min(numbers)


def test_at_the_planned_number_the_rule_decides_in_four_of_five_cases_whatever_is_true() -> None:
    plan = plan_held_out(seen(2000, 0), MARGIN, rule)
    assert plan is not None
    for truth, most in ((0.0, 1.0), (0.015, 0.95), (0.03, 1.0)):
        kinds = []
        for seed in range(200):
            gain = seen(plan.n, 1000 + seed, mean=truth).gain
            se = gain.std() / np.sqrt(len(gain))
            low, high = gain.mean() - 1.96 * se, gain.mean() + 1.96 * se
            kinds.append(rule({"gain_over_zero": Interval(gain.mean(), low, high, se)}, plan.n))
        assert (
            0.75 <= np.mean([kind != "open" for kind in kinds]) <= most
        )  # 80 % less two standard errors of 200 draws


def test_copies_of_a_prompt_ask_for_as_many_copies_more() -> None:
    once, thrice = (plan_held_out(seen(300, 1, n), MARGIN, rule) for n in (1, 3))
    assert once is not None
    assert thrice is not None
    assert thrice.n == pytest.approx(3 * once.n, rel=0.05)


def test_a_smaller_gain_that_matters_takes_more_prompts_and_a_wider_interval_too() -> None:
    usual = plan_held_out(seen(300, 2), MARGIN, rule)
    smaller = plan_held_out(seen(300, 2), 0.02, rule)
    wider = plan_held_out(seen(300, 2), MARGIN, rule, error=0.06)
    assert usual is not None
    assert smaller is not None
    assert wider is not None
    assert usual.low < usual.n < usual.high
    assert smaller.n > 1.2 * usual.n
    assert wider.n > 2 * usual.n


def test_few_prompts_give_a_wider_range_than_many() -> None:
    few, many = (plan_held_out(seen(n, 3), MARGIN, rule) for n in (60, 600))
    assert few is not None
    assert many is not None
    assert few.high / few.low > 1.3 * many.high / many.low


def test_where_no_number_decides_none_is_named() -> None:
    assert plan_held_out(seen(100, 4), MARGIN, lambda found, n: "open") is None


@pytest.mark.parametrize("effect", [0.0, -0.1, 1.5])
def test_an_effect_that_is_none_is_refused(effect: float) -> None:
    with pytest.raises(ValueError, match=r"smallest effect of interest must lie in \(0, 1\]"):
        plan_held_out(seen(100, 4), effect, rule)


def test_a_plan_is_said_as_a_range_of_prompts_that_are_missing() -> None:
    plan = Plan(1900, 1500, 2300, 0.03)
    assert plan.more(100) == "1400 to 2200"
    assert plan.more(1600) == "up to 700"
    assert Plan(30, 30, 30, 0.03).more(12) == "20"
    numbers = numbers_of(plan, 100, 0.03)
    assert numbers["prompts_needed"] == 1900
    assert numbers["more_prompts_needed_low"] == 1400
    assert numbers["more_prompts_needed_high"] == 2200
    assert numbers_of(None, 100, 0.03)["prompts_needed_high"] is None
    assert plan.beyond(2000) == Plan(2500, 2010, 2500, 0.03)
    assert guess_plan(0.03).n == plan_sample_size(0.03, disagreement=0.2)


def test_an_open_verdict_names_the_range_and_the_gain_that_it_is_for() -> None:
    drawn = make_world(n_prompts=240, n_models=2, seed=4).outcomes
    quality = (np.random.default_rng(0).random((240, 2)) < 0.75).astype(float)
    world = Outcomes(drawn.prompts, drawn.models, quality, drawn.cost_usd)
    router = KNNRouter().fit(world.take(range(180))).stand_at(0.0)
    verdict = evaluate(
        router, world.take(range(180, 240)), n_bootstrap=100, smallest_effect=0.05
    ).verdict
    assert verdict.kind == "not_measurable"
    low, high = (verdict.numbers[f"more_prompts_needed_{end}"] for end in ("low", "high"))
    assert verdict.numbers["smallest_effect"] == 0.05
    assert f"Label about {low} to {high} more held-out prompts to tell" in verdict.sentence
    assert "if a gain of 5 points matters" in verdict.sentence
