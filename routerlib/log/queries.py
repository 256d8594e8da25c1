"""Aggregating reads of a log: DuckDB, over the columns that a query names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlib.log.damage import surprises
from routerlib.log.judging import IS_ASKED, RUN_KIND, SOURCE
from routerlib.log.unknown_names import unknown_name
from routerlib.records.call import AUDIT
from routerlib.records.prompt import TEMPLATE_SOURCE, USER_GROUP

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from routerlib.log.sealed import SealedLog
    from routerlib.log.sealed_tables import Part, SealedSnapshot
    from routerlib.log.snapshot import Snapshot

    # What is read: the file of a log, the folder of a sealed dataset, or that with its tails named.
    Source = Path | SealedLog

# A query is often pasted from somewhere: it may read what it is given, and nothing else.
_NO_OUTSIDE: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "temp_directory": "",  # nothing of a log is ever left in a file
    "threads": 1,  # sums in one order: the same log gives the same numbers
    "python_enable_replacements": False,
}

_ROWS_AT_ONCE = 4096

# What is read in place of a table: the table itself with what became known later.
VIEWS = {"prompts": "known_prompts"}

TABLES = ("prompts", "prompt_facts", "runs", "prices", "decisions", "starts", "calls", "scores")

# What a prompt was made from or belongs to, as `Prompt.group` says it.
GROUP_ID = f"""coalesce(
    nullif(json_extract_string(extra, '$.group'), ''),
    case when starts_with(source, '{TEMPLATE_SOURCE}') then source end,
    '{USER_GROUP}' || nullif(json_extract_string(extra, '$.user'), '')
)"""

# The price that was logged last for each candidate, and what each call cost at it. What another
# tool says of a call's cost counts only where it can't be worked out.
_COSTS = """
priced as (
    select * from prices
    qualify row_number() over (partition by candidate order by price_id desc) = 1
), costed as (
    select asked.*, least(coalesce(cached_input_tokens, 0), input_tokens) as n_read,
        least(coalesce(cache_write_tokens, 0), input_tokens - n_read) as n_written,
        least(coalesce(cache_write_1h_tokens, 0), n_written) as n_hour, coalesce((
        (input_tokens - n_read - n_written) * input_usd_per_mtok
        + n_read * coalesce(cached_input_usd_per_mtok, input_usd_per_mtok)
        + (n_written - n_hour) * coalesce(cache_write_usd_per_mtok, input_usd_per_mtok)
        + n_hour * coalesce(
            cache_write_1h_usd_per_mtok, cache_write_usd_per_mtok, input_usd_per_mtok)
        + output_tokens * output_usd_per_mtok
    ) / 1e6, given_cost_usd) as cost_usd
    from asked left join priced using (candidate)
)
"""
# What describes candidates leaves a judge's own calls out.
PRICED = f"asked as (select * from calls where {IS_ASKED}), {_COSTS}"

# A judge that spoke twice on a call has corrected itself: its last word counts. What a person says
# of an answer that was drawn at random checks the other judges, and enters no mean with them.
JUDGED = f"""
judged as (
    select call_id, avg(score) as quality from (
        select call_id, judge, arg_max(score, score_id) as score from scores
        where ($judge is null and judge <> '{AUDIT}') or judge = $judge
        group by call_id, judge
    ) group by call_id
)
"""

# Sets of judges that scored the same calls, a 1 for each of {n} that is in it: their mean is what
# counts as quality. A few bytes a call, where texts would fill the memory.
BLENDED = f"""
select distinct judges::varchar as judges from (
    select bitstring_agg(list_position($judges, judge), 1, {{n}}) as judges
    from scores where judge <> '{AUDIT}' group by call_id
) where bit_count(judges) > 1
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

# One row per call that was made under a decision, those from {since} on.
UNDER_DECISIONS = f"""
with {PRICED}, called as (
    select call_id from calls where decision_id >= {{since}}
), judged as (
    select call_id, avg(score) as quality from (
        select call_id, judge, arg_max(score, score_id) as score
        from scores semi join called using (call_id)
        where ($judge is null and judge <> '{AUDIT}') or judge = $judge
        group by call_id, judge
    ) group by call_id
)
select decision_id, list_position($names, candidate) as arm, status = 'ok' as is_ok, quality,
    cost_usd
from costed left join judged using (call_id) where decision_id >= {{since}}
"""

# One row per decision, with the outcome of the candidate that was chosen; another one that
# answered in its place has the same decision and is no outcome of the choice.
DECIDED = """
select {columns}, avg(quality) as quality,
    coalesce(avg(cost_usd) filter (is_ok), avg(cost_usd)) as cost_usd
from decisions as made
{with_prompts}
left join under on under.decision_id = made.decision_id
    and under.arm = list_position($names, made.candidate)
where made.decision_id >= {since}
group by all
order by made.decision_id
"""


