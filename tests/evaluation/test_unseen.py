"""One way of training is measured by three ways of holding prompts out."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.evaluation.unseen import compare_splits
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter


@pytest.fixture(scope="module")
def table():
    return compare_splits(KNNRouter().fit, make_world(n_prompts=300).outcomes, n_bootstrap=100)


def test_a_router_that_knows_topics_knows_nothing_of_new_ones(table):
    assert table.loc["random", "quality_difference_low"] > 0.1
    # Calling at random gives 0.6 in this world; each training's best single model is worse on the
    # topics left out (they are what others win), so the difference to it is no yardstick here.
    assert table.loc["leave topics out", "quality_low"] < 0.6
    assert table.loc["leave topics out", "AIQ"] < table.loc["random", "AIQ_low"]


def test_each_way_tests_every_prompt_once_but_the_first_block_of_time(table):
    assert table.n_test.tolist() == [300, 300, 225]
    assert table.n_train.tolist() == [200, 200, 150]


def test_each_number_has_its_interval(table):
    for name in ("quality", "quality_difference", "AIQ", "AIQ_vs_topic_table"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()


def test_the_best_single_is_that_of_each_training():
    # Late prompts have another winner: a router that keeps to train's best single differs by 0.
    world = make_world(n_prompts=120, kind="nothing").outcomes
    quality = np.zeros((120, 3))
    quality[:60, 0] = quality[60:, 2] = 1
    outcomes = Outcomes(world.prompts, world.models, quality, world.cost_usd)
    table = compare_splits(BestSingle().fit, outcomes, n_bootstrap=20)
    assert table.index.tolist() == ["random", "train before, test after"]  # no topics are known
    assert table.quality_difference.tolist() == [0, 0]


def test_prompts_that_were_not_answered_by_all_are_not_tested():
    world = make_world(n_prompts=120).outcomes
    quality = world.quality.copy()
    quality[::4, 1] = np.nan
    outcomes = Outcomes(world.prompts, world.models, quality, world.cost_usd, world.topics)
    table = compare_splits(KNNRouter().fit, outcomes, n_bootstrap=20)
    assert table.loc["random", "n_test"] == 90


def test_a_candidate_that_only_one_part_has_seen_is_no_reason_to_fail():
    outcomes = make_world(n_prompts=90).outcomes
    first = sorted(set(outcomes.topics or ()))[0]
    quality = np.array(outcomes.quality)
    quality[np.array(outcomes.topics) != first, 2] = np.nan
    some = Outcomes(
        outcomes.prompts, outcomes.models, quality, outcomes.cost_usd, topics=outcomes.topics
    )
    assert not len(compare_splits(KNNRouter().fit, some, ways=("topic",), n_bootstrap=20))
