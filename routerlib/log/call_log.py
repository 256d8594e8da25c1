"""The append-only log of prompts, calls, scores and decisions in one SQLite file.

What is logged is never changed: what becomes known later is a new row. Token counts are
stored, money is derived from them and the dated price table, so that a new price needs no
new call. A failed call is a row with its status and never a score. Writes go through
sqlite3, each in its own committed transaction; every read that aggregates goes through
DuckDB over the columns that it names, safely while another process writes.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from routerlib.log import queries, unjudged
from routerlib.log import rows as log_rows
from routerlib.log.appending import LogAppender
from routerlib.log.damage import surprises
from routerlib.log.judging import SOURCE
from routerlib.log.pieces import refuse_altered
from routerlib.log.unjudged import UnjudgedCalls
from routerlib.records.call import FINISHED_STATUSES, Price
from routerlib.records.progress import watched
from routerlib.records.prompt import Prompt
from routerlib.records.shown import shown_html

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log.cells import Failures
    from routerlib.outcomes.outcomes import Outcomes


_KNOWN = ", ".join(f"known.{name}" for name in log_rows.PROMPT_COLUMNS)
_OF_SOME = f"""
select known.prompt_id, {_KNOWN} from known_prompts as known
where source not like '{SOURCE}%' and known.prompt_id in ({{marks}})
"""
_SOME_PROMPTS = """
select rowid, prompt_id from prompts where rowid > ? and rowid <= ? order by rowid limit 500
"""


class CallLog(LogAppender):
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

    @property
    def source(self) -> queries.Source:
        """What `routerlib.log.queries.opened` opens to read this log."""
        return self.path

    def __enter__(self) -> CallLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        # What it read may have been damaged; what the library itself said on purpose was not.
        if isinstance(error, Exception) and not isinstance(error, RuntimeError):
            with surprises(self.path):
                raise error

    def __repr__(self) -> str:
        return f"CallLog({str(self.path)!r})"

    def birth(self) -> list[str]:
        """Return what tells this log from others, however it grows.

        Returns
        -------
        list of str
            Identifier and time of its first prompt; empty where there is none yet.
        """
        told = self.lookup("select prompt_id, created_at from prompts order by rowid limit 1")
        return [each for row in told for each in row]

    def _repr_html_(self) -> str:
        shown = self.summary()[["calls", "ok", "scored", "quality", "cost_usd"]]
        rows = [{"candidate": str(name), **shown.loc[name].to_dict()} for name in shown.index]
        return shown_html(repr(self), rows)

    def finished_cells(
        self, prompt_ids: Collection[str] | None = None
    ) -> set[tuple[str, str, str, int]]:
        """Return the cells that need not be asked again.

        Parameters
        ----------
        prompt_ids : collection of str or None, default=None
            Cells of these prompts only; None = of all.

        Returns
        -------
        set of tuple (prompt_id, candidate, params_hash, repeat)
            Cells with an answer, complete or not; errors and timeouts are asked again.
        """
        marks = ", ".join("?" * len(FINISHED_STATUSES))
        query = (
            "select distinct prompt_id, candidate, params_hash, repeat from calls "
            f"where status in ({marks})"
        )
        if prompt_ids is None:
            return set(self.lookup(query, *FINISHED_STATUSES))
        of_some = f"{query} and prompt_id in ({{marks}})"
        return set(self.lookup_some(of_some, prompt_ids, *FINISHED_STATUSES))

    def prompts(self) -> list[Prompt]:
        """Return every prompt that candidates were asked, or are to be, in the order of logging.

        Returns
        -------
        list of Prompt
            Each once; what a judge was asked is left out.
        """
        return list(self.each_prompt())

    def each_prompt(self) -> Iterator[Prompt]:
        """Go through what `prompts` returns, with some hundred in memory at a time.

        Yields
        ------
        Prompt
            In the order of logging; what is logged meanwhile is left out.
        """
        self._refuse_altered()
        (end,) = self.lookup("select coalesce(max(rowid), 0) from prompts")[0]
        last = -1
        while some := self.lookup(_SOME_PROMPTS, last, end):
            last = some[-1][0]
            ids = [prompt_id for _, prompt_id in some]
            known = dict(self._known(ids))
            yield from (known[prompt_id] for prompt_id in ids if prompt_id in known)

    def known_prompts(self, prompt_ids: Collection[str]) -> dict[str, Prompt]:
        """Return some prompts by their identifiers, as they are known now.

        Parameters
        ----------
        prompt_ids : collection of str
            Which ones; one that isn't logged is left out.

        Returns
        -------
        dict of str to Prompt
            What a judge was asked is left out.
        """
        self._refuse_altered()
        return dict(self._known(prompt_ids))

    def _known(self, prompt_ids: Collection[str]) -> Iterator[tuple[str, Prompt]]:
        for prompt_id, *row in self.lookup_some(_OF_SOME, prompt_ids):
            yield prompt_id, log_rows.prompt_from_row(tuple(row))

    def _refuse_altered(self) -> None:
        with self._lock, surprises(self.path):
            refuse_altered(self._connection, self.path)

    def unjudged_calls(self, judge: str | None = None) -> UnjudgedCalls:
        """Find the ok calls that a judge has not scored yet.

        Calls without a stored answer, as some imports have, and an LLM judge's own calls are
        left out.

        Parameters
        ----------
        judge : str or None, default=None
            Name of the judge; None = calls that the judge named by their prompt has not scored.

        Returns
        -------
        UnjudgedCalls
            Tuples (call_id, Call, Prompt) in the order of logging, with their number; answers are
            read a few at a time while one goes through them.
        """
        self._refuse_altered()
        (end,) = self.lookup("select coalesce(max(call_id), 0) from calls")[0]
        found = array("q")
        starts = range(0, end, unjudged.CALLS_AT_ONCE)
        for start in watched(starts, "calls looked at, 100,000 at a time", len(starts)):
            last = min(start + unjudged.CALLS_AT_ONCE, end)
            found.extend(each for (each,) in self.lookup(unjudged.FIND, judge, start, last))
        return UnjudgedCalls(self.lookup, found)

    def sql(self, query: str, **tables: Any) -> pd.DataFrame:
        """Run a DuckDB query over the log as it is now.

        The query sees all tables as of one moment, also while a collection writes; of them only
        the columns that it names are read, some megabytes at a time. It can change neither the
        log nor any file, nor read one: DuckDB's access to files, network and extensions is
        switched off.

        Parameters
        ----------
        query : str
            DuckDB SQL over prompts, prompt_facts, runs, prices, decisions, calls, scores.
        **tables : DataFrame or pyarrow.Table
            Further tables that the query names.

        Returns
        -------
        DataFrame
            The query's result.

        Raises
        ------
        ValueError
            If the query is wrong, with the nearest name where a table or column is unknown.
        """
        return queries.run(self.source, query, tables)

    def summary(self, judge: str | None = None) -> pd.DataFrame:
        """Summarise what was asked, one row per candidate model.

        Parameters
        ----------
        judge : str or None, default=None
            Count only this judge's scores; None = the mean over judges.

        Returns
        -------
        DataFrame, index candidate
            A judge's own calls are left out (`judging`). Calls and each status (counts), scored
            (calls with a score), quality (mean score, NaN without scores), input_tokens and
            output_tokens (sums), cost_usd (US dollars at the prices logged last), cost_unknown
            (calls that cost_usd leaves out), latency_p50_s and latency_p95_s (seconds, of ok
            calls).
        """
        from routerlib.log.summary import summary_of

        with queries.opened(self.source) as reader:
            return summary_of(reader, judge)

    def judging(self) -> pd.DataFrame:
        """Summarise the calls that judges made of their own, which describe no candidate.

        Returns
        -------
        DataFrame, index judge
            A row for each judge and model that it asked: asked (name of the model), calls, ok and
            failed (counts), input_tokens and output_tokens (sums), cost_usd (US dollars at the
            prices logged last).
        """
        return queries.run(self.source, queries.JUDGING).set_index("judge")

    def outcomes(
        self,
        *,
        prices: Mapping[str, Price] | None = None,
        failures: Failures = "left_out",
        judge: str | None = None,
        models: Sequence[str] | None = None,
    ) -> Outcomes:
        """Read quality and cost of every candidate on every prompt.

        Parameters
        ----------
        prices : mapping of str to Price, optional
            The cost of every call whose tokens are known is worked out anew by them.
        failures : {"left_out", "wrong"}, default="left_out"
            Whether a failed call has no quality (NaN), or 0.
        judge : str, optional
            Count only this judge's scores; default the mean over judges.
        models : sequence of str, optional
            Candidate models, in this order; default all of the log.

        Returns
        -------
        Outcomes
            Prompts with at least one observed quality, in the order of logging. Their answers are
            read from the log when somebody looks at them.

        Examples
        --------
        >>> import tempfile
        >>> from routerlib.records.call import Call, Score, Usage
        >>> log = CallLog(Path(tempfile.mkdtemp()) / "logs.db")
        >>> prompt = Prompt.from_text("What is 2 + 2?")
        >>> _ = log.add_prompts([prompt])
        >>> call = Call(prompt.prompt_id, "small", "b2:x", "ok", "4", Usage(1000, 0))
        >>> _ = log.add_call(call, scores=[Score("person", 1.0)])
        >>> log.outcomes(prices={"small": Price(2, 8)}).cost_usd.tolist()
        [[0.002]]
        """
        from routerlib.log.cells import read_cells
        from routerlib.log.logged_answers import logged_answers
        from routerlib.outcomes.outcomes import Outcomes

        cells = read_cells(self.source, prices, failures, judge, models)
        answers = logged_answers(self.source, cells.prompt_ids, cells.models, judge)
        return Outcomes(**cells._asdict(), answers=answers)

    def price_sentence(
        self, *, prices: Mapping[str, Price] | None = None, models: Sequence[str] | None = None
    ) -> str:
        """Say where costs come from and of which date the prices are, for reports.

        Parameters
        ----------
        prices : mapping of str to Price or None, default=None
            Prices that are used in place of those logged last.
        models : sequence of str or None, default=None
            Only these candidates; None = all that answered.

        Returns
        -------
        str
            Such as ``Costs in US dollars. small, large: tokens x price of 2026-11-24 (...).``
        """
        from routerlib.log.price_notes import price_sentence

        return price_sentence(self.source, prices, models)

    def check(self) -> list[str]:
        """Return what is wrong with the log, as `routerlib.log.check.check_log` finds it.

        Returns
        -------
        list of str
            A sentence each; none where all is well.
        """
        from routerlib.log.check import check_log

        return check_log(self.path)

    def export(self, folder: str | Path) -> dict[str, int]:
        """Copy every table to Parquet files, as `routerlib.log.export.export_log` does.

        Parameters
        ----------
        folder : str or Path
            Where the files go; it is made if absent.

        Returns
        -------
        dict of str to int
            Rows by table.
        """
        from routerlib.log.export import export_log

        return export_log(self.source, folder)
