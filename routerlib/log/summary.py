"""Summarise what candidates were asked, so that memory doesn't grow with a log's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerlib.log import queries
from routerlib.log.judging import IS_ASKED
from routerlib.log.packing import SCORES, Packed, n_parts
from routerlib.log.sealed_tables import SealedSnapshot

if TYPE_CHECKING:
    import pandas as pd

_SUMMARY = """
with {priced}
select
    candidate,
    count(*) as calls,
    count(*) filter (status = 'ok') as ok,
    count(*) filter (status = 'truncated') as truncated,
    count(*) filter (status = 'refused') as refused,
    count(*) filter (status = 'empty') as empty,
    count(*) filter (status = 'error') as error,
    count(*) filter (status = 'timeout') as timeout,
    count(quality) as scored,
    avg(quality) as quality,
    sum(input_tokens)::bigint as input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(cost_usd) as cost_usd,
    count(*) filter (cost_usd is null) as cost_unknown,
    quantile_cont(latency_s, 0.5) filter (status = 'ok') as latency_p50_s,
    quantile_cont(latency_s, 0.95) filter (status = 'ok') as latency_p95_s
from {calls}
group by candidate
order by cost_usd, candidate
"""
_OF_LOG = _SUMMARY.format(
    priced=f"{queries.PRICED}, {queries.JUDGED}", calls="costed left join judged using (call_id)"
)
# The same where each call has its quality beside it.
_OF_JUDGED = _SUMMARY.format(priced=queries.PRICED, calls="costed")
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


def keep_small(reader: queries.Reader) -> None:
    """Read calls and scores of a small log once, for several queries that describe candidates."""
    if n_parts(reader) == 1:
        reader.keep("calls", _CALLS)
        reader.keep("scores", SCORES.format(some="true"))


def summary_of(reader: queries.Reader, judge: str | None) -> pd.DataFrame:
    """Return what `CallLog.summary` does; of a large log, its calls are packed for it."""
    if n_parts(reader) == 1:
        summary = reader.frame(_OF_LOG, {"judge": judge})
    else:
        _pack(reader, judge)
        summary = reader.frame(_OF_JUDGED)
    return summary.set_index("candidate")


def _pack(reader: queries.Reader, judge: str | None) -> None:
    """Pack the calls, each with its quality, and the scores of calls that several judges scored."""
    packed = Packed(reader)
    if not isinstance(reader.snapshot, SealedSnapshot):  # there they are quick to read again
        packed.add("scores", SCORES, "score_id")
    packed.add("calls", _JUDGED_CALLS, "call_id", {"judge": judge})
