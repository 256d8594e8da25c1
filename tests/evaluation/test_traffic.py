"""A replayed year: what arrives, what changes, and what each way to choose has of it."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.evaluation.off_policy.value import estimate_value
from routerlib.evaluation.replay import players, replay, traffic
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.exploration import EpsilonGreedy, Greedy, Thompson
from routerlib.policies.vowpal import VowpalBandit
from routerlib.routers.rivals import KNNRouter

WORLD = make_world(n_prompts=240, n_models=3, seed=3).outcomes


def test_weekdays_are_busier_than_weekends_and_the_same_seed_gives_the_same_year() -> None:
    year, again = (traffic.make_year(WORLD, random_state=5) for _ in range(2))
    assert year.prompts == again.prompts
    weekday = np.bincount(year.days % 7, minlength=7)
    assert weekday[5:].max() < 0.6 * weekday[:5].min()
    assert len(year) == pytest.approx(16 * 364 * 5.75 / 7, rel=0.05)


def test_a_drop_takes_quality_only_from_its_day_on() -> None:
    plain, dropped = (
        traffic.make_year(WORLD, random_state=5, drops=name, kept_quality=0.25)
        for name in (None, "m1")
    )
    before = plain.days < 182
    np.testing.assert_array_equal(plain.quality[before], dropped.quality[before])
    np.testing.assert_array_equal(plain.quality[:, [0, 2]], dropped.quality[:, [0, 2]])
    after = dropped.quality[~before, 1].mean() / plain.quality[~before, 1].mean()
    assert after == pytest.approx(0.25, abs=0.05)


def test_nobody_chooses_a_candidate_before_it_arrives() -> None:
    year = traffic.make_year(WORLD, arrives="m2", arrival_day=100, prompts_per_day=4)
    labelled, first = traffic.first_labels(year, 60)
    chosen_by = [
        players.LinearPlayer(year, EpsilonGreedy(epsilon=1.0, random_state=0), labelled),
        players.BanditPlayer(year, VowpalBandit(year.models, epsilon=1.0), labelled),
    ]
    for player in chosen_by:
        arms = replay.play(year, player, first).arms
        assert (arms[year.days < first] == -1).all()
        assert not (arms[year.days < 100] == 2).any()
        assert (arms[year.days >= 100] == 2).any()
    assert not (traffic.best_arms(year, 0.0)[year.days < 100] == 2).any()


def test_a_router_learns_of_a_new_candidate_at_its_next_training_after_it_was_tried() -> None:
    year = traffic.make_year(WORLD, prompts_per_day=2)
    labelled, first = traffic.first_labels(year, 60)
    player = players.RouterPlayer(
        year, EpsilonGreedy(epsilon=0.2, random_state=0), labelled, KNNRouter, every_days=28
    )
    chosen = replay.play(year, player, first)
    played = year.days >= first
    quality = year.quality[np.flatnonzero(played), chosen.arms[played]]
    assert quality.mean() > year.quality.mean() + 0.05
    assert (chosen.propensities[played] > 0).all()


def test_a_player_that_never_learns_is_not_told_anything() -> None:
    year = traffic.make_year(WORLD, prompts_per_day=2, drops="m0", arrives="m2")
    labelled, first = traffic.first_labels(year, 80)
    player = players.LinearPlayer(year, Greedy(), labelled, is_learning=False)
    before = player.posterior.means(year.columns).copy()
    arms = replay.play(year, player, first).arms
    np.testing.assert_array_equal(player.posterior.means(year.columns), before)
    assert 2 not in arms


def test_learning_pays_when_candidates_change_and_nobody_beats_the_oracle() -> None:
    made = replay.standard_players(
        0.0,
        {
            "Thompson": lambda seed: Thompson(random_state=seed),
            "epsilon": lambda seed: EpsilonGreedy(epsilon=0.1, random_state=seed),
        },
    )
    weeks = replay.replay(
        WORLD,
        made,
        cost_weight=0.0,
        seeds=(0, 1, 2),
        prompts_per_day=6,
        drops="m0",
        kept_quality=0.1,
        arrives="m2",
    )
    table = replay.summarise(weeks)
    assert table.index[0] == "oracle"
    assert (table.regret >= 0).all()
    assert table.regret_saved_low["Thompson"] > 0
    assert table.regret_saved_low["epsilon"] > 0
    assert table.regret_saved["never retrained"] == 0
    assert table.regret["best single"] >= table.regret["Thompson"]


def test_a_year_logged_with_chance_values_another_policy_near_the_truth() -> None:
    train, test = WORLD.split(test_size=0.5, random_state=0)
    year = traffic.make_year(test, prompts_per_day=8)
    router = KNNRouter().fit(train)
    logged = traffic.explore(year, router, EpsilonGreedy(5000, epsilon=0.3, random_state=0))
    assert logged.estimates is not None
    arms = Greedy().choose(logged.estimates).arms
    truth = year.quality[np.arange(len(year)), arms].mean()
    value = estimate_value(Greedy(), logged)
    assert value.n_groups == len(test)
    assert value.quality.low <= truth <= value.quality.high
    assert value.quality.value == pytest.approx(truth, abs=0.05)


def test_what_cannot_be_replayed_is_refused() -> None:
    with pytest.raises(ValueError, match="every candidate has quality and cost"):
        traffic.make_year(Outcomes(["a"], ["m"], [[np.nan]]))
    with pytest.raises(ValueError, match="candidate must be one of m0, m1, m2, got 'm9'"):
        traffic.make_year(WORLD, drops="m9")