def run(
    path: Source,
    query: str,
    tables: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Run a DuckDB query over the log as it is now."""
    with opened(path, tables) as reader:
        return reader.frame(query, parameters)


def blended(reader: Reader) -> list[str]:
    """Return the judges of calls that more than one has scored, sorted."""
    told = "select distinct judge from scores where judge <> ? order by judge"
    judges = [str(name) for (name,) in reader.rows(told, AUDIT)]
    if len(judges) < 2:  # no need to look at each call
        return []
    sets = reader.frame(BLENDED.format(n=len(judges)), {"judges": judges}).judges
    return [name for place, name in enumerate(judges) if (sets.str[place] == "1").any()]


@contextmanager
def opened(path: Source, tables: Mapping[str, Any] | None = None) -> Iterator[Reader]:
    """Open a log for several queries, all as of one moment.

    `tables`: further tables, or such that stand in place of the log's own.
    """
    with closing(open_tables(path)) as snapshot:
        with surprises(Path(str(path))):
            given = {name: snapshot.table(name, VIEWS.get(name)) for name in TABLES}
        with connected({**given, **(tables or {})}) as connection:
            yield Reader(path, snapshot, connection, given | dict(tables or {}))


@contextmanager
def connected(tables: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB over tables and nothing else."""
    import duckdb

    with duckdb.connect(":memory:", config=_NO_OUTSIDE) as connection:
        # What a command prints may be read by another program: no bar in between.
        connection.execute("set enable_progress_bar = false; set lock_configuration = true")
        for name, table in tables.items():
            connection.register(name, table)
        yield connection


def open_tables(path: Source) -> Snapshot | SealedSnapshot:
    """Open the tables of a log or of a sealed dataset, as they are at this moment."""
    from routerlib.log.sealed import SealedLog, is_dataset
    from routerlib.log.sealed_tables import SealedSnapshot
    from routerlib.log.snapshot import Snapshot

    if isinstance(path, SealedLog):
        return SealedSnapshot(path)
    if is_dataset(path):
        return SealedSnapshot(SealedLog(path))
    with surprises(path):
        return Snapshot(path)


class Reader:
    """DuckDB over the tables of a log as of one moment.

    `path, snapshot, tables`: what is read, opened, and by name.
    """

    def __init__(
        self,
        path: Source,
        snapshot: Snapshot | SealedSnapshot,
        connection: duckdb.DuckDBPyConnection,
        tables: Mapping[str, Any],
    ) -> None:
        self.path = path
        self.snapshot = snapshot
        self._connection = connection
        self.tables = tables
        self._replaced: set[str] = set()

    def frame(self, query: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return what a query finds."""
        return self._found(query, parameters, "df")

    def arrays(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[np.ndarray]:
        """Return what a query finds as arrays, one for each column; NaN where a number is null."""
        import numpy as np

        found = self._found(query, parameters, "fetchnumpy")
        return [
            np.ma.filled(column, np.nan) if column.dtype.kind == "f" else np.ma.getdata(column)
            for column in found.values()
        ]

    def add(self, name: str, table: pd.DataFrame | pa.Table) -> None:
        """Add a table for the queries that follow."""
        self._connection.register(name, table)

    def of_part(self, part: Part | None) -> dict[str, Any]:
        """Return the tables with what a dataset holds of one part of its prompts; None = all."""
        from routerlib.log.sealed_tables import SealedTable

        return {
            name: table.of_part(part) if isinstance(table, SealedTable) else table
            for name, table in self.tables.items()
        }

    def choose(self, part: Part | None) -> None:
        """Let the tables of a dataset be those of one part of its prompts; None = all again."""
        for name, table in self.of_part(part).items():
            if name not in self._replaced:
                self._connection.register(name, table)

    def rows(self, query: str, *values: object) -> list[tuple]:
        """Return what a query with ``?`` for each value finds, row by row."""
        return self._found(query, list(values), "fetchall")

    def each(self, query: str) -> Iterator[tuple]:
        """Go through what a query finds, some thousand rows in memory at a time."""
        with self._told_well():
            found = self._connection.execute(self._worded(query))
            while rows := found.fetchmany(_ROWS_AT_ONCE):
                yield from rows

    @cached_property
    def _has_judges_calls(self) -> bool:
        """Tell whether there may be calls that a judge made of its own."""
        found = self._connection.execute(
            f"select exists (from runs where kind = '{RUN_KIND}') "
            f"or exists (from prompts where source like '{SOURCE}%')"
        ).fetchone()
        return found is None or bool(found[0])

    def keep(self, name: str, query: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Keep what a query finds in memory as a table, for the queries that follow.

        Under the name of one of the log's tables it stands in place of it, so that the file is
        read once for several queries.
        """
        made = f"kept_{name}"
        self._found(f"create or replace temp table {made} as {query}", parameters, "fetchall")
        self.stand(name, f"from {made}")

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run what finds nothing, such as making a table."""
        self._found(statement, parameters, "fetchall")

    def stand(self, name: str, query: str) -> None:
        """Put a query in the place of a table."""
        if name in self.tables and name not in self._replaced:
            self._connection.unregister(name)
        self._replaced.add(name)
        self._connection.execute(f"create or replace temp view {name} as {query}")

    def _found(
        self, query: str, parameters: Mapping[str, Any] | list[object] | None, how: str
    ) -> Any:
        with self._told_well():
            return getattr(self._connection.execute(self._worded(query), parameters or {}), how)()

    def _worded(self, query: str) -> str:
        if IS_ASKED in query and not self._has_judges_calls:
            return query.replace(IS_ASKED, "true")  # fewer columns to read
        return query

    @contextmanager
    def _told_well(self) -> Iterator[None]:
        """Put what goes wrong into words: the log's own where it is at fault."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            if self.snapshot.failure is not None:
                with surprises(Path(str(self.path))):
                    raise self.snapshot.failure from error
            why = unknown_name(str(error), self.tables) or str(error)
            raise ValueError(f"the query over {self.path} failed: {why}") from error
