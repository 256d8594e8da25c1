"""Prompts that hold their own answer: chat data ends with it, and every candidate would see it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import separate
from routerlib.records.trajectories import whole_text

AnswersInside = Literal["refuse", "cut"]
Messages = tuple[Mapping[str, str], ...]

_LAST_LINE = re.compile(
    r"(?:\A|\n)[^\w\n]*(?:the |final |correct |right )*(?:answer|solution|label|output|response|"
    r"completion)[\s*_`]*[:=](?P<told>[^\n]*)\s*\Z",
    re.IGNORECASE,
)
_AROUND = " \t\"'`*_."


def check_choice(answers_inside: str) -> None:
    """Raise ValueError for another word than those known."""
    if answers_inside not in get_args(AnswersInside):
        known = ", ".join(get_args(AnswersInside))
        raise ValueError(f"answers_inside must be one of {known}, got {answers_inside!r}")


def ends_with_answer(messages: Sequence[Mapping[str, object]]) -> bool:
    """Tell whether the assistant had the last word."""
    return bool(messages) and messages[-1].get("role") == "assistant"


def without_answer(
    messages: Messages, answers_inside: AnswersInside
) -> tuple[Messages, str | None]:
    """Return the messages that ask, and the answer that followed them, if one did."""
    if not ends_with_answer(messages):
        return messages, None
    if answers_inside == "refuse":
        raise ValueError(
            "the last message is the assistant's, so every candidate would be shown the answer; "
            "--answers-inside cut (answers_inside='cut') takes it off and keeps it as the reference"
        )
    n_asked = len(messages)
    while n_asked and messages[n_asked - 1].get("role") == "assistant":
        n_asked -= 1
    if not n_asked:
        raise ValueError("there are only messages of the assistant, so nothing is asked")
    said = messages[-1].get("content")
    answer = separate(said).answer if isinstance(said, str) else ""
    return messages[:n_asked], answer if answer.strip() else None


def refuse_answers_inside(prompts: Sequence[Prompt]) -> None:
    """Raise ValueError where a prompt holds its own answer."""
    n_inside = sum(ends_with_answer(prompt.messages) for prompt in prompts)
    if n_inside:
        raise ValueError(
            f"{n_inside} of {len(prompts)} prompts end with a message of the assistant, so every "
            "candidate would be shown the answer; leave it out, as load_prompts(path, "
            "answers_inside='cut') does"
        )


def tells_its_reference(prompt: Prompt) -> bool:
    r"""Tell whether a prompt's last line gives the reference as the answer.

    >>> tells_its_reference(Prompt.from_text("2 + 2?\nAnswer: 4", reference=4))
    True
    """
    reference = prompt.reference
    if isinstance(reference, Mapping):  # as one with a decimal comma is
        reference = reference.get("value")
    if isinstance(reference, bool) or not isinstance(reference, str | int | float):
        return False
    found = _LAST_LINE.search(whole_text(prompt.messages))
    told = found["told"].strip(_AROUND) if found else ""
    return bool(told) and told.casefold() == str(reference).strip(_AROUND).casefold()
