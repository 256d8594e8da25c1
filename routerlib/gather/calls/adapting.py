"""Leave out of requests what a candidate's server can't take, where that changes nothing."""

from __future__ import annotations

import logging
import re
from typing import Any

from routerlib.gather.calls.faults import (
    BUSY,
    FLAGGED,
    LONG_WAIT,
    NO_CREDIT,
    RATE,
    TOO_LONG,
    UNSUPPORTED,
    Fault,
)
from routerlib.gather.candidates.keys import Redactor

_logger = logging.getLogger(__name__)

# Without these the same is asked: they tell of the caller, of caches, or of what is told besides.
NEUTRAL = frozenset({
    "stream_options", "seed", "random_seed", "user", "user_id", "metadata", "store",
    "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "cache_prompt", "logprobs", "top_logprobs", "parallel_tool_calls",
    "request_id", "usage", "include_reasoning",
})  # fmt: skip
# With these values a parameter asks for what happens without it.
_NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "temperature": (1,), "top_p": (1,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "repetition_penalty": (1,), "repeat_penalty": (1,), "min_p": (0,), "stop": ([], ""),
    "logit_bias": ({},), "tools": ([],), "tool_choice": ("auto", "none"),
    "response_format": ({"type": "text"},), "n": (1,), "modalities": (["text"],),
}  # fmt: skip
# Two names of one cap: a server that refuses one and names the other takes the same cap there.
_SAME = frozenset({"max_tokens", "max_completion_tokens"})


_LOGPROBS = ("logprobs", "top_logprobs")
_OF_LOGPROBS = re.compile(r"log_?probs?|log[ -]?probabilit", re.I)
_LOGPROBS_ALONE = re.compile(r"(?<!top_)(?<!top)(?<!top )(?:log_?probs?|log[ -]?probabilit)", re.I)
# Of these a prompt, or the moment, is the cause.
_OTHER_CAUSES = frozenset({FLAGGED, TOO_LONG, NO_CREDIT, BUSY, RATE, LONG_WAIT})


class Adaptation:
    """How requests to one candidate differ from what its entry says, and why.

    `name`: of the candidate.
    """

    def __init__(self, name: str, redact: Redactor) -> None:
        self._name = name
        self._redact = redact
        self._left_out: set[str] = set()
        self._renamed: dict[str, str] = {}

    def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a request's body as the server takes it."""
        kept = {name: value for name, value in body.items() if name not in self._left_out}
        for name, other in self._renamed.items():
            if name in kept:
                value = kept.pop(name)
                kept[other] = min(value, kept[other]) if other in kept else value
        return kept

    @property
    def told(self) -> dict[str, Any]:
        """What a call's record says of it; empty where requests are as they were written."""
        left_out = sorted(self._left_out - {"stream_options"})  # nobody asked for it
        told: dict[str, Any] = {"left_out": left_out, "renamed": dict(self._renamed)}
        return {name: value for name, value in told.items() if value}

    def learn(self, fault: Fault, body: dict[str, Any]) -> bool:
        """Take a fault's advice and return whether the next request will be another one."""
        if refused := _refused_logprobs(fault, body):
            self._left_out |= refused
            self._say(f"it is asked without {' and '.join(sorted(refused))}", fault)
            return True
        named = [name for name in fault.parameters if name in body]
        if not named and "stream_options" in fault.text and "stream_options" in body:
            named = ["stream_options"]
        if fault.kind != UNSUPPORTED and named != ["stream_options"]:
            return False
        if "include_usage" in fault.parameters and "stream_options" in body:
            named = ["stream_options"]
        if not named:
            return False
        first = named[0]
        if first in _SAME and fault.instead in _SAME - {first}:
            self._renamed[first] = str(fault.instead)
            self._say(f"{first} is sent as {fault.instead}", fault)
            return True
        if not _is_neutral(first, body[first]) or first in self._left_out:
            return False
        self._left_out.add(first)
        self._say(f"{first} is left out", fault)
        return True

    def _say(self, what: str, fault: Fault) -> None:
        why = self._redact(fault.text)[:300]
        _logger.warning("%s: %s from now on, as its server says: %s", self._name, what, why)


def _refused_logprobs(fault: Fault, body: dict[str, Any]) -> set[str]:
    """Return what to leave out where a server tells of log-probabilities in its own words.

    Without `logprobs` most refuse `top_logprobs` as well, so that both go at once.
    """
    asked = {name for name in _LOGPROBS if name in body}
    told = " ".join([fault.text, *fault.parameters])
    if fault.kind in _OTHER_CAUSES or not _OF_LOGPROBS.search(told):
        return set()
    is_about_number = "logprobs" in asked and not _LOGPROBS_ALONE.search(told)
    return asked & {"top_logprobs"} if is_about_number else asked


def _is_neutral(name: str, value: Any) -> bool:
    if name in NEUTRAL or value is None:
        return True
    return any(
        value == neutral and isinstance(value, bool) == isinstance(neutral, bool)
        for neutral in _NEUTRAL_VALUES.get(name, ())
    )
