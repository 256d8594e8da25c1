"""Tell where a conversation with tools stands in columns, read from the words that say so."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

# What `routerlib.records.trajectories` writes behind the user's last words.
_STATE = re.compile(
    r"^\[step (?P<steps>\d+) of turn (?P<turns>\d+); about (?P<characters>\d+) characters; "
    r"tools used: (?P<tools>.*?)(?:; failed results: (?P<failed>\d+))?"
    r"(?P<attached>(?:; (?:audio|file|image)s: \d+)*)\]$",
    re.M,
)
_RESULT = re.compile(
    r"^\[last result: (?P<kind>JSON|text) of about (?P<characters>\d+) characters"
    r"(?P<failed>, failed)?\]$",
    re.M,
)
# What `routerlib.records.situations` adds to it, which older logs lack.
_BESIDE = re.compile(
    r"^\[messages: (?P<roles>[^;\]]*)"
    r"(?:; tools offered: (?P<offered>\d+)(?: \((?P<kinds>[^)]*)\))?)?"
    r"(?:; context of (?P<tokens>\d+) tokens)?"
    r"(?:; last steps: (?P<steps>\d+), by (?P<model>.*?) (?P<own>\d+)"
    r"(?P<ends>(?:, [a-z ]+ \d+)*))?\]$",
    re.M,
)
_TIMES = re.compile(r" (\d+)(?:, |$)")
_ATTACHED = re.compile(r"(\w+): (\d+)")
_COUNTED = re.compile(r"([a-z][a-z ]*) (\d+)")
# So near to its end a text tells where the conversation stands.
_LAST_CHARACTERS = 4_000

CONVERSATION_NAMES: tuple[str, ...] = (
    "conversation_turns",
    "conversation_steps",
    "conversation_characters",
    "conversation_tools",
    "conversation_calls",
    "conversation_failures",
    "conversation_images",
    "conversation_files",
    "conversation_audios",
    "result_is_last",
    "result_characters",
    "result_is_json",
    "result_is_failed",
)
# Of conversations whose text tells more: as of `CONVERSATION_NAMES`, behind these.
SITUATION_NAMES: tuple[str, ...] = (
    "messages_system",
    "messages_assistant",
    "messages_tool",
    "tools_offered",
    "offered_to_read",
    "offered_to_write",
    "offered_to_run",
    "context_tokens",
    "steps_before",
    "incumbent_steps",
    "incumbent_cut_off",
    "incumbent_empty",
    "incumbent_failed",
)


def is_conversation(text: str) -> bool:
    """Whether a prompt's text says where a conversation with tools stands."""
    return _state(text) is not None


def tells_situation(text: str) -> bool:
    """Whether a prompt's text says what its messages don't: tools on offer, steps before."""
    state = _state(text)
    return state is not None and _beside(state) is not None


def situation_columns(texts: Sequence[str]) -> np.ndarray:
    r"""Return the situations of conversations, NaN where nothing is said, zeros for other prompts.

    Returns shape (n_texts, n_situation_columns): counts at least 0 or NaN, in the order of
        `SITUATION_NAMES`.

    >>> text = "Why?\n[step 0 of turn 1; about 900 characters; tools used: ]"
    >>> told = text + "\n[messages: system 1, user 1; tools offered: 2 (run 1)"
    >>> told += "; context of 7 tokens]"
    >>> situation_columns([told, text])[:, [0, 3, 6, 7, 8]]
    array([[ 1.,  2.,  1.,  7., nan],
           [nan, nan, nan, nan, nan]])
    """
    rows = np.zeros((len(texts), len(SITUATION_NAMES)))
    for row, text in zip(rows, texts, strict=True):
        if (state := _state(text)) is not None:
            row[:] = _of_situation(state)
    return rows


def conversation_columns(texts: Sequence[str]) -> np.ndarray:
    r"""Return where conversations with tools stand, zeros for all other prompts.

    Sizes are those that the text says, one digit of them exact.

    Returns shape (n_texts, n_conversation_columns): counts at least 0, in the order of
        `CONVERSATION_NAMES`.

    >>> text = "Why?\n[step 2 of turn 1; about 900 characters; tools used: add 2, see 1]"
    >>> conversation_columns([text])[0, :5]
    array([  1.,   2., 900.,   2.,   3.])
    """
    rows = np.zeros((len(texts), len(CONVERSATION_NAMES)))
    for row, text in zip(rows, texts, strict=True):
        if (state := _state(text)) is not None:
            row[:] = [*_of_all(state), *_of_result(state)]
    return rows


def _state(text: str) -> re.Match[str] | None:
    end = text[-_LAST_CHARACTERS:]
    return _STATE.search(end) if "[step " in end else None


def _beside(state: re.Match[str]) -> re.Match[str] | None:
    """Return the line behind the state, where there is one."""
    return _BESIDE.match(state.string, min(state.end() + 1, len(state.string)))


def _of_situation(state: re.Match[str]) -> list[float]:
    told = _beside(state)
    if told is None:
        return [np.nan] * len(SITUATION_NAMES)
    roles, kinds, ends = (_counts(told[name]) for name in ("roles", "kinds", "ends"))
    offered, tokens, steps, own = (
        np.nan if told[name] is None else float(told[name])
        for name in ("offered", "tokens", "steps", "own")
    )
    return [
        *(roles.get(role, 0.0) for role in ("system", "assistant", "tool")),
        offered,
        *(kinds.get(kind, 0.0 * offered) for kind in ("read", "write", "run")),
        tokens,
        steps,
        own,
        *(ends.get(end, 0.0 * own) for end in ("cut off", "empty", "failed")),
    ]


def _counts(told: str | None) -> dict[str, float]:
    return {name: float(n) for name, n in _COUNTED.findall(told or "")}


def _of_all(state: re.Match[str]) -> list[float]:
    times = [float(each) for each in _TIMES.findall(state["tools"])]
    attached = {kind: float(n) for kind, n in _ATTACHED.findall(state["attached"])}
    return [
        float(state["turns"]),
        float(state["steps"]),
        float(state["characters"]),
        float(len(times)),
        sum(times),
        float(state["failed"] or 0),
        *(attached.get(kind, 0.0) for kind in ("images", "files", "audios")),
    ]


def _of_result(state: re.Match[str]) -> list[float]:
    before = _beside(state) or state
    result = _RESULT.match(before.string, min(before.end() + 1, len(before.string)))
    if result is None:
        return [0.0] * 4
    is_json, is_failed = result["kind"] == "JSON", result["failed"] is not None
    return [1.0, float(result["characters"]), float(is_json), float(is_failed)]
