"""The playground shows what a cascade thinks of an answer, and asks on where it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cascading import SURE, UNSURE, says, telling_cascade
from scripted_server import ScriptedServer, scripted_server
from serving import candidate

from routerlib.gather.calls.budget import worst_cost_usd
from routerlib.log.call_log import CallLog
from routerlib.records.prompt import Prompt
from routerlib.routers.router import Router
from routerlib.show.tables.cascades import kept_steps
from routerlib.show.widget import html
from routerlib.show.widget.controller import PlaygroundController
from routerlib.show.widget.view import PlaygroundView

PROMPT = "Question 9: 555 of 333?"


@contextmanager
def playing(
    log: CallLog, text: str, router: Router | None = None, **how: Any
) -> Iterator[tuple[PlaygroundController, ScriptedServer]]:
    """A playground whose small model says something and whose large one is sure."""
    with scripted_server(says(text)) as small, scripted_server(says(SURE)) as large:
        both = [
            candidate(name, server.url, parameters={"max_tokens": 9})
            for name, server in (("small", small), ("large", large))
        ]
        controller = PlaygroundController(router or telling_cascade(), both, log, **how)
        controller.set(prompt=PROMPT, cost_weight=100.0)
        yield controller, large


def test_an_answer_that_stands_is_shown_with_its_judgement(log: CallLog) -> None:
    with playing(log, SURE) as (controller, large):
        controller.ask()
        (asked,) = controller.asking.asked
        drawn = html.answer(controller, asked)
    assert (asked.model, len(large.bodies)) == ("small", 0)
    assert asked.step is not None
    assert f'<meter min="0" max="1" value="{asked.step.judged["small"]:.2f}"' in drawn
    assert "believed good: it is given back; the answer of small is believed good by" in drawn


def test_it_goes_on_by_itself_where_the_cascade_does(log: CallLog) -> None:
    with playing(log, UNSURE) as (controller, large):
        controller.ask()
        first, second = controller.asking.asked
        drawn = [html.answer(controller, each) for each in (first, second)]
    assert (first.model, second.model, len(large.bodies)) == ("small", "large", 1)
    assert "believed good: goes on to large; the answer of small is believed good by" in drawn[0]
    assert "believed good: it is given back" in drawn[1]
    steps = log.lookup("select candidate, router_hash, reason from decisions order by decision_id")
    assert [step[:2] for step in steps] == [
        ("small", telling_cascade().router_hash_),
        ("large", "cascade"),
    ]
    assert steps[1][2].startswith("after decision 1: ")
    assert controller.message == ""


def test_a_person_may_take_the_next_step_instead(log: CallLog) -> None:
    with playing(log, UNSURE) as (controller, large):
        view = PlaygroundView(controller, [PROMPT])
        (box,) = [each for each in _all(view) if "rl-goes-on" in each._dom_classes]
        box.value = False
        controller.ask()
        (asked,) = controller.asking.asked
        assert (asked.may_lead_on, len(large.bodies)) == (True, 0)
        assert "would go on to large" in html.answer(controller, asked)
        view._draw_answers()
        (button,) = [each for each in _all(view) if "rl-go-on" in each._dom_classes]
        assert (button.description, button.disabled) == ("Ask large next", False)
        button.click()
        controller.asking.wait()
        view._draw_answers()
    assert [each.model for each in controller.asking.asked] == ["small", "large"]
    assert len(large.bodies) == 1
    assert [each.layout.display for each in _all(view) if "rl-go-on" in each._dom_classes] == [
        "none",
        "none",
    ]
    assert not controller.go_on()
    assert "no answer after which another candidate would be asked" in controller.message


def test_a_step_above_the_cap_of_the_session_is_not_paid(log: CallLog) -> None:
    dear = candidate("large", "http://127.0.0.1:9/v1", parameters={"max_tokens": 9})
    short_usd = 0.9 * worst_cost_usd(dear, Prompt.from_text(PROMPT))
    with playing(log, UNSURE, budget_usd=short_usd) as (controller, large):
        controller.ask()
    first, second = controller.asking.asked
    assert (first.text, len(large.bodies)) == (UNSURE, 0)
    assert "large was not asked: it may cost up to" in second.problem


@pytest.mark.parametrize(("max_loss", "asked"), [(0.1, ["small", "large"]), (1.0, ["small"])])
def test_it_goes_on_by_the_slider_s_own_rule(
    log: CallLog, max_loss: float, asked: list[str]
) -> None:
    with playing(log, UNSURE) as (controller, _):
        controller.set(max_loss=max_loss)
        controller.ask()
    assert [each.model for each in controller.asking.asked] == asked


def test_who_was_asked_against_the_router_s_choice_is_judged_alone(log: CallLog) -> None:
    with playing(log, SURE) as (controller, large):
        controller.ask("large")
        (asked,) = controller.asking.asked
    assert (asked.is_choice, len(large.bodies)) == (False, 1)
    assert asked.step is not None
    assert asked.step.stop


def test_other_routers_judge_nothing(log: CallLog) -> None:
    with playing(log, SURE, telling_cascade().router) as (controller, _):
        view = PlaygroundView(controller, [PROMPT])
        controller.ask("small")
        (asked,) = controller.asking.asked
        assert (asked.text, asked.step) == (SURE, None)
        assert "rl-judgement" not in html.answer(controller, asked)
    assert not [each for each in _all(view) if "rl-goes-on" in each._dom_classes]


def _all(widget: Any) -> list[Any]:
    """Return a widget and all that it holds."""
    return [widget, *(each for child in getattr(widget, "children", ()) for each in _all(child))]


def test_a_report_shows_what_was_asked_twice_where_the_file_tells() -> None:
    path = {"asked": ["small", "large"], "n": 12, "first_quality": 0.25, "given_quality": 0.75,
            "further_usd": 2e-3}  # fmt: skip
    told = {"test": {"cascade": {"sentence": "The cascade pays.", "paths": [path]}}}
    found = kept_steps(told)
    assert found is not None
    sentence, shown = found
    assert sentence == "The cascade pays."
    assert shown.rows[0][:2] == ("small > large", "12")
    assert "0.5" in shown.rows[0][4]
    assert kept_steps({}) is None
    assert kept_steps({"test": {}}) is None
