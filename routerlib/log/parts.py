"""Read cells part by part, so that memory follows from prompts, not from calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.log import counted, queries
from routerlib.log.packing import Packed, n_parts
from routerlib.log.schema import LogError
from routerlib.log.sealed_tables import Part, SealedSnapshot
from routerlib.records.brief import n_of
from routerlib.records.call import UNTOLD
from routerlib.records.memory import give_back_free
from routerlib.records.progress import watched

if TYPE_CHECKING:
    import pandas as pd

_CANDIDATES = "select distinct candidate from calls order by candidate"
_SEVERAL_WAYS = f"""
select candidate from calls where params_hash <> '{UNTOLD}'
group by candidate having min(params_hash) <> max(params_hash)
"""
_KNOWN_WAYS = f"select distinct candidate, params_hash from calls where params_hash <> '{UNTOLD}'"
# By candidate and way the scored prompts, and the newest call.
_WAYS = f"""
with {queries.PRICED}, {queries.JUDGED}
select candidate, params_hash, max(call_id) as newest,
    count(distinct prompt_id) filter (quality is not null) as n_scored
from costed left join judged using (call_id)
where params_hash <> '{UNTOLD}' and {counted.IS_FIRST}
group by candidate, params_hash
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
_SHOWN = "select prompt_id, candidate, call_id from shown"
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


class Known(NamedTuple):
    """What is known of prompts, in the order of logging, each of length n_prompts."""

    texts: list[str]
    labels: list[str]
    prompt_ids: list[str]
    group_ids: list[str | None]

    @classmethod
    def of(cls, readers: Iterable[queries.Reader], query: str, n_prompts: int) -> Known:
        """Read prompts into their places, row by row, so that no text is held twice.

        `query`: finds them, with the place of each as the last column.
        """
        texts, labels, prompt_ids = [""] * n_prompts, [""] * n_prompts, [""] * n_prompts
        group_ids: list[str | None] = [None] * n_prompts
        same: dict[str, str] = {}  # what many prompts have in common is held once
        for reader in readers:
            for text, label, prompt_id, group_id, row in reader.each(query):
                texts[row], prompt_ids[row] = text, prompt_id
                labels[row] = same.setdefault(label, label)
                if group_id is not None:
                    group_ids[row] = same.setdefault(group_id, group_id)
        if n_missing := prompt_ids.count(""):
            raise LogError(
                f"calls ask {n_of(n_missing, 'prompts')} that the log doesn't hold; look at it "
                "with `routerlib log check`, then restore it from a copy"
            )
        return cls(texts, labels, prompt_ids, group_ids)


class PartsRead(NamedTuple):
    """What `read_cells` takes from a log."""

    names: list[str]
    known: Known
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

    parts = Parts(reader)
    everybody = reader.frame(_CANDIDATES).candidate.tolist()
    ways = _chosen_ways(reader, parts, judge)
    ids: list[np.ndarray] = []
    found: list[Grids] = []
    for part in parts:
        keys, grids = _grids(part, judge, everybody, ways)
        ids.append(keys)
        found.append(grids)
    n_scored = _scored(found, everybody)
    if not len(n_scored):
        return None
    parts.close()
    names = order(n_scored)
    arms = np.array([everybody.index(name) for name in names])
    first = np.concatenate([_first_calls(each, arms) for each in found])
    rows = np.argsort(first, kind="stable")[: int((first < _NEVER).sum())]
    places = np.full(len(first), -1)
    places[rows] = np.arange(len(rows))
    prompt_ids = np.concatenate(ids)[rows]
    ids.clear()
    parts.want(pd.DataFrame({"prompt_id": prompt_ids, "row": np.arange(len(rows))}))
    del prompt_ids
    kept = _chosen(found, places, len(rows), arms)
    give_back_free()  # the parts' own, before all texts come in
    return PartsRead(names, Known.of(parts.wanted(), labels, len(rows)), kept)


def each_answer(source: queries.Source, judge: str | None = None) -> Iterator[tuple[str, str, int]]:
    """Yield prompt, candidate and call of each answer that can be shown, in no order.

    Of a cell asked repeatedly it is the answer of the first repeat; a large log is read in parts.
    """
    with queries.opened(source) as reader:
        if n_parts(reader) == 1:
            reader.keep("shown", counted.ANSWERS, {"judge": judge})
            yield from reader.each(_SHOWN)
            return
        parts = Parts(reader, with_stored=True)
        ways = _chosen_ways(reader, parts, judge)
        for part in parts:
            part.add("chosen_ways", ways)
            part.keep("shown", counted.ANSWERS_BY_WAYS, {"judge": judge})
            yield from part.each(_SHOWN)


def each_repeats(reader: queries.Reader) -> Iterator[pd.DataFrame]:
    """Yield a row per scored prompt, candidate and repeat, part by part, in no order."""
    told = {"judge": None}
    if n_parts(reader) == 1:
        yield reader.frame(counted.REPEATS, told)
        return
    parts = Parts(reader)
    ways = _chosen_ways(reader, parts, None)
    for part in parts:
        part.add("chosen_ways", ways)
        yield part.frame(counted.REPEATS_BY_WAYS, told)
    parts.close()


