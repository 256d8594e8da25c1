"""Tell a damaged log from a whole one, and say so in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from routerlib.log.schema import LogError

# A log up to this size is checked whole whenever it is opened: about a fifth of a second at most.
CHECKED_AT_OPEN_BYTES = 64 << 20

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(path: Path, why: object) -> LogError:
    """Say that a log is damaged, what shows it, and what to do."""
    return LogError(
        f"the log {path} is damaged: {why}; run `routerlib log check --log {path}` to see how far, "
        "then restore it from a copy"
    )


def is_damage(error: BaseException) -> bool:
    """Tell whether SQLite itself says that a file isn't whole."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in _DAMAGED or "malformed" in str(error)


def refuse_damage(connection: sqlite3.Connection, path: Path) -> None:
    """Check a small log whole; of a large one the head is looked at, the rest at a surprise."""
    if path.stat().st_size <= CHECKED_AT_OPEN_BYTES and (complaint := _complaint(connection)):
        raise damaged(path, complaint)


@contextmanager
def surprises(path: Path) -> Iterator[None]:
    """Turn whatever reading a damaged log brings about into one line that names it.

    An error that has nothing to do with damage passes as it is: only a full check of the file, or
    SQLite's own word, makes it one.
    """
    try:
        yield
    except LogError:
        raise
    except Exception as error:
        if is_damage(error):
            raise damaged(path, error) from error
        if isinstance(error, UnicodeError):
            raise damaged(path, f"a text in it can't be read ({error})") from error
        if complaint := _complaint_of(path):
            raise damaged(path, complaint) from error
        raise


def _complaint_of(path: Path) -> str | None:
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, 30, uri=True)) as connection:
            return _complaint(connection)
    except sqlite3.DatabaseError as error:
        return str(error) if is_damage(error) else None


def _complaint(connection: sqlite3.Connection) -> str | None:
    """Return the first thing that SQLite's full check finds, None where the file is whole."""
    try:
        (line,) = connection.execute("pragma integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return None if line == "ok" else " ".join(str(line).split())
