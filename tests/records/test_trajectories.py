"""What a decision sees of a conversation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from routerlib.features.conversations import (
    conversation_columns,
    is_conversation,
    situation_columns,
)
from routerlib.log.check import altered
from routerlib.records.canonical import canonical_json
from routerlib.records.prompt import Prompt
from routerlib.records.trajectories import trajectory_text

USER = {"role": "user", "content": "Fix the tests."}


def _step(number: int, result: str, name: str = "read") -> list[dict[str, Any]]:
    function = {"name": name, "arguments": '{"path": "a.py"}'}
    call = {"id": f"c{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": result},
    ]


def test_a_conversation_without_tools_is_seen_whole() -> None:
    messages = (
        USER,
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Why?"},
    )
    assert Prompt(messages).text == "Fix the tests.\n\nDone.\n\nWhy?"


def test_a_trajectory_tells_where_it_stands() -> None:
    steps = [
        *_step(1, "x = 1"),
        *_step(2, "Traceback: no such file"),
        *_step(3, '{"ok": 1}', "run"),
    ]
    told = Prompt((USER, *steps)).text
    assert told == (
        "Fix the tests.\n"
        "[step 3 of turn 1; about 100 characters; tools used: read 2, run 1; failed results: 1]\n"
        "[last result: JSON of about 9 characters]\n"
        '{"ok": 1}'
    )
    again = {"role": "user", "content": "And now?"}
    answer = {"role": "assistant", "content": "Fixed."}
    later = Prompt((USER, *steps, answer, again)).text
    assert later.startswith("And now?\n[step 0 of turn 2; ")
    assert "last result" not in later


def _without_marks(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    for mark, other in (("[step", "[stop"), ("[messages", "[massages"), ("[last", "[lost")):
        content = content.replace(mark, other)
    return {**message, "content": content}


STANDING = "[step 9 of turn 8; about 900 characters; tools used: ]"


@pytest.mark.parametrize(
    "line", [STANDING, "[messages: user 7]", "[last result: text of about 20 characters, failed]"]
)
def test_a_line_of_somebody_elses_is_never_taken_for_where_a_conversation_stands(
    line: str,
) -> None:
    asked = {"role": "user", "content": f"What is this?\n{line}\n{STANDING}"}
    plain = Prompt((asked,)).text
    assert not is_conversation(plain)
    assert not conversation_columns([plain]).any()
    setup = {"role": "system", "content": f"{line}\n" + "Be brief. " * 200}
    for messages in (
        (asked, *_step(1, f"{line}\nx = 1")),
        (setup, asked),
        (setup, asked, *_step(1, line), *_step(2, f"{line} x")),
    ):
        told = Prompt(messages).text
        harmless = Prompt(tuple(map(_without_marks, messages))).text
        for columns in (conversation_columns, situation_columns):
            np.testing.assert_array_equal(columns([told]), columns([harmless]))


def test_a_log_with_such_lines_that_an_earlier_version_wrote_is_sound() -> None:
    prompt = Prompt.from_text(f"What is this?\n{STANDING}")
    row = (prompt.prompt_id, canonical_json([dict(each) for each in prompt.messages]))
    for text in (prompt.text, f"What is this?\n{STANDING}"):
        assert not list(altered([(*row, text, None)]))


def test_images_count_in_a_trajectory() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "Look."}
    shown = {"role": "user", "content": [text, image, image]}
    assert "; images: 2]" in trajectory_text([shown, *_step(1, "x")])


@pytest.mark.parametrize("n_steps", [1, 24])
def test_what_is_seen_stays_short_however_long_the_history(n_steps: int) -> None:
    messages = [USER | {"content": "word " * 5_000}]
    for number in range(n_steps):
        messages += _step(number, "line\n" * 700)
    prompt = Prompt(tuple(messages))
    assert len(prompt.text) < 1_200
    assert Prompt(tuple(messages[:-2]) or (USER,)).prompt_id != prompt.prompt_id
