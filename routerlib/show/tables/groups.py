"""Sort prompts into groups that people recognise: by task, by length, with or without code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import detect_task
from routerlib.outcomes.outcomes import Outcomes

_CODE_MARKS = ("n_code_fences", "n_inline_code", "n_identifiers", "n_indented_lines")
_N_LENGTHS = 3


class Group(NamedTuple):
    """Some of the prompts, and what they have in common.

    `is_member` (n_prompts,): which prompts.
    """

    kind: str
    name: str
    is_member: np.ndarray


def prompt_groups(outcomes: Outcomes) -> list[Group]:
    r"""Sort prompts by task, by length and by code; each kind divides all prompts.

    >>> prompts = ["Hi!", "Tell me a joke, please.", "```\nprint(1)\n```\nWhat is printed?"]
    >>> outcomes = Outcomes(prompts, ["small"], [[1], [1], [0]], topics=["chat", "chat", "code"])
    >>> groups = prompt_groups(outcomes)
    >>> [(group.name, int(group.is_member.sum())) for group in groups if group.kind != "length"]
    [('chat', 2), ('code', 1), ('with code', 1), ('without code', 2)]
    """
    tasks = np.array(outcomes.topics or [detect_task(prompt) for prompt in outcomes.prompts])
    groups = [Group("task", str(task), tasks == task) for task in np.unique(tasks)]
    groups += _by_length(np.array([len(prompt) for prompt in outcomes.prompts]))
    has_code = _has_code(outcomes.prompts)
    groups += [Group("code", "with code", has_code), Group("code", "without code", ~has_code)]
    return [group for group in groups if group.is_member.any()]


def _has_code(prompts: Sequence[str]) -> np.ndarray:
    marks = [SURFACE_NAMES.index(name) for name in _CODE_MARKS]
    is_marked = surface_features(prompts)[:, marks].sum(axis=1) > 0
    return is_marked | np.array([detect_task(prompt) == "code" for prompt in prompts], dtype=bool)


def _by_length(lengths: np.ndarray) -> list[Group]:
    first, last = np.quantile(lengths, [1 / _N_LENGTHS, 2 / _N_LENGTHS]).astype(int)
    return [
        Group("length", f"up to {first} characters", lengths <= first),
        Group("length", f"{first + 1} to {last} characters", (lengths > first) & (lengths <= last)),
        Group("length", f"over {last} characters", lengths > last),
    ]
