"""Find out which decisions are of one conversation, from what was asked and answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from routerlib.log import queries
from routerlib.records.canonical import canonical_json
from routerlib.records.messages import TOOL_CALLS, calls_of, content_text, said
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import separate

if TYPE_CHECKING:
    import pandas as pd

# Decisions on prompts that hold an answer.
_LATER = """
select decision_id, messages from decisions join prompts using (prompt_id)
where contains(messages, '"assistant"') order by decision_id
"""
_ANSWERED = """
select decision_id, prompt_id, response, extra from calls
where decision_id is not null and status in ('ok', 'truncated') and prompt_id in $prompt_ids
order by call_id
"""


def before_answer(
    messages: Sequence[Mapping[str, Any]],
) -> tuple[Prompt, Mapping[str, Any]] | None:
    """Return what was asked before the last answer in some messages, and that answer; or None."""
    answered = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    if not answered or answered[-1] == 0:
        return None
    before = tuple(messages[: answered[-1]])
    if not any(said(message).strip() for message in before):
        return None
    return Prompt(before), messages[answered[-1]]


def is_answer(message: Mapping[str, Any], response: str | None, extra: str | None) -> bool:
    """Tell whether a logged call is what a message of the assistant repeats.

    `response, extra`: of the call.
    """
    called = _called(json.loads(extra or "{}").get(TOOL_CALLS) or ())
    told = _answer(content_text(message.get("content"))), _called(calls_of(message))
    return bool(response or called) and (_answer(response or ""), called) == told


def first_decisions(reader: queries.Reader) -> dict[int, int]:
    """Return the decision that began the conversation of each later one.

    A decision goes on from the latest one before it on the prompt up to the last answer, if that
    answer is what a candidate said to it. Decisions that go on from none are not among these.

    `reader`: of a log.
    """
    later = _goes_on(reader.frame(_LATER))
    asked = sorted({prompt.prompt_id for _, prompt, _ in later})
    answers = _by_prompt(reader.frame(_ANSWERED, {"prompt_ids": asked})) if asked else {}
    first: dict[int, int] = {}
    for decision_id, prompt, answer in later:
        for earlier, response, extra in answers.get(prompt.prompt_id, ()):
            if earlier < decision_id and is_answer(answer, response, extra):
                first[decision_id] = first.get(earlier, earlier)
                break
    return first


def _by_prompt(calls: pd.DataFrame) -> dict[str, list[tuple[int, str | None, str | None]]]:
    """Return decision, response and extra of the calls on each prompt, the last first."""
    found: dict[str, list[tuple[int, str | None, str | None]]] = {}
    rows = calls.astype(object).where(calls.notna(), None).iloc[::-1]
    for prompt_id, *row in zip(
        rows.prompt_id, rows.decision_id, rows.response, rows.extra, strict=True
    ):
        found.setdefault(prompt_id, []).append((int(row[0]), row[1], row[2]))
    return found


def _goes_on(frame: pd.DataFrame) -> list[tuple[int, Prompt, Mapping[str, Any]]]:
    found = []
    for decision_id, messages in zip(frame.decision_id, frame.messages, strict=True):
        before = before_answer(json.loads(messages))
        if before is not None:
            found.append((int(decision_id), *before))
    return found


def _called(calls: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what counts of calls of tools: ids may be the server's own, spaces the client's."""
    functions = [call.get("function") or {} for call in calls]
    return [(str(each.get("name")), _spelled(str(each.get("arguments")))) for each in functions]


def _spelled(arguments: str) -> str:
    try:
        return canonical_json(json.loads(arguments))
    except ValueError:
        return arguments


def _answer(text: str) -> str:
    """Return what counts of an answer: a client may send a thought back, or leave it out."""
    return separate(text).answer.strip()
