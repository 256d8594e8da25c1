"""Every metric of every replicate is what plain functions give on the rows that were drawn."""

import numpy as np
import pytest
from plain_metrics import regret, zero_router_quality

from routerlib.evaluation import contenders as laid
from routerlib.evaluation.compare import compare
from routerlib.evaluation.replicates import METRICS, measure
from routerlib.metrics.curves import oracle
from routerlib.metrics.intervals import cluster_weights
from routerlib.metrics.pairs import apgr, cpt, pgr
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import choose_arms
from routerlib.records.decision import Estimates
from routerlib.records.progress import shown_by
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter

N_BOOTSTRAP = 12
WEIGHT = 40.0


@pytest.fixture(scope="module")
def world():
    return make_world(n_prompts=120, n_models=4, seed=5, kind="price")


@pytest.fixture(scope="module")
def tested(world):
    return laid.TestedPrompts.of(world.outcomes, "m3", "m0")


@pytest.fixture(scope="module")
def estimates(world):
    noise = np.random.default_rng(1).normal(0, 0.1, world.expected_quality.shape)
    return Estimates(
        world.outcomes.models, world.expected_quality + noise, world.outcomes.cost_usd * 1.1
    )


def test_each_replicate_equals_plain_functions_on_repeated_rows(tested, estimates):
    arms = choose_arms(estimates, WEIGHT)
    contender = laid.estimates_contender(tested, estimates, arms)
    measured = measure(
        tested,
        {"contender": contender},
        n_bootstrap=N_BOOTSTRAP,
        random_state=3,
        cost_weight=WEIGHT,
    )
    groups = tested.outcomes.groups
    weights = np.vstack(list(cluster_weights(groups, N_BOOTSTRAP, 3))).astype(int)
    for replicate, times in enumerate(weights):
        drawn = np.repeat(np.arange(len(times)), times)
        quality, cost = tested.quality[drawn], tested.cost_usd[drawn]
        obtained = contender.quality[drawn].mean()
        paid = contender.cost_usd[drawn].mean()
        means, means_usd = quality.mean(axis=0), cost.mean(axis=0)
        best, ceiling = means[tested.strong], quality.max(axis=1).mean()
        pair = (quality[:, tested.weak], quality[:, tested.strong], contender.score[drawn])
        mixed = float(zero_router_quality(paid, means_usd, means))
        expected = {
            "quality": obtained,
            "cost_usd": paid,
            "cost_share": paid / means_usd[tested.strong],
            "quality_difference": obtained - best,
            "gain_over_zero": obtained - mixed,
            "regret": regret(quality, cost, arms[drawn], WEIGHT),
            "gap_closed": (obtained - best) / (ceiling - best),
            "PGR": float(pgr(obtained, means[tested.weak], best)),
            "APGR": apgr(*pair)[0],
            "CPT50": cpt(0.5, *pair)[0],
            "CPT80": cpt(0.8, *pair)[0],
        }
        for name, value in expected.items():
            seen = measured.replicates["contender"][name][replicate]
            assert seen == pytest.approx(value, abs=1e-9, nan_ok=True), name


def test_two_models_and_three_prompts_by_hand():
    # small is right on the first prompt, large on the first two; 1 and 3 dollars.
    outcomes = Outcomes(
        ["red kite", "blue whale song", "green tea leaves"],
        ["small", "large"],
        quality=[[1, 1], [0, 1], [0, 0]],
        cost_usd=[[1, 3]] * 3,
    )
    tested = laid.TestedPrompts.of(outcomes, "large", "small")
    contenders = {
        "perfect": laid.estimates_contender(
            tested,
            Estimates(("small", "large"), outcomes.quality, outcomes.cost_usd),
            np.array([0, 1, 0]),
        ),
        **laid.baseline_contenders(
            tested, np.array([0.4, 0.6]), np.array([1.0, 3.0]), np.full(3, 5 / 3)
        ),
    }
    found = measure(tested, contenders, n_bootstrap=50, random_state=0).intervals("perfect")
    assert found["cost_at_equal_quality"].value == pytest.approx((5 / 3) / 3)
    assert found["quality_at_equal_cost"].value == pytest.approx(2 / 3)
    assert found["quality_difference"].value == 0
    assert found["regret"].value == 0
    assert np.isnan(found["gap_closed"].value)  # the best single is as good as the oracle


