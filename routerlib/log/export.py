"""Copy a log to a folder of Parquet files, one folder per table and day."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.log import file as log_file
from routerlib.log.damage import surprises
from routerlib.log.queries import TABLES, open_tables
from routerlib.log.schema import VERSION
from routerlib.log.sealed import is_dataset

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from routerlib.log.queries import Source
    from routerlib.log.snapshot import Columns

# Files of days that are written to at the same time.
_MOST_OPEN = 64
# Marks a folder as an export, so that no other folder is ever replaced.
MANIFEST = "export.json"


def export_log(path: str | Path | Source, folder: str | Path) -> dict[str, int]:
    """Copy every table of a log, as of one moment, to Parquet files.

    The files are ``<table>/day=<YYYY-MM-DD>/part-<n>.parquet``, by the day on which a row was
    logged (UTC); a table without rows is one file with its columns. The folder appears when it
    is whole. An older export at its place is replaced, so that the folder always mirrors the log.
    """
    source = Path(path) if isinstance(path, str) else path
    folder = Path(folder)
    _refuse_other_content(folder)
    if isinstance(source, Path) and not is_dataset(source):
        log_file.connect(source, read_only=True).close()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Within the same parent, so that the last step is a rename on one file system.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workshop:
        fresh = Path(workshop) / "fresh"
        fresh.mkdir(mode=0o700)  # for its owner's eyes
        n_rows = _write_tables(source, fresh)
        _write_manifest(Path(str(source)), fresh, n_rows)
        _put_in_place(fresh, folder, Path(workshop) / "old")
    return n_rows


def _refuse_other_content(folder: Path) -> None:
    if folder.is_dir():
        if any(folder.iterdir()) and not (folder / MANIFEST).is_file():
            raise ValueError(
                f"{folder} holds files that are no export of a log; name a new or empty folder"
            )
    elif folder.exists():
        raise ValueError(f"{folder} is a file; name a folder for the export")


def _write_tables(path: Source, fresh: Path) -> dict[str, int]:
    with surprises(Path(str(path))), closing(open_tables(path)) as snapshot:
        return {name: _write_days(snapshot.table(name), fresh / name) for name in TABLES}


def _write_days(table: Columns, folder: Path) -> int:
    """Write the rows of a table as they come, each to the file of its day; return their number."""
    import pyarrow.parquet as pq

    folder.mkdir()
    n_rows = 0
    writers: dict[str, pq.ParquetWriter] = {}
    try:
        for batch in table.batches(table.column_names):
            n_rows += len(batch)
            for day, rows in _days(batch):
                if day not in writers:
                    _make_room(writers)
                    target = _next_part(folder / f"day={day}")
                    writers[day] = pq.ParquetWriter(target, table.schema, compression="zstd")
                writers[day].write_batch(rows)
    finally:
        for writer in writers.values():
            writer.close()
    if not n_rows:
        pq.write_table(table.schema.empty_table(), folder / "part-0.parquet")
    return n_rows


def _days(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    import pyarrow.compute as pc

    days = pc.utf8_slice_codeunits(batch["created_at"], 0, len("2026-01-31"))
    for day in sorted(pc.unique(days).to_pylist()):
        yield day, batch.filter(pc.equal(days, day))


def _make_room(writers: dict[str, pq.ParquetWriter]) -> None:
    """Finish the file that was begun first, so that only so many are open at once."""
    if len(writers) >= _MOST_OPEN:
        writers.pop(next(iter(writers))).close()


def _next_part(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / f"part-{sum(1 for _ in folder.iterdir())}.parquet"


def _write_manifest(path: Path, fresh: Path, n_rows: dict[str, int]) -> None:
    manifest = {
        "log": path.name,
        "schema": VERSION,
        "exported_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "rows": n_rows,
    }
    (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _put_in_place(fresh: Path, folder: Path, aside: Path) -> None:
    if folder.exists():
        folder.rename(aside)  # goes with the workshop once the new export stands
    try:
        fresh.rename(folder)
    except OSError:
        if aside.exists():
            shutil.move(aside, folder)
        raise
