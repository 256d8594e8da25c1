"""What `routerlib inspect` tells of a log, read in one pass over its calls and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from routerlib.log import queries
from routerlib.log.candidates_seen import changes_of_model, told_of_imported
from routerlib.log.judging import IS_ASKED, SOURCE
from routerlib.log.packing import SCORES, Packed, n_parts
from routerlib.log.sealed_tables import SealedSnapshot

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log.call_log import CallLog

# The rest is about candidates: a judge's own calls are left out here, once for all.
_CALLS = f"""
select '' as prompt_id, null::bigint as run_id, call_id, candidate, status, input_tokens,
    cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, latency_s,
    given_cost_usd,
    json_extract_string(extra, '$.answered_by') as answered_by,
    json_extract(extra, '$.logprobs.n_tokens') is not null as has_logprobs
from calls where {IS_ASKED}
"""
# A range of calls at once: the scores of all of them together would fill the memory.
_JUDGED_CALLS = f"""
with chosen as ({_CALLS} and {{some}}),
some_scores as (select * from scores where {{some}}),
{queries.JUDGED.replace("from scores", "from some_scores")}
select chosen.*, quality from chosen left join judged using (call_id)
"""
_SCORES = "select score_id, call_id, judge, score from scores"
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


def _pack(reader: queries.Reader, judge: str | None) -> None:
    """Pack the calls, each with its quality, and the scores of calls that several judges scored."""
    packed = Packed(reader)
    if not isinstance(reader.snapshot, SealedSnapshot):  # there they are quick to read again
        packed.add("scores", SCORES, "score_id")
    packed.add("calls", _JUDGED_CALLS, "call_id", {"judge": judge})


def overview(log: CallLog, judge: str | None = None) -> Overview:
    """Summarise a log, as of one moment.

    `judge`: count only this judge's scores; None = the mean over judges.
    """
    with queries.opened(log.source) as reader:
        judging = reader.frame(queries.JUDGING).set_index("judge")
        summarised, blended = queries.SUMMARY, list[str]()
        if n_parts(reader) == 1:
            reader.keep("calls", _CALLS)
            reader.keep("scores", _SCORES)
        else:
            summarised = queries.SUMMARY_OF_JUDGED
            _pack(reader, judge)
        given = {"judge": judge} if summarised == queries.SUMMARY else None
        summary = reader.frame(summarised, given).set_index("candidate")
        if judge is None:
            blended = queries.blended(reader)
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
