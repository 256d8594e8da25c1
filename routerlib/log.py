"""The append-only log of prompts, calls, scores and decisions in one SQLite file.

What is logged is never changed: what becomes known later is a new row. Token counts are
stored, money is derived from them and the dated price table, so that a new price needs no
new call. A failed call is a row with its status and never a score. Writes go through
sqlite3, each in its own committed transaction; every read that aggregates goes through
DuckDB over Arrow tables, safely while another process writes.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from routerlib import queries, schema
from routerlib.schema import LogError
from routerlib.types import Call, CandidateModel, Decision, Price, Prompt, Score, canonical_json

if TYPE_CHECKING:
    import pandas as pd

_FINISHED = ("ok", "truncated", "refused", "empty")
_PROMPT_COLUMNS = ("prompt_id", "messages", "text", "task", "source", "reference", "judge")

# What is given replaces what is known; what is not given stays.
_ADD_FACTS = """
insert into prompt_facts (prompt_id, task, source, reference, judge)
select
    prompt_id,
    coalesce(:task, task),
    :source,
    coalesce(:reference, reference),
    coalesce(:judge, judge)
from known_prompts
where prompt_id = :prompt_id and (
    coalesce(:task, task) is not task
    or coalesce(:reference, reference) is not reference
    or coalesce(:judge, judge) is not judge
)
"""
# How a transaction begins, ends well, and ends badly.
_OUTERMOST = ("begin immediate", "commit", "rollback")
_NESTED = ("savepoint part", "release part", "rollback to part", "release part")
_LOGGED_VERSIONS = ("routerlib", "openai", "xllamacpp", "lightgbm", "scikit-learn", "duckdb")


class CallLog:
    """Open a log, made on first use.

    Parameters
    ----------
    path : str or Path
        The SQLite file; its folder is made if absent.
    read_only : bool, default=False
        Open an existing log without ever writing to it.

    Raises
    ------
    LogError
        If the file is not a log of this library, has a newer schema or can't be opened.

    Examples
    --------
    >>> import tempfile
    >>> log = CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> log.add_prompts([Prompt.from_text("What is 2 + 2?", task="math")])
    1
    >>> log.sql("select task, count(*) as n from prompts group by task").n.tolist()
    [1]
    >>> log.close()
    """

    def __init__(self, path: str | Path, read_only: bool = False) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._connection = schema.connect(self.path, read_only)

    def close(self) -> None:
        """Close the file; the log object can't be used afterwards."""
        with self._lock:  # closing under a thread that reads would crash the interpreter
            self._connection.close()

    def __enter__(self) -> CallLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"CallLog({str(self.path)!r})"

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all that is written inside at once; a block inside another one is a part of it.

        A block that raises leaves nothing behind. The outermost block commits.

        Raises
        ------
        LogError
            If the file can't be written.
        """
        with self._lock:
            is_part = self._connection.in_transaction
            begin, commit, *rollback = _NESTED if is_part else _OUTERMOST
            try:
                self._connection.execute(begin)
                yield self._connection
                self._connection.execute(commit)
            except BaseException as error:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    for statement in rollback:
                        self._connection.execute(statement)
                if isinstance(error, sqlite3.OperationalError):
                    raise LogError(f"cannot write to the log {self.path}: {error}") from error
                raise

    # -- writing ---

    def add_prompts(self, prompts: Iterable[Prompt]) -> int:
        """Store prompts that are not there yet, and what became known of those that are.

        Parameters
        ----------
        prompts : iterable of Prompt
            Prompts. Where one is logged already, its task, reference and judge, if given and
            different, are stored as a new row; a judge looks at its calls again.

        Returns
        -------
        int
            How many were new.
        """
        n_new = 0
        with self.transaction() as connection:
            for prompt in prompts:
                row = _prompt_row(prompt)
                n_new += connection.execute(
                    "insert into prompts (prompt_id, messages, text, task, source, reference, "
                    "judge) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
                    row,
                ).rowcount
                connection.execute(_ADD_FACTS, dict(zip(_PROMPT_COLUMNS, row, strict=True)))
        return n_new

    def start_run(
        self, kind: str, parameters: Mapping[str, Any], budget_usd: float | None = None
    ) -> int:
        """Record that a collection, training or serving run begins.

        Parameters
        ----------
        kind : str
            Such as ``collect``, ``train``, ``ask``.
        parameters : mapping
            What it was started with; JSON values only, and no key.
        budget_usd : float or None, default=None
            Cap on its spending, US dollars.

        Returns
        -------
        int
            The run's number.
        """
        return self._insert(
            "runs",
            kind=kind,
            parameters=canonical_json(dict(parameters)),
            versions=canonical_json(_versions()),
            budget_usd=budget_usd,
        )

    def add_prices(self, candidates: Iterable[CandidateModel], run_id: int | None = None) -> None:
        """Append each candidate's price where it differs from the one that was logged last."""
        known = self.prices()
        for candidate in candidates:
            price = candidate.price
            if known.get(candidate.name) == price:
                continue
            self._insert(
                "prices",
                candidate=candidate.name,
                input_usd_per_mtok=float(price.input_usd_per_mtok),
                output_usd_per_mtok=float(price.output_usd_per_mtok),
                cached_input_usd_per_mtok=price.cached_input_usd_per_mtok,
                source=price.source,
                as_of=price.as_of,
                run_id=run_id,
            )

    def add_call(self, call: Call, run_id: int | None = None, scores: Iterable[Score] = ()) -> int:
        """Append one call, with its scores where a judge has already spoken.

        Parameters
        ----------
        call : Call
            The request's outcome; its prompt must be logged.
        run_id : int or None, default=None
            The run it belongs to.
        scores : iterable of Score, default=()
            Verdicts; those without a score are left out.

        Returns
        -------
        int
            The call's number.

        Raises
        ------
        ValueError
            If a call that is not ``ok`` comes with a score.
        """
        usage = call.usage
        with self.transaction():
            call_id = self._insert(
                "calls",
                prompt_id=call.prompt_id,
                candidate=call.candidate,
                params_hash=call.params_hash,
                repeat=call.repeat,
                status=call.status,
                finish_reason=call.finish_reason,
                response=call.response,
                input_tokens=usage and usage.input_tokens,
                cached_input_tokens=usage and usage.cached_input_tokens,
                output_tokens=usage and usage.output_tokens,
                reasoning_tokens=usage and usage.reasoning_tokens,
                latency_s=float(call.latency_s),
                attempts=call.attempts,
                error_type=call.error_type,
                error=call.error,
                run_id=run_id,
                decision_id=call.decision_id,
            )
            self._insert_scores(call_id, call.status, scores)
        return call_id

    def add_scores(self, call_id: int, scores: Iterable[Score]) -> int:
        """Append verdicts on a call that is logged.

        Parameters
        ----------
        call_id : int
            Number of the call.
        scores : iterable of Score
            Verdicts; those without a score are left out.

        Returns
        -------
        int
            How many were stored.

        Raises
        ------
        ValueError
            If there is no such call, or it failed: a failed call never becomes a label.
        """
        found = self.lookup("select status from calls where call_id = ?", call_id)
        if not found:
            raise ValueError(f"there is no call {call_id!r} in {self.path}")
        with self.transaction():
            return self._insert_scores(call_id, found[0][0], scores)

    def _insert_scores(self, call_id: int, status: str, scores: Iterable[Score]) -> int:
        told = [score for score in scores if score.is_scored]
        if told and status != "ok":
            raise ValueError(
                f"only a call with status 'ok' can have a score, call {call_id} is {status!r}"
            )
        for score in told:
            self._insert(
                "scores",
                call_id=call_id,
                judge=score.judge,
                score=float(score.score),
                rationale=score.rationale,
            )
        return len(told)

    def add_decision(self, prompt_id: str, decision: Decision, run_id: int | None = None) -> int:
        """Append one routing decision with its propensity and return its number."""
        return self._insert(
            "decisions",
            prompt_id=prompt_id,
            router_hash=decision.router_hash,
            candidate=decision.model,
            propensity=float(decision.propensity),
            cost_weight=float(decision.cost_weight),
            estimates=canonical_json({k: dict(v) for k, v in decision.estimates.items()}),
            reason=decision.reason,
            run_id=run_id,
        )

    def _insert(self, table: str, **values: Any) -> int:
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        statement = f"insert into {table} ({columns}) values ({marks})"
        with self._lock:
            if self._connection.in_transaction:
                cursor = self._connection.execute(statement, tuple(values.values()))
            else:
                with self.transaction() as connection:
                    cursor = connection.execute(statement, tuple(values.values()))
        return int(cursor.lastrowid or 0)

    # -- reading ---

    def lookup(self, query: str, *values: Any) -> list[tuple]:
        """Run an SQLite query: quick where an index finds a few rows; `sql` is for the rest.

        Parameters
        ----------
        query : str
            SQLite's SQL, with ``?`` for each value.
        *values
            What stands for them.

        Returns
        -------
        list of tuple
            The rows.
        """
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def finished_cells(self) -> set[tuple[str, str, str, int]]:
        """Return the cells that need not be asked again.

        Returns
        -------
        set of tuple (prompt_id, candidate, params_hash, repeat)
            Cells with an answer, complete or not; errors and timeouts are asked again.
        """
        marks = ", ".join("?" * len(_FINISHED))
        return set(
            self.lookup(
                "select distinct prompt_id, candidate, params_hash, repeat from calls "
                f"where status in ({marks})",
                *_FINISHED,
            )
        )

    def prompts(self) -> list[Prompt]:
        """Return every logged prompt, in the order of logging."""
        rows = self.lookup("select messages, task, reference, judge, source from known_prompts")
        return [_prompt_from_row(row) for row in rows]

    def prices(self) -> dict[str, Price]:
        """Return the price that was logged last for each candidate."""
        rows = self.lookup(
            "select candidate, input_usd_per_mtok, output_usd_per_mtok, "
            "cached_input_usd_per_mtok, source, as_of from prices order by price_id"
        )
        return {name: Price(*rest) for name, *rest in rows}

    def unjudged_calls(self, judge: str | None = None) -> list[tuple[int, Call, Prompt]]:
        """Return the ok calls that a judge has not scored yet.

        Parameters
        ----------
        judge : str or None, default=None
            Name of the judge; None = calls that the judge named by their prompt has not scored.

        Returns
        -------
        list of tuple (call_id, Call, Prompt)
            In the order of logging.
        """
        rows = self.lookup(
            "select call_id, prompt_id, candidate, params_hash, status, response, repeat, "
            "messages, task, reference, known.judge, source "
            "from calls join known_prompts as known using (prompt_id) "
            "where status = 'ok' and coalesce(?1, known.judge) is not null and not exists ("
            " select 1 from scores where scores.call_id = calls.call_id"
            " and scores.judge = coalesce(?1, known.judge)"
            " and scores.created_at >= coalesce(known_since, '')) order by call_id",
            judge,
        )
        return [
            (
                row[0],
                Call(row[1], row[2], row[3], row[4], response=row[5], repeat=row[6]),
                _prompt_from_row(row[7:]),
            )
            for row in rows
        ]

    def sql(self, query: str, **tables: Any) -> pd.DataFrame:
        """Run a DuckDB query over the log as it is now.

        Parameters
        ----------
        query : str
            DuckDB SQL over prompts, runs, prices, calls, scores, decisions.
        **tables : DataFrame or pyarrow.Table
            Further tables that the query names.

        Returns
        -------
        DataFrame
            The query's result.

        Raises
        ------
        ValueError
            If the query is wrong, with DuckDB's own explanation.
        """
        return queries.run(self.path, query, tables)

    def summary(self) -> pd.DataFrame:
        """Summarise what was asked, one row per candidate model.

        Returns
        -------
        DataFrame, index candidate
            Calls and each status (counts), scored (calls with a score), quality (mean score,
            NaN without scores), input_tokens and output_tokens (sums), cost_usd (US dollars at
            the prices logged last), cost_unknown (calls that cost_usd leaves out), latency_p50_s
            and latency_p95_s (seconds, of ok calls).
        """
        summary = queries.run(self.path, queries.SUMMARY, parameters={"judge": None})
        return summary.set_index("candidate")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _LOGGED_VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _prompt_row(prompt: Prompt) -> tuple:
    return (
        prompt.prompt_id,
        canonical_json([dict(message) for message in prompt.messages]),
        prompt.text,
        prompt.task,
        prompt.source,
        None if prompt.reference is None else canonical_json(prompt.reference),
        prompt.judge,
    )


def _prompt_from_row(row: tuple) -> Prompt:
    messages, task, reference, judge, source = row
    return Prompt(
        messages=tuple(json.loads(messages)),
        task=task,
        reference=None if reference is None else json.loads(reference),
        judge=judge,
        source=source,
    )
