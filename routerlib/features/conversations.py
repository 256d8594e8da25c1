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
_TIMES = re.compile(r" (\d+)(?:, |$)")
_ATTACHED = re.compile(r"(\w+): (\d+)")
# No conversation with tools has a longer text.
_MOST_CHARACTERS = 4_000

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


def is_conversation(text: str) -> bool:
    """Whether a prompt's text says where a conversation with tools stands."""
    return _state(text) is not None


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
            row[:] = [*_of_all(state), *_of_result(text[state.end() :])]
    return rows


def _state(text: str) -> re.Match[str] | None:
    if len(text) > _MOST_CHARACTERS or "[step " not in text:
        return None
    return _STATE.search(text)


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


def _of_result(rest: str) -> list[float]:
    result = _RESULT.match(rest.removeprefix("\n"))
    if result is None:
        return [0.0] * 4
    is_json, is_failed = result["kind"] == "JSON", result["failed"] is not None
    return [1.0, float(result["characters"]), float(is_json), float(is_failed)]
