"""What a log tells of its candidates besides scores: which model answered, who gave no label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import groupby
from typing import TYPE_CHECKING

from routerlib.log.counted import IS_FIRST
from routerlib.log.judging import (
    IS_ASKED,
    IS_OF_NO_JUDGES_PROMPT,
    IS_OF_NO_JUDGES_RUN,
    RUN_KIND,
    SOURCE,
)
from routerlib.log.sealed import STRIDE
from routerlib.records.brief import n_of
from routerlib.records.call import UNTOLD
from routerlib.records.decision import AFTER_DECISION, STEP

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

_ANSWERED_BY = f"""
select candidate, (extra ->> '$.answered_by') as model, count(*),
    min(coalesce(asked_at, created_at))
from calls where (extra ->> '$.answered_by') is not null and {IS_ASKED}
group by candidate, model order by candidate, min(call_id)
"""
# Who was asked, and how: an index tells it without the calls themselves.
_KNOWN = "select distinct candidate, params_hash from calls"
_ENDS = f"""
select
    candidate, count(*), count(*) filter (where status = 'ok'),
    count(*) filter (where status = 'ok' and exists
        (select 1 from scores where scores.call_id = calls.call_id))
from calls where candidate in ({{marks}}) and {IS_ASKED} group by candidate order by min(call_id)
"""
# Of each candidate that was asked in several ways: the way, calls and scored prompts of each, the
# known way that counts first, the unknown one last. A cascade's further answers choose no way.
_WAYS = f"""
select
    candidate, params_hash, count(*), count(distinct case when status = 'ok' and exists
        (select 1 from scores where scores.call_id = calls.call_id) then prompt_id end)
from calls where candidate in ({{marks}}) and {IS_ASKED} and {IS_FIRST}
group by candidate, params_hash
order by candidate, params_hash = '{UNTOLD}', 4 desc, max(call_id) desc
"""
_HAS_IMPORTS = "select 1 from runs where kind = 'import' limit 1"
_HAS_JUDGES_RUNS = f"select 1 from runs where kind = '{RUN_KIND}' limit 1"
_N_ASKED = "select count(distinct prompt_id) from calls where {asked}"
_N_SILENT = f"""
select count(*) from prompts where source not like '{SOURCE}%' and exists (
    select 1 from calls
    where calls.prompt_id = prompts.prompt_id and status = 'ok' and {IS_OF_NO_JUDGES_RUN}
) and not exists (
    select 1 from calls join scores using (call_id)
    where calls.prompt_id = prompts.prompt_id and score is not null
)
"""
_FAILED = f"""
select candidate, coalesce(error_type, status) as kind, max(error), count(*) as n from calls
where candidate in ({{marks}}) and status <> 'ok' and {IS_ASKED}
group by candidate, kind order by n, kind desc
"""
# Answers that a cascade asked for after another answer, those of them with a score, and the answers
# before them without one: each step's reason names the decision before it.
_NUMBER_AT = len(AFTER_DECISION) + 1
_FURTHER = f"""
with steps as (
    select decision_id, decision_id - decision_id % {STRIDE} + cast(substr(
        reason, {_NUMBER_AT}, instr(reason, ':') - {_NUMBER_AT}
    ) as integer) as before
    from decisions where router_hash = '{STEP}' and reason like '{AFTER_DECISION}%:%'
), further as (
    select call_id from calls join steps using (decision_id) where status = 'ok' and {IS_ASKED}
)
select
    (select count(*) from further),
    (select count(*) from further where call_id in (select call_id from scores)),
    (
        select count(*) from calls where status = 'ok' and decision_id in (select before from steps)
        and not exists (select 1 from scores where scores.call_id = calls.call_id) and {IS_ASKED}
    )
