"""A cascade keeps to a budget, a quality floor and a deadline at every step."""

from __future__ import annotations

import numpy as np
import pytest
from cascading import N_LEARNT, SURE, UNSURE, telling_cascade, telling_outcomes

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_answer_world
from routerlib.policies.exploration import EpsilonGreedy
from routerlib.policies.pacer import BudgetPacer
from routerlib.policies.policies import CostWeight, MeanBudget, QualityFloor, Threshold
from routerlib.policies.utility import Haste
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.rivals import KNNRouter

PROMPT = "Question 9: 555 of 333?"
# The small model costs 1e-4, the large one 2e-3; both is 2.1e-3.
BOTH_USD = 2.1e-3
SECONDS = {"small": 1.0, "large": 4.0}


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return telling_cascade()


@pytest.fixture(scope="module")
def test() -> Outcomes:
    return telling_outcomes().take(range(N_LEARNT, N_LEARNT + 120))


def test_a_budget_holds_for_all_calls_of_a_prompt_together(cascade: Cascade) -> None:
    enough, short = MeanBudget(BOTH_USD * 1.01), MeanBudget(BOTH_USD * 0.99)
    on = cascade.after(PROMPT, {"small": UNSURE}, policy=enough)
    assert (on.model, on.stop) == ("large", False)
    stays = cascade.after(PROMPT, {"small": UNSURE}, policy=short)
    assert (stays.model, stays.stop) == ("small", True)
    assert "nobody else fits what is left of the budget" in stays.reason
    # As good as anything can be, and within both: the large one alone.
    assert {cascade.start(PROMPT, policy=rule).model for rule in (enough, short)} == {"large"}


def test_what_was_really_paid_counts_and_not_what_was_expected(cascade: Cascade) -> None:
    rule = MeanBudget(BOTH_USD * 1.01)
    dearer = cascade.after(PROMPT, {"small": UNSURE}, policy=rule, spent_usd=5e-4)
    assert (dearer.model, dearer.stop) == ("small", True)


@pytest.mark.parametrize("spent", [float("nan"), float("inf"), -1.0])
def test_what_is_no_amount_spent_never_lifts_a_limit(cascade: Cascade, spent: float) -> None:
    rule = MeanBudget(BOTH_USD * 0.99)
    with pytest.raises(ValueError, match="spent_usd must be finite and at least 0"):
        cascade.after(PROMPT, {"small": UNSURE}, policy=rule, spent_usd=spent)
    with pytest.raises(ValueError, match="spent_s must be finite and at least 0"):
        cascade.after(
            PROMPT, {"small": UNSURE}, latency_s=SECONDS, max_latency_s=2.0, spent_s=spent
        )
    with pytest.raises(ValueError, match="latency_weight must be finite and at least 0"):
        cascade.start(PROMPT, haste=Haste(-1.0))


def test_a_budget_that_nobody_fits_is_refused_as_by_the_router(cascade: Cascade) -> None:
    for decide in (cascade.start, cascade.router.route):
        with pytest.raises(ValueError, match=r"budget_usd 1e-05 can't be held"):
            decide(PROMPT, policy=MeanBudget(1e-5))
    assert cascade.start(PROMPT, policy=MeanBudget(2e-4)).model == "small"


def test_a_mean_budget_is_held_over_the_prompts_of_a_replay(
    cascade: Cascade, test: Outcomes
) -> None:
    quality = []
    for budget_usd in (2e-4, 8e-4, BOTH_USD):
        replay = cascade.replay(test, policy=MeanBudget(budget_usd))
        assert replay.cost_usd.mean() <= budget_usd * (1 + 1e-9)
        quality.append(float(replay.quality.mean()))
    assert quality == sorted(quality)
    assert quality[0] < 0.7 < 0.99 < quality[-1]


def test_a_floor_is_kept_at_the_least_cost(cascade: Cascade, test: Outcomes) -> None:
    rule = QualityFloor(0.1)
    assert cascade.router.route(PROMPT, policy=rule).model == "large"
    assert cascade.start(PROMPT, policy=rule).model == "small"
    assert cascade.after(PROMPT, {"small": UNSURE}, policy=rule).model == "large"
    stays = cascade.after(PROMPT, {"small": SURE}, policy=rule)
    assert (stays.model, stays.stop) == ("small", True)
    assert stays.reason.endswith("that is good enough")
    replay = cascade.replay(test, policy=rule)
    alone = cascade.router.route(test.prompts, policy=rule)
    dear_usd = sum(test.cost_usd[0, test.models.index(each.model)] for each in alone)
    assert replay.quality.mean() >= 0.9
    assert replay.cost_usd.sum() < 0.7 * dear_usd


def test_a_floor_may_be_set_by_a_model_and_be_low(cascade: Cascade) -> None:
    low = QualityFloor(0.99, model="large")
    assert cascade.after(PROMPT, {"small": UNSURE}, policy=low).stop
    high = QualityFloor(0.2, model="large")
    assert cascade.after(PROMPT, {"small": UNSURE}, policy=high).model == "large"
    barred = cascade.after(PROMPT, {"small": UNSURE}, policy=high, among=["small"])
    assert (barred.model, barred.stop) == ("small", True)


