"""Tables of a sealed dataset and of the logs that go on after it, as of one moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from routerlib.log.schema import LogError
from routerlib.log.sealed import SAME_CALLS, Manifest, SealedLog
from routerlib.log.sealed_rows import (
    SAME_CALLS_SCHEMA,
    parquet_batches,
    same_calls,
    schema_of,
    sealed_schema,
)
from routerlib.log.sealed_writing import BUCKETED, buckets_of
from routerlib.log.snapshot import CHANGEABLE, Columns
from routerlib.log.tails import Tail, opened_tails

_ORIGIN = ("origin", "prompt_id", "call_id")
# What an imported call is, whichever log it is in: its origin, and the prompt.
_Imported = dict[tuple[str, str], int]


class Part(NamedTuple):
    """One of several parts of a dataset that share no prompt.

    `number`: from 0. `n`: parts that there are, a multiple of the buckets, so that each part lies
    in one of them.
    """

    number: int
    n: int


class SealedSnapshot:
    """Open a dataset for reading, as it and its tails are at this moment, until it is closed.

    `failure`: what went wrong while a table was read, as it was before DuckDB put it in words.
    """

    def __init__(self, log: SealedLog) -> None:
        self.failure: Exception | None = None
        self.folder = log.folder
        # The list before the tails: what is sealed in between is still in the tail.
        self.manifest = Manifest.read(log.folder)
        self.tails = opened_tails(self.manifest, log.folder, log.tails)
        self.has_several = (
            len({*range(len(self.manifest.sources)), *(tail.index for tail in self.tails)}) > 1
        )

    def close(self) -> None:
        """Close the logs that go on after the dataset."""
        for tail in self.tails:
            tail.close()

    @property
    def n_calls(self) -> int:
        """Number of calls, before those are left out that another log holds too."""
        sealed = sum(file.rows for file in self.manifest.of_table("calls"))
        later = (tail.snapshot.n_calls - tail.source.mark("calls") for tail in self.tails)
        return sealed + sum(later)

    @property
    def n_bytes(self) -> int:
        """Size of the files that count, and of the logs that go on after them."""
        sealed = sum(file.n_bytes for file in self.manifest.files)
        return sealed + sum(tail.snapshot.n_bytes for tail in self.tails)

    def table(self, name: str, view: str | None = None) -> SealedTable:
        """Return a table for DuckDB to read.

        `view`: given where what became known later is to stand in its place.
        """
        return SealedTable(self, name, view is not None, None)

    def sealed(
        self,
        name: str,
        columns: Sequence[str],
        condition: ds.Expression | None = None,
        bucket: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of what is sealed of a table, or of a bucket of it, file after file."""
        schema = sealed_schema(name)
        for file in self.manifest.of_table(name):
            if bucket is not None and f"/bucket={bucket}/" not in file.path:
                continue
            try:
                yield from parquet_batches(self.folder / file.path, schema, columns, condition)
            except (pa.ArrowException, OSError) as error:
                self.failure = LogError(
                    f"the sealed file {self.folder / file.path} can't be read: {error}; run "
                    f"`routerlib log check --log {self.folder}`, then restore it from a copy"
                )
                raise self.failure from error

    @cached_property
    def facts(self) -> tuple[dict[str, int], pa.Table]:
        """What became known last of each prompt: rows by its identifier."""
        schema = schema_of("prompt_facts")
        batches = list(self.table("prompt_facts").batches(schema.names))
        table = pa.Table.from_batches(batches, schema)
        order = [("created_at", "ascending"), ("fact_id", "ascending")]
        table = table.sort_by(order if self.has_several else order[1:]).combine_chunks()
        # Later rows overwrite earlier ones.
        return {key: row for row, key in enumerate(table["prompt_id"].to_pylist())}, table

    @cached_property
    def known_prompts(self) -> pa.Array:
        """Identifiers of the prompts that are sealed."""
        parts = [each["prompt_id"] for each in self.sealed("prompts", ["prompt_id"])]
        return pa.concat_arrays(parts) if parts else pa.array([], pa.large_string())

    @cached_property
    def kept_calls(self) -> dict[int, dict[int, int]]:
        """By tail, the calls that are kept under another number, as another log holds them too."""
        found: dict[int, dict[int, int]] = {tail.index: {} for tail in self.tails}
        for batch in self.sealed(SAME_CALLS, SAME_CALLS_SCHEMA.names):
            for call_id, kept in zip(*(each.to_pylist() for each in batch.columns), strict=True):
                for tail in self.tails:
                    if call_id - tail.offset in range(1, tail.source.mark("calls") + 1):
                        found[tail.index][call_id] = kept
        if self.has_several:
            earlier: _Imported = {}
            for tail in self.tails:
                own = imported(tail.batches("calls", _ORIGIN))
                found[tail.index] |= self.twins(own, earlier)
                earlier = own | earlier
        return found

    def twins(self, own: _Imported, earlier: Mapping[tuple[str, str], int]) -> dict[int, int]:
        """Return the number that is kept of each imported call that is sealed, or earlier."""
        if not own:
            return {}
        kept = {own[key]: number for key, number in earlier.items() if key in own}
        origins = pa.array([origin for origin, _ in own], pa.large_string())
        for batch in self.sealed("calls", _ORIGIN, pc.field("origin").isin(origins)):
            for origin, prompt_id, call_id in zip(
                *(each.to_pylist() for each in batch.columns), strict=True
            ):
                if (origin, prompt_id) in own:
                    kept[own[origin, prompt_id]] = call_id
        return kept


