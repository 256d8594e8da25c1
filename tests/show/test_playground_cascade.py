"""The playground shows what a cascade thinks of an answer, and whether it would ask on."""

from __future__ import annotations

import pytest
from cascading import SURE, UNSURE, says, telling_cascade
from scripted_server import scripted_server
from serving import candidate

from routerlib.log.call_log import CallLog
from routerlib.show.tables.cascades import kept_steps
from routerlib.show.widget import html
from routerlib.show.widget.controller import PlaygroundController


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SURE, "a cascade would give it back: the answer of small is believed good by"),
        (UNSURE, "a cascade would ask large next: the answer of small is believed good by"),
    ],
)
def test_an_answer_comes_with_its_judgement(log: CallLog, text: str, said: str) -> None:
    with scripted_server(says(text)) as server:
        both = [candidate(each, server.url, parameters={"max_tokens": 9}) for each in
                ("small", "large")]  # fmt: skip
        controller = PlaygroundController(telling_cascade(), both, log)
        controller.set(prompt="Question 9: 555 of 333?", cost_weight=100.0)
        controller.ask("small")
    (asked,) = controller.asking.asked
    assert asked.judgement.startswith("Believed good by ")
    assert said in asked.judgement
    assert f'rl-judgement">{asked.judgement}' in html.answer(controller, asked)


def test_other_routers_judge_nothing(log: CallLog) -> None:
    with scripted_server(says(SURE)) as server:
        both = [candidate(each, server.url, parameters={"max_tokens": 9}) for each in
                ("small", "large")]  # fmt: skip
        controller = PlaygroundController(telling_cascade().router, both, log)
        controller.set(prompt="Question 9: 555 of 333?", cost_weight=100.0)
        controller.ask("small")
    (asked,) = controller.asking.asked
    assert (asked.text, asked.judgement) == (SURE, "")
    assert "rl-judgement" not in html.answer(controller, asked)


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