def test_every_answer_given_back_obeys_the_floor_or_nobody_is_left() -> None:
    world = make_answer_world(n_prompts=320, n_models=3, seed=6).outcomes
    train, test = world.split(random_state=0)
    cascade = Cascade(KNNRouter().fit(train)).fit(train)
    assert cascade.boldness_.share > 0
    rule, n_stops = QualityFloor(0.1), 0
    for row in range(20):
        prompt, said = test.prompts[row], {}
        step = cascade.start(prompt, policy=rule)
        while not step.stop:
            said[step.model] = test.answers[row][test.models.index(step.model)]
            step = cascade.after(prompt, said, policy=rule)
        assert step.judged[step.model] == max(step.judged.values())
        replay = cascade.replay(test.take([row]), policy=rule)
        assert replay.asked == [tuple(said)]
        assert replay.given == [step.model]
        n_stops += len(said) < 3
        others = [arm for arm, name in enumerate(test.models) if name not in said]
        bench = cascade.bench(test.take([row]))
        held = tuple(test.models.index(name) for name in sorted(said))
        left = bench.situation(held).expected[0, others] if held else np.zeros(0)
        assert not len(left) or step.judged[step.model] >= left.max() - 0.1 - 1e-9
    assert n_stops > 5


def test_a_deadline_holds_for_all_calls_of_a_prompt_together(cascade: Cascade) -> None:
    how = {"cost_weight": 100.0, "latency_s": SECONDS}
    assert cascade.start(PROMPT, **how, max_latency_s=5.5).model == "small"
    on = cascade.after(PROMPT, {"small": UNSURE}, **how, max_latency_s=5.5)
    assert (on.model, on.stop) == ("large", False)
    late = cascade.after(PROMPT, {"small": UNSURE}, **how, max_latency_s=5.5, spent_s=2.0)
    assert (late.model, late.stop) == ("small", True)
    assert "or of the time" in late.reason
    assert cascade.start(PROMPT, **how, max_latency_s=2.0).model == "small"
    # With no time for both, the first call is the router's choice.
    alone = cascade.router.route(PROMPT, cost_weight=100.0).model
    assert cascade.start(PROMPT, **how, max_latency_s=4.5).model == alone == "large"
    quickest = cascade.start(PROMPT, **how, max_latency_s=0.5)
    assert quickest.model == "small"
    assert "nobody answers within 0.5 s, the quickest, small, in 1 s" in quickest.reason
    assert cascade.after(PROMPT, {"small": UNSURE}, **how, max_latency_s=0.5).stop
    assert cascade.start(PROMPT, **how, max_latency_s=0.5, among=["large"]).model == "large"
    with pytest.raises(ValueError, match="must be seconds above 0, got 0"):
        cascade.start(PROMPT, **how, max_latency_s=0)


def test_a_replay_keeps_the_deadline(cascade: Cascade, test: Outcomes) -> None:
    replay = cascade.replay(test, cost_weight=100.0, latency_s=SECONDS, max_latency_s=4.5)
    assert replay.n_calls.max() == 1
    assert set(cascade.replay(test, latency_s=SECONDS, max_latency_s=2.0).given) == {"small"}
    for rule in ({"cost_weight": 100.0}, {"policy": MeanBudget(1.0)}):
        late = cascade.replay(test, **rule, latency_s=SECONDS, max_latency_s=0.5)
        assert (set(late.given), late.n_calls.max()) == ({"small"}, 1)
    free = cascade.replay(test, cost_weight=100.0, latency_s=SECONDS, max_latency_s=9.0)
    assert free.asked == cascade.replay(test, cost_weight=100.0).asked


def test_rules_with_a_cost_weight_cascade_and_others_are_the_router_s(cascade: Cascade) -> None:
    for rule in (CostWeight(100.0), BudgetPacer(1.0, cost_weight=100.0)):
        assert cascade.start(PROMPT, policy=rule).model == "small"
        assert cascade.after(PROMPT, {"small": UNSURE}, policy=rule).model == "large"
    pair = Threshold(strong="large", weak="small", threshold=2.0)
    assert cascade.start(PROMPT, policy=pair).model == "small"
    step = cascade.after(PROMPT, {"small": UNSURE}, policy=pair)
    assert (step.model, step.stop) == ("small", True)
    assert "no cost weight" in step.reason


def test_a_rule_of_chance_draws_the_first_call_with_its_probability(cascade: Cascade) -> None:
    rule = EpsilonGreedy(100.0, epsilon=0.5, random_state=0)
    drawn = [cascade.start(PROMPT, policy=rule) for _ in range(40)]
    assert {(step.model, step.propensity) for step in drawn} == {("large", 0.75), ("small", 0.25)}
    assert cascade.after(PROMPT, {"small": UNSURE}, policy=rule).model == "large"


def test_with_nothing_to_gain_every_rule_is_the_router_s() -> None:
    world = make_answer_world(n_prompts=200, seed=2, tell=0.0).outcomes
    router = KNNRouter().fit(world)
    silent = Cascade(router).fit(world)
    assert silent.boldness_.share == 0
    for rule in (MeanBudget(0.01), QualityFloor(0.05), CostWeight(50.0)):
        chosen = router.route("Why?", policy=rule).model
        step = silent.start("Why?", policy=rule)
        assert step.model == chosen
        assert silent.after("Why?", {chosen: "what?"}, policy=rule).stop
        assert set(silent.replay(world.take(range(5)), policy=rule).n_calls) == {1}


def test_a_cascade_on_a_cascade_is_refused(cascade: Cascade) -> None:
    with pytest.raises(ValueError, match=r"give the router inside it: Cascade\(cascade.router\)"):
        Cascade(cascade)
