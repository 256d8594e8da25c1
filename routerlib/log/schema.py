"""Shape of the log: its tables as numbered migrations."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from routerlib.records.call import CALL_STATUSES
from routerlib.records.errors import RouterlibError

# Marks an SQLite file as a log of this library, so that no other database is ever altered.
APPLICATION_ID = 0x524C4F47  # "RLOG"

_STATUSES = ", ".join(f"'{status}'" for status in CALL_STATUSES)
_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

_M001_INITIAL = f"""
create table prompts (
    prompt_id text primary key,
    messages text not null,
    text text not null,
    task text,
    source text not null,
    reference text,
    judge text,
    created_at text not null default ({_NOW})
) strict;

create table runs (
    run_id integer primary key,
    kind text not null,
    parameters text not null,
    versions text not null,
    budget_usd real,
    created_at text not null default ({_NOW})
) strict;

create table prices (
    price_id integer primary key,
    candidate text not null,
    input_usd_per_mtok real not null check (input_usd_per_mtok >= 0),
    output_usd_per_mtok real not null check (output_usd_per_mtok >= 0),
    cached_input_usd_per_mtok real check (cached_input_usd_per_mtok >= 0),
    source text not null,
    as_of text,
    run_id integer references runs (run_id),
    created_at text not null default ({_NOW})
) strict;

create table decisions (
    decision_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    router_hash text not null,
    candidate text not null,
    propensity real not null check (propensity > 0 and propensity <= 1),
    cost_weight real not null,
    estimates text not null,
    reason text not null,
    run_id integer references runs (run_id),
    created_at text not null default ({_NOW})
) strict;

create table calls (
    call_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    candidate text not null,
    params_hash text not null,
    repeat integer not null default 0,
    status text not null check (status in ({_STATUSES})),
    finish_reason text,
    response text,
    input_tokens integer check (input_tokens >= 0),
    cached_input_tokens integer check (cached_input_tokens >= 0),
    output_tokens integer check (output_tokens >= 0),
    reasoning_tokens integer check (reasoning_tokens >= 0),
    latency_s real not null check (latency_s >= 0),
    attempts integer not null check (attempts >= 1),
    error_type text,
    error text,
    run_id integer references runs (run_id),
    decision_id integer references decisions (decision_id),
    created_at text not null default ({_NOW})
) strict;

create index calls_by_cell on calls (prompt_id, candidate, params_hash, repeat);

create table scores (
    score_id integer primary key,
    call_id integer not null references calls (call_id),
    judge text not null,
    score real not null check (score >= 0 and score <= 1),
    rationale text not null default '',
    created_at text not null default ({_NOW})
) strict;

create index scores_by_call on scores (call_id);
"""

_M002_PROMPT_FACTS = f"""
create table prompt_facts (
    fact_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    task text,
    source text not null,
    reference text,
    judge text,
    created_at text not null default ({_NOW})
) strict;

create index prompt_facts_by_prompt on prompt_facts (prompt_id);

create view known_prompts as
select
    prompts.prompt_id,
    messages,
    text,
    iif(fact_id is null, prompts.task, prompt_facts.task) as task,
    iif(fact_id is null, prompts.source, prompt_facts.source) as source,
    iif(fact_id is null, prompts.reference, prompt_facts.reference) as reference,
    iif(fact_id is null, prompts.judge, prompt_facts.judge) as judge,
    prompts.created_at,
    prompt_facts.created_at as known_since
from prompts left join prompt_facts on fact_id = (
    select max(fact_id) from prompt_facts as newer where newer.prompt_id = prompts.prompt_id
)
order by prompts.rowid;
"""

# Calls that another tool logged may lack seconds and attempts, so these can be unknown; SQLite
# lifts a NOT NULL only by copying the table.
_M003_IMPORTS = f"""
alter table prompts add column topic text;
alter table prompts add column extra text check (extra is null or json_valid(extra));
alter table prompt_facts add column topic text;
alter table prompt_facts add column extra text check (extra is null or json_valid(extra));
alter table scores add column extra text check (extra is null or json_valid(extra));

