"""What a decision sees of a conversation: its last words, and where it stands.

Not all that was said: a history of 20,000 tokens would take fifty times as long to look at as a
question, and its log would hold it once more at every step. The messages are kept whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from routerlib.records.brief import both_ends
from routerlib.records.messages import attachments, calls_of, content_text, n_characters, said
from routerlib.records.situations import Situation

_USER_CHARACTERS = (500, 200)
_RESULT_CHARACTERS = (150, 100)
_SETUP_CHARACTERS = (150, 100)
# So much beside the user's last words, a long system prompt or a history, would hide them.
_MOST_BESIDE = 1_000
_STANDING = re.compile(
    r"^\[step \d+ of turn \d+; about \d+ characters; tools used: .*\]$(?:\n\[messages: .*\]$)?\n?",
    re.M,
)
_RESULT = "[last result: "
# How lines begin that tell where a conversation stands; nobody else's line may begin so.
_MARK = re.compile(r"^(?=\[(?:step \d|messages: |last result: ))", re.M)
_FAILURE = re.compile(r"\b(error|exception|traceback|failed|failure|denied|not found)\b", re.I)


def is_trajectory(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether tools were called in a conversation."""
    return any(message["role"] == "tool" or message.get("tool_calls") for message in messages)


def decision_text(messages: Sequence[Mapping[str, Any]], situation: Situation | None = None) -> str:
    """Return what a decision sees, and features are drawn from.

    All that was said, joined by blank lines, unless tools are offered or were called, or much
    stands beside the user's last words. A line of somebody's words that begins as those do which
    tell where a conversation stands gets a space before it, so that it is never taken for one.
    """
    has_tools = situation is not None and situation.n_tools > 0
    if not is_condensed(messages, has_tools=has_tools):
        return as_words(whole_text(messages))
    if has_tools or is_trajectory(messages):
        return trajectory_text(messages, situation)
    return _long_text(messages, situation)


def is_condensed(messages: Sequence[Mapping[str, Any]], *, has_tools: bool) -> bool:
    """Whether a decision sees where a conversation stands, not all that was said.

    `has_tools`: whether tools are on offer.
    """
    if has_tools or is_trajectory(messages):
        return True
    if messages[-1]["role"] != "user":
        return False
    return sum(n_characters(each) for each in messages[:-1]) > _MOST_BESIDE


def as_words(text: str) -> str:
    r"""Return a text of which no line can be taken for one that tells where things stand.

    >>> as_words("Why?\n[step 0 of turn 1; done]\n[stop]")
    'Why?\n [step 0 of turn 1; done]\n[stop]'
    """
    return _MARK.sub(" ", text) if "[" in text else text


def whole_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return all that was said, joined by blank lines."""
    return "\n\n".join(map(said, messages))


def _long_text(messages: Sequence[Mapping[str, Any]], situation: Situation | None) -> str:
    """Return the user's last words, the state, and both ends of the set-up.

    >>> long = {"role": "system", "content": "You are a pirate. " * 100}
    >>> print(_long_text([long, {"role": "user", "content": "Where is the treasure?"}], None)[:98])
    Where is the treasure?
    [step 0 of turn 1; about 2000 characters; tools used: ]
    [messages: system 1
    """
    last = as_words(said(messages[-1]))
    setup = [said(each) for each in messages if each["role"] in ("system", "developer")]
    n_turns = sum(each["role"] == "user" for each in messages)
    told = [last, _state(messages, n_turns), _beside(messages, situation)]
    ends = [as_words(both_ends(each, *_SETUP_CHARACTERS)) for each in setup[:1]]
    return "\n".join([*told, *ends])


def trajectory_text(
    messages: Sequence[Mapping[str, Any]], situation: Situation | None = None
) -> str:
    """Return the user's last words, the state of the conversation, and the last result.

    `situation`: what the messages don't say; None = not known, as in older logs.

    >>> call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    >>> print(trajectory_text([
    ...     {"role": "user", "content": "What is 2 + 3?"},
    ...     {"role": "assistant", "content": "", "tool_calls": [call]},
    ...     {"role": "tool", "content": "Error: no numbers", "tool_call_id": "1"}]))
    What is 2 + 3?
    [step 1 of turn 1; about 40 characters; tools used: add 1; failed results: 1]
    [last result: text of about 20 characters, failed]
    Error: no numbers
    """
    words = [content_text(each.get("content")) for each in messages if each["role"] == "user"]
    last = as_words(both_ends(words[-1], *_USER_CHARACTERS)) if words else ""
    beside = [] if situation is None else [_beside(messages, situation)]
    return "\n".join([last, _state(messages, len(words)), *beside, *_last_result(messages)])


def spoken_text(text: str) -> str:
    r"""Return a decision's text as it was spoken: the set-up first, not where it stands.

    So questions are alike only where their words are. With a last result it stays as it is.

    >>> spoken_text("Why?\n[step 0 of turn 1; about 2000 characters; tools used: ]\nBe a pirate.")
    'Be a pirate.\n\nWhy?'
    >>> spoken_text("Why?")
    'Why?'
    """
    found = _STANDING.search(text) if "[step " in text else None
    if found is None or text.startswith(_RESULT, found.end()):
        return text
    words, setup = text[: found.start()].rstrip("\n"), text[found.end() :]
    return "\n\n".join(filter(None, (setup, words)))


def _beside(messages: Sequence[Mapping[str, Any]], situation: Situation | None) -> str:
    roles = Counter("system" if each["role"] == "developer" else each["role"] for each in messages)
    told = "messages: " + ", ".join(f"{role} {n}" for role, n in sorted(roles.items()))
    return f"[{told}; {situation.told()}]" if situation is not None else f"[{told}]"


def _state(messages: Sequence[Mapping[str, Any]], n_turns: int) -> str:
    places = [place for place, each in enumerate(messages) if each["role"] == "user"]
    n_steps = sum(bool(calls_of(each)) for each in messages[places[-1] if places else 0 :])
    used = Counter(call["function"]["name"] for each in messages for call in calls_of(each))
    n_failed = sum(each["role"] == "tool" and _failed(each) for each in messages)
    kinds = Counter(kind for kind, _ in attachments(messages))
    told = [
        f"step {n_steps} of turn {n_turns}",
        f"about {_rounded(sum(len(said(each)) for each in messages))} characters",
        "tools used: " + ", ".join(f"{name} {n}" for name, n in used.most_common(5)),
        f"failed results: {n_failed}" if n_failed else "",
        ", ".join(f"{kind}s: {n}" for kind, n in sorted(kinds.items())),
    ]
    return f"[{'; '.join(filter(None, told))}]"


def _last_result(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    last = messages[-1]
    if last["role"] != "tool":
        return []
    text = content_text(last["content"])
    kind = "JSON" if text.lstrip()[:1] in ("{", "[") else "text"
    failed = ", failed" if _failed(last) else ""
    state = f"{_RESULT}{kind} of about {_rounded(len(text))} characters{failed}]"
    return [state, as_words(both_ends(text, *_RESULT_CHARACTERS))]


def _failed(message: Mapping[str, Any]) -> bool:
    """Whether a result begins or ends like a failure."""
    ends = both_ends(content_text(message["content"]), *_RESULT_CHARACTERS)
    return _FAILURE.search(ends) is not None


def _rounded(number: int) -> int:
    """Return a number with one digit that counts, so that like conversations have like words."""
    size = 10 ** (len(str(number)) - 1)
    return round(number / size) * size
