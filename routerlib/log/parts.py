"""Read cells part by part, so that memory follows from prompts, not from calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.log import queries
from routerlib.log.packing import Packed, n_parts
from routerlib.log.sealed_tables import SealedSnapshot, SealedTable
from routerlib.records.progress import watched

if TYPE_CHECKING:
    import pandas as pd

_CANDIDATES = "select distinct candidate from calls order by candidate"
_SEVERAL_WAYS = """
select candidate from calls group by candidate having min(params_hash) <> max(params_hash)
"""
# By candidate and way the scored prompts, and the newest call.
_WAYS = f"""
with {queries.PRICED}, {queries.JUDGED}
select candidate, params_hash, max(call_id) as newest,
    count(distinct prompt_id) filter (quality is not null) as n_scored
from costed left join judged using (call_id) group by candidate, params_hash
"""
_NO_WAYS = "select '' as candidate, '' as params_hash where false"
_PROMPTS = """
select prompt_id, row_number() over (order by prompt_id) - 1 as row
from (select distinct prompt_id from cells)
"""
_GRID = """
select row, list_position($names, candidate) - 1 as model, quality, cost_usd, latency_s,
    first_token_s, is_failed, first_call
from cells join rows using (prompt_id)
"""
_NEVER = np.iinfo(np.int64).max


class Grids(NamedTuple):
    """Cells as matrices of shape (n_prompts, n_models).

    `quality, cost_usd, latency_s, first_token_s`: NaN where unknown. `first_call`: number of the
    first call of a cell, the largest number where there is none.
    """

    quality: np.ndarray
    cost_usd: np.ndarray
    latency_s: np.ndarray
    first_token_s: np.ndarray
    is_failed: np.ndarray
    first_call: np.ndarray


class PartsRead(NamedTuple):
    """What `read_cells` takes from a log.

    `known`: text, label, prompt_id and group_id of the prompts, in the order of logging.
    """

    names: list[str]
    known: pd.DataFrame
    grids: Grids


def read_parts(
    reader: queries.Reader,
    judge: str | None,
    labels: str,
    order: Callable[[pd.Series], list[str]],
) -> PartsRead | None:
    """Read each part's cells, then the labels of the prompts that count; None = nothing is scored.

    `labels`: query for what is known of the prompts in ``wanted``. `order`: chooses the candidates
    by their numbers of scored prompts, the cheapest first.
    """
    import pandas as pd

    parts = _Parts(reader)
    everybody = reader.frame(_CANDIDATES).candidate.tolist()
    ways = _chosen_ways(reader, parts, judge)
    ids: list[np.ndarray] = []
    found: list[Grids] = []
    for part in parts:
        keys, grids = _grids(part, judge, everybody, ways)
        ids.append(keys)
        found.append(grids)
    if not any(np.isfinite(each.quality).any() for each in found):
        return None
    parts.close()
    prompt_ids = np.concatenate(ids)
    ids.clear()
    whole = _joined(found)
    names = order(_scored(Grids(*whole), everybody))
    arms = np.array([everybody.index(name) for name in names])
    first = _first_calls(Grids(*whole))[:, arms].min(axis=1)
    rows = np.argsort(first, kind="stable")[: int((first < _NEVER).sum())]
    wanted = pd.DataFrame({"prompt_id": prompt_ids[rows], "row": np.arange(len(rows))})
    kept = _chosen(whole, rows, arms)
    known = parts.labelled(labels, wanted).sort_values("row", ignore_index=True)
    known.pop("row")
    return PartsRead(names, known, kept)


class _Parts:
    """Parts of a log, each with some of the prompts and all that is known of their answers."""

    def __init__(self, reader: queries.Reader) -> None:
        self._reader = reader
        self.n = n_parts(reader)
        is_dataset = isinstance(reader.snapshot, SealedSnapshot)
        self._packed = None if is_dataset else Packed.of_cells(reader)

    def __iter__(self) -> Iterator[queries.Reader]:
        for number in watched(range(self.n), "parts of the log", self.n):
            with self._part(number) as part:
                yield part
        if self._packed is not None:
            self._packed.whole()

    @contextmanager
    def _part(self, number: int) -> Iterator[queries.Reader]:
        """Open a part, as of the same moment."""
        reader, snapshot = self._reader, self._reader.snapshot
        if self._packed is not None:
            self._packed.choose(number, self.n)
            yield reader
            return
        assert isinstance(snapshot, SealedSnapshot)
        tables = {
            name: snapshot.table(name, queries.VIEWS.get(name), number)
            if isinstance(table, SealedTable)
            else table
            for name, table in reader.tables.items()
        }
        with queries.connected(tables) as connection:
            yield queries.Reader(reader.path, snapshot, connection, tables)

    def close(self) -> None:
        """Let go of calls and scores, which are no longer needed, and of what was made of them."""
        if self._packed is not None:
            for name in ("cells", "rows"):
                self._reader.run(f"drop view {name}; drop table kept_{name}")
            self._packed.close()

    def labelled(self, labels: str, wanted: pd.DataFrame) -> pd.DataFrame:
        """Read what is known of prompts."""
        import pandas as pd

        if self._packed is not None:
            self._reader.add("wanted", wanted)
            return self._reader.frame(labels)
        found = []
        for part in self:
            part.add("wanted", wanted)
            found.append(part.frame(labels))
        return pd.concat(found)


def _chosen_ways(reader: queries.Reader, parts: _Parts, judge: str | None) -> pd.DataFrame:
    """Choose by which way each candidate counts that was asked in several."""
    import pandas as pd

    several = reader.frame(_SEVERAL_WAYS).candidate
    if several.empty:
        return reader.frame(_NO_WAYS)
    found = [part.frame(_WAYS, {"judge": judge}) for part in parts]
    ways = pd.concat(found).groupby(["candidate", "params_hash"], as_index=False)
    told = ways.agg({"n_scored": "sum", "newest": "max"})
    told = told[told.candidate.isin(several)].sort_values(["n_scored", "newest"], ascending=False)
    return told.drop_duplicates("candidate")[["candidate", "params_hash"]]


def _grids(
    part: queries.Reader, judge: str | None, names: Sequence[str], ways: pd.DataFrame
) -> tuple[np.ndarray, Grids]:
    part.add("chosen_ways", ways)
    part.keep("cells", queries.CELLS_BY_WAYS, {"judge": judge})
    part.keep("rows", _PROMPTS)
    prompt_ids = part.frame("select prompt_id from rows order by row").prompt_id
    row, model, *values = part.arrays(_GRID, {"names": list(names)})
    shape = (len(prompt_ids), len(names))
    filled = []
    for value, empty in zip(values, (*[np.nan] * 4, False, _NEVER), strict=True):
        grid = np.full(shape, empty)
        grid[row, model] = value
        filled.append(grid)
    return prompt_ids.to_numpy(object), Grids(*filled)


def _joined(parts: list[Grids]) -> list[np.ndarray]:
    """Put the parts' grids under one another; of each kind the parts are let go at once."""
    kinds = [list(each) for each in zip(*parts, strict=True)]
    parts.clear()
    joined = []
    while kinds:
        joined.append(np.concatenate(kinds.pop(0)))
    return joined


def _first_calls(grids: Grids) -> np.ndarray:
    return np.where(np.isfinite(grids.quality), grids.first_call, _NEVER)


def _chosen(grids: list[np.ndarray], rows: np.ndarray, arms: np.ndarray) -> Grids:
    """Take some rows and columns of each grid, and let go of it."""
    chosen = []
    while grids:
        chosen.append(grids.pop(0)[np.ix_(rows, arms)])
    return Grids(*chosen)


def _scored(grids: Grids, names: Sequence[str]) -> pd.Series:
    """Count the scored prompts of each candidate that has any, the cheapest first."""
    import pandas as pd

    is_scored = np.isfinite(grids.quality)
    cost_usd = np.where(is_scored, grids.cost_usd, np.nan)
    has_cost = np.isfinite(cost_usd)
    total, n_known = np.where(has_cost, cost_usd, 0.0).sum(axis=0), has_cost.sum(axis=0)
    mean = np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)
    told = pd.DataFrame({"n_scored": is_scored.sum(axis=0), "cost_usd": mean, "name": names})
    told = told[told.n_scored > 0].sort_values(["cost_usd", "name"], na_position="last")
    return told.set_index("name").n_scored