drop view known_prompts;
create view known_prompts as
select
    prompts.prompt_id,
    messages,
    text,
    iif(fact_id is null, prompts.task, prompt_facts.task) as task,
    iif(fact_id is null, prompts.source, prompt_facts.source) as source,
    iif(fact_id is null, prompts.reference, prompt_facts.reference) as reference,
    iif(fact_id is null, prompts.judge, prompt_facts.judge) as judge,
    iif(fact_id is null, prompts.topic, prompt_facts.topic) as topic,
    iif(fact_id is null, prompts.extra, prompt_facts.extra) as extra,
    prompts.created_at,
    prompt_facts.created_at as known_since
from prompts left join prompt_facts on fact_id = (
    select max(fact_id) from prompt_facts as newer where newer.prompt_id = prompts.prompt_id
)
order by prompts.rowid;

create table wider_calls (
    call_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    candidate text not null,
    params_hash text not null,
    repeat integer not null default 0,
    status text not null check (status in ({_STATUSES})),
    finish_reason text,
    response text,
    input_tokens integer check (input_tokens >= 0),
    cached_input_tokens integer check (cached_input_tokens >= 0),
    output_tokens integer check (output_tokens >= 0),
    reasoning_tokens integer check (reasoning_tokens >= 0),
    latency_s real check (latency_s >= 0),
    attempts integer check (attempts >= 1),
    error_type text,
    error text,
    run_id integer references runs (run_id),
    decision_id integer references decisions (decision_id),
    given_cost_usd real check (given_cost_usd >= 0),
    origin text,
    asked_at text,
    extra text check (extra is null or json_valid(extra)),
    created_at text not null default ({_NOW})
) strict;

insert into wider_calls (
    call_id, prompt_id, candidate, params_hash, repeat, status, finish_reason, response,
    input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, latency_s, attempts,
    error_type, error, run_id, decision_id, created_at
) select
    call_id, prompt_id, candidate, params_hash, repeat, status, finish_reason, response,
    input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, latency_s, attempts,
    error_type, error, run_id, decision_id, created_at
from calls;

drop table calls;
alter table wider_calls rename to calls;
create index calls_by_cell on calls (prompt_id, candidate, params_hash, repeat);
create unique index calls_by_origin on calls (origin) where origin is not null;
create index calls_by_decision on calls (decision_id) where decision_id is not null;
"""

_M004_STARTS = f"""
create table starts (
    start_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    candidate text not null,
    params_hash text not null,
    repeat integer not null default 0,
    run_id integer not null references runs (run_id),
    created_at text not null default ({_NOW})
) strict;

create index starts_by_cell on starts (prompt_id, candidate, params_hash, repeat);
"""

# A prompt's messages stand whole in its row, as `[{...}, ...]`, or as numbers of pieces, `[1, 2]`;
# its text is empty where it is the words of these pieces. A piece that isn't there is an error: no
# row is ever told without it.
_M005_PIECES = f"""
create table pieces (
    piece_id integer primary key,
    hash text not null unique,
    json text not null,
    created_at text not null default ({_NOW})
) strict;

alter table calls add column tools_piece integer references pieces (piece_id);

create view whole_prompts as
select
    prompts.rowid as rowid,
    prompt_id,
    iif(substr(messages, 2, 1) between '0' and '9', (
        select iif(
            count(piece) = count(*),
            '[' || group_concat(piece, ',') || ']',
            json('a piece is missing of ' || prompt_id)
        ) from (
            select pieces.json as piece
            from json_each(messages) left join pieces on piece_id = value order by key
        )
    ), messages) as messages,
    iif(text = '', (
        select iif(
            count(words) = count(*),
            group_concat(words, char(10, 10)),
            json('a piece is missing of ' || prompt_id)
        ) from (
            select json_extract(pieces.json, '$.content') as words
            from json_each(messages) left join pieces on piece_id = value order by key
        )
    ), text) as text,
    task, source, reference, judge, created_at, topic, extra
from prompts;

create view whole_calls as
select
    calls.rowid as rowid,
    call_id, prompt_id, candidate, params_hash, repeat, status, finish_reason, response,
    input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, latency_s, attempts,
    error_type, error, run_id, decision_id, given_cost_usd, origin, asked_at,
    iif(tools_piece is null, extra, json_set(extra, '$.tools', json(coalesce(
        (select pieces.json from pieces where piece_id = tools_piece),
        'a piece is missing of call ' || call_id
    )))) as extra,
    created_at
