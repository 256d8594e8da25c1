"""Propose the judge that fits a reference; nothing is judged by it until somebody says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from routerlib.gather.judges import BadReference, check_reference
from routerlib.records.brief import brief, n_of
from routerlib.records.prompt import Prompt

# In place of a judge's name: for each prompt the one that is proposed.
AUTO = "auto"

_MOST_WORDS = 3  # of a reference that an answer may well hold word for word
_FORMULA = re.compile(r"\\[a-zA-Z]+|[\w)]\s*[\^=]\s*[\w(-]|^\$.*\$$", re.DOTALL)
_QUERY = re.compile(r"\s*(select|with)\s.*\b(from|as)\b", re.IGNORECASE | re.DOTALL)
# What only one judge reads in an object.
_KEYS = {
    "numeric": {"value"},
    "letter": {"letter", "options"},
    "choice": {"label", "labels"},
    "contains": {"phrases"},
    "summary": {"source", "facts"},
    "reasoning_gym": {"dataset", "entry"},
}


def propose_judge(reference: Any) -> str | None:
    r"""Return the judge that fits a reference, None where only a person or an LLM can tell.

    >>> [propose_judge(each) for each in (391, "3/4", "5 km", "B", "Paris", r"\frac{x}{2}")]
    ['numeric', 'numeric', 'numeric', 'letter', 'match', 'math']
    >>> propose_judge("It depends on what the reader knows already.") is None
    True
    """
    if isinstance(reference, dict):
        fitting = (name for name, keys in _KEYS.items() if keys <= set(reference))
        return _first_that_reads(reference, [*fitting, "json"])
    if isinstance(reference, str):
        return _first_that_reads(reference, _for_text(reference.strip()))
    if isinstance(reference, list):
        texts = [each for each in reference if isinstance(each, str)]
        is_short = len(texts) == len(reference) and all(map(_is_short, texts))
        return _first_that_reads(reference, ["match"] if is_short else [])
    return _first_that_reads(reference, ["numeric", "exact"])


def _for_text(text: str) -> list[str]:
    """Return the judges to try for a text, the one that asks most of it first."""
    if re.fullmatch(r"[A-Z]", text):
        return ["letter"]
    if _QUERY.match(text):
        return ["sql"]
    numeric = ["numeric"] if re.search(r"\d", text) and len(text.split()) <= _MOST_WORDS else []
    formula = ["math"] if _FORMULA.search(text) else []
    return [*numeric, *formula, *(["match"] if _is_short(text) else [])]


def _is_short(text: str) -> bool:
    return 0 < len(text.split()) <= _MOST_WORDS


def _first_that_reads(reference: Any, names: Iterable[str]) -> str | None:
    for name in names:
        try:
            check_reference(name, reference)
        except BadReference:
            continue
        return name
    return None


def without_judge(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Return the prompts whose reference nobody compares answers with."""
    return list(filter(_lacks_judge, prompts))


def _lacks_judge(prompt: Prompt) -> bool:
    return prompt.reference is not None and prompt.judge is None


def proposal(prompts: Iterable[Prompt]) -> str:
    """Say which judges fit references that have none; "" where all have one.

    >>> print(proposal([Prompt.from_text("What is 17 * 23?", reference="391")]))
    1 prompt has a reference but no judge, so their answers can't be scored: numeric fits 1
    (such as '391'); --judge auto takes what fits, --judge NAME one for all
    """
    examples: dict[str | None, Any] = {}
    counts: Counter[str | None] = Counter()
    for prompt in filter(_lacks_judge, prompts):
        name = propose_judge(prompt.reference)
        counts[name] += 1
        examples.setdefault(name, prompt.reference)
    if not counts:
        return ""
    told = [
        f"{name} fits {n} (such as {brief(examples[name])})"
        for name, n in counts.most_common()
        if name is not None
    ]
    if n_unfit := counts[None]:
        shown = brief(examples[None])
        told.append(f"{n_unfit} need an LLM or a person as the judge (such as {shown})")
    advice = "--judge auto takes what fits, --judge NAME one for all"
    if set(counts) == {None}:
        advice = "`routerlib judge --judge llm --judge-candidate NAME` asks an LLM, after collect"
    return (
        f"{n_of(counts.total(), 'prompts have', 'prompt has')} a reference but no judge, so their "
        f"answers can't be scored: {', '.join(told)}; {advice}"
    )


def with_judge(prompts: Sequence[Prompt], name: str | None) -> list[Prompt]:
    """Give a judge to prompts that have a reference and none.

    `name`: a judge; `AUTO` for the one that is proposed, where one is; None = leave all as it is.

    Raises
    ------
    ValueError
        If there is no such judge, or it can't use a reference.
    """
    if name is None:
        return list(prompts)
    lacking = {each.prompt_id for each in without_judge(prompts)}
    return [_judged(each, name) if each.prompt_id in lacking else each for each in prompts]


def _judged(prompt: Prompt, name: str) -> Prompt:
    if name == AUTO:
        return replace(prompt, judge=propose_judge(prompt.reference))
    check_reference(name, prompt.reference)
    return replace(prompt, judge=name)
