"""The notebook on cascades shows what looking at answers tells, and what it is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cascading import telling_cascade, telling_outcomes

from routerlib.evaluation.cascade_worth import evaluate_cascade
from routerlib.evaluation.price_ratios import PairRatios, PriceRatios
from routerlib.outcomes.answers import Answers, Said
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.training.cross_trained import cross_trained
from routerlib.show.held_out import held_apart
from routerlib.show.notebooks import cascades
from routerlib.show.notebooks.cascades import AFTER, AFTER_ALL, BEFORE, LEAST_WORD, JudgedAnswers
from routerlib.show.plots.price_ratios import ratio_sentence, ratios_drawn, told_of_ratios


@pytest.fixture(scope="module")
def judged() -> JudgedAnswers:
    return cascades.judged_answers(telling_cascade().router, telling_outcomes())


def test_answers_tell_what_prompts_did_not(judged: JudgedAnswers) -> None:
    text = str(cascades.judgement_table(judged))
    assert "small" in text
    assert "large" not in text, "all of its answers are right: there is nothing to tell apart"
    assert list(judged.by_sight) == [BEFORE, AFTER]
    lessons = cascades._own_auc(judged, BEFORE), cascades._own_auc(judged, AFTER)
    assert lessons[0] < 0.7 < 0.95 < lessons[1]


def test_log_probabilities_are_a_sight_of_their_own_where_there_are_any() -> None:
    outcomes = telling_outcomes()
    rows = [
        Said(row, ({"final_least": -0.1 - (1 - quality)} if i % 2 else None, None))
        for i, (row, quality) in enumerate(
            zip(outcomes.answers or (), outcomes.quality[:, 0], strict=True)
        )
    ]
    told = replace(outcomes, answers=Answers(lambda: rows, len(rows)))
    judged = cascades.judged_answers(telling_cascade().router, told)
    assert list(judged.by_sight) == [BEFORE, AFTER, AFTER_ALL, LEAST_WORD]
    assert np.isfinite(judged.by_sight[LEAST_WORD]).sum() == len(outcomes) / 2
    assert cascades._own_auc(judged, LEAST_WORD) == 1.0


def test_a_cascade_is_judged_apart_from_a_router_that_has_learnt_from_all() -> None:
    outcomes = telling_outcomes()
    crossed = cross_trained(outcomes, KNNRouter().fit, n_folds=3)
    assert set(crossed.train_prompt_ids_) == set(outcomes.prompt_ids)
    apart = held_apart(outcomes, crossed, test_size=0.25, random_state=1)
    assert isinstance(apart.router, KNNRouter)
    assert set(apart.router.train_prompt_ids_) == set(apart.train.prompt_ids)
    assert not set(apart.test.groups) & set(apart.train.groups)
    cascade = Cascade(apart.router).fit(apart.train)
    cascade.stand_at(100.0, None, {})
    assert evaluate_cascade(cascade, apart.test, n_bootstrap=50).n == len(apart.test)


def test_a_router_that_has_not_seen_all_is_judged_as_it_is() -> None:
    outcomes, router = telling_outcomes(), telling_cascade().router
    apart = held_apart(outcomes, router)
    assert apart.router is router
    assert set(apart.test.prompt_ids) == set(outcomes.prompt_ids) - set(router.train_prompt_ids_)


def test_examples_show_prompt_answer_and_score(judged: JudgedAnswers) -> None:
    rows = cascades.judged_examples(judged, 3).rows
    assert len(rows) == 3
    assert all(len(row) == 5 and "Question" in row[0] for row in rows)


def test_the_figure_is_titled_with_its_finding(judged: JudgedAnswers) -> None:
    import matplotlib.pyplot as plt

    found = cascades.ratios_of(judged)
    ax = cascades.ratios_plot(judged, found)
    assert ax.get_title(loc="left") == ratio_sentence(found)
    assert cascades.own_ratio(judged) == pytest.approx(20.0)
    assert found.breaks_even_at < 20
    plt.close(ax.figure)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (5.0, "costs 5 times one of small, where looking first is worth +1.0 points"),
        (150.0, "costs 150 times one of small; at 8, the largest ratio tried, looking first is"),
        (1.5, "costs 1.5 times one of small; at 2, the smallest ratio tried, looking first is"),
        (
            float("inf"),
            "here a call of small costs nothing; at 8, the largest ratio tried, looking",
        ),
        (float("nan"), "excludes zero from 8 on)"),
    ],
)
def test_prices_that_were_not_tried_are_not_told_as_if_they_were(own: float, told: str) -> None:
    import matplotlib.pyplot as plt

    low, high = [-0.02, 0.02], [0.0, 0.04]
    found = PriceRatios(*np.array([[2, 8], [0, 0], [-0.01, 0.03], low, high]))
    pair = PairRatios("small", "large", own, found)
    assert told in told_of_ratios(pair)
    ax = ratios_drawn(pair, ["small", "large"])
    labels = ax.get_legend_handles_labels()[1]
    assert ("prices of this log" in labels) == np.isfinite(own)
    plt.close(ax.figure)


def test_a_best_model_that_is_the_cheapest_has_nobody_to_look_at_first() -> None:
    outcomes = Outcomes(["a", "b"], ["one", "two"], [[1, 0], [1, 0]], [[1e-3, 2e-3]] * 2)
    with pytest.raises(ValueError, match="one is the best and the cheapest"):
        _ = JudgedAnswers(outcomes, {}).cheap
