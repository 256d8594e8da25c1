"""Seal what logs hold of past days into one dataset of Parquet files.

A log is never changed: its rows stay where they are, and what is sealed is what stands up to a
mark in each table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from routerlib.log.damage import surprises
from routerlib.log.queries import TABLES
from routerlib.log.schema import LogError
from routerlib.log.sealed import MANIFEST, SAME_CALLS, Manifest
from routerlib.log.sealing import seal

N_BUCKETS = 8
MEMORY_GB = 1.0
_LOCK = ".sealing.lock"


class Compacted(NamedTuple):
    """What one run sealed.

    Attributes
    ----------
    rows : dict of str to int
        Rows that were sealed now, by table; what another log had brought already isn't counted.
    n_files : int
        Files that were written now.
    n_same : int
        Imported calls that another log had brought already.
    """

    rows: dict[str, int]
    n_files: int
    n_same: int


def day_before(n_days: int) -> str:
    """Return the day (UTC) that began at least so many whole days ago, as YYYY-MM-DD."""
    return (datetime.now(UTC).date() - timedelta(days=n_days)).isoformat()


def compact(
    logs: Sequence[str | Path],
    folder: str | Path,
    *,
    before: str,
    n_buckets: int = N_BUCKETS,
    memory_gb: float = MEMORY_GB,
) -> Compacted:
    """Seal what logs hold of the days before one into a dataset, in addition to what it holds.

    Parameters
    ----------
    logs : sequence of str or Path
        The logs, of one host or of several; none is changed. Prompts and imported calls that
        several hold are kept once.
    folder : str or Path
        The folder of the dataset, made if absent, for its owner's eyes.
    before : str
        A day, YYYY-MM-DD (UTC). Sealed is what was logged before the first row of this day or a
        later one.
    n_buckets : int, default=8
        Parts of each day in a new dataset; an old one keeps its own.
    memory_gb : float, default=1.0
        Memory that DuckDB may take when it compares, in gigabytes; what is written takes a
        quarter of a gigabyte beside.

    Returns
    -------
    Compacted
        What was sealed.

    Raises
    ------
    ValueError
        If the day is none, or the folder holds other files.
    LogError
        If a log can't be read, another run is sealing into the folder, or what was written
        differs from the log.

    Examples
    --------
    >>> import tempfile
    >>> from routerlib.log.call_log import CallLog
    >>> from routerlib.records.prompt import Prompt
    >>> home = Path(tempfile.mkdtemp())
    >>> with CallLog(home / "logs.db") as log:
    ...     _ = log.add_prompts([Prompt.from_text("What is 2 + 2?")])
    >>> compact([home / "logs.db"], home / "sealed", before="9999-12-31").rows
    {'prompts': 1}
    """
    folder = Path(folder)
    _check_day(before)
    _refuse_other_content(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    rows: Counter[str] = Counter()
    n_files = 0
    with _alone(folder):
        is_there = (folder / MANIFEST).exists()
        manifest = Manifest.read(folder) if is_there else Manifest(n_buckets)
        _remove_strays(folder, manifest)
        for path in logs:
            with surprises(Path(path)):
                for step in seal(Path(path), folder, manifest, before, memory_gb):
                    manifest, files = step
                    n_files += len(files)
                    for file in files:
                        rows[file.table] += file.rows
    n_same = rows.pop(SAME_CALLS, 0)
    return Compacted(dict(rows), n_files, n_same)


def _check_day(day: str) -> None:
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise ValueError(f"before must be a day such as 2026-01-31, got {day!r}") from error


def _refuse_other_content(folder: Path) -> None:
    if folder.is_file():
        raise ValueError(f"{folder} is a file; name a folder for the dataset")
    if not folder.is_dir() or (folder / MANIFEST).is_file():
        return
    ours = {*TABLES, SAME_CALLS, _LOCK}  # of a first run that was killed
    others = [each.name for each in folder.iterdir() if not _is_ours(each.name, ours)]
    if others:
        raise ValueError(
            f"{folder} holds files that are no sealed dataset, such as {others[0]!r}; name a new "
            "or empty folder"
        )


def _is_ours(name: str, ours: set[str]) -> bool:
    return name in ours or name.startswith(f".{MANIFEST}.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from sealing into the folder meanwhile; a kill lets go."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LogError(f"another run is sealing into {folder}; wait for it, or end it") from error
    try:
        yield
    finally:
        lock.release()


def _remove_strays(folder: Path, manifest: Manifest) -> None:
    """Remove what a run that was killed left: files that the manifest doesn't name."""
    named = {each.path for each in manifest.files}
    for table in (*TABLES, SAME_CALLS):
        for path in (folder / table).rglob("*.parquet"):
            if path.relative_to(folder).as_posix() not in named:
                path.unlink()
    for path in folder.glob(f".{MANIFEST}.*"):
        path.unlink()
