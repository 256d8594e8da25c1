"""What a log has written since a dataset was sealed: the rows after the marks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from routerlib.log import file as log_file
from routerlib.log.damage import surprises
from routerlib.log.schema import LogError
from routerlib.log.sealed import NUMBERS, STRIDE, Manifest, Source, telling
from routerlib.log.sealed_rows import moved
from routerlib.log.snapshot import Snapshot

_logger = logging.getLogger(__name__)


class Tail:
    """A log beside a dataset, as of one moment, from the marks of its source on.

    `index`: place of the source among those of the dataset, which its numbers follow from.
    """

    def __init__(self, path: Path, snapshot: Snapshot, index: int, source: Source) -> None:
        self.path = path
        self.snapshot = snapshot
        self.index = index
        self.source = source
        self.offset = index * STRIDE

    @classmethod
    def open(cls, path: Path, manifest: Manifest, folder: Path) -> Tail:
        """Open a log, which is one of a dataset's sources or is to become one."""
        with surprises(path):
            log_file.connect(path, read_only=True, checked=False).close()
            snapshot = Snapshot(path)
        try:
            return cls(path, snapshot, *_source_of(snapshot, path, manifest, folder))
        except BaseException:
            snapshot.close()
            raise

    def close(self) -> None:
        """Close the log."""
        self.snapshot.close()

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table."""
        return self.snapshot.table(table).schema

    def batches(
        self, table: str, columns: Sequence[str], until: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read rows after the mark, in the order of logging, with the dataset's numbers.

        `columns`: of the table; of ``scores`` also ``prompt_id``, of the call's prompt.
        `until`: number of the last row in the log; None = to the end.
        """
        known = self.schema(table)
        fields = [
            known.field(name) if name in known.names else pa.field(name, pa.large_string())
            for name in columns
        ]
        told = [f"{table}.{name}" if name in known.names else f"calls.{name}" for name in columns]
        joined = "" if set(columns) <= set(known.names) else " join calls using (call_id)"
        whole = self.snapshot.whole(table, columns)
        query = (
            f"select {', '.join(told)} from {whole} as {table}{joined} where {table}.rowid > ? "
            f"and {table}.rowid <= ? order by {table}.rowid"
        )
        last = STRIDE if until is None else until
        rows = self.snapshot.batches(query, (self.source.mark(table), last), pa.schema(fields))
        for batch in rows:
            yield moved(batch, self.offset) if NUMBERS.intersection(columns) else batch


def opened_tails(manifest: Manifest, folder: Path, paths: Sequence[Path] | None) -> list[Tail]:
    """Open the logs that go on after a dataset.

    `paths`: None = those that it was sealed from, where they are there.
    """
    tails: list[Tail] = []
    try:
        for path in _sources_there(manifest, folder) if paths is None else paths:
            tail = Tail.open(path, manifest, folder)
            tails.append(tail)
            if tail.index == len(manifest.sources):  # the next one must get another place
                manifest = Manifest(manifest.n_buckets, [*manifest.sources, tail.source])
    except BaseException:
        for tail in tails:
            tail.close()
        raise
    return tails


def _sources_there(manifest: Manifest, folder: Path) -> Iterator[Path]:
    for source in manifest.sources:
        path = Path(os.path.normpath(folder.resolve() / source.path))
        if path.is_file():
            yield path
        elif not source.is_whole:
            _logger.warning(
                "%s is read up to where it was sealed: %s, which it was sealed from, is not there; "
                "what was logged after that is missing",
                folder,
                path,
            )


def _source_of(
    snapshot: Snapshot, path: Path, manifest: Manifest, folder: Path
) -> tuple[int, Source]:
    """Return which source a log is, a new one where it is none."""
    birth = told_at(snapshot, "prompts", 1)
    for index, source in enumerate(manifest.sources):
        if source.birth == birth:
            _refuse_other_copy(snapshot, path, source, folder)
            return index, source
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return len(manifest.sources), Source(path.name, relative, birth)


def _refuse_other_copy(snapshot: Snapshot, path: Path, source: Source, folder: Path) -> None:
    for table, (row, *told) in source.marks.items():
        if told_at(snapshot, table, row) != told:
            raise LogError(
                f"{path} began as the same log as {source.name}, which is sealed in {folder}, but "
                f"its {table} differ from what is sealed: it is an older copy, or was written to "
                "on its own. Name the log itself, or seal this one in another folder"
            )


def told_at(snapshot: Snapshot, table: str, row: int) -> list:
    """Return what tells a row from another log's row at the same place; none if it isn't there."""
    found = snapshot.rows(f"select {telling(table)} from {table} where rowid = ?", row)
    return [
        each.decode() if isinstance(each, bytes) else each
        for row_told in found
        for each in row_told
    ]
