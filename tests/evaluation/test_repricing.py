"""Suppositions over held-out prompts agree with the evaluation, and can be checked by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.repricing import PRICE_FACTORS, HeldOutDecisions
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.baselines import BestSingle
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.tables import decisions


@pytest.fixture(scope="module")
def router(outcomes: Outcomes) -> LGBMRouter:
    fitted = LGBMRouter().fit(outcomes.split()[0])
    fitted.stand_at(300.0)
    return fitted


@pytest.fixture(scope="module")
def held_out(router: LGBMRouter, outcomes: Outcomes) -> HeldOutDecisions:
    found = HeldOutDecisions.of(router, outcomes.split()[1])
    assert found is not None
    return found


def test_as_it_is_the_numbers_are_those_of_the_evaluation(
    router: LGBMRouter, outcomes: Outcomes, held_out: HeldOutDecisions
) -> None:
    evaluation = evaluate(router, outcomes.split()[1], n_bootstrap=50)
    found = held_out.at()
    assert found.quality == pytest.approx(evaluation.operating["quality"].value)
    assert found.cost_usd == pytest.approx(evaluation.operating["cost_usd"].value)
    assert found.saving == pytest.approx(evaluation.operating["saving"].value)
    assert found.shares == pytest.approx(evaluation.routed_shares)
    assert found.n_changed == 0


def test_three_prompts_by_hand() -> None:
    cost = np.tile([1.0, 4.0], (3, 1))
    held_out = HeldOutDecisions(
        models=("small", "large"),
        best_single="large",
        cost_weight=0.1,
        expected_quality=np.array([[0.5, 0.7], [0.2, 0.9], [0.4, 0.6]]),
        expected_cost_usd=cost,
        quality=np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]),
        cost_usd=cost,
        n_left_out=0,
    )
    found = held_out.at()  # large must expect 0.3 more: only on the second prompt
    assert (found.shares["large"], found.cost_usd) == (1 / 3, 2.0)
    assert found.quality_difference == pytest.approx(-1 / 3)
    assert found.saving == 0.5
    squares = 2 * (1 / 3) ** 2 + (2 / 3) ** 2 + 1  # of the gains 0, 0, -1, and one loss unseen
    assert found.half_width == pytest.approx(1.96 * (squares / 2 / 3) ** 0.5)
    half = held_out.at(price_factors={"large": 0.5})  # now 0.1 more is enough
    assert (half.shares["large"], half.cost_usd, half.n_changed) == (1.0, 2.0, 2)
    free = held_out.at(0.0, {"large": 10.0})
    assert (free.quality, free.saving) == (1.0, 0.0)
    assert free.half_width == 0  # always the best single: the same by definition


def test_what_a_page_holds_is_small_and_says_what_was_left_out(router: LGBMRouter) -> None:
    n = 50
    cost = np.full((n, 3), 0.001)
    many = Outcomes([f"p{i}" for i in range(n)], router.models_, np.ones((n, 3)), cost)
    held_out = HeldOutDecisions.of(router, many, max_cells=120)
    assert held_out is not None
    assert (len(held_out), held_out.n_left_out) == (40, 10)


def test_data_are_json_with_the_routers_own_cost_weight_among_those_to_try(
    held_out: HeldOutDecisions,
) -> None:
    known = json.loads(json.dumps(held_out.as_dict(), allow_nan=False))
    assert known["cost_weights"] == sorted(set(known["cost_weights"]))
    assert {0.0, held_out.cost_weight} <= set(known["cost_weights"])
    assert {0.5, 1.0, 2.0} <= set(known["price_factors"])
    assert list(PRICE_FACTORS) == sorted(PRICE_FACTORS)
    assert np.shape(known["quality"]) == (len(held_out), 3)


def test_without_costs_or_complete_prompts_nothing_can_be_supposed(
    router: LGBMRouter, outcomes: Outcomes
) -> None:
    test = outcomes.split()[1]
    assert HeldOutDecisions.of(router, Outcomes(test.prompts, test.models, test.quality)) is None
    quality = test.quality.copy()
    quality[:, 0] = np.nan
    partly = Outcomes(test.prompts, test.models, quality, test.cost_usd)
    assert HeldOutDecisions.of(router, partly) is None


def test_decisions_are_gathered_with_reasons(router: LGBMRouter, outcomes: Outcomes) -> None:
    test = outcomes.split()[1]
    decided = decisions.decide_all(router, test, n_prompts=8)
    assert [each.prompt for each in decided] == list(test.prompts[:8])
    for row, each in enumerate(decided):
        assert each.decision.model == router.route(each.prompt).model
        assert each.margin is not None
        assert each.why == each.margin.sentence
        assert each.quality == test.quality[row, test.models.index(each.decision.model)]
    shown = decisions.examples_table(decided, test.models, len(test))
    of_all = f"the first 8 of {len(test)} held-out prompts"
    assert shown.caption == f"The first that go to each candidate, of {of_all}"
    assert decisions.of_how_many(decided, 8) == "8 held-out prompts"
    assert {row[1] for row in shown.rows} == {each.decision.model for each in decided}
    shares = dict(zip(test.models, (0.0, 0.25, 0.75), strict=True))
    told = decisions.reasons(decided, shares)
    assert [model for model, _ in told] == ["large", "small"]  # none go to tiny
    assert told[0][1].startswith("gets 75 %")
    assert not any("What tells most: on any prompt" in sentence for _, sentence in told)
    assert any(re.search(r"\(beside [+-][\d.]+ on any prompt\)", said) for _, said in told)


def test_a_router_without_trees_gives_its_own_reason(outcomes: Outcomes) -> None:
    train, test = outcomes.split()
    best = BestSingle().fit(train)
    decided = decisions.decide_all(best, test, n_prompts=3)
    assert {each.margin for each in decided} == {None}
    assert decided[0].why == best.route(test.prompts[0]).reason
    (_, sentence), *_ = decisions.reasons(decided, {"large": 1.0})
    assert sentence.startswith("gets 100 %: ")
    assert decisions.examples_table(decided, test.models).rows[0][2] == "–"


@pytest.mark.parametrize(
    ("own", "first", "n_rows", "at"),
    [
        (300.0, "own cost weight", 7, ""),
        (0.0, "own cost weight 0: cost plays no part", 4, "cost weight "),
    ],
)
def test_a_few_suppositions_are_worked_out_for_those_without_a_script(
    held_out: HeldOutDecisions, own: float, first: str, n_rows: int, at: str
) -> None:
    shown = decisions.what_if_table(replace(held_out, cost_weight=own))
    names = [row[0] for row in shown.rows]
    assert names[0] == first
    assert len(names) == len(set(names)) == n_rows
    half, twice = (
        next(row for row in shown.rows if row[0].endswith(f"large costs {name} as much"))
        for name in ("half", "twice")
    )
    assert half[0].startswith(at)
    assert half != twice  # a price matters, also where the router itself gives cost no weight


def test_a_router_that_keeps_to_the_best_single_does_so_at_any_price(
    router: LGBMRouter, outcomes: Outcomes, held_out: HeldOutDecisions
) -> None:
    assert not held_out.keeps_to_best
    kept = LGBMRouter.from_state(router.to_state())
    kept.stand_at(0.0, fallback="no gain could be shown")
    found = HeldOutDecisions.of(kept, outcomes.split()[1])
    assert found is not None
    assert found.as_dict()["keeps_to_best"] is True
    for factors in ({}, {"large": 10.0}):
        as_it_stands = found.at(price_factors=factors)
        assert (as_it_stands.shares["large"], as_it_stands.n_changed) == (1.0, 0)
        assert (as_it_stands.saving, as_it_stands.quality_difference) == (0.0, 0.0)
    # Asked with a cost weight, the estimates choose.
    assert found.at(300.0).shares == held_out.at(300.0).shares
    shown = decisions.what_if_table(found)
    column = shown.heads.index("quality against best single (points)")
    assert shown.rows[0][column] == "–"
    names = [row[0] for row in shown.rows]
    assert names[0] == "as it stands: keeps to large, at any price"
    assert all(name.startswith("its estimates choose") for name in names[1:])
    assert not any("weighs" in name for name in names)


def test_wherever_the_slider_stands_the_interval_holds() -> None:
    # Every choice is noise: no cost weight gains anything, yet the best of 50 looks as if.
    n, wrong, wrong_alone = 150, 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        held_out = HeldOutDecisions(
            models=("small", "middle", "large"),
            best_single="large",
            cost_weight=0.1,
            expected_quality=rng.random((n, 3)),
            expected_cost_usd=np.tile([1.0, 2.0, 4.0], (n, 1)),
            quality=(rng.random((n, 3)) < 0.5).astype(float),
            cost_usd=np.tile([1.0, 2.0, 4.0], (n, 1)),
            n_left_out=0,
        )
        every = [held_out.at(weight) for weight in held_out.cost_weights()[::4]]
        off = np.array([abs(each.quality_difference) / each.half_width for each in every])
        wrong += bool((off > 1).any())
        wrong_alone += bool((off * held_out.joint_width / 1.96 > 1).any())
    assert wrong == 0 < wrong_alone


def test_prompts_of_a_group_count_together(held_out: HeldOutDecisions) -> None:
    alone, each = (replace(held_out, groups=at) for at in (None, np.arange(len(held_out))))
    assert each.at().half_width == pytest.approx(alone.at().half_width)  # no two are alike
    copies = {
        name: np.concatenate([getattr(held_out, name)] * 2)
        for name in ("expected_quality", "expected_cost_usd", "quality", "cost_usd", "tested")
    }
    twice = replace(held_out, **copies, groups=np.tile(np.arange(len(held_out)), 2))
    # A second copy of each prompt tells nothing new.
    assert twice.at().half_width == pytest.approx(alone.at().half_width, rel=0.1)
    assert replace(twice, groups=None).at().half_width < 0.8 * twice.at().half_width
