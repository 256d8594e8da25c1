"""Queries over the calls by which candidates count on prompts."""

from __future__ import annotations

from routerlib.log import queries
from routerlib.records.call import UNTOLD
from routerlib.records.decision import STEP

WAYS = f"""
    select candidate, params_hash from told semi join several using (candidate)
    where params_hash <> '{UNTOLD}'
    group by candidate, params_hash
    qualify row_number() over (
        partition by candidate
        order by count(distinct prompt_id) filter (quality is not null) desc, max(call_id) desc
    ) = 1
"""
# A cascade asks on only where an answer looked bad: what it got then describes these prompts, and
# not its candidate. Whoever was asked first was chosen by the prompt alone.
STEPS = f"select decision_id from decisions where router_hash = '{STEP}'"
IS_FIRST = f"(decision_id is null or decision_id not in ({STEPS}))"
# Calls of which nobody told how they were asked count with those of the way that counts.
OF_WAYS = f"""
    select told.* from told
    left join ways using (candidate)
    where ways.params_hash is null or told.params_hash in (ways.params_hash, '{UNTOLD}')
"""
# A candidate that was asked in several ways counts by the way with the most scored prompts, the
# newest among ties.
CURRENT = f"""
told as materialized (
    select call_id, prompt_id, candidate, params_hash, {{further}} status, cost_usd, quality,
        latency_s, try_cast(json_extract_string(extra, '$.first_token_s') as double)
        as first_token_s
    from costed left join judged using (call_id) where {IS_FIRST}
), several as (
    select candidate from told where params_hash <> '{UNTOLD}'
    group by candidate having min(params_hash) <> max(params_hash)
), ways as ({{ways}}), current as ({OF_WAYS})
"""
# The ways that count, of candidates that were asked in several.
CHOSEN_WAYS = f"""
with {queries.PRICED}, {queries.JUDGED}, {CURRENT.format(further="", ways=WAYS)} from ways
"""

# One row per (prompt, candidate), in no order. A cell with any ok call is judged by its ok calls;
# without one it has failed.
_CELLS = f"""
with {queries.PRICED}, {queries.JUDGED}, {CURRENT.format(further="", ways="{ways}")}
select
    prompt_id,
    candidate,
    avg(quality) as quality,
    coalesce(
        avg(cost_usd) filter (status = 'ok'),
        avg(cost_usd)
    ) as cost_usd,
    avg(latency_s) filter (status = 'ok' and isfinite(latency_s)) as latency_s,
    avg(first_token_s) filter (status = 'ok' and isfinite(first_token_s) and first_token_s >= 0)
        as first_token_s,
    count(*) filter (status = 'ok') = 0 as is_failed,
    min(call_id) as first_call
from current
group by prompt_id, candidate
"""
CELLS = _CELLS.format(ways=WAYS)
# The same where the ways that count were chosen before, in a table.
CELLS_BY_WAYS = _CELLS.format(ways="from chosen_ways")

_IS_STORED = "repeat, response is not null as is_stored,"
# One row per (prompt, candidate) with an answer that can be shown: of the first repeat, the newest.
_ANSWERS = f"""
with {queries.PRICED}, {queries.JUDGED}, {CURRENT.format(further=_IS_STORED, ways="{ways}")}
select prompt_id, candidate, call_id
from current
where status = 'ok' and is_stored
qualify row_number() over (partition by prompt_id, candidate order by repeat, call_id desc) = 1
order by call_id
"""
ANSWERS = _ANSWERS.format(ways=WAYS)
ANSWERS_BY_WAYS = _ANSWERS.format(ways="from chosen_ways")

# One row per scored (prompt, candidate, repeat), in no order.
_REPEATS = f"""
with {queries.PRICED}, {queries.JUDGED}, {CURRENT.format(further="repeat,", ways="{ways}")}
select prompt_id, candidate, repeat, avg(quality) as quality, min(call_id) as first_call
from current
where quality is not null
group by prompt_id, candidate, repeat
"""
REPEATS = _REPEATS.format(ways=WAYS)
REPEATS_BY_WAYS = _REPEATS.format(ways="from chosen_ways")
