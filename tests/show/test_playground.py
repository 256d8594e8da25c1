"""The playground decides as one types, says what a setting means, and errors in words."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routerlib.features.names import FOLDED, SIMILAR, TOPIC, WORDS
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import RandomRouter
from routerlib.routers.explanation.margin import explain_margin
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter
from routerlib.show.widget import html as playground_pictures
from routerlib.show.widget.controller import PlaygroundController
from routerlib.show.widget.playground import playground

SUM = "What is 12 times 345?"


@pytest.fixture(scope="module")
def router(router_state: dict[str, Any]) -> Router:
    return LGBMRouter.from_state(router_state)


@pytest.fixture
def controller(
    router: Router, trio: list[CandidateModel], log: CallLog, outcomes: Outcomes
) -> PlaygroundController:
    return PlaygroundController(router, trio, log, outcomes)


def chosen(controller: PlaygroundController) -> str:
    assert controller.decision is not None, controller.message
    return controller.decision.model


# -- deciding ----------------------------------------------------------------------------------


def test_decision_follows_what_is_typed_and_the_cost_weight(
    controller: PlaygroundController,
) -> None:
    controller.set(prompt=SUM, cost_weight=0.0)
    assert chosen(controller) == "large"
    controller.set(cost_weight=1e6)
    assert chosen(controller) == "tiny"
    assert controller.prompt == SUM


def test_a_deadline_leaves_out_who_is_too_slow(
    outcomes: Outcomes, trio: list[CandidateModel], log: CallLog
) -> None:
    seconds = np.tile([1.0, 2.0, 9.0], (len(outcomes), 1))
    timed = KNNRouter().fit(replace(outcomes, latency_s=seconds))
    view = playground(timed, candidates=trio, log=log, outcomes=outcomes)
    controller = view.controller
    assert timed.models_ == ("tiny", "small", "large")
    assert controller.deadlines_s == [1.0, 2.0]
    controller.set(prompt=SUM, cost_weight=0.0)
    free = chosen(controller)
    view._deadline.value = 2.0
    assert set(controller.table.index) == {"tiny", "small"}
    assert chosen(controller) in ("tiny", "small")
    assert {each.model for each in controller.along} <= {"tiny", "small"}
    assert controller._how()["max_latency_s"] == 2.0
    controller.set(prompt="Say hello.", max_loss=0.1)
    assert set(controller.table.index) == {"tiny", "small"}, "it stays until it is changed"
    view._deadline.value = None
    controller.set(prompt=SUM, cost_weight=0.0)
    assert chosen(controller) == free
    controller.set(max_latency_s=-1.0)
    assert "max_latency_s must be seconds above 0" in controller.message


def test_without_times_no_deadline_is_offered(controller: PlaygroundController) -> None:
    assert controller.deadlines_s == []


def test_known_task_is_passed_on_and_else_one_is_detected(controller: PlaygroundController) -> None:
    controller.set(prompt="Tell me a joke")
    assert controller.detected_task == "chat"
    before = controller.table.expected_quality.tolist()
    controller.set(task="math")
    assert controller.table.expected_quality.tolist() != before
    controller.set(prompt="Tell me another")
    assert controller.task == "math"
    controller.set(task=None)
    assert controller.task is None


def test_table_shows_every_candidate_and_the_choice(controller: PlaygroundController) -> None:
    table = controller.table
    assert set(table.index) == {"tiny", "small", "large"}
    assert table.index[table.is_chosen].tolist() == [chosen(controller)]


def test_intervals_are_those_of_the_router_and_unknown_ones_are_left_out(
    router: Router, log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = np.array([[0.1, np.nan, 0.7]]), np.array([[0.3, np.nan, 0.9]])
    monkeypatch.setattr(router, "quality_interval", lambda prompts, topics: ends, raising=False)
    controller = PlaygroundController(router, log=log)
    assert controller.intervals == {"tiny": (0.1, 0.3), "large": (0.7, 0.9)}
    assert controller.table.expected_quality_high.dropna().tolist() == [0.3, 0.9]


def test_margin_is_that_of_the_choice_against_the_runner_up(
    controller: PlaygroundController, router: Router
) -> None:
    controller.set(prompt=SUM, cost_weight=20.0)
    expected = explain_margin(router, SUM, cost_weight=20.0)  # type: ignore[arg-type]
    assert controller.margin is not None
    assert (controller.margin.chosen, controller.margin.other) == (expected.chosen, expected.other)
    assert dict(controller.margin.contributions) == dict(expected.contributions)
    assert controller.explain() == expected.sentence


def test_flip_is_the_place_beyond_which_another_is_chosen(controller: PlaygroundController) -> None:
    controller.set(prompt=SUM, cost_weight=0.0)
    (flip,) = controller.flips
    assert flip.is_cheaper
    point_usd = float(flip.label.removeprefix("$").removesuffix(" a point"))
    controller.set(cost_weight=10 / (1.03 * point_usd))
    assert chosen(controller) == "large"
    controller.set(cost_weight=10 / (0.97 * point_usd))
    assert chosen(controller) == flip.model


def test_strip_along_the_slider_tells_the_choice_at_every_place(
    controller: PlaygroundController,
) -> None:
    controller.set(prompt=SUM)
    told = [each.model for each in controller.along for _ in range(each.first, each.last + 1)]
    assert len(told) == len(controller.settings)
    for place in (0, 10, len(told) - 1):
        controller.set(cost_weight=controller.settings[place].value)
        assert chosen(controller) == told[place]


def test_nearest_known_prompts_come_with_what_happened_on_them(
    controller: PlaygroundController, outcomes: Outcomes
) -> None:
    controller.set(prompt=outcomes.prompts[7])
    first = controller.similar[0]
    assert first.text == outcomes.prompts[7]
    assert first.similarity == pytest.approx(1, abs=1e-3)
    assert list(first.quality.values()) == outcomes.quality[7].tolist()
    assert len(controller.similar) == 3


def test_known_prompts_are_read_from_the_log_where_none_are_given(
    router: Router, log: CallLog, outcomes: Outcomes
) -> None:
    assert PlaygroundController(router, log=log).similar == []
    prompt = Prompt.from_text(outcomes.prompts[0])
    log.add_prompts([prompt])
    call = Call(prompt.prompt_id, "large", "h", "ok", response="x", usage=Usage(1, 1))
    log.add_call(call, scores=[Score("person", 1.0)])
    controller = PlaygroundController(router, log=log)
    controller.set(prompt=outcomes.prompts[0])
    assert [each.text for each in controller.similar] == [outcomes.prompts[0]]


def test_empty_prompt_says_so_and_comes_back(controller: PlaygroundController) -> None:
    controller.set(prompt="  ")
    assert controller.decision is None
    assert controller.message.startswith("Type a prompt")
    assert controller.explain() == ""
    assert len(controller.table) == 0
    controller.ask()
    assert controller.message.startswith("There is no decision to follow")
    controller.set(prompt="Hello there")
    assert controller.message == ""


def test_cost_weight_that_makes_no_sense_is_said_in_words(controller: PlaygroundController) -> None:
    controller.set(cost_weight=-1.0)
    assert "cost_weight must be finite and at least 0, got -1.0" in controller.message
    controller.set(cost_weight=1.0)
    assert controller.message == ""


def test_budget_that_can_not_be_held_is_said_in_words(controller: PlaygroundController) -> None:
    controller.set(budget_usd=1e-9)
    assert "can't be held" in controller.message
    assert controller.prompt


# -- policies ----------------------------------------------------------------------------------


def test_another_policy_begins_where_the_choice_stays(controller: PlaygroundController) -> None:
    controller.set(prompt=SUM, cost_weight=0.0)
    for kind in ("budget_usd", "max_loss", "cost_weight"):
        before = chosen(controller)
        controller.choose_kind(kind)
        assert controller.setting.kind == kind
        assert controller.setting in controller.settings
        if kind != "cost_weight":
            assert chosen(controller) == before


def test_mean_budget_is_held_over_the_known_prompts(
    controller: PlaygroundController, router: Router, outcomes: Outcomes
) -> None:
    controller.choose_kind("budget_usd")
    estimates = router.predict(outcomes.prompts)
    for setting in controller.settings[::10]:
        arms = setting.policy.choose(estimates).arms
        mean_usd = estimates.cost_usd[np.arange(len(arms)), arms].mean()
        assert mean_usd <= setting.value * (1 + 1e-6)
        assert "60 known prompts" in setting.meaning


def test_quality_floor_is_explained_against_the_best_and_logged_as_such(
    controller: PlaygroundController,
) -> None:
    controller.set(prompt=SUM, max_loss=0.9)
    assert chosen(controller) == "tiny"
    assert controller.margin is not None
    assert controller.margin.other == "large"
    assert controller.margin.cost_part == 0
    assert controller.decision is not None
    assert "within 90 points of the best" in controller.decision.reason


@pytest.mark.parametrize("kind", ["cost_weight", "budget_usd", "max_loss"])
def test_every_slider_runs_from_the_best_answers_to_the_cheapest(
    controller: PlaygroundController, kind: str
) -> None:
    controller.choose_kind(kind)  # type: ignore[arg-type]
    estimates = controller.router.predict([SUM, "Tell me something nice."])
    costs = []
    for setting in controller.settings:
        arms = setting.policy.choose(estimates).arms
        costs.append(estimates.cost_usd[[0, 1], arms].mean())
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1] or kind == "max_loss"


def test_slider_offers_zero_and_the_routers_own_cost_weight(router: Router, log: CallLog) -> None:
    weights = PlaygroundController(router, log=log).cost_weights
    assert weights[0] == 0.0
    assert router.cost_weight_ in weights
    assert weights == sorted(weights)
    # From "cost plays no part" to "the dearest model is never worth it".
    assert weights[-1] * 0.001 > 1


def test_meaning_of_a_place_is_in_points_and_dollars(controller: PlaygroundController) -> None:
    controller.set(cost_weight=2000.0)
    assert controller.setting.label == "$0.005 a point"
    assert "1 point of quality (of 100) wherever that saves $0.005" in controller.setting.meaning
    controller.set(cost_weight=0.0)
    assert "at any price" in controller.setting.meaning


# -- other routers -----------------------------------------------------------------------------


def test_router_of_rules_gives_its_rule_and_nothing_else(log: CallLog) -> None:
    names = ("tiny", "small", "large")
    candidates = [
        CandidateModel(name, name, "custom", "http://127.0.0.1:9/v1", None, Price(1, price))
        for price, name in enumerate(names)
    ]
    controller = PlaygroundController(RuleRouter.from_candidates(candidates), candidates, log)
    controller.set(prompt="Write a Python function that sorts a list.")
    assert controller.decision is not None
    assert controller.explain() == controller.decision.reason
    assert (controller.kinds, controller.along, controller.margin) == (["cost_weight"], [], None)
    assert "no setting changes" in controller.setting.meaning


def test_chance_offers_no_policy(outcomes: Outcomes, log: CallLog) -> None:
    controller = PlaygroundController(RandomRouter().fit(outcomes), log=log, outcomes=outcomes)
    assert controller.kinds == ["cost_weight"]
    assert len(controller.settings) == 1
    assert controller.decision is not None
    assert controller.decision.propensity == pytest.approx(1 / 3)


def test_router_without_trees_flips_and_says_why_in_words(outcomes: Outcomes) -> None:
    controller = PlaygroundController(KNNRouter().fit(outcomes), outcomes=outcomes)
    controller.set(prompt=SUM, cost_weight=0.0)
    assert controller.margin is None
    assert controller.explain().startswith("highest expected quality")
    assert controller.flips


def test_router_that_keeps_to_the_best_single_says_so(fitted: LGBMRouter, log: CallLog) -> None:
    router = fitted.stand_at(0.0, fallback="rerouting was no better on train")
    controller = PlaygroundController(router, log=log)
    assert chosen(controller) == router.best_single_
    assert "keeps to" in controller.setting.meaning
    assert controller.margin is None
    controller.set(cost_weight=1e6)
    assert chosen(controller) == "tiny"
    assert controller.margin is not None


def test_free_candidates_leave_one_place_at_least(log: CallLog) -> None:
    free = Outcomes(["a?", "b?"], ["x", "y"], [[0, 1], [1, 1]], [[0, 0], [0, 0]])
    controller = PlaygroundController(KNNRouter().fit(free), log=log, outcomes=free)
    assert controller.kinds == ["cost_weight"]
    assert chosen(controller) in ("x", "y")
    assert all(math.isfinite(each.value) for each in controller.settings)


# -- the widget --------------------------------------------------------------------------------


def test_widget_passes_on_what_is_typed_and_escapes_what_comes_back(
    router: Router, log: CallLog, trio: list[CandidateModel], outcomes: Outcomes
) -> None:
    view = playground(router, log, trio, examples=["Say <i>hi</i>."], outcomes=outcomes)
    view._prompt.value = "What is the markup of <b>17</b>?"
    assert view.controller.prompt == "What is the markup of <b>17</b>?"
    assert view.decision == view.controller.decision
    view._slider.index = len(view.controller.settings) - 1
    assert view.decision is not None
    assert view.decision.model == "tiny"
    assert "<strong>tiny</strong>" in view._choice.value
    view._ask_button.click()
    view.controller.asking.wait()
    (card,) = view._cards
    assert "&lt;script&gt;alert(1)&lt;/script&gt; **bold**" in card._text.value
    assert "&lt;b&gt;17&lt;/b&gt;" in card._text.value
    assert not any("<script" in each.value or "<img" in each.value for each in _html(view))
    card._buttons[0].click()
    assert "Logged: 1 for tiny" in view._message.value
    assert "your verdict: 1" in card._text.value
    view._example.value = "Say <i>hi</i>."
    assert view._prompt.value == "Say <i>hi</i>."


def test_names_and_known_prompts_are_escaped(outcomes: Outcomes, log: CallLog) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    known = Outcomes(
        [f"{hostile} {text}" for text in outcomes.prompts],
        [f"{name}{hostile}" for name in outcomes.models],
        outcomes.quality,
        outcomes.cost_usd,
    )
    view = playground(LGBMRouter().fit(known), log, examples=[hostile], outcomes=known)
    view._prompt.value = hostile
    assert not any("<img" in each.value for each in _html(view))
    assert "<img" not in view._repr_mimebundle_()["text/html"]


def test_widget_changes_policy_and_its_slider_follows(
    router: Router, log: CallLog, outcomes: Outcomes
) -> None:
    view = playground(router, log, outcomes=outcomes)
    view._kind.value = "max_loss"
    assert view.controller.setting.kind == "max_loss"
    assert view._slider.options[view._slider.index][0] == view.controller.setting.label
    view._slider.index = 10
    assert view.controller.setting == view.controller.settings[10]
    view._task.value = "math"
    assert view.controller.task == "math"
    view._task.value = "detect it"
    assert view.controller.task is None


def _html(view: object) -> list:
    import ipywidgets

    found, waiting = [], [view]
    while waiting:
        widget = waiting.pop()
        waiting.extend(getattr(widget, "children", ()))
        if isinstance(widget, ipywidgets.HTML):
            found.append(widget)
    return found


def test_reader_without_a_kernel_sees_a_table_instead_of_the_widget(
    router: Router, log: CallLog
) -> None:
    view = playground(router, log, examples=["Say <i>hi</i>."])
    bundle = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "Say &lt;i&gt;hi&lt;/i&gt;." in bundle["text/html"]
    assert "the best answer, at any price" in bundle["text/html"]


def test_router_may_be_a_file(router: Router, log: CallLog, tmp_path: Path) -> None:
    router.save(tmp_path / "router_model.pkl")
    view = playground(tmp_path / "router_model.pkl", log=log)
    assert view.decision is not None
    assert view.decision.router_hash == router.router_hash_


def test_costs_are_told_before_anybody_is_asked(
    router: Router, log: CallLog, trio: list[CandidateModel], outcomes: Outcomes
) -> None:
    view = playground(router, log, trio, outcomes=outcomes, budget_usd=0.5)
    view._prompt.value = SUM
    view._slider.index = 0
    # Input of 1 and output of 2 dollars a million tokens, capped at 4096 tokens of output.
    assert "Ask: large, expected $0.001, at most $0.0084" in view._costs.value
    assert "Spent in this session: $0, of $0.5." in view._costs.value
    for tick in view._ticks:
        tick.value = False
    assert "nobody is ticked" in view._costs.value
    view._compare_button.click()
    assert "Tick at least one" in view._message.value


def test_folded_features_are_named_without_a_value(router: Router, outcomes: Outcomes) -> None:
    controller = PlaygroundController(router, outcomes=outcomes)
    shown = ""
    for prompt in outcomes.prompts[:6]:
        controller.set(prompt=prompt)
        shown += playground_pictures.result(controller)
    assert any(name in shown for name in (TOPIC, SIMILAR, WORDS))
    assert not [name for name in FOLDED if f"{name} = " in shown]