def ways_that_count(reader: queries.Reader, judge: str | None) -> pd.DataFrame:
    """Tell by which way each candidate counts that was asked in several; none, where none was.

    Calls of a large log are read in parts, and none of them can be read by this reader afterwards.
    """
    snapshot = reader.snapshot
    # An index of a file's tells it without the calls themselves.
    rows = reader.rows if isinstance(snapshot, SealedSnapshot) else snapshot.rows
    known = [candidate for candidate, _ in rows(_KNOWN_WAYS)]
    if len(set(known)) == len(known):
        return reader.frame(_NO_WAYS)
    if n_parts(reader) == 1:
        return reader.frame(counted.CHOSEN_WAYS, {"judge": judge})
    parts = Parts(reader)
    ways = _chosen_ways(reader, parts, judge)
    parts.close()
    return ways


class Parts:
    """Parts of a log, each with some of the prompts and all that is known of their answers.

    A small log has one part, which is read as it is.
    """

    def __init__(self, reader: queries.Reader, *, with_stored: bool = False) -> None:
        self._reader = reader
        self.n = n_parts(reader)
        is_as_it_is = self.n == 1 or isinstance(reader.snapshot, SealedSnapshot)
        self._packed = None if is_as_it_is else Packed.of_cells(reader, with_stored=with_stored)
        self._wanted: pd.DataFrame

    def __iter__(self) -> Iterator[queries.Reader]:
        for number in watched(range(self.n), "parts of the log", self.n):
            with self._part(number) as part:
                yield part
        if self._packed is not None:
            self._packed.whole()

    @contextmanager
    def _part(self, number: int) -> Iterator[queries.Reader]:
        """Open a part, as of the same moment."""
        reader = self._reader
        if self._packed is not None:
            self._packed.choose(number, self.n)
        if self._packed is not None or self.n == 1:
            yield reader
            return
        tables = reader.of_part(Part(number, self.n))
        with queries.connected(tables) as connection:
            yield queries.Reader(reader.path, reader.snapshot, connection, tables)

    def close(self) -> None:
        """Let go of calls and scores, which are no longer needed, and of what was made of them."""
        if self._packed is not None:
            for name in ("cells", "rows"):
                self._reader.run(f"drop view if exists {name}; drop table if exists kept_{name}")
            self._packed.close()

    def want(self, wanted: pd.DataFrame) -> None:
        """Choose the prompts of which it is read what is known."""
        self._wanted = wanted

    def wanted(self) -> Iterator[queries.Reader]:
        """Yield readers of them."""
        for reader in [self._reader] if self._packed is not None else self:
            reader.add("wanted", self._wanted)
            yield reader


def _chosen_ways(reader: queries.Reader, parts: Parts, judge: str | None) -> pd.DataFrame:
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
    part.keep("cells", counted.CELLS_BY_WAYS, {"judge": judge})
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


def _first_calls(grids: Grids, arms: np.ndarray) -> np.ndarray:
    """Return the first call of each prompt whose answer by one of some candidates is scored."""
    first = np.where(np.isfinite(grids.quality), grids.first_call, _NEVER)
    return first[:, arms].min(axis=1)


def _chosen(parts: list[Grids], places: np.ndarray, n_prompts: int, arms: np.ndarray) -> Grids:
    """Put the parts' rows into their places, some columns of them; each is let go at once.

    `places` (n_rows of all parts,): -1 = nowhere.
    """
    kinds = [list(each) for each in zip(*parts, strict=True)]
    parts.clear()
    chosen = []
    for kind in kinds[:-1]:  # the first calls have told the order
        kept = np.empty((n_prompts, len(arms)), kind[0].dtype)
        start = 0
        while kind:
            grid = kind.pop(0)
            at = places[start : start + len(grid)]
            kept[at[at >= 0]] = grid[at >= 0][:, arms]
            start += len(grid)
        chosen.append(kept)
    quality, cost_usd, latency_s, first_token_s, is_failed = chosen
    return Grids(quality, cost_usd, latency_s, first_token_s, is_failed, np.empty(0))


def _scored(parts: Sequence[Grids], names: Sequence[str]) -> pd.Series:
    """Count the scored prompts of each candidate that has any, the cheapest first."""
    import pandas as pd

    n_scored, n_known = np.zeros((2, len(names)), dtype=int)
    total = np.zeros(len(names))
    for grids in parts:
        is_scored = np.isfinite(grids.quality)
        has_cost = is_scored & np.isfinite(grids.cost_usd)
        n_scored, n_known = n_scored + is_scored.sum(axis=0), n_known + has_cost.sum(axis=0)
        total += np.where(has_cost, grids.cost_usd, 0.0).sum(axis=0)
    mean = np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)
    told = pd.DataFrame({"n_scored": n_scored, "cost_usd": mean, "name": names})
    told = told[told.n_scored > 0].sort_values(["cost_usd", "name"], na_position="last")
    return told.set_index("name").n_scored
