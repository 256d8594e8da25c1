"""Aggregating reads of a log: SQLite to Arrow, then DuckDB."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlib.log.damage import surprises
from routerlib.log.judging import IS_ASKED, SOURCE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A query is often pasted from somewhere: it may read what it is given, and nothing else.
_NO_OUTSIDE: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
    "lock_configuration": True,
}

_NO_TABLE = re.compile(r"Table with name (\w+) does not exist")
_NO_COLUMN = re.compile(r'column "(\w+)" not found|not have a column named "(\w+)"')

# What is read in place of a table: the table itself with what became known later.
_VIEWS = {"prompts": "known_prompts"}

TABLES = ("prompts", "prompt_facts", "runs", "prices", "decisions", "starts", "calls", "scores")

# The price that was logged last for each candidate, and what each call cost at it. What another
# tool says of a call's cost counts only where it can't be worked out.
_COSTS = """
priced as (
    select * from prices
    qualify row_number() over (partition by candidate order by price_id desc) = 1
), costed as (
    select asked.*, coalesce((
        (input_tokens - least(cached_input_tokens, input_tokens)) * input_usd_per_mtok
        + least(cached_input_tokens, input_tokens)
        * coalesce(cached_input_usd_per_mtok, input_usd_per_mtok)
        + output_tokens * output_usd_per_mtok
    ) / 1e6, given_cost_usd) as cost_usd
    from asked left join priced using (candidate)
)
"""
# What describes candidates leaves a judge's own calls out.
_PRICED = f"asked as (select * from calls where {IS_ASKED}), {_COSTS}"

# A judge that spoke twice on a call has corrected itself: its last word counts.
_JUDGED = """
judged as (
    select call_id, avg(score) as quality from (
        select * from scores
        where $judge is null or judge = $judge
        qualify row_number() over (partition by call_id, judge order by score_id desc) = 1
    ) group by call_id
)
"""

# Judges of calls that more than one has scored: their mean is what counts as quality.
BLENDED = """
select judge, count(distinct call_id) as n_calls from scores
where call_id in (select call_id from scores group by call_id having count(distinct judge) > 1)
group by judge order by judge
"""

SUMMARY = f"""
with {_PRICED}, {_JUDGED}
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
from costed left join judged using (call_id)
group by candidate
order by cost_usd, candidate
"""

# One row per judge that made calls of its own, and per model that it asked.
JUDGING = f"""
with asked as (select * from calls where not ({IS_ASKED})), {_COSTS}
select
    if(starts_with(source, '{SOURCE}'), substr(source, {len(SOURCE) + 1}), 'judge') as judge,
    candidate as asked,
    count(*) as calls,
    count(*) filter (status = 'ok') as ok,
    count(*) filter (status <> 'ok') as failed,
    sum(input_tokens)::bigint as input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(cost_usd) as cost_usd
from costed join prompts using (prompt_id)
group by all
order by judge, asked
"""

# Known costs of the calls that each run logged.
SPENT_BY_RUN = f"""
with asked as (select * from calls), {_COSTS}
select coalesce(run_id, 0) as run_id, sum(cost_usd) as cost_usd from costed
where cost_usd is not null and isfinite(cost_usd) group by all
"""

# A candidate that was asked in several ways counts by the way with the most scored prompts, the
# newest among ties.
_CURRENT = """
ways as (
    select candidate, params_hash
    from asked left join judged using (call_id)
    group by candidate, params_hash
    qualify row_number() over (
        partition by candidate
        order by count(distinct prompt_id) filter (quality is not null) desc, max(call_id) desc
    ) = 1
), current as (
    select costed.*, quality
    from costed semi join ways using (candidate, params_hash)
    left join judged using (call_id)
)
"""

# One row per (prompt, candidate). A cell with any ok call is judged by its ok calls; without one
# it has failed.
CELLS = f"""
with {_PRICED}, {_JUDGED}, {_CURRENT}
select
    prompt_id,
    candidate,
    avg(quality) as quality,
    coalesce(
        avg(cost_usd) filter (status = 'ok'),
        avg(cost_usd)
    ) as cost_usd,
    count(*) filter (status = 'ok') = 0 as is_failed,
    min(call_id) as first_call
