"""What `routerlib inspect` tells of a log, read in one pass over its calls and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from routerlib.log import queries
from routerlib.log.candidates_seen import changes_of_model, told_of_imported
from routerlib.log.judging import SOURCE
from routerlib.log.summary import keep_small, summary_of

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log.call_log import CallLog

_TASKS = f"""
select task, count(*) as prompts from prompts where source not like '{SOURCE}%'
group by task order by prompts desc, task
"""
_TOPICS = f"""
select topic, count(*) as prompts from prompts
where topic is not null and source not like '{SOURCE}%'
group by topic order by prompts desc, topic
"""
_SEVERAL_MODELS = """
select candidate from calls group by candidate having min(answered_by) <> max(answered_by)
"""

_LOGPROBS = """
select candidate, count(*) filter (has_logprobs) as known, count(*) as answers
from calls where status in ('ok', 'truncated') group by candidate having known > 0
order by candidate
"""


class Overview(NamedTuple):
    """A log in a few tables and lines.

    `summary, judging`: as of `CallLog.summary` and `CallLog.judging`.
    `tasks`: columns task and prompts (a count), the most frequent first.
    `topics`: columns topic and prompts, of prompts that name one, the most frequent first.
    `blended`: judges whose scores of the same calls are averaged; none where one was chosen.
    `changes`: as of `changes_of_model`, and of `told_of_imported`.
    `logprobs`: a line for each candidate of whose answers log-probabilities are kept.
    """

    summary: pd.DataFrame
    judging: pd.DataFrame
    tasks: pd.DataFrame
    topics: pd.DataFrame
    blended: list[str]
    changes: list[str]
    logprobs: list[str]


def overview(log: CallLog, judge: str | None = None) -> Overview:
    """Summarise a log, as of one moment.

    `judge`: count only this judge's scores; None = the mean over judges.
    """
    with queries.opened(log.source) as reader:
        judging = reader.frame(queries.JUDGING).set_index("judge")
        keep_small(reader)
        summary = summary_of(reader, judge)
        blended = queries.blended(reader) if judge is None else []
        has_changes = not reader.frame(_SEVERAL_MODELS).empty
        tasks, topics = reader.frame(_TASKS), reader.frame(_TOPICS)
        known = reader.frame(_LOGPROBS)
    logprobs = [
        f"log-probabilities are kept of {row.known} of {row.answers} answers of {row.candidate}"
        for row in known.itertuples()
    ]
    changes = changes_of_model(log) if has_changes else []
    changes += told_of_imported(log)
    return Overview(summary, judging, tasks, topics, blended, changes, logprobs)
