"""Where a conversation with tools stands is told in columns, and a router learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import routerlib as rl
from routerlib.features.conversations import (
    CONVERSATION_NAMES,
    SITUATION_NAMES,
    conversation_columns,
    situation_columns,
)
from routerlib.features.prompt_columns import PromptColumns
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.prompt import Prompt
from routerlib.records.situations import Situation, Step
from routerlib.routers.explanation.attribution import folded
from routerlib.routers.lightgbm.router import LGBMRouter

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def conversation(*results: str, question: Any = "What is in the file?") -> Prompt:
    """Return what is sent after a tool gave each of these results."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for number, result in enumerate(results):
        function = {"name": f"read_{number % 2}", "arguments": "{}"}
        called = {"id": f"c{number}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "", "tool_calls": [called]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
    return Prompt(tuple(messages))


def row(prompt: Prompt) -> dict[str, float]:
    (values,) = conversation_columns([prompt.text]).tolist()
    return {name: value for name, value in zip(CONVERSATION_NAMES, values, strict=True) if value}


def test_a_prompt_without_tools_has_none_of_them() -> None:
    assert row(Prompt.from_text("What is step 3 of turn 1?")) == {}


def test_turns_steps_tools_and_the_last_result_are_counted() -> None:
    told = row(conversation("Error: not found", "x" * 300, '{"lines": 3}'))
    assert told == {
        "conversation_turns": 1,
        "conversation_steps": 3,
        "conversation_characters": 400,
        "conversation_tools": 2,
        "conversation_calls": 3,
        "conversation_failures": 1,
        "result_is_last": 1,
        "result_characters": 10,
        "result_is_json": 1,
    }


def test_a_failed_result_that_comes_last_and_images_are_seen() -> None:
    asked = [{"type": "text", "text": "What is this?"}, IMAGE, IMAGE]
    told = row(conversation("Traceback: no such file", question=asked))
    assert told["conversation_images"] == 2
    assert told["result_is_failed"] == told["conversation_failures"] == 1


def test_no_result_comes_last_after_a_further_question() -> None:
    first = conversation("fine")
    asked = Prompt((*first.messages, {"role": "user", "content": "And why?"}))
    told = row(asked)
    assert told["conversation_turns"] == 2
    assert "result_is_last" not in told


def test_what_a_tool_gives_back_cannot_pose_as_the_state() -> None:
    posing = "[step 9 of turn 9; about 9 characters; tools used: x 9]\n[last result: JSON of"
    assert row(conversation(posing))["conversation_steps"] == 1


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """Where two results or more failed only the large model goes on well."""
    rng = np.random.default_rng(0)
    texts, quality = [], []
    for number in range(160):
        n_failed = int(rng.integers(0, 4))
        results = ["Error: no such row"] * n_failed + ["a row"] * int(rng.integers(0, 4))
        rng.shuffle(results)
        results.append(f"row {rng.integers(1000)} " * int(rng.integers(1, 20)))
        texts.append(conversation(*results, question=f"Find row {number}.").text)
        quality.append([float(n_failed < 2), 1.0])
    return Outcomes(texts, ["small", "large"], np.array(quality), np.full((160, 2), [0.001, 0.01]))


@pytest.fixture(scope="module")
def router(outcomes: Outcomes) -> LGBMRouter:
    return LGBMRouter(random_state=0, groups=("surface",)).fit(outcomes)


def test_a_router_learns_from_them_and_explains_by_their_names(
    router: LGBMRouter, outcomes: Outcomes
) -> None:
    assert set(CONVERSATION_NAMES) <= set(router.feature_names_)
    (told,) = folded(router, list(outcomes.prompts), ["small"], "quality")
    worth = dict(zip(told.names, np.abs(told.values).mean(axis=0), strict=True))
    assert max(worth, key=lambda name: worth[name]) == "number of results that failed"
    columns = router.features(list(outcomes.prompts))
    raw = router.contributions(columns, "small", "quality")
    assert told.base + told.values.sum(axis=1) == pytest.approx(raw.sum(axis=1), abs=1e-9)


def test_a_router_file_keeps_them(router: LGBMRouter, outcomes: Outcomes, tmp_path: Path) -> None:
    router.save(tmp_path / "router.pkl")
    again = rl.load_router(tmp_path / "router.pkl")
    texts = list(outcomes.prompts[:5])
    assert again.predict(texts).quality.tolist() == router.predict(texts).quality.tolist()


def test_a_router_that_saw_no_conversation_has_none_of_these_columns() -> None:
    columns = PromptColumns(groups=("surface",))
    columns.learn([f"What is {n} + {n}?" for n in range(5)])
    assert not set(CONVERSATION_NAMES) & set(columns.names())
    assert "conversations" not in columns.to_state()
    assert columns.columns([conversation("fine").text], None).shape == (1, len(columns.names()))


def situated(question: Prompt, n_cut: int, *, n_steps: int = 4, tools: int = 3) -> Prompt:
    """Return the prompt of a request after so many steps, some of which were cut off."""
    offered = [{"type": "function", "function": {"name": f"read_{n}"}} for n in range(tools)]
    steps = [Step("small", "truncated" if n < n_cut else "ok") for n in range(n_steps)]
    return replace(question, extra=Situation.of(offered, 1234, steps).kept())


def test_what_is_offered_and_how_the_last_steps_ended_is_told_and_read() -> None:
    prompt = situated(conversation("fine"), 2)
    (values,) = situation_columns([prompt.text]).tolist()
    told = {name: value for name, value in zip(SITUATION_NAMES, values, strict=True) if value}
    assert told == {
        "messages_assistant": 1,
        "messages_tool": 1,
        "tools_offered": 3,
        "offered_to_read": 3,
        "context_tokens": 1234,
        "steps_before": 4,
        "incumbent_steps": 4,
        "incumbent_cut_off": 2,
    }
    assert conversation_columns([prompt.text])[0].tolist() == (
        conversation_columns([conversation("fine").text])[0].tolist()
    )


def test_an_older_text_leaves_unknown_what_it_lacks_and_old_logs_train_as_before() -> None:
    old = conversation("fine").text
    assert np.isnan(situation_columns([old])).all()
    assert not situation_columns(["Why?"]).any()
    columns = PromptColumns(groups=("surface",))
    columns.learn([old, *(f"What is {n} + {n}?" for n in range(5))])
    assert not set(SITUATION_NAMES) & set(columns.names())
    assert "situations" not in columns.to_state()


@pytest.fixture(scope="module")
def cut_short() -> LGBMRouter:
    """Where two of the last answers were cut off or more, only the large model goes on well.

    A third of the prompts is of an older log, which doesn't say so.
    """
    rng = np.random.default_rng(1)
    texts, quality = [], []
    for number in range(240):
        question = conversation("a row", question=f"Find row {number}.")
        n_cut = int(rng.integers(0, 5))
        known = situated(question, n_cut, tools=int(rng.integers(1, 9)))
        is_old = number % 3 == 0
        texts.append(question.text if is_old else known.text)
        quality.append([float(n_cut < 2), 1.0])
    costs = np.full((len(texts), 2), [0.001, 0.01])
    outcomes = Outcomes(texts, ["small", "large"], np.array(quality), costs)
    return LGBMRouter(random_state=0, groups=("surface",)).fit(outcomes)


def test_a_router_goes_by_what_the_last_steps_brought(
    cut_short: LGBMRouter, tmp_path: Path
) -> None:
    questions = [conversation("a row", question=f"Find row {n}.") for n in range(900, 930)]
    fine, cut = ([situated(each, n).text for each in questions] for n in (0, 3))
    cut_short.save(tmp_path / "router.pkl")
    again = rl.load_router(tmp_path / "router.pkl")
    expected = [again.predict(texts).quality[:, 0].mean() for texts in (fine, cut)]
    assert expected[0] - expected[1] > 0.5
    (told,) = folded(cut_short, [*fine, *cut], ["small"], "quality")
    worth = dict(zip(told.names, np.abs(told.values).mean(axis=0), strict=True))
    best = max(worth, key=lambda name: worth[name])
    assert best == "answers of whoever answered last that were cut off"
    old = [each.text for each in questions]
    assert np.isfinite(again.predict(old).quality).all()
