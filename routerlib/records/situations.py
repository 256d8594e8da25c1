"""What of a conversation's situation its messages don't say: tools on offer, steps before, tokens.

A served request knows it; it is kept as a further field of the prompt, so that what a decision has
seen stands in the log.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

# The further field of a prompt.
SITUATION = "situation_of_request"
_MOST_STEPS = 5
# By words in a tool's name; the first that fits counts.
_KINDS = (
    ("run", re.compile(r"bash|shell|exec|run|command|terminal|python|code|eval", re.I)),
    ("write", re.compile(r"write|edit|creat|updat|delet|remov|appl|patch|insert|send|post", re.I)),
    ("read", re.compile(r"read|get|list|search|find|look|fetch|view|grep|glob|query|open", re.I)),
)
# How calls end that bring little; `ok` and `refused` are answers.
_ENDS = {"truncated": "cut off", "empty": "empty", "error": "failed", "timeout": "failed"}


class Step(NamedTuple):
    """One earlier call of a conversation: whom, and how it ended."""

    model: str
    status: str


class Situation(NamedTuple):
    """What a request and its log say beside the messages.

    `n_tools`: tools on offer. `kinds`: how many of them read, write and run something, by name.
    `n_tokens`: of the conversation up to its last answer, as its provider counted; None = unknown.
    `steps`: the latest calls, the last one last.
    """

    n_tools: int = 0
    kinds: Mapping[str, int] = {}
    n_tokens: int | None = None
    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, tools: Any, n_tokens: int | None = None, steps: Sequence[Step] = ()) -> Situation:
        """Return the situation of a request; `tools`: as it offers them.

        >>> run = {"type": "function", "function": {"name": "bash"}}
        >>> Situation.of([run], 812).told()
        'tools offered: 1 (run 1); context of 812 tokens'
        """
        offered = tools if isinstance(tools, list) else []
        kinds = Counter(kind for each in offered if (kind := _kind(each)))
        return cls(len(offered), dict(sorted(kinds.items())), n_tokens, tuple(steps)[-_MOST_STEPS:])

    @classmethod
    def read(cls, extra: Mapping[str, Any] | None) -> Self | None:
        """Return what a prompt's further fields hold of it; None = nothing, or something else."""
        kept = (extra or {}).get(SITUATION)
        if not isinstance(kept, Mapping):
            return None
        try:
            steps = tuple(Step(str(model), str(status)) for model, status in kept["steps"])
            kinds = {str(kind): int(n) for kind, n in kept["kinds"].items()}
            tokens = kept["n_tokens"]
            return cls(int(kept["n_tools"]), kinds, tokens and int(tokens), steps)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def kept(self) -> dict[str, Any]:
        """Return the further field of a prompt."""
        steps = [list(each) for each in self.steps]
        return {SITUATION: {**self._asdict(), "kinds": dict(self.kinds), "steps": steps}}

    def told(self) -> str:
        """Return it in words."""
        kinds = ", ".join(f"{kind} {n}" for kind, n in self.kinds.items())
        told = [
            f"tools offered: {self.n_tools}" + (f" ({kinds})" if kinds else ""),
            "" if self.n_tokens is None else f"context of {self.n_tokens} tokens",
            self._told_steps(),
        ]
        return "; ".join(filter(None, told))

    def _told_steps(self) -> str:
        if not self.steps:
            return ""
        incumbent = self.steps[-1].model
        own = [each.status for each in self.steps if each.model == incumbent]
        ends = Counter(_ENDS[status] for status in own if status in _ENDS)
        told = "".join(f", {end} {n}" for end, n in sorted(ends.items()))
        return f"last steps: {len(self.steps)}, by {incumbent} {len(own)}{told}"


def _kind(tool: Any) -> str | None:
    """Return what a tool does, by its name; a provider's own by its type."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    named = function if isinstance(function, Mapping) else tool
    name = str(named.get("name") or named.get("type")) if isinstance(named, Mapping) else ""
    return next((kind for kind, words in _KINDS if words.search(name)), None)
