"""Rank what would bring an open verdict nearer, by what the log holds: the cheapest first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.evaluation.planning import guess_plan, guess_told
from routerlib.evaluation.pseudo_outcomes import left_out
from routerlib.log.cell_ends import cell_ends
from routerlib.metrics.clusters import FEW_GROUPS

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.evaluation.verdict import Verdict
    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.outcomes import Outcomes

_SHOW_EMPTY = (
    'routerlib log sql "select candidate, prompt_id, status, response from calls '
    "where status in ('empty', 'refused')\""
)
_BY_EVERY = (
    "Only prompts that every candidate has answered count (routerlib collect), not served ones "
    "with one answer each."
)


class Progress(NamedTuple):
    """How far a verdict is: a share of what it is planned to take, and that in words."""

    share: float
    told: str


def next_steps(
    log: CallLog, test: Outcomes, verdict: Verdict, *, judge: str | None = None
) -> list[str]:
    """Say what to do next where a verdict is open, the cheapest first; else nothing.

    Scoring what is answered costs nothing but time; a larger ``max_tokens`` asks one candidate
    anew; further prompts ask them all.

    Parameters
    ----------
    log : CallLog
        What `test` was read from.
    test : Outcomes
        Held-out prompts.
    verdict : Verdict
        On these.
    judge : str or None, default=None
        Whose scores `test` has; None = the mean over judges.

    Returns
    -------
    list of str
    """
    if verdict.kind != "not_measurable":
        return []
    if len(test.models) < 2:
        return [
            f"Collect and judge another candidate on these prompts: {test.models[0]} is the only "
            "one here, and with one there is nothing to choose."
        ]
    missing = _missing(log, test, judge)
    n_incomplete = int(missing.prompt_id.nunique())
    return [
        *_unjudged(missing),
        *_cut_off(missing, n_incomplete, test),
        *_broken_off(missing, n_incomplete),
        *_empty(missing, n_incomplete),
        *_unanswered(missing),
        *_more_prompts(verdict),
    ]


def _missing(log: CallLog, test: Outcomes, judge: str | None) -> pd.DataFrame:
    """Return a row per missing score: how the calls ended, the best first, and what it has."""
    import pandas as pd

    lacks = np.isnan(test.quality) & ~left_out(test)
    rows, arms = np.nonzero(lacks)
    cells = pd.DataFrame(
        {
            "prompt_id": [test.prompt_ids[row] for row in rows.tolist()],
            "candidate": [test.models[arm] for arm in arms.tolist()],
        },
        dtype=object,
    )
    told = cell_ends(log.source, dict.fromkeys(cells.prompt_id), judge)
    found = cells.merge(told.cells, how="left", on=["prompt_id", "candidate"])
    is_open = pd.Series(True, index=found.index)
    for end in ("has_answer", "is_cut", "is_broken", "is_empty"):
        found[end] = found[end].eq(True) & is_open
        is_open &= ~found[end]
    return found.assign(
        has_reference=found.prompt_id.isin(told.with_reference),
        is_judgeable=found.is_judgeable.eq(True),
        # What was served stands in no file of prompts that could be collected again.
        is_unanswered=is_open & ~found.prompt_id.isin(told.served),
    )


def _unjudged(missing: pd.DataFrame) -> list[str]:
    answered = missing[missing.is_judgeable]
    with_reference = int(answered.has_reference.sum())
    steps = []
    if with_reference:
        steps.append(
            f"Judge {_counted(with_reference, 'answer')} that nobody has scored though the prompt "
            "has a reference: routerlib judge --judge auto. No model is called."
        )
    if without := len(answered) - with_reference:
        steps.append(
            f"Score {_counted(without, 'answer')} to prompts without a reference: "
            "routerlib judge --judge llm --judge-candidate NAME, or by hand."
        )
    return steps


def _cut_off(missing: pd.DataFrame, n_incomplete: int, test: Outcomes) -> list[str]:
    """Advise a larger cap, first where most prompts are incomplete for it."""
    cut = missing[missing.is_cut]
    steps = []
    for name, n in Counter(cut.candidate).most_common():
        tokens = cut[cut.candidate == name].cut_tokens.max()
        at = "" if np.isnan(tokens) else f" (at {tokens:.0f} tokens at most)"
        steps.append(
            f"Raise max_tokens of {name} and collect again: its answers were cut off{at} on "
            f"{n} of {_lacking(n_incomplete)}. It is asked all prompts anew."
        )
        n_groups = _groups_without(test, name)
        if n_groups and len(test.models) > 2:  # one model alone leaves nothing to choose
            steps[-1] += (
                f" That costs {_counted(n_groups, 'group')} of prompts, which leaving it out "
                "(--models) would give back too."
            )
    return steps


def _broken_off(missing: pd.DataFrame, n_incomplete: int) -> list[str]:
    """Tell of answers whose end is not that of a cap, so that a larger one would not help."""
    broken = missing[missing.is_broken]
    of_all = f"of {_lacking(n_incomplete)}"
    steps = []
    for name, n in Counter(broken.candidate).most_common():
        words = sorted(set(broken[broken.candidate == name].cut_by))
        steps.append(
            f"Look at the server of {name}: on {n} {of_all} it ended answers by "
            f"{', '.join(map(repr, words))}, which is no word for a whole answer nor for a cap "
            "(docs/providers.md), so they get no score. A larger max_tokens would not help."
        )
    return steps


def _empty(missing: pd.DataFrame, n_incomplete: int) -> list[str]:
    counts = Counter(missing[missing.is_empty].candidate)
    if not counts:
        return []
    whose = ", ".join(f"{name} on {n}" for name, n in counts.most_common())
    return [
        f"Look at what is empty or refused, which has no score and is not asked again: {whose} of "
        f"{_lacking(n_incomplete)} ({_SHOW_EMPTY})."
    ]


def _groups_without(test: Outcomes, model: str) -> int:
    """Count the groups that have no complete prompt only because of one candidate."""
    is_known = ~np.isnan(test.quality) | left_out(test)
    others = np.array(test.models) != model
    alone, all_of = (
        np.unique(test.groups[known.all(axis=1)]) for known in (is_known[:, others], is_known)
    )
    return len(alone) - len(all_of)


def _unanswered(missing: pd.DataFrame) -> list[str]:
    counts = Counter(missing[missing.is_unanswered].candidate)
    if not counts:
        return []
    whose = ", ".join(f"{name} on {n}" for name, n in counts.most_common())
    return [f"Collect again (routerlib collect) what has no answer yet, or failed: {whose}."]


def _more_prompts(verdict: Verdict) -> list[str]:
    numbers = verdict.numbers
    n, n_groups = numbers.get("n") or 0, numbers.get("n_groups") or 0
    if n_groups < min(FEW_GROUPS, n):
        kinds = (
            f"Add prompts of at least {FEW_GROUPS - n_groups:.0f} other kinds: these {n:.0f} stand "
            f"in {n_groups:.0f} groups (of one template, document, conversation or user each), and "
            f"{FEW_GROUPS} are needed to begin with"
        )
        effect = numbers.get("smallest_effect")
        if effect:
            kinds += (
                f"; a verdict takes about {guess_plan(effect).more(int(n_groups))} more prompts"
            )
            kinds += f" in all ({guess_told(effect)})"
        return [f"{kinds}. {_BY_EVERY}"]
    if n < FEW_GROUPS:
        steps = f"Collect at least {FEW_GROUPS - n:.0f} more held-out prompts to begin with"
        if effect := numbers.get("smallest_effect"):
            steps += f"; a verdict takes about {guess_plan(effect).more(int(n))} more in all"
            steps += f" ({guess_told(effect)})"
        return [f"{steps}. {_BY_EVERY}"]
    kinds = " of other kinds than these" if n_groups < n else ""
    low, high = (numbers.get(f"more_prompts_needed_{end}") for end in ("low", "high"))
    if high is None:
        return [f"Collect more prompts{kinds}. {_BY_EVERY}"]
    more = f"up to {high:.0f}" if low is None else f"about {low:.0f} to {high:.0f}"
    more = f"about {high:.0f}" if low == high else more
    return [f"Collect {more} more prompts{kinds}. {_BY_EVERY}"]


def progress_of(verdict: Verdict) -> Progress | None:
    """Say how far an open verdict is from what it is planned to take; None = nobody knows."""
    numbers = verdict.numbers
    n, n_groups = numbers.get("n") or 0, numbers.get("n_groups") or 0
    if verdict.kind != "not_measurable":
        return None
    if n_groups < min(FEW_GROUPS, n):
        told = f"{n_groups:.0f} of the {FEW_GROUPS} groups of prompts that a verdict begins with"
        return Progress(n_groups / FEW_GROUPS, told)
    if n < FEW_GROUPS:
        told = f"{n:.0f} of the {FEW_GROUPS} held-out prompts that a verdict begins with"
        return Progress(n / FEW_GROUPS, told)
    needed = numbers.get("prompts_needed")
    if needed is None:
        return None
    # A plan by a guess counts prompts that are each of a kind of their own.
    have = n_groups if verdict.fallback is not None else n
    if have >= needed:
        return None
    what = "prompts" if have == n else f"independent prompts ({n:.0f} in {n_groups:.0f} groups)"
    more = (numbers.get(f"more_prompts_needed_{end}") for end in ("low", "high"))
    ends = sorted({have + each for each in more if each is not None}) or [needed]
    in_all = " to ".join(f"{end:.0f}" for end in ends)  # what the step beside it asks for, from 0
    return Progress(have / needed, f"{have:.0f} of about {in_all} {what}")


def _lacking(n: int) -> str:
    return f"{_counted(n, 'prompt')} that {'lacks' if n == 1 else 'lack'} a score"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
