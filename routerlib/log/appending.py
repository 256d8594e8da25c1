"""Append to a log: each write is a committed transaction, or all of several are."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from routerlib.log import file as log_file
from routerlib.log import pieces, unsaved
from routerlib.log import rows as log_rows
from routerlib.log.damage import damaged, is_damage, surprises
from routerlib.log.schema import LogError
from routerlib.records.call import Call, CandidateModel, Price, Score
from routerlib.records.canonical import canonical_json
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt
from routerlib.records.situations import SITUATION

# What is given replaces what is known; what is not given stays.
_ADD_FACTS = """
insert into prompt_facts (prompt_id, task, source, reference, judge, topic, extra)
select
    prompt_id,
    coalesce(:task, task),
    :source,
    coalesce(:reference, reference),
    coalesce(:judge, judge),
    coalesce(:topic, topic),
    coalesce(:extra, extra)
from known_prompts
where prompt_id = :prompt_id and (
    coalesce(:task, task) is not task
    or coalesce(:reference, reference) is not reference
    or coalesce(:judge, judge) is not judge
    or coalesce(:topic, topic) is not topic
    or coalesce(:extra, extra) is not extra
)
"""

_KNOWN_EXTRA = "select extra from known_prompts where prompt_id = ?"

_logger = logging.getLogger(__name__)

# How a transaction begins, ends well, and ends badly.
_OUTERMOST = ("begin immediate", "commit", "rollback")
_NESTED = ("savepoint part", "release part", "rollback to part", "release part")


class LogAppender:
    """The writing half of a `CallLog`: one connection, used by one thread at a time.

    Parameters
    ----------
    path : str or Path
        The SQLite file; its folder is made if absent.
    read_only : bool, default=False
        Open an existing log without ever writing to it.
    """

    def __init__(self, path: str | Path, read_only: bool = False) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._uncommitted: list[unsaved.Row] = []
        self._connection = log_file.connect(self.path, read_only)
        if not read_only:
            self._bring_back()

    def close(self) -> None:
        """Close the file; the log object can't be used afterwards."""
        with self._lock:  # closing under a thread that reads would crash the interpreter
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all that is written inside at once; a block inside another one is a part of it.

        A block that raises leaves nothing behind. The outermost block commits. Other threads and
        processes wait meanwhile, so keep it short.

        Raises
        ------
        LogError
            If the log can't be written.

        Examples
        --------
        >>> import tempfile
        >>> from routerlib.log.call_log import CallLog
        >>> log = CallLog(Path(tempfile.mkdtemp()) / "logs.db")
        >>> try:
        ...     with log.transaction():
        ...         _ = log.add_prompts([Prompt.from_text("never stored")])
        ...         raise KeyError
        ... except KeyError:
        ...     log.prompts()
        []
        """
        with self._lock:
            is_part = self._connection.in_transaction
            begin, commit, *rollback = _NESTED if is_part else _OUTERMOST
            if not is_part:
                self._uncommitted.clear()
            try:
                self._connection.execute(begin)
                yield self._connection
                self._connection.execute(commit)
                if not is_part:
                    self._uncommitted.clear()  # it may hold texts of megabytes
            except BaseException as error:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    for statement in rollback:
                        self._connection.execute(statement)
                if isinstance(error, sqlite3.OperationalError) or is_damage(error):
                    raise self._told(error) from error
                raise

    def _told(self, error: BaseException) -> LogError:
        """Say in one line what kept a transaction from being written, and what became of it."""
        if is_damage(error):
            return damaged(self.path, error)
        told = f"cannot write to the log {self.path}: {error}"
        if unsaved.is_without_room(error):
            told = f"{told}; {unsaved.keep(self.path, self._uncommitted)}"
            self._uncommitted.clear()
        return LogError(told)

    def _bring_back(self) -> None:
        try:
            n_calls = unsaved.bring_back(self._connection, self.path)
        except (sqlite3.Error, ValueError, KeyError) as error:
            beside = unsaved.side_file(self.path)
            _logger.warning("%s could not be brought into the log: %s; it is kept", beside, error)
            return
        if n_calls:
            _logger.warning("%d calls kept beside %s are in the log now", n_calls, self.path)

    def add_prompts(self, prompts: Iterable[Prompt]) -> int:
        """Store prompts that are not there yet, and what became known of those that are.

        Parameters
        ----------
        prompts : iterable of Prompt
            Prompts. Where one is logged already, its task, reference, judge, topic and fields of
            `extra`, if given and different, are stored as a new row; a judge looks at its calls
            again. Its text stays, and with it what the first request said of its situation.

        Returns
        -------
        int
            How many were new.
        """
        n_new = 0
        with self.transaction():
            for prompt in prompts:
                row = log_rows.prompt_row(prompt)
                if known := self.lookup(_KNOWN_EXTRA, row["prompt_id"]):
                    self._run(_ADD_FACTS, {**row, "extra": _both(known[0][0], prompt.extra)})
                    continue
                self._uncommitted.append(("prompts", row))
                stored = pieces.shared_messages(self._connection, prompt, row)
                self._run(log_rows.insertion("prompts", stored), stored)
                n_new += 1
        return n_new

    def start_run(
        self, kind: str, parameters: Mapping[str, Any], budget_usd: float | None = None
    ) -> int:
        """Record that a collection, training or serving run begins.

        Parameters
        ----------
        kind : str
            Such as ``collect``, ``judge``, ``train``, ``ask``.
        parameters : mapping
            What it was started with; JSON values only, and no key.
        budget_usd : float or None, default=None
            Cap on its spending, US dollars.

        Returns
        -------
        int
            The run's number.
        """
        row = {
            "kind": kind,
            "parameters": canonical_json(dict(parameters)),
            "versions": canonical_json(log_rows.logged_versions()),
            "budget_usd": budget_usd,
        }
        return self._insert("runs", row)

    def add_prices(self, candidates: Iterable[CandidateModel], run_id: int | None = None) -> None:
        """Append each candidate's price where it differs from the one that was logged last."""
        with self.transaction():
            known = self.prices()
            for candidate in candidates:
                if known.get(candidate.name) != candidate.price:
                    self._insert("prices", log_rows.price_row(candidate, run_id))

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
            If a call that is not ``ok`` comes with a score, or a text can't be stored.
        """
        with self.transaction():
            row = log_rows.call_row(call, run_id)
            self._uncommitted.append(("calls", row))
            stored = pieces.shared_tools(self._connection, call.extra, row)
            call_id = self._written("calls", stored)
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

    def add_decision(self, prompt_id: str, decision: Decision, run_id: int | None = None) -> int:
        """Append one routing decision with its propensity and return its number."""
        return self._insert("decisions", log_rows.decision_row(prompt_id, decision, run_id))

    def prices(self) -> dict[str, Price]:
        """Return the price that was logged last for each candidate."""
        rows = self.lookup(
            "select candidate, input_usd_per_mtok, output_usd_per_mtok, "
            "cached_input_usd_per_mtok, source, as_of, cache_write_usd_per_mtok, "
            "cache_write_1h_usd_per_mtok from prices order by price_id"
        )
        return {name: Price(*rest) for name, *rest in rows}

    def _insert_scores(self, call_id: int, status: str, scores: Iterable[Score]) -> int:
        told = [score for score in scores if score.is_scored]
        if told and status != "ok":
            raise ValueError(
                f"only a call with status 'ok' can have a score, call {call_id} is {status!r}"
            )
        for score in told:
            self._insert("scores", log_rows.score_row(call_id, score))
        return len(told)

    def _insert(self, table: str, row: Mapping[str, Any]) -> int:
        with self._lock:
            if not self._connection.in_transaction:
                with self.transaction():
                    return self._insert(table, row)
            self._uncommitted.append((table, row))
            # SQLite undoes a single statement that fails by itself: it needs no savepoint.
            return self._written(table, row)

    def _written(self, table: str, row: Mapping[str, Any]) -> int:
        return int(self._run(log_rows.insertion(table, row), row).lastrowid or 0)

    def _run(self, statement: str, row: Mapping[str, Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, row)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"text must be valid Unicode, got a lone surrogate in {_found_in(row)!r}; decode "
                "the source with errors='replace' before logging"
            ) from error

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
        with self._lock, surprises(self.path):
            return self._connection.execute(query, values).fetchall()

    def lookup_some(self, query: str, keys: Collection[Any], *values: Any) -> Iterator[tuple]:
        """Run a query for some keys, a few hundred at a time.

        Parameters
        ----------
        query : str
            SQL as for `lookup`, and behind its ``?`` the word ``{marks}`` for the keys.
        keys : collection
            What is looked for.
        *values
            What stands for each ``?``.

        Yields
        ------
        tuple
            A row.
        """
        return log_rows.rows_of(self.lookup, query, keys, *values)


def _found_in(row: Mapping[str, Any]) -> str:
    """Name the column whose text holds a lone surrogate."""
    for name, value in row.items():
        if isinstance(value, str) and value.encode(errors="replace").decode() != value:
            return name
    return "an unknown column"


def _both(known: str | None, given: Mapping[str, Any] | None) -> str | None:
    """Return further fields of a known prompt as JSON: those given go before those known."""
    told = {name: value for name, value in (given or {}).items() if name != SITUATION}
    return canonical_json({**json.loads(known or "{}"), **told}) if told else None
