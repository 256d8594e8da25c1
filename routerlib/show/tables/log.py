"""Tables of what is asked, answered and decided, as the log holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from routerlib.log.judging import IS_ASKED
from routerlib.records.call import CALL_STATUSES
from routerlib.records.thoughts import separate
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.numbers import short

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.records.call import CandidateModel
    from routerlib.records.prompt import Prompt


def prompts_by_task(prompts: Sequence[Prompt], n_known: int | None = None) -> Table:
    """Count prompts by task, with those that a program can judge.

    Parameters
    ----------
    prompts : Sequence of Prompt
        What will be asked.
    n_known : int or None, default=None
        How many prompts there are, where these are but the first of them.

    Returns
    -------
    Table

    Examples
    --------
    >>> from routerlib.records.prompt import Prompt
    >>> print(prompts_by_task([Prompt.from_text("What is 2 + 3?", task="math")]))
    task  prompts  with a judge  for example
    math        1             0  What is 2 + 3?
    """
    import pandas as pd

    counts = Counter(prompt.task or "unknown" for prompt in prompts)
    judged = Counter(prompt.task or "unknown" for prompt in prompts if prompt.judge)
    example = {prompt.task or "unknown": short(prompt.text) for prompt in reversed(prompts)}
    frame = pd.DataFrame(
        {
            "task": list(counts),
            "n": list(counts.values()),
            "with a judge": [judged[task] for task in counts],
            "for example": [example[task] for task in counts],
        }
    ).sort_values("task")
    extent = f"{len(prompts)} prompts"
    if n_known is not None and n_known > len(prompts):
        extent = f"The first {len(prompts)} of {n_known} prompts"
    return table(frame, f"{extent} by task")


def candidates_table(candidates: Sequence[CandidateModel]) -> Table:
    """Show how candidate models are called, and what they charge.

    Parameters
    ----------
    candidates : Sequence of CandidateModel
        Whom to ask.

    Returns
    -------
    Table
    """
    import pandas as pd

    rows = [
        {
            "candidate": each.name,
            "model at the provider": each.model,
            "provider": each.provider,
            "input (US dollars per million tokens)": each.price.input_usd_per_mtok,
            "output (US dollars per million tokens)": each.price.output_usd_per_mtok,
            "price from": " ".join(filter(None, (each.price.source, each.price.as_of))),
        }
        for each in candidates
    ]
    return table(pd.DataFrame(rows), "Candidate models and their prices")


def log_summary(log: CallLog) -> Table:
    """Show what each candidate model was asked, answered and cost.

    Parameters
    ----------
    log : CallLog
        Any log.

    Returns
    -------
    Table
        One row per candidate model; the columns of `CallLog.summary`, without ways to fail
        that never happened.
    """
    summary = log.summary().rename(columns={"cost_usd": "total_usd"})
    faults = [status for status in CALL_STATUSES if status != "ok"] + ["cost_unknown"]
    summary = summary.drop(columns=[name for name in faults if not summary[name].any()])
    return table(summary, "All calls in the log, by candidate model")


def judging(log: CallLog) -> Table:
    """Show what judges that call a model did and cost, apart from what candidates did.

    Parameters
    ----------
    log : CallLog
        Any log.

    Returns
    -------
    Table
        The columns of `CallLog.judging`; without rows where no judge made a call.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from routerlib.log.call_log import CallLog
    >>> judging(CallLog(Path(tempfile.mkdtemp()) / "logs.db")).rows
    ()
    """
    summary = log.judging().rename(columns={"cost_usd": "total_usd"})
    return table(summary, "Calls that judges made, which describe no candidate model")


def statuses(log: CallLog) -> Table:
    """Show how calls ended that gave no complete answer, by type.

    Parameters
    ----------
    log : CallLog
        Any log.

    Returns
    -------
    Table
        Without rows when every call gave a complete answer.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from routerlib.log.call_log import CallLog
    >>> statuses(CallLog(Path(tempfile.mkdtemp()) / "logs.db")).rows
    ()
    """
    frame = log.sql(
        "select candidate, status, coalesce(error_type, finish_reason, '') as why, "
        f"count(*) as calls from calls where status <> 'ok' and {IS_ASKED} "
        "group by all order by all"
    )
    return table(frame, "Calls without a complete answer (none of them is ever a label)")


def example_answers(log: CallLog, n_prompts: int = 4) -> Table:
    """Show answers beside their scores, first those on which candidate models differ most.

    Parameters
    ----------
    log : CallLog
        Any log.
    n_prompts : int, default=4
        Prompts at most; each with all its complete answers.

    Returns
    -------
    Table
    """
    frame = log.sql(
        "with answers as (select call_id, prompt_id, candidate, response, avg(score) as score "
        f"from calls left join scores using (call_id) where status = 'ok' and {IS_ASKED} "
        "group by all), "
        "telling as (select prompt_id, min(call_id) as first_call from answers group by prompt_id "
        "order by coalesce(max(score) - min(score), 0) desc, max(call_id) desc "
        f"limit {int(n_prompts)}) "
        "select text as prompt, candidate, response as answer, reference, score "
        "from answers join telling using (prompt_id) join prompts using (prompt_id) "
        "order by first_call, call_id"
    )
    frame["answer"] = [separate(text).answer for text in frame["answer"].fillna("")]
    for column in ("prompt", "answer", "reference"):
        frame[column] = [short(str(text)) for text in frame[column].fillna("")]
    return table(frame, "Examples: what was asked, what came back, what the judge says")


def last_decisions(log: CallLog, n_decisions: int = 10) -> Table:
    """Show the latest routing decisions with the calls that followed.

    Parameters
    ----------
    log : CallLog
        Any log.
    n_decisions : int, default=10
        Rows at most.

    Returns
    -------
    Table
    """
    frame = log.sql(
        "select text as prompt, decisions.candidate, propensity, status, response as answer, "
        "max(case when scores.judge = 'person' then score end) as \"a person's score\" "
        "from decisions join prompts using (prompt_id) left join calls using (decision_id) "
        "left join scores using (call_id) "
        "group by decision_id, text, decisions.candidate, propensity, status, response "
        f"order by decision_id desc limit {int(n_decisions)}"
    )
    frame["answer"] = [separate(text).answer for text in frame["answer"].fillna("")]
    for column in ("prompt", "answer"):
        frame[column] = [short(str(text)) for text in frame[column].fillna("")]
    return table(frame, "Latest decisions and the calls that followed")
