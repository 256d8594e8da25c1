"""Rivals of the cascade: the same replay, each with the one number that it looks at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from routerlib.outcomes.answers import Answers
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_answer_world
from routerlib.routers.baselines import BestSingle
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.cascades.judgement import AnswerJudgement
from routerlib.routers.cascades.rivals import (
    AlwaysDear,
    CalibratedMargin,
    CheapThenDear,
    LearnedThreshold,
    LogprobThreshold,
    PlannedCascade,
    Repeats,
    StatedConfidence,
)
from routerlib.routers.rivals import KNNRouter

# Four prompts; the cheap model is right on the first two, and sure of them. The dear one is right.
SURE = np.array([-0.1, -0.2, -2.0, -3.0])
OUTCOMES = Outcomes(
    ["a", "b", "c", "d"],
    ["cheap", "dear"],
    quality=[[1, 1], [1, 1], [0, 1], [0, 1]],
    cost_usd=[[1, 10]] * 4,
    answers=[["4", "4"], ["4", "4"], ["5", "4"], ["6", "4"]],
)


def with_numbers(outcomes: Outcomes = OUTCOMES) -> Outcomes:
    assert isinstance(outcomes.answers, Answers)
    rows = [[{"mean": float(each), "margin": float(-1 / each)}, None] for each in SURE]
    return replace(outcomes, answers=outcomes.answers.with_logprobs(rows))


def make_rivals() -> list[CheapThenDear]:
    ids = OUTCOMES.prompt_ids
    return [
        LogprobThreshold("cheap", "dear"),
        CalibratedMargin("cheap", "dear"),
        StatedConfidence("cheap", "dear", dict(zip(ids, [90, 80, 20, 10], strict=True))),
    ]


@pytest.mark.parametrize("rival", make_rivals(), ids=lambda rival: rival.name)
def test_a_score_that_tells_all_buys_what_the_dear_one_gives_where_it_is_needed(
    rival: CheapThenDear,
) -> None:
    replay = rival.fit(with_numbers()).replay(with_numbers(), cost_weight=0.01)
    assert replay.asked == [("cheap",), ("cheap",), ("cheap", "dear"), ("cheap", "dear")]
    assert replay.quality.tolist() == [1, 1, 1, 1]
    assert replay.cost_usd.tolist() == [1, 1, 11, 11]


def test_where_money_counts_for_all_nobody_goes_on() -> None:
    rival = LogprobThreshold("cheap", "dear").fit(with_numbers())
    assert rival.replay(with_numbers(), cost_weight=1.0).cost_usd.tolist() == [1, 1, 1, 1]


def test_repeats_are_paid_too() -> None:
    repeats = dict(
        zip(OUTCOMES.prompt_ids, [["4", "4"], ["4", "4"], ["7", "8"], ["9", "1"]], strict=True)
    )
    replay = Repeats("cheap", "dear", repeats).fit(OUTCOMES).replay(OUTCOMES, cost_weight=0.01)
    assert replay.cost_usd.tolist() == [3, 3, 13, 13]
    assert replay.quality.tolist() == [1, 1, 1, 1]


def test_asking_for_confidence_is_paid_too() -> None:
    stated = dict.fromkeys(OUTCOMES.prompt_ids, 50.0)
    rival = StatedConfidence("cheap", "dear", stated, asking_usd=0.5).fit(OUTCOMES)
    assert rival.replay_at(OUTCOMES, 0.0).cost_usd.tolist() == [1.5] * 4


def test_always_asking_both_costs_both() -> None:
    replay = AlwaysDear("cheap", "dear").fit(OUTCOMES).replay(OUTCOMES, cost_weight=1.0)
    assert replay.cost_usd.tolist() == [11] * 4
    assert set(replay.given) == {"dear"}


def test_margins_that_nobody_told_are_missed() -> None:
    with pytest.raises(ValueError, match="have no log-probabilities"):
        CalibratedMargin("cheap", "dear").fit(OUTCOMES)


def test_a_learned_threshold_finds_wrong_answers() -> None:
    train, test = make_answer_world(n_prompts=300, seed=1).outcomes.split(random_state=0)
    judgement = AnswerJudgement(BestSingle().fit(train))
    replay = LearnedThreshold("m0", "m1", judgement).fit(train).replay(test, cost_weight=20.0)
    is_wrong = test.quality[:, 0] == 0
    assert (replay.n_calls[is_wrong] == 2).mean() > 0.95
    assert (replay.n_calls[~is_wrong] == 1).mean() > 0.95


def test_the_cascade_is_no_worse_than_planning_sets() -> None:
    world = make_answer_world(n_prompts=360, n_models=3, seed=6, tell=0.9, price_step=4.0)
    train, test = world.outcomes.split(test_size=0.5, random_state=0)
    cascade = Cascade(KNNRouter().fit(train)).fit(train)
    planned = PlannedCascade(cascade)
    gains = []
    for weight in (100.0, 1000.0, 4000.0):
        ours, theirs = (way.replay(test, cost_weight=weight) for way in (cascade, planned))
        gains.append(
            (ours.quality - weight * ours.cost_usd) - (theirs.quality - weight * theirs.cost_usd)
        )
    gain = np.mean(gains, axis=0)
    assert gain.mean() > -2 * gain.std() / np.sqrt(len(gain))