def imported(batches: Iterable[pa.RecordBatch]) -> _Imported:
    """Return the numbers of imported calls, from rows of origin, prompt and number."""
    found: _Imported = {}
    for batch in batches:
        for row in batch.filter(pc.is_valid(batch["origin"])).to_pylist():
            found[row["origin"], row["prompt_id"]] = row["call_id"]
    return found


class SealedTable(Columns):
    """One table of a dataset: what is sealed of it, then what its tails hold."""

    def __init__(
        self, snapshot: SealedSnapshot, name: str, with_facts: bool, part: Part | None
    ) -> None:
        super().__init__(schema_of(name))
        self._part = part
        self._snapshot = snapshot
        self._name = name
        self._with_facts = with_facts

    def of_part(self, part: Part | None) -> SealedTable:
        """Return the rows of one part's prompts, of a table that lies in buckets; None = all."""
        here = part if self._name in BUCKETED else None
        return SealedTable(self._snapshot, self._name, self._with_facts, here)

    def batches(
        self, columns: list[str], condition: ds.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of the rows that pass a filter, a bounded batch at a time."""
        needed = self.named(columns, condition)
        if self._name == "prices" and self._snapshot.has_several:
            rows = self._by_time()
        elif self._with_facts and CHANGEABLE.intersection(needed):
            keyed = needed if "prompt_id" in needed else [*needed, "prompt_id"]
            is_lasting = not CHANGEABLE.intersection(self.named([], condition))
            rows = map(self._with_known, self._rows(keyed, condition if is_lasting else None))
        else:
            rows = self._rows(needed, condition)
        for batch in rows:
            kept = batch if condition is None else batch.filter(condition)
            yield kept.select(columns)

    def _rows(
        self, columns: list[str], condition: ds.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        snapshot, part = self._snapshot, self._part
        if part is None:
            yield from snapshot.sealed(self._name, columns, condition)
            yield from self._of_tails(columns)
            return
        n_buckets = snapshot.manifest.n_buckets
        bucket = part.number % n_buckets  # what is left by dividing by n is left by its divisor
        keyed = columns if "prompt_id" in columns else [*columns, "prompt_id"]
        if part.n == n_buckets:
            yield from snapshot.sealed(self._name, columns, condition, bucket)
            rows = self._of_tails(keyed)
        else:
            rows = chain(
                snapshot.sealed(self._name, keyed, condition, bucket), self._of_tails(keyed)
            )
        for batch in rows:
            is_here = buckets_of(batch["prompt_id"], part.n) == part.number
            yield batch.filter(pa.array(is_here)).select(columns)

    def _of_tails(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        seen = None
        for tail in self._snapshot.tails:
            if self._name == "prompts" and self._snapshot.has_several:
                seen = self._snapshot.known_prompts if seen is None else seen
                yield from self._new_prompts(tail, columns, seen)
                seen = pa.concat_arrays(
                    [seen, *(each["prompt_id"] for each in tail.batches("prompts", ["prompt_id"]))]
                )
            else:
                yield from self._of_tail(tail, columns)

    def _new_prompts(
        self, tail: Tail, columns: list[str], seen: pa.Array
    ) -> Iterator[pa.RecordBatch]:
        keyed = columns if "prompt_id" in columns else [*columns, "prompt_id"]
        for batch in tail.batches("prompts", keyed):
            is_new = pc.invert(pc.is_in(batch["prompt_id"], seen))
            yield batch.filter(is_new).select(columns)

    def _of_tail(self, tail: Tail, columns: list[str]) -> Iterator[pa.RecordBatch]:
        kept = {}
        if self._name in ("calls", "scores"):
            kept = self._snapshot.kept_calls[tail.index]
        if self._name != "calls" or not kept:
            for batch in tail.batches(self._name, columns):
                yield same_calls(kept, batch)
            return
        others = pa.array(list(kept), pa.int64())
        keyed = columns if "call_id" in columns else [*columns, "call_id"]
        for batch in tail.batches("calls", keyed):
            yield batch.filter(pc.invert(pc.is_in(batch["call_id"], others))).select(columns)

    def _with_known(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Put what became known last of each prompt in the place of what it was logged with."""
        rows, facts = self._snapshot.facts
        if not rows:
            return batch
        place = pa.array([rows.get(key) for key in batch["prompt_id"].to_pylist()], pa.int64())
        columns = [
            pc.if_else(pc.is_valid(place), facts[name].chunk(0).take(place), column)
            if name in CHANGEABLE
            else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.record_batch(columns, schema=batch.schema)

    def _by_time(self) -> Iterator[pa.RecordBatch]:
        """Read prices numbered by time: of several logs the price that was logged last counts."""
        table = pa.Table.from_batches(list(self._rows(self.schema.names, None)), self.schema)
        table = table.sort_by([("created_at", "ascending"), ("price_id", "ascending")])
        place = self.schema.get_field_index("price_id")
        numbers = pa.array(range(1, len(table) + 1), pa.int64())
        yield from table.set_column(place, self.schema.field(place), numbers).to_batches()