def test_a_contender_that_chooses_alike_differs_by_nothing_in_any_metric(tested, estimates):
    contender = laid.estimates_contender(
        tested, estimates, oracle(estimates.quality, estimates.cost_usd)
    )
    contenders = {
        "one": contender,
        "two": contender,
        "large": laid.arms_contender(tested, np.full(len(tested), 3)),
    }
    measured = measure(tested, contenders, n_bootstrap=30, random_state=0)
    same, other = measured.differences("two", "one"), measured.differences("large", "one")
    assert set(same) == set(METRICS)
    assert all(interval[:3] == (0, 0, 0) for interval in same.values())
    assert other["quality"].low < other["quality"].value < other["quality"].high


def test_a_loss_that_the_sample_can_not_show_widens_the_interval_where_costs_are_unknown(tested):
    # Two of 120 prompts go elsewhere, to an answer that is as good; nobody knows the costs.
    outcomes = Outcomes(tested.outcomes.prompts, tested.outcomes.models, np.ones((120, 4)))
    unpriced = laid.TestedPrompts.of(outcomes, "m3", "m0")
    arms = np.full(120, 3)
    elsewhere = arms.copy()
    elsewhere[:2] = 0
    contenders = {
        "always": laid.arms_contender(unpriced, arms),
        "nearly": laid.arms_contender(unpriced, elsewhere),
    }
    measured = measure(unpriced, contenders, n_bootstrap=50, random_state=0)
    assert measured.intervals("always")["quality_difference"].low == 0
    assert measured.intervals("nearly")["quality_difference"].low < -0.01


def test_a_paired_difference_is_narrower_than_two_intervals_apart(tested, estimates):
    nudge = np.array([0.02, 0, 0, 0])
    nudged = Estimates(estimates.models, estimates.quality + nudge, estimates.cost_usd)
    contenders = {
        name: laid.estimates_contender(tested, each, choose_arms(each, WEIGHT))
        for name, each in (("one", estimates), ("two", nudged))
    }
    measured = measure(tested, contenders, n_bootstrap=300, random_state=0)
    apart = np.hypot(*(measured.intervals(name)["AIQ"].se for name in contenders))
    assert measured.differences("two", "one")["AIQ"].se < apart / 2


def test_a_comparison_says_how_far_each_row_is_from_the_first():
    train, test = make_world(n_prompts=300, seed=5, kind="price").outcomes.split(random_state=0)
    routers = {"knn": KNNRouter().fit(train), "single": BestSingle().fit(train)}
    table = compare(routers, test, n_bootstrap=40)
    for name in ("quality", "AIQ", "APGR", "CPT80", "regret"):
        first = table.loc["knn", name]
        assert table[name].notna().all(), name
        assert (table[f"{name}_vs_first"] - (table[name] - first)).abs().max() < 1e-9
        assert (table[f"{name}_vs_first_low"] <= table[f"{name}_vs_first_high"]).all()
    assert table.loc["knn", "quality_vs_first_high"] == 0
    assert "topic table" in table.index


def test_a_comparison_with_the_training_prompts_brings_its_rivals(world):
    train, test = world.outcomes.of_models(["m0", "m3"]).split(0.5, random_state=0)
    table = compare({"single": BestSingle().fit(train)}, test, train=train, n_bootstrap=20)
    assert list(table.index) == [
        "single",
        "nearest neighbours",
        "best-model classifier",
        "best single",
        "random",
        "zero router",
        "topic table",
        "oracle",
    ]
    own = compare({"mine": KNNRouter().fit(train)}, test, train=train, n_bootstrap=20)
    assert "nearest neighbours" not in own.index


def test_the_topic_table_is_learnt_on_train_alone():
    # Two topics, each with another winner; on test the winners are swapped.
    prompts = [f"prompt {i} about {word}" for i in range(40) for word in ("law", "tea")]
    topics = ["law", "tea"] * 40
    quality = np.tile([[1.0, 0.0], [0.0, 1.0]], (40, 1))
    cost = np.tile([1.0, 2.0], (80, 1))
    models = ["a", "b"]
    train = Outcomes(prompts[:40], models, quality[:40], cost[:40], topics[:40])
    test = Outcomes(prompts[40:], models, 1 - quality[40:], cost[40:], topics[40:])
    table = compare({"single": BestSingle().fit(train)}, test, n_bootstrap=10)
    assert table.loc["topic table", "quality"] == 0


def test_long_work_is_watched(world):
    train, test = world.outcomes.split(random_state=0)
    seen = []

    def shower(items, what, total):
        for item in items:
            seen.append(what)
            yield item

    with shown_by(shower):
        whole = Outcomes(test.prompts, test.models, test.quality, test.cost_usd)
        compare({"single": BestSingle().fit(train)}, whole, n_bootstrap=20)
    assert {"blocks of replicates", "blocks of pairs that may be near-duplicates"} <= set(seen)
