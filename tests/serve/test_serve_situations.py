"""What a request's messages don't say is seen by its decision, and logged with its prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Reply, scripted_server
from serving import candidate, rows, serving
from tool_calls import ADD, calling
from tool_calls import call as called

from routerlib.log.call_log import CallLog
from routerlib.log.check import check_log
from routerlib.records.prompt import Prompt
from routerlib.records.trajectories import trajectory_text

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "What is 2 + 3?"}
TEXTS = "select text from whole_prompts order by rowid"
CUT = Reply(
    body={
        "choices": [{"message": {"content": "Let me"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 2},
    }
)


@pytest.mark.parametrize("stickiness", ["conversation", "none"])
def test_a_decision_sees_tools_on_offer_and_what_the_last_steps_brought(
    log_path: Path, stickiness: str
) -> None:
    messages: list[dict[str, Any]] = [USER]
    with (
        scripted_server(calling(called()), CUT, calling(called())) as provider,
        serving([candidate("small", provider.url)], log_path, stickiness=stickiness) as served,
    ):
        for _ in range(3):
            body = {"model": "router", "messages": messages, "tools": [ADD]}
            answer = served.post(CHAT, json=body).json()["choices"][0]["message"]
            messages.append(answer)
            for each in answer.get("tool_calls", ()):
                result = {"role": "tool", "tool_call_id": each["id"], "content": "5"}
                messages.append(result)
            if "tool_calls" not in answer:
                messages.append({"role": "user", "content": "Go on."})
    first, second, third = (text for (text,) in rows(log_path, TEXTS))
    assert first == (
        "What is 2 + 3?\n[step 0 of turn 1; about 10 characters; tools used: ]\n"
        "[messages: user 1; tools offered: 1]"
    )
    assert second.splitlines()[2:] == [
        "[messages: assistant 1, tool 1, user 1; tools offered: 1; context of 39 tokens; "
        "last steps: 1, by small 1]",
        "[last result: text of about 1 characters]",
        "5",
    ]
    assert "context of 52 tokens; last steps: 2, by small 2, cut off 1]" in third
    with CallLog(log_path) as log:
        assert [prompt.text for prompt in log.prompts()] == [first, second, third]
    assert list(check_log(log_path)) == []


def test_a_long_system_prompt_leaves_the_question_what_is_seen_first(log_path: Path) -> None:
    setup = {"role": "system", "content": "You are a pirate. " * 200}
    short = {"role": "system", "content": "Be brief."}
    with (
        scripted_server(Reply()) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        for first in (setup, short):
            served.post(CHAT, json={"model": "router", "messages": [first, USER]})
    long, whole = (text for (text,) in rows(log_path, TEXTS))
    assert whole == "Be brief.\n\nWhat is 2 + 3?"
    assert long.startswith("What is 2 + 3?\n[step 0 of turn 1; about 4000 characters; ")
    assert "You are a pirate." in long
    assert len(long) < 500
    assert list(check_log(log_path)) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}),
        ("/v1/responses", {"input": [{"type": "computer_call"}]}),
    ],
)
def test_an_unknown_part_is_refused_by_its_place_and_name(
    log_path: Path, path: str, told: dict[str, Any]
) -> None:
    with (
        scripted_server(Reply()) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        refused = served.post(path, json={"model": "router", **told})
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["param"] in ("messages.0.user.content.0", "input.0", "input")
    assert any(name in error["message"] for name in ("'video_url'", "'computer_call'"))
    assert "tagged-union" not in error["message"]
    assert not provider.bodies


@pytest.mark.parametrize("words", ["x " * 900, "x"])
def test_prompts_that_older_versions_logged_are_sound(log_path: Path, words: str) -> None:
    function = {"name": "add", "arguments": "{}"}
    step = {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function",
            "function": function}]}  # fmt: skip
    result = {"role": "tool", "tool_call_id": "1", "content": "5"}
    trajectory = ({"role": "user", "content": words}, step, result)
    plain = ({"role": "system", "content": words}, USER)
    texts = [trajectory_text(trajectory), f"{words}\n\n{USER['content']}"]
    prompts = [Prompt(trajectory), Prompt(plain)]
    with CallLog(log_path) as log:
        for prompt, text in zip(prompts, texts, strict=True):
            row = (prompt.prompt_id, json.dumps([dict(each) for each in prompt.messages]), text)
            log._connection.execute(
                "insert into prompts (prompt_id, messages, text, source) values (?, ?, ?, 'old')",
                row,
            )
        log._connection.commit()
        assert [text for (text,) in log.lookup(TEXTS)] == texts
    assert list(check_log(log_path)) == []