"""


def told_of_unscored(log: CallLog, n_scored: int) -> list[str]:
    """Say how many prompts were asked beyond those with a score, which outcomes don't have.

    `n_scored`: prompts with a score of some candidate that counts.
    """
    # Without a judge's run, prompts tell of them all, and an index of prompts is enough.
    asked = IS_ASKED if log.lookup(_HAS_JUDGES_RUNS) else IS_OF_NO_JUDGES_PROMPT
    (n_asked,) = log.lookup(_N_ASKED.format(asked=asked))[0]
    n = n_asked - n_scored
    if n <= 0:
        return []
    who, them = ("1 more prompt was", "it") if n == 1 else (f"{n} more prompts were", "them")
    learnt = f"nothing is learnt of {them}, nor tested on {them}"
    return [f"{who} asked, but no answer of these candidates has a score that counts: {learnt}"]


def told_of_silent(log: CallLog) -> list[str]:
    """Say how many prompts were answered, but no answer of them has a score yet."""
    (n,) = log.lookup(_N_SILENT)[0]
    if not n:
        return []
    who, they = ("1 prompt has", "it tells") if n == 1 else (f"{n} prompts have", "they tell")
    return [
        f"{who} answers that nobody has scored: {they} nothing yet of how good the router is "
        "(feedback to what was served, or routerlib judge)"
    ]


def told_of_steps(log: CallLog) -> list[str]:
    """Say which labels of a cascade's traffic aren't learnt from, and which are missing for it.

    Both aren't missing at random: a further candidate is only asked where an answer looked bad,
    and where scores are given for what was given back, the answers that looked bad have none.
    """
    n_further, n_scored, n_silent = log.lookup(_FURTHER)[0]
    lines = []
    if n_further:
        lines.append(
            f"left out: {n_of(n_further, 'answers')} ({n_scored} scored) that a cascade asked for "
            "after another one, which describe hard prompts only: learn of dear candidates by "
            "`collect` or `serve --explore`, which draws the first call"
        )
    if n_silent:
        lines.append(
            f"{n_of(n_silent, 'answers')} after which a cascade asked on "
            f"{'has' if n_silent == 1 else 'have'} no score, so that its first "
            "candidates look better than they are: score them too (`routerlib judge`)"
        )
    return lines


def changes_of_model(log: CallLog) -> list[str]:
    """Say which candidates were answered for by one model and later by another.

    A provider may move a name to another model; what was learnt of the first may not hold for it.
    """
    lines = []
    for candidate, rows in groupby(log.lookup(_ANSWERED_BY), key=lambda row: row[0]):
        told = [(model, n, since) for _, model, n, since in rows]
        if len(told) > 1:
            models = ", ".join(
                f"{model} ({n_of(n, 'calls')} since {since[:10]})" for model, n, since in told
            )
            lines.append(f"{candidate} was answered for by more than one model: {models}")
    return lines


def told_of_ways(log: CallLog, used: Collection[str] | None = None) -> list[str]:
    """Say which calls count together though nobody told how some were asked, and which don't.

    `used`: names that a router can choose from; None = all of the log.
    """
    n_ways = Counter(name for name, _ in log.lookup(_KNOWN) if used is None or name in used)
    several = [name for name, n in n_ways.items() if n > 1]
    if not several:
        return []
    joined, lines = [], []
    rows = log.lookup_some(_WAYS, several)
    for candidate, found in groupby(rows, key=lambda row: row[0]):
        ways = list(found)
        if len(ways) == 1:  # it was asked in others by a judge, or as a further step
            continue
        untold = [row for row in ways if row[1] == UNTOLD]
        counts, *others = [row for row in ways if row[1] != UNTOLD]
        if untold:
            joined.append(f"{candidate} ({untold[0][2]} beside {counts[2]})")
        if others:
            lines.append(
                f"{candidate} was asked in {len(others) + 1} ways, such as with other settings: "
                f"the one with the most scored prompts counts ({n_of(counts[3], 'prompts')}), "
                f"{n_of(sum(row[2] for row in others), 'calls')} of others "
                f"({sum(row[3] for row in others)} scored) are left out"
            )
    if joined:
        lines.insert(
            0,
            "imported calls of which nobody told how they were asked count beside those asked in "
            f"a known way: {', '.join(joined)}; if that was another way, import the table into a "
            "new log with --settings WORDS",
        )
    return lines


def told_of_imported(log: CallLog) -> list[str]:
    """Say the same where tables were imported, and nothing, at no cost, of any other log."""
    return told_of_ways(log) if log.lookup(_HAS_IMPORTS) else []


def left_out(
    log: CallLog, used: Collection[str], wanted: Collection[str] | None = None
) -> list[str]:
    """Say which candidates of a log are not among those used, and why.

    `used`: names that a router can choose from.
    `wanted`: names that were asked for; None = all of the log.
    """
    others = sorted({name for name, _ in log.lookup(_KNOWN)} - {*used})
    if not others:
        return []
    ends = list(log.lookup_some(_ENDS, others))
    unanswered = [candidate for candidate, _, n_ok, _ in ends if not n_ok]
    # The last of each candidate is the commonest.
    commonest = {name: told for name, *told in log.lookup_some(_FAILED, unanswered)}
    lines = []
    for candidate, n_calls, n_ok, n_scored in ends:
        if wanted is not None and candidate not in wanted:
            why = "it was not asked for"
        elif n_scored:
            why = f"only {n_scored} of its answers are scored"
        elif n_ok:
            why = f"none of its {n_of(n_ok, 'answers')} is scored; see `routerlib judge`"
        else:
            kind, error, n_such = commonest[candidate]
            why = f"none of its {n_of(n_calls, 'calls')} was answered ({n_such} {kind}"
            why += f": {error})" if error else ")"
        lines.append(f"{candidate} is left out: {why}")
    return lines
