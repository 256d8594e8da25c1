"""Grade responses: the judge that a prompt names gives a Score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from routerlib.judges.answers import final_answer
from routerlib.judges.formats import json_object, sql
from routerlib.judges.gym import reasoning_gym, verifier_reference
from routerlib.judges.rules import (
    BadReference,
    choice,
    contains,
    exact,
    numeric,
    regex,
    summary,
    verbatim,
)
from routerlib.types import Prompt, Score

if TYPE_CHECKING:
    from routerlib.log import CallLog

__all__ = ["JUDGES", "BadReference", "check_reference", "final_answer", "judge", "judge_log"]

JUDGES: dict[str, Callable[[str, Any], Score]] = {
    "exact": exact,
    "verbatim": verbatim,
    "numeric": numeric,
    "choice": choice,
    "contains": contains,
    "json": json_object,
    "regex": regex,
    "sql": sql,
    "summary": summary,
    "reasoning_gym": reasoning_gym,
}


def judge(prompt: Prompt, response: str, name: str | None = None) -> Score:
    r"""Grade a response to a prompt.

    Parameters
    ----------
    prompt : Prompt
        Gives the reference, and the judge when `name` is None.
    response : str
        What the candidate model wrote.
    name : str or None, default=None
        One of `JUDGES`.

    Returns
    -------
    Score
        1 = right, 0 = wrong; NaN when there is no judge or reference, or the reference is
        broken: then nothing can be said about the response.

    Raises
    ------
    ValueError
        If the judge is unknown.

    Examples
    --------
    >>> prompt = Prompt.from_text("What is 17 * 23?", reference=391, judge="numeric")
    >>> judge(prompt, "17 * 23 is 391.\nAnswer: 391").score
    1.0
    """
    name = name or prompt.judge
    if name is None:
        return Score("none", math.nan, "the prompt names no judge")
    grade = _judge_called(name)
    if prompt.reference is None:
        return Score(name, math.nan, "the prompt has no reference")
    try:
        return grade(response, prompt.reference)
    except BadReference as error:
        return Score(name, math.nan, str(error))


def judge_log(log: CallLog, judge: str | None = None, progress: bool = True) -> int:
    """Grade every ``ok`` call of a log that has no score of that judge yet.

    Parameters
    ----------
    log : CallLog
        Read for calls, written with scores.
    judge : str or None, default=None
        One of `JUDGES`; None = the judge that each prompt names.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    int
        Scores written. A call that can't be graded gets none.

    Raises
    ------
    ValueError
        If the judge is unknown.
    """
    from tqdm.auto import tqdm

    if judge is not None:
        _judge_called(judge)
    n_written = 0
    waiting = log.unjudged_calls(judge)
    for call_id, call, prompt in tqdm(waiting, desc="judging", disable=not progress):
        if not call.is_ok:
            continue
        score = grade_response(prompt, call.response or "", judge)
        if score.is_scored:
            log.add_scores(call_id, [score])
            n_written += 1
    return n_written


# `judge_log` has a parameter of the same name.
grade_response = judge


def check_reference(name: str, reference: Any) -> None:
    """Raise BadReference when a judge can't use a reference.

    Parameters
    ----------
    name : str
        One of `JUDGES`.
    reference : Any
        JSON value; None is allowed and means "no verdict".

    Raises
    ------
    BadReference
        Saying what the judge expects.
    ValueError
        If the judge is unknown.

    Examples
    --------
    >>> check_reference("numeric", "a dozen")
    Traceback (most recent call last):
        ...
    routerlib.judges.rules.BadReference: judge 'numeric' needs a number, ... got 'a dozen'
    """
    grade = _judge_called(name)
    if reference is None:
        return
    if name == "reasoning_gym":  # grading would import the whole package
        verifier_reference(reference)
    else:
        grade("", reference)


def _judge_called(name: str) -> Callable[[str, Any], Score]:
    if name not in JUDGES:
        raise ValueError(f"judge must be one of {', '.join(JUDGES)}, got {name!r}")
    return JUDGES[name]
