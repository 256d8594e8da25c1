"""Bring a log's rows beside those of others: what several logs hold is kept once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from routerlib.log.sealed import SAME_CALLS, STRIDE, Manifest, SealedLog
from routerlib.log.sealed_rows import SAME_CALLS_SCHEMA, moved, same_calls, schema_of, sealed_schema
from routerlib.log.sealed_tables import SealedSnapshot, imported
from routerlib.log.tails import Tail

# What a second log may know of a prompt and the first doesn't.
_GIVEN = ("task", "reference", "judge", "topic", "extra")
# Numbers of facts that stand with a prompt in the second log: above those of facts that it logged.
_FROM_PROMPTS = STRIDE // 2


class Merging:
    """The rows of one step of sealing a log, as they stand in the dataset.

    `tail`: the log after what is sealed of it. `until`: by table, its last row in this step.
    """

    def __init__(self, tail: Tail, until: dict[str, int], folder: Path, manifest: Manifest):
        self._tail = tail
        self._until = until
        is_first = not any(each.birth != tail.source.birth for each in manifest.sources)
        self._others = None if is_first else SealedSnapshot(SealedLog(folder, ()))
        self._same: dict[int, int] = {}
        self._new_same: dict[int, int] = {}
        if self._others:
            self._find_same(self._others)

    def _find_same(self, others: SealedSnapshot) -> None:
        for batch in others.sealed(SAME_CALLS, SAME_CALLS_SCHEMA.names):
            self._same |= dict(zip(*(each.to_pylist() for each in batch.columns), strict=True))
        columns = ("origin", "prompt_id", "call_id")
        own = imported(self._tail.batches("calls", columns, self._until["calls"]))
        self._new_same = others.twins(own, {})
        self._same |= self._new_same

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """Return the rows of a table, a bounded batch at a time."""
        if table == SAME_CALLS:
            yield from _pairs(self._new_same)
            return
        names = sealed_schema(table).names
        if table == "prompt_facts":
            yield from self._facts_of_known()
        for batch in self._tail.batches(table, names, self._until[table]):
            if table == "prompts" and self._others:
                is_known = pc.is_in(batch["prompt_id"], self._others.known_prompts)
                yield batch.filter(pc.invert(is_known))
            elif table == "calls" and self._new_same:
                others = pa.array(list(self._new_same), pa.int64())
                yield batch.filter(pc.invert(pc.is_in(batch["call_id"], others)))
            else:
                yield same_calls(self._same, batch)

    def _facts_of_known(self) -> Iterator[pa.RecordBatch]:
        """Tell what this log was given with prompts that another one has logged without it."""
        if not self._others:
            return
        number = self._tail.source.mark("prompts")
        schema = schema_of("prompt_facts")
        columns = ["prompt_id", "source", "created_at", *_GIVEN]
        for batch in self._tail.batches("prompts", columns, self._until["prompts"]):
            told = batch.to_pylist()
            known = self._known_of(self._others, [row["prompt_id"] for row in told])
            facts = []
            for row in told:
                number += 1
                if (there := known.get(row["prompt_id"])) and (fact := _fact(row, there)):
                    facts.append({**fact, "fact_id": _FROM_PROMPTS + number})
            yield moved(pa.RecordBatch.from_pylist(facts, schema), self._tail.offset)

    def _known_of(self, others: SealedSnapshot, keys: list[str]) -> dict[str, dict[str, Any]]:
        condition = pc.field("prompt_id").isin(pa.array(keys, pa.large_string()))
        table = others.table("prompts", "known_prompts")
        batches = table.batches(["prompt_id", *_GIVEN], condition)
        return {row["prompt_id"]: row for batch in batches for row in batch.to_pylist()}


def _fact(row: dict[str, Any], there: dict[str, Any]) -> dict[str, Any] | None:
    """Return what replaces the known facts of a prompt; None where nothing is new."""
    new = {name: there[name] if row[name] is None else row[name] for name in _GIVEN}
    if all(new[name] == there[name] for name in _GIVEN):
        return None
    return {**new, **{name: row[name] for name in ("prompt_id", "source", "created_at")}}


def _pairs(same: dict[int, int]) -> Iterator[pa.RecordBatch]:
    if same:
        columns = [pa.array(list(each), pa.int64()) for each in (same, same.values())]
        yield pa.record_batch(columns, schema=SAME_CALLS_SCHEMA)