from current
group by prompt_id, candidate
order by first_call
"""

# One row per scored (prompt, candidate, repeat).
REPEATS = f"""
with {_PRICED}, {_JUDGED}, {_CURRENT}
select prompt_id, candidate, repeat, avg(quality) as quality, min(call_id) as first_call
from current
where quality is not null
group by prompt_id, candidate, repeat
order by first_call
"""

# One row per decision, with the outcome of the candidate that was chosen; another one that
# answered in its place has the same decision and is no outcome of the choice.
DECIDED = f"""
with {_PRICED}, {_JUDGED}
select
    decisions.decision_id,
    decisions.prompt_id,
    text,
    router_hash,
    decisions.candidate,
    propensity,
    cost_weight,
    estimates,
    decisions.created_at,
    avg(quality) as quality,
    coalesce(avg(cost_usd) filter (status = 'ok'), avg(cost_usd)) as cost_usd
from decisions
join prompts using (prompt_id)
left join costed on costed.decision_id = decisions.decision_id
    and costed.candidate = decisions.candidate
left join judged using (call_id)
group by all
order by decisions.decision_id
"""


def run(
    path: Path,
    query: str,
    tables: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Run a DuckDB query over the log as it is now."""
    import duckdb

    given = dict(tables or {})
    named = [name for name in TABLES if re.search(rf"\b{name}\b", query, re.IGNORECASE)]
    with duckdb.connect(":memory:", config=_NO_OUTSIDE) as connection:
        given |= read_arrow(path, [name for name in named if name not in given])
        for name, table in given.items():
            connection.register(name, table)
        try:
            return connection.execute(query, dict(parameters or {})).df()
        except duckdb.Error as error:
            why = _unknown_name(str(error), given) or str(error)
            raise ValueError(f"the query over {path} failed: {why}") from error


def _unknown_name(complaint: str, tables: Mapping[str, Any]) -> str | None:
    """Say which names there are, the nearest first, where DuckDB doesn't know one."""
    if unknown := _NO_TABLE.search(complaint):
        return _suggested("table", unknown.group(1), {*TABLES, *tables})
    if unknown := _NO_COLUMN.search(complaint):
        columns = {column for table in tables.values() for column in _columns(table)}
        return _suggested("column", unknown.group(1) or unknown.group(2), columns)
    return None


def _suggested(kind: str, unknown: str, known: set[str]) -> str | None:
    near = get_close_matches(unknown.lower(), sorted(known), n=1)
    if not near:
        return None
    return (
        f"there is no {kind} {unknown!r}, did you mean {near[0]}? There are "
        f"{', '.join(sorted(known))}"
    )


def _columns(table: Any) -> list[str]:
    return list(getattr(table, "column_names", None) or table.columns)


def read_arrow(
    path: Path, names: Sequence[str], views: Mapping[str, str] = _VIEWS
) -> dict[str, pa.Table]:
    """Read whole tables of a log, all as of one moment."""
    import pyarrow as pa
    from adbc_driver_sqlite import dbapi

    arrow_types = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}
    found = {}
    with (
        surprises(path),
        _copied(path) as copy,
        dbapi.connect(f"{copy.as_uri()}?immutable=1") as connection,
        connection.cursor() as cursor,
    ):
        # One batch: the driver takes a column's type from its first batch only.
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "10000000"})
        for name in names:
            cursor.execute(f"select name, type from pragma_table_info('{name}')")
            columns = cursor.fetchall()
            wanted = pa.schema([(column, arrow_types[kind]) for column, kind in columns])
            source = views.get(name, name)
            cursor.execute(f"select {', '.join(wanted.names)} from {source}")
            found[name] = cursor.fetch_arrow_table().cast(wanted)
    return found


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """Copy a log as of this moment, for the driver to read.

    Why a copy: the driver brings an SQLite library of its own, and two of them in one process must
    never have the same file open. Where one closes it, POSIX drops the locks that the other holds;
    whoever opens the log next believes itself alone and cuts off the shared memory that others
    are using, which kills them with SIGBUS in the middle of a write. This happened.
    """
    with tempfile.TemporaryDirectory(prefix="routerlib-") as folder:
        copy = Path(folder) / "log.db"
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", 30, uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            target.execute("pragma synchronous = off")
            source.backup(target)
        yield copy
