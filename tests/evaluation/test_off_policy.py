"""Off-policy values land on the known truth, cover it as often as they say, or refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logged_worlds import make_log

import routerlib as rl
from routerlib.evaluation.off_policy import estimators
from routerlib.evaluation.off_policy.estimators import why_too_thin
from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import estimate_value
from routerlib.evaluation.pseudo_outcomes import Rows, effective_sample_size, interval
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.worlds import make_world
from routerlib.policies.exploration import EpsilonGreedy, Greedy, Thompson
from routerlib.records.call import Call, Score, Usage
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter

# Logging chose arm 0 with 0.5, 0.8, 0.25; the target chooses the logged arm with 1, 0, 1.
OUTCOMES, WEIGHTS = np.array([1.0, 1.0, 0.0]), np.array([2.0, 0.0, 4.0])


def test_estimators_agree_with_three_prompts_by_hand() -> None:
    assert estimators.ips(OUTCOMES, WEIGHTS).value == pytest.approx(2 / 3)
    assert estimators.snips(OUTCOMES, WEIGHTS).value == pytest.approx(2 / 6)
    # Rows: 0.6 + 2 * (1 - 0.5) = 1.6; 0.7 + 0 = 0.7; 0.2 + 4 * (0 - 0.1) = -0.2.
    robust = estimators.doubly_robust(OUTCOMES, WEIGHTS, [0.5, 0.9, 0.1], [0.6, 0.7, 0.2])
    assert robust.value == pytest.approx(2.1 / 3)
    assert effective_sample_size(WEIGHTS) == pytest.approx(36 / 20)


def test_when_the_target_is_the_logging_policy_all_give_the_mean() -> None:
    ones = np.ones(3)
    for rows in (
        estimators.ips(OUTCOMES, ones),
        estimators.snips(OUTCOMES, ones),
        estimators.doubly_robust(OUTCOMES, ones, [0.5] * 3, [0.5] * 3),
    ):
        assert rows.value == pytest.approx(2 / 3)


def test_influences_average_zero() -> None:
    for rows in (
        estimators.ips(OUTCOMES, WEIGHTS),
        estimators.snips(OUTCOMES, WEIGHTS),
        estimators.doubly_robust(OUTCOMES, WEIGHTS, [0.5, 0.9, 0.1], [0.6, 0.7, 0.2]),
    ):
        assert rows.influence.mean() == pytest.approx(0)


def test_copies_of_the_same_decision_are_no_further_evidence() -> None:
    rng = np.random.default_rng(0)
    outcomes, weights = rng.random(200), rng.uniform(0.5, 1.5, 200)
    once = interval(estimators.ips(outcomes, weights), weights)
    copied = estimators.ips(np.repeat(outcomes, 4), np.repeat(weights, 4))
    groups = np.repeat(np.arange(200), 4)
    clustered = interval(copied, np.repeat(weights, 4), groups)
    naive = interval(copied, np.repeat(weights, 4))
    assert clustered.se == pytest.approx(once.se, rel=0.02)
    assert naive.se < 0.55 * once.se


def test_one_group_alone_has_no_interval() -> None:
    found = interval(Rows(0.5, np.zeros(3)), np.ones(3), ["a", "a", "a"])
    assert np.isnan(found.low)
    assert np.isnan(found.high)


# -- coverage in worlds with known truth ---

QUALITY = np.array(
    [[0.9, 0.45, 0.5], [0.45, 0.9, 0.5], [0.5, 0.45, 0.95], [0.2, 0.15, 0.1], [0.6, 0.9, 0.97]]
)


def world(rng: np.random.Generator, n: int, epsilon: float, mistake: float) -> tuple[Any, ...]:
    """Draw n logged choices; the quality model is off by `mistake`."""
    kinds = rng.integers(len(QUALITY), size=n)
    logging_ = np.full(QUALITY.shape, epsilon / 3)
    logging_[np.arange(len(QUALITY)), [0, 2, 2, 0, 1]] += 1 - epsilon
    best = QUALITY.argmax(axis=1)[kinds]
    arms = (logging_[kinds].cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    outcomes = (rng.random(n) < QUALITY[kinds, arms]).astype(float)
    weights = (arms == best) / logging_[kinds, arms]
    model = QUALITY[kinds] + rng.normal(0, mistake, (n, 3))
    rows = np.arange(n)
    return outcomes, weights, model[rows, arms], model[rows, best]


@pytest.fixture(scope="module")
def repeats() -> dict[tuple, dict[str, np.ndarray]]:
    """Value the best policy in 1000 logs of each of eight worlds: coverage, error, width."""
    truth = QUALITY.max(axis=1).mean()
    found = {}
    for n, epsilon in ((200, 0.5), (300, 1.0), (1000, 0.15), (2000, 0.1)):
        for mistake in (0.0, 0.2):
            rng = np.random.default_rng(7)
            cells: dict[str, list] = {"ips": [], "snips": [], "dr": []}
            for _ in range(1000):
                r, w, of_logged, of_target = world(rng, n, epsilon, mistake)
                if why_too_thin(w):
                    continue
                estimates = {
                    "ips": estimators.ips(r, w),
                    "snips": estimators.snips(r, w),
                    "dr": estimators.doubly_robust(r, w, of_logged, of_target),
                }
                for method, rows in estimates.items():
                    ends = interval(rows, w)
                    cells[method].append((ends.low <= truth <= ends.high, rows.value - truth))
            found[n, epsilon, mistake] = {k: np.array(v) for k, v in cells.items()}
    return found


@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_intervals_cover_the_truth_as_often_as_they_say(repeats: dict, method: str) -> None:
    for name, cells in repeats.items():
        assert len(cells[method]) > 900, f"hardly any world of {name} was valued"
        assert cells[method][:, 0].mean() >= 0.93, name


def test_estimates_are_unbiased_and_normalising_or_modelling_lessens_their_spread(
    repeats: dict,
) -> None:
    for name, cells in repeats.items():
        spread = {method: found[:, 1].std() for method, found in cells.items()}
        for method, found in cells.items():
            assert abs(found[:, 1].mean()) < 4 * spread[method] / np.sqrt(len(found)) + 0.002, name
        assert spread["snips"] < 0.8 * spread["ips"], name
        assert spread["dr"] < 0.8 * spread["ips"], name


@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_the_value_of_a_policy_is_found_in_logs_of_a_known_world(method: Any) -> None:
    logs = [make_log(n_prompts=500, epsilon=0.6, seed=seed) for seed in range(40, 60)]
    values = [estimate_value(Greedy(), logged, method).quality for logged in logs]
    assert np.mean([value.low <= 0.9 <= value.high for value in values]) >= 0.85
    assert np.mean([value.value for value in values]) == pytest.approx(0.9, abs=0.04)


def test_cost_and_utility_are_valued_beside_quality() -> None:
    logged = make_log(n_prompts=800, epsilon=0.5, seed=1)
    assert logged.estimates is not None
    value = estimate_value(Greedy(2000), logged)
    arms = Greedy(2000).choose(logged.estimates).arms
    true_usd = logged.estimates.cost_usd[np.arange(800), arms].mean()
    true_quality = logged.estimates.quality[np.arange(800), arms].mean()
    assert value.cost_weight == 2000
    assert value.cost_usd.low <= true_usd <= value.cost_usd.high
    assert value.utility.low <= true_quality - 2000 * true_usd <= value.utility.high
    assert "800 decisions on 800 prompts, effective sample size" in value.sentence


def test_a_router_is_valued_on_prompts_that_it_has_not_seen() -> None:
    taught = make_world(n_prompts=300, seed=5).outcomes
    router = KNNRouter().fit(taught)
    logged = make_log(n_prompts=500, epsilon=1.0, seed=6)
    value = estimate_value(router, logged)
    assert 0.6 < value.quality.value < 1
    own = KNNRouter().fit(make_world(n_prompts=500, seed=6).outcomes)
    with pytest.raises(ThinOverlap, match="trained on all 500 logged prompts"):
        estimate_value(own, logged)
    half = KNNRouter().fit(make_world(n_prompts=500, seed=6).outcomes.take(range(250)))
    assert estimate_value(half, logged).left_out == {"the router was trained on the prompt": 250}


# -- refusals ---


def test_a_log_that_left_nothing_to_chance_is_refused() -> None:
    logged = make_log(n_prompts=300, epsilon=0.3)
    certain = LoggedChoices(
        logged.prompts,
        logged.prompt_ids,
        logged.models,
        logged.arms,
        np.ones(300),
        logged.quality,
        logged.cost_usd,
        logged.estimates,
    )
    with pytest.raises(ThinOverlap, match="left nothing to chance: propensity 1 in all 300"):
        estimate_value(Greedy(), certain)


def test_a_log_that_was_partly_certain_is_refused_where_the_target_differs() -> None:
    logged = make_log(n_prompts=400, epsilon=0.5)
    logged.propensities[:100] = 1.0
    with pytest.raises(ThinOverlap, match="what the logging policy could not"):
        estimate_value(Greedy(), logged)


def test_an_arm_that_was_never_logged_is_refused_by_name() -> None:
    logged = make_log(n_prompts=400, epsilon=0.5)
    without = logged.take(logged.arms != 2)
    with pytest.raises(ThinOverlap, match=r"would choose 'm2' on \d+ % of prompts"):
        estimate_value(Greedy(), without)


def test_a_router_with_an_unknown_candidate_is_refused() -> None:
    router = BestSingle().fit(rl.Outcomes(["a"], ["new"], [[1.0]]))
    with pytest.raises(ThinOverlap, match="never chose 'new'"):
        estimate_value(router, make_log(n_prompts=200))


def test_thin_overlap_is_refused_with_its_numbers() -> None:
    with pytest.raises(ThinOverlap, match=r"effective sample size \d+ of 200 .*largest weight"):
        estimate_value(Greedy(), make_log(n_prompts=200, epsilon=0.05))


def test_few_decisions_are_not_blamed_on_the_overlap() -> None:
    assert estimators.why_too_thin(np.r_[np.ones(45), np.zeros(3)]) == (
        "effective sample size 45 of 48 decisions, at least 50 are needed: that is too few "
        "decisions; log more of them"
    )
    seldom = estimators.why_too_thin(np.r_[np.full(10, 20.0), np.zeros(190)])
    assert "the target seldom chooses as the log did (largest weight 20)" in seldom


@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_nothing_that_is_told_of_a_value_lies_where_it_cannot(method: Any) -> None:
    logged = make_log(n_prompts=240, epsilon=1.0, seed=2)
    logged.quality[:] = 1.0
    logged.quality[:2] = 0.0
    value = estimate_value(Greedy(), logged, method)
    assert value.halves is not None
    for each in (value.quality, value.halves.earlier, value.halves.later):
        assert 0 <= each.low <= each.value <= each.high <= 1
    assert value.cost_usd.low >= 0
    assert value.utility.high <= 1


def test_wrong_propensities_show_by_weights_that_do_not_average_one() -> None:
    logged = make_log(n_prompts=2000, epsilon=0.6)
    logged.propensities[:] = 0.9
    with pytest.raises(ThinOverlap, match="must average 1"):
        estimate_value(Greedy(), logged)


@pytest.mark.parametrize("value", [np.nan, 0.0, 1.5])
def test_missing_or_impossible_propensities_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="can't be guessed afterwards"):
        LoggedChoices(
            ["a"], ["1"], ("m",), np.zeros(1, int), np.array([value]), np.ones(1), np.ones(1)
        )


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="method must be one of dr, snips, ips, got 'magic'"):
        estimate_value(Greedy(), make_log(n_prompts=60), "magic")  # type: ignore[arg-type]


def test_a_policy_that_explores_by_uncertainty_needs_a_router_that_knows_it() -> None:
    with pytest.raises(ValueError, match="use a router with quality_interval"):
        estimate_value(Thompson(), make_log(n_prompts=300, epsilon=1.0))


# -- from a log ---


def fill(log: rl.CallLog, n: int, epsilon: float = 0.5) -> None:
    """Log n decisions of an epsilon-greedy policy; large is right always, small on even ones."""
    policy = EpsilonGreedy(epsilon=epsilon, random_state=0)
    estimates = rl.Estimates(("small", "large"), np.array([[0.5, 0.9]]), np.array([[1.0, 2.0]]))
    by_model = {
        "small": {"quality": 0.5, "cost_usd": 1.0},
        "large": {"quality": 0.9, "cost_usd": 2.0},
    }
    for number in range(n):
        prompt = Prompt.from_text(f"What is {number} + {number}?")
        log.add_prompts([prompt])
        choices = policy.choose(estimates)
        model = estimates.models[choices.arms[0]]
        decision = Decision(
            model, 0.5, 1.0, float(choices.propensities[0]), "drawn", 0.0, by_model, "b2:router"
        )
        decision_id = log.add_decision(prompt.prompt_id, decision)
        call = Call(prompt.prompt_id, model, "h", "ok", "x", Usage(10, 5), decision_id=decision_id)
        is_right = model == "large" or number % 2 == 0
        log.add_call(call, scores=[Score("exact", float(is_right))])


def test_a_log_is_valued_as_it_was_written(log: rl.CallLog, candidates: list) -> None:
    log.add_prices(candidates)
    fill(log, 300)
    value = rl.estimate_value(Greedy(), log)
    assert value.n == 300
    assert value.quality.value == pytest.approx(1.0, abs=0.02)
    # Ten tokens in and five out, at 10 and 20 US dollars per million.
    assert value.cost_usd.value == pytest.approx(200e-6, rel=0.02)
    always_small = rl.CostWeight(1000.0)
    small = rl.estimate_value(always_small, log, "snips").quality
    assert small.low <= 0.5 <= small.high


def test_overrides_fallbacks_and_unscored_answers_are_left_out(log: rl.CallLog) -> None:
    fill(log, 150)
    prompt = Prompt.from_text("Mine?")
    log.add_prompts([prompt])
    for router_hash in ("caller", "conversation"):
        decision = Decision("small", 0.5, 1.0, 1.0, "chosen", 0.0, {}, router_hash)
        decision_id = log.add_decision(prompt.prompt_id, decision)
        call = Call(prompt.prompt_id, "small", "h", "ok", "x", decision_id=decision_id)
        log.add_call(call, scores=[Score("person", 1.0)])
    known = {"small": {"quality": 0.5, "cost_usd": 1.0}}
    failed = log.add_decision(
        prompt.prompt_id, Decision("small", 0.5, 1.0, 0.5, "drawn", 0.0, known, "b2:router")
    )
    log.add_call(Call(prompt.prompt_id, "small", "h", "timeout", decision_id=failed))
    instead = Call(prompt.prompt_id, "large", "h", "ok", "x", decision_id=failed)
    log.add_call(instead, scores=[Score("exact", 1.0)])
    logged = LoggedChoices.from_log(log)
    assert len(logged) == 150
    assert dict(logged.left_out) == {
        "a person or program chose": 1,
        "the turn stayed with its conversation's model": 1,
        "no verdict on the answer": 1,
    }


def test_a_log_without_decisions_is_refused(log: rl.CallLog) -> None:
    with pytest.raises(ValueError, match="holds no scored decision of a router"):
        rl.estimate_value(Greedy(), log)


def test_decisions_of_rules_can_value_a_router_but_no_policy(tmp_path: Path) -> None:
    logged = make_log(n_prompts=300, epsilon=1.0)
    ruled = LoggedChoices(
        logged.prompts,
        logged.prompt_ids,
        logged.models,
        logged.arms,
        logged.propensities,
        logged.quality,
        logged.cost_usd,
    )
    with pytest.raises(ValueError, match="rules decided"):
        estimate_value(Greedy(), ruled)
    router = KNNRouter().fit(make_world(n_prompts=200, seed=9).outcomes)
    assert estimate_value(router, ruled).n == 300
    assert estimate_value(rl.CostWeight(0), ruled, router=router).n == 300