from calls;

drop view known_prompts;
create view known_prompts as
select
    prompts.prompt_id,
    messages,
    text,
    iif(fact_id is null, prompts.task, prompt_facts.task) as task,
    iif(fact_id is null, prompts.source, prompt_facts.source) as source,
    iif(fact_id is null, prompts.reference, prompt_facts.reference) as reference,
    iif(fact_id is null, prompts.judge, prompt_facts.judge) as judge,
    iif(fact_id is null, prompts.topic, prompt_facts.topic) as topic,
    iif(fact_id is null, prompts.extra, prompt_facts.extra) as extra,
    prompts.created_at,
    prompt_facts.created_at as known_since
from whole_prompts as prompts left join prompt_facts on fact_id = (
    select max(fact_id) from prompt_facts as newer where newer.prompt_id = prompts.prompt_id
)
order by prompts.rowid;
"""

# What writing to a provider's cache costs more. Earlier rows don't say, which counts as none.
_M006_CACHE_WRITES = """
alter table calls add column cache_write_tokens integer check (cache_write_tokens >= 0);
alter table prices add column cache_write_usd_per_mtok real check (cache_write_usd_per_mtok >= 0);

drop view whole_calls;
create view whole_calls as
select
    calls.rowid as rowid,
    call_id, prompt_id, candidate, params_hash, repeat, status, finish_reason, response,
    input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, latency_s, attempts,
    error_type, error, run_id, decision_id, given_cost_usd, origin, asked_at,
    iif(tools_piece is null, extra, json_set(extra, '$.tools', json(coalesce(
        (select pieces.json from pieces where piece_id = tools_piece),
        'a piece is missing of call ' || call_id
    )))) as extra,
    created_at, cache_write_tokens
from calls;
"""

# What a cache keeps for an hour, which costs more than for five minutes.
_M007_CACHE_WRITES_FOR_AN_HOUR = """
alter table calls add column cache_write_1h_tokens integer check (cache_write_1h_tokens >= 0);
alter table prices add column cache_write_1h_usd_per_mtok real
    check (cache_write_1h_usd_per_mtok >= 0);

drop view whole_calls;
create view whole_calls as
select
    calls.rowid as rowid,
    call_id, prompt_id, candidate, params_hash, repeat, status, finish_reason, response,
    input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, latency_s, attempts,
    error_type, error, run_id, decision_id, given_cost_usd, origin, asked_at,
    iif(tools_piece is null, extra, json_set(extra, '$.tools', json(coalesce(
        (select pieces.json from pieces where piece_id = tools_piece),
        'a piece is missing of call ' || call_id
    )))) as extra,
    created_at, cache_write_tokens, cache_write_1h_tokens
from calls;
"""


def _append_only(*tables: str) -> str:
    return "".join(
        f"create trigger {table}_no_{verb} before {verb} on {table} begin "
        f"select raise(abort, '{table} is append-only: write a new row instead'); end;\n"
        for table in tables
        for verb in ("update", "delete")
    )


# Position i turns version i into version i + 1; never edit one that has been released.
MIGRATIONS: tuple[str, ...] = (
    _M001_INITIAL + _append_only("prompts", "runs", "prices", "decisions", "calls", "scores"),
    _M002_PROMPT_FACTS + _append_only("prompt_facts"),
    _M003_IMPORTS + _append_only("calls"),
    _M004_STARTS + _append_only("starts"),
    _M005_PIECES + _append_only("pieces"),
    _M006_CACHE_WRITES,
    _M007_CACHE_WRITES_FOR_AN_HOUR,
)
VERSION = len(MIGRATIONS)


class LogError(RouterlibError, RuntimeError):
    """A log that can't be used: not ours, newer than this library, damaged or read-only."""


def refuse_newer(version: int, path: Path) -> None:
    """Raise LogError for a log that has had more migrations than this library knows."""
    if version > VERSION:
        raise LogError(
            f"the log {path} has schema {version}, this routerlib knows up to {VERSION}; "
            "update routerlib to open it"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of migrations that the log has had."""
    return int(connection.execute("pragma user_version").fetchone()[0])
