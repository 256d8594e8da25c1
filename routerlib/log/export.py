"""Copy a log to a folder of Parquet files, one folder per table and day."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.log import file as log_file
from routerlib.log.queries import TABLES, read_arrow
from routerlib.log.schema import VERSION

if TYPE_CHECKING:
    import pyarrow as pa

# Marks a folder as an export, so that no other folder is ever replaced.
MANIFEST = "export.json"


def export_log(path: str | Path, folder: str | Path) -> dict[str, int]:
    """Copy every table of a log, as of one moment, to Parquet files.

    The files are ``<table>/day=<YYYY-MM-DD>/part-0.parquet``, by the day on which a row was
    logged (UTC); a table without rows is one file with its columns. The folder appears when it
    is whole. An older export at its place is replaced, so that the folder always mirrors the log.
    """
    path, folder = Path(path), Path(folder)
    _refuse_other_content(folder)
    log_file.connect(path, read_only=True).close()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Within the same parent, so that the last step is a rename on one file system.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workshop:
        fresh = Path(workshop) / "fresh"
        fresh.mkdir(mode=0o700)  # for its owner's eyes
        n_rows = _write_tables(path, fresh)
        _write_manifest(path, fresh, n_rows)
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


def _write_tables(path: Path, fresh: Path) -> dict[str, int]:
    import pyarrow.parquet as pq

    tables = read_arrow(path, TABLES, views={})
    for name, table in tables.items():
        for part, rows in _parts(table):
            target = fresh / name / part
            target.parent.mkdir(parents=True)
            pq.write_table(rows, target, compression="zstd")
    return {name: table.num_rows for name, table in tables.items()}


def _parts(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    import pyarrow.compute as pc

    if not table.num_rows:
        yield "part-0.parquet", table
        return
    days = pc.utf8_slice_codeunits(table["created_at"], 0, len("2026-01-31"))
    for day in sorted(pc.unique(days).to_pylist()):
        yield f"day={day}/part-0.parquet", table.filter(pc.equal(days, day))


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
