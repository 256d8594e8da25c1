"""Figures, tables and sentences about learning show what was computed."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from routerlib.evaluation.replay import replay, traffic
from routerlib.outcomes.worlds import make_world
from routerlib.policies.exploration import EpsilonGreedy
from routerlib.policies.policies import CostWeight
from routerlib.routers.rivals import KNNRouter
from routerlib.show.notebooks import learning

WEEKS = pd.DataFrame(
    {
        "policy": ["oracle"] * 4 + ["never retrained"] * 4 + ["Thompson"] * 4,
        "seed": [0, 0, 1, 1] * 3,
        "week": [0, 1, 0, 1] * 3,
        "n": 10,
        "quality": [9.0] * 4 + [5.0] * 4 + [7.0] * 4,
        "cost_usd": 0.1,
        "regret": [0.0] * 4 + [4.0, 4.0, 4.0, 6.0] + [2.0] * 4,
    }
)
RUNS = pd.DataFrame(
    [
        (strategy, seed, share, short + 0.01 * seed * (strategy == "random"))
        for strategy, short in (("random", 0.10), ("close calls", 0.04))
        for seed in (0, 1, 2)
        for share in (0.1, 0.5)
    ],
    columns=["strategy", "seed", "share", "short"],
)


def test_regret_piles_up_from_week_to_week() -> None:
    ax = learning.regret_plot(WEEKS)
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()}
    assert lines == {"never retrained": [4.0, 9.0], "Thompson": [2.0, 4.0]}


def test_a_year_is_summed_up_per_prompt_and_in_pairs() -> None:
    table = replay.summarise(WEEKS)
    assert table.regret["never retrained"] == pytest.approx(0.45)
    assert table.regret_saved["Thompson"] == pytest.approx(0.25)
    # Differences of 0.2 and 0.3: mean 0.25, standard error 0.05, t(1) = 12.706.
    assert table.regret_saved_low["Thompson"] == pytest.approx(0.25 - 12.706 * 0.05, abs=1e-3)
    assert "Thompson" in str(learning.regret_table(table))


def test_label_curves_show_every_strategy_and_the_gain_over_random() -> None:
    ax = learning.labels_plot(RUNS)
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()}
    assert lines["close calls"] == pytest.approx([0.04, 0.04])
    assert lines["random"] == pytest.approx([0.11, 0.11])
    assert re.search(r"close calls +0\.040 +0\.070 \[", str(learning.labels_table(RUNS)))


def test_values_stand_beside_the_truth_and_the_lessons_count_them() -> None:
    train, test = make_world(n_prompts=300, seed=3).outcomes.split(test_size=0.5, random_state=0)
    year = traffic.make_year(test, prompts_per_day=4)
    policy = EpsilonGreedy(5000, epsilon=0.4, random_state=0)
    logged = traffic.explore(year, KNNRouter().fit(train), policy)
    values = learning.value_frame({"quality only": CostWeight(0)}, logged, year)
    methods = ["truth", "agreeing rows", "ips", "snips", "dr"]
    assert values.index.get_level_values("method").tolist() == methods
    ax = learning.values_plot(values)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["quality only"]
    lessons = learning.off_policy_lessons(values, replay.summarise(WEEKS))
    assert lessons.bullets[0].startswith("1 of 1 doubly robust intervals")
    assert "Least regret has Thompson: 0.200 a prompt, against 0.450" in lessons.bullets[1]
