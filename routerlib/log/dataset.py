"""A sealed dataset with the logs that go on after it, read wherever a log is read."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from routerlib.log import queries
from routerlib.log import rows as log_rows
from routerlib.log.call_log import CallLog
from routerlib.log.judging import SOURCE
from routerlib.log.schema import LogError
from routerlib.log.sealed import Manifest, SealedLog, is_dataset
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    import sqlite3

    from routerlib.log.unjudged import UnjudgedCalls

_COLUMNS = ", ".join(log_rows.PROMPT_COLUMNS)
_ASKED = f"prompts where source not like '{SOURCE}%'"
# Prompts that are read at once, more where more were logged at the same moment.
PROMPTS_AT_ONCE = 30_000
# Each moment up to which so many are read, with the one before it.
_SPANS = f"""
select start, lead(start, 1, '~') over (order by start) from (
    select distinct min(created_at) as start from (
        select created_at, (row_number() over (order by created_at) - 1) // {{n}} as span
        from {_ASKED}
    ) group by span
) order by start
"""
_OF_SPAN = f"""
select {_COLUMNS} from {_ASKED} and created_at >= ? and created_at < ? order by created_at
"""


class LogDataset(CallLog):
    """Open what `routerlib log compact` sealed, and what its logs have written since.

    Every reading method of a `CallLog` works on it; nothing can be written to it: calls and
    scores go to the log itself, and are read here as its tail.

    Parameters
    ----------
    folder : str or Path
        The folder of the dataset.
    tail : str, Path, sequence of these, or None, default=None
        The logs that go on after it; None = those that it was sealed from, where they are there
        (a warning tells of one that isn't), an empty sequence = none.

    Attributes
    ----------
    path : Path
        The folder.
    source : SealedLog
        Folder and tails, as `routerlib.log.queries.opened` takes them.

    Raises
    ------
    LogError
        If there is no such dataset, or a tail began as one of its logs and differs from it.

    Examples
    --------
    >>> import tempfile
    >>> from routerlib.log.compact import compact
    >>> home = Path(tempfile.mkdtemp())
    >>> with CallLog(home / "logs.db") as log:
    ...     _ = log.add_prompts([Prompt.from_text("sealed")])
    ...     _ = compact([log.path], home / "sealed", before="9999-12-31")
    ...     _ = log.add_prompts([Prompt.from_text("logged since")])
    >>> [prompt.text for prompt in LogDataset(home / "sealed").prompts()]
    ['sealed', 'logged since']
    """

    def __init__(
        self, folder: str | Path, tail: str | Path | Sequence[str | Path] | None = None
    ) -> None:
        self.path = Path(folder)
        self.read_only = True
        self._lock = threading.RLock()
        given = [tail] if isinstance(tail, str | Path) else tail
        tails = None if given is None else tuple(Path(each) for each in given)
        self._source = SealedLog(self.path, tails)
        Manifest.read(self.path)
        queries.open_tables(self._source).close()

    @property
    def source(self) -> SealedLog:
        """Folder and tails."""
        return self._source

    def close(self) -> None:
        """Do nothing: each reading opens what it reads."""

    def __enter__(self) -> LogDataset:
        return self

    def __repr__(self) -> str:
        return f"LogDataset({str(self.path)!r})"

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Refuse to write: a dataset is only read.

        Yields
        ------
        Connection
            Never.

        Raises
        ------
        LogError
            Always, with the logs that are to be written to.
        """
        self._refuse()
        yield

    def _insert(self, table: str, row: Any) -> int:
        self._refuse()

    def _refuse(self) -> NoReturn:
        names = ", ".join(source.name for source in Manifest.read(self.path).sources)
        raise LogError(
            f"the sealed dataset {self.path} is only read; name the log that it was sealed from "
            f"({names}): what is written there is read here as its tail"
        )

    def lookup(self, query: str, *values: Any) -> list[tuple]:
        """Run a query in words that SQLite and DuckDB have in common.

        Parameters
        ----------
        query : str
            SQL over the tables of a log, with ``?`` for each value.
        *values
            What stands for them.

        Returns
        -------
        list of tuple
            The rows.
        """
        with queries.opened(self._source) as reader:
            return reader.rows(query, *values)

    def birth(self) -> list[str]:
        """Return what tells this dataset from others: the birth of its first log.

        Returns
        -------
        list of str
            Identifier and time of the log's first prompt; empty where nothing is sealed.
        """
        return list(next((each.birth for each in Manifest.read(self.path).sources), []))

    def each_prompt(self) -> Iterator[Prompt]:
        """Go through what `prompts` returns, with some thousand in memory at a time.

        Yields
        ------
        Prompt
            Each once, by the time of logging; what a judge was asked is left out.
        """
        for start, end in self.lookup(_SPANS.format(n=PROMPTS_AT_ONCE)):
            for row in self.lookup(_OF_SPAN, start, end):
                yield log_rows.prompt_from_row(row)

    def known_prompts(self, prompt_ids: Collection[str]) -> dict[str, Prompt]:
        """Return some prompts by their identifiers.

        Parameters
        ----------
        prompt_ids : collection of str
            Which ones; one that isn't there is left out.

        Returns
        -------
        dict of str to Prompt
            What a judge was asked is left out.
        """
        query = f"select prompt_id, {_COLUMNS} from {_ASKED} and prompt_id in ({{marks}})"
        found = self.lookup_some(query, prompt_ids)
        return {prompt_id: log_rows.prompt_from_row(tuple(row)) for prompt_id, *row in found}

    def unjudged_calls(self, judge: str | None = None) -> UnjudgedCalls:
        """Refuse: a judge writes scores, which a dataset doesn't take.

        Parameters
        ----------
        judge : str or None, default=None
            Name of the judge.

        Returns
        -------
        UnjudgedCalls
            Never.

        Raises
        ------
        LogError
            Always, with the logs that can be judged.
        """
        self._refuse()

    def check(self) -> list[str]:
        """Return what is wrong with the dataset or its tails.

        Returns
        -------
        list of str
            A sentence each; none where all is well.
        """
        from routerlib.log.sealed_check import check_dataset

        return check_dataset(self._source)


def open_log(path: str | Path) -> CallLog:
    """Open a log for reading: the file of one, or the folder of a sealed dataset.

    `path`: of the file or the folder; a file is never written to.
    """
    return LogDataset(path) if is_dataset(Path(path)) else CallLog(path, read_only=True)
