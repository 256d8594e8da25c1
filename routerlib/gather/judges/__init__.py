"""Grade responses: the judge that a prompt names gives a Score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from routerlib.gather.judges.answers import final_answer
from routerlib.gather.judges.choices import choice, letter
from routerlib.gather.judges.formats import json_object, sql
from routerlib.gather.judges.formulas import math_reference, mathematics
from routerlib.gather.judges.gym import reasoning_gym, verifier_reference
from routerlib.gather.judges.number_styles import for_judge
from routerlib.gather.judges.rules import (
    BadReference,
    contains,
    exact,
    match,
    numeric,
    regex,
    summary,
    verbatim,
)
from routerlib.records.call import Score
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import separate

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

__all__ = ["JUDGES", "BadReference", "check_reference", "final_answer", "judge", "judge_log"]

Grade = Callable[[str, Any], Score]

# Enough to share the cost of a commit, few enough that nobody waits for it.
_SCORES_PER_COMMIT = 200


def of_the_answer(name: str, grade: Grade) -> Grade:
    """Make a judge look at the answer alone; thoughts without an answer get no score."""

    @wraps(grade)
    def grade_answer(response: str, reference: Any) -> Score:
        said = separate(response)
        if said.is_only_thought:
            return Score(name, math.nan, "the response is a thought without an answer")
        return grade(said.answer, reference)

    return grade_answer


_GRADES: dict[str, Grade] = {
    "exact": exact,
    "match": match,
    "verbatim": verbatim,
    "numeric": numeric,
    "math": mathematics,
    "choice": choice,
    "letter": letter,
    "contains": contains,
    "json": json_object,
    "regex": regex,
    "sql": sql,
    "summary": summary,
    "reasoning_gym": reasoning_gym,
}
JUDGES: dict[str, Grade] = {name: of_the_answer(name, grade) for name, grade in _GRADES.items()}


def judge(
    prompt: Prompt,
    response: str,
    name: str | None = None,
    judges: Mapping[str, Grade] = JUDGES,
) -> Score:
    """Grade a response to a prompt."""
    name = name or prompt.judge
    if name is None:
        return Score("none", math.nan, "the prompt names no judge")
    grade = of_the_answer(name, _judge_called(name, judges))
    if prompt.reference is None:
        return Score(name, math.nan, "the prompt has no reference")
    try:
        return replace(grade(response, for_judge(prompt.reference, name)), judge=name)
    except BadReference as error:
        return Score(name, math.nan, str(error))


# `judge_log` has a parameter of the same name.
grade_response = judge


def judge_log(
    log: CallLog,
    judge: str | None = None,
    progress: bool = True,
    *,
    judges: Mapping[str, Grade] | None = None,
    reference: Any = None,
) -> int:
    """Grade every ``ok`` call of a log that has no score of that judge yet; nothing is called.

    Parameters
    ----------
    log : CallLog
        Read for calls, written with scores.
    judge : str or None, default=None
        One of `JUDGES` or of `judges`; None = the judge that each prompt names.
    progress : bool, default=True
        Whether to show a progress bar.
    judges : mapping of str to callable or None, default=None
        Your own judges: name -> function of response and reference that returns a Score, NaN
        where it can't tell.
    reference : Any, default=None
        JSON value for prompts that have no reference of their own, such as a pattern that every
        answer must match.

    Returns
    -------
    int
        Scores written. A call that can't be graded gets none.

    Raises
    ------
    ValueError
        If the judge is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from routerlib.log.call_log import CallLog
    >>> from routerlib.records.call import Call
    >>> log = CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> prompt = Prompt.from_text("Say it in few words: why is the sky blue?", reference=5)
    >>> _ = log.add_prompts([prompt])
    >>> _ = log.add_call(Call(prompt.prompt_id, "small", "b2:x", "ok", "It scatters blue light."))
    >>> def short(response, limit):
    ...     return Score("short", float(len(response.split()) <= limit))
    >>> judge_log(log, "short", progress=False, judges={"short": short})
    1
    """
    from tqdm.auto import tqdm

    known = {**JUDGES, **(judges or {})}
    if judge is not None:
        _judge_called(judge, known)
    graded: list[tuple[int, Score]] = []
    n_written = 0
    for call_id, call, prompt in tqdm(
        log.unjudged_calls(judge), desc="judging", disable=not progress, delay=1
    ):
        if prompt.reference is None and reference is not None:
            prompt = replace(prompt, reference=reference)
        score = grade_response(prompt, call.response or "", judge, known)
        if score.is_scored:
            graded.append((call_id, score))
        if len(graded) >= _SCORES_PER_COMMIT:
            n_written += _add(log, graded)
            graded.clear()
    return n_written + _add(log, graded)


def _add(log: CallLog, graded: Sequence[tuple[int, Score]]) -> int:
    with log.transaction():
        return sum(log.add_scores(call_id, [score]) for call_id, score in graded)


def check_reference(name: str, reference: Any) -> None:
    """Raise BadReference when a judge can't use a reference."""
    grade = _judge_called(name)
    if reference is None:
        return
    reference = for_judge(reference, name)
    if name == "reasoning_gym":  # grading would import the whole package
        verifier_reference(reference)
    elif name == "math":  # ... or start a process
        math_reference(reference)
    else:
        grade("", reference)


def _judge_called(name: str, judges: Mapping[str, Grade] = JUDGES) -> Grade:
    if name not in judges:
        raise ValueError(f"judge must be one of {', '.join(judges)}, got {name!r}")
    return judges[name]
