"""Open the file of a log: refuse what is no log, bring an old one up to date."""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from routerlib.log.damage import damaged, is_damage, refuse_damage
from routerlib.log.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    VERSION,
    LogError,
    refuse_newer,
    version_of,
)
from routerlib.log.sealed import MANIFEST
from routerlib.records.brief import n_of
from routerlib.records.files import make_private

_BUSY_TIMEOUT_MS = 30_000
# How long a file without tables may be a log that another process is making right now.
_BIRTH_S = 1.0
_MOST_BACKUPS = 1000

_logger = logging.getLogger(__name__)


def connect(path: Path, read_only: bool = False, checked: bool = True) -> sqlite3.Connection:
    """Open the file of a log, made and migrated as needed, and `checked` for damage.

    Before an old log is changed, a copy of it as it was is left beside it, named such as
    ``logs.db.v2.backup``. It is never overwritten and never removed: delete it when the new
    log has served you well.
    """
    _refuse_foreign_file(path, must_exist=read_only)
    try:
        return _connect(path, read_only, checked)
    except (sqlite3.Error, OSError, UnicodeError) as error:
        if is_damage(error) or isinstance(error, UnicodeError):
            raise damaged(path, error) from error
        if read_only and "readonly database" in str(error):
            raise LogError(
                f"cannot read the log {path} where it is: to read it, too, SQLite writes files "
                f"beside it, and may not in {path.parent}; copy the log, and {path.name}-wal if "
                "there is one, while nobody writes to it, to a folder that can be written"
            ) from error
        if not read_only and (locked := _locked(path)):
            raise LogError(
                f"cannot write to the log {path}: its {locked} may only be read, so that it can't "
                f"be written or brought up to date there; {_copied(path)}, or change the rights"
            ) from error
        raise LogError(
            f"cannot open the log {path}: {error}; check that the file is whole, that it and its "
            "folder can be written and that the disk is not full"
        ) from error


def _connect(path: Path, read_only: bool, checked: bool) -> sqlite3.Connection:
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not (path.exists() or read_only)
    if is_new:  # for its owner's eyes; what SQLite puts beside it gets the same rights
        make_private(path)
    connection = _open(path, "ro" if read_only else "rwc")
    try:
        connection.execute(f"pragma busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.execute("pragma foreign_keys = on")
        _refuse_other_file(connection, path)
        _refuse_other_schema(connection, path, read_only, is_new)
        if checked and not is_new:
            refuse_damage(connection, path)
        if not read_only:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
    )


def _refuse_foreign_file(path: Path, must_exist: bool) -> None:
    if (path / MANIFEST).is_file():
        raise LogError(
            f"{path} is a sealed dataset, which is only read; name the log that it was sealed "
            "from: what is written there is read with the dataset"
        )
    if path.is_dir():
        raise LogError(f"the log {path} is a folder; name a file such as {path / 'logs.db'}")
    if not path.exists():
        if must_exist:
            raise LogError(f"there is no log {path}; make one with `routerlib collect`")
        return
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise LogError(f"cannot read the log {path}: Permission denied; check its rights")
    deadline = time.monotonic() + _BIRTH_S
    while not path.stat().st_size:  # another process may be making it right now
        if time.monotonic() > deadline:
            raise LogError(f"{path} is not a log: it is empty; move it away or name another file")
        time.sleep(0.02)


def _refuse_other_file(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no SQLite file, or only a part of one.

    Nothing but SQLite may open the file, not even to read its head: when a process closes a file,
    POSIX drops all locks that it holds on it, those of its other connections too. Whoever
    leaves next then believes itself alone and deletes the -wal that the others still write to, and
    all that they commit afterwards is lost. This happened.
    """
    try:
        (page_bytes,) = connection.execute("pragma page_size").fetchone()
        (n_pages,) = connection.execute("pragma page_count").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise LogError(
            f"{path} is not a log: it is no SQLite file; name another file, or restore it from a "
            "copy"
        ) from error
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        return  # the newest pages stand there
    # SQLite itself overlooks a last page that is missing in part.
    expected, found = page_bytes * n_pages, path.stat().st_size
    if found < expected:
        raise LogError(
            f"the log {path} was cut off: it should have {expected} bytes and has {found}; "
            "restore it from a copy"
        )


def _refuse_other_schema(
    connection: sqlite3.Connection, path: Path, read_only: bool, is_new: bool
) -> None:
    n_tables = _n_tables(connection)
    deadline = time.monotonic() + _BIRTH_S
    while not (n_tables or is_new) and time.monotonic() < deadline:
        time.sleep(0.02)
        n_tables = _n_tables(connection)
    if not (n_tables or is_new):
        raise LogError(
            f"{path} holds no tables; was it copied without the {path.name}-wal beside it, which "
            "holds the newest rows? Copy both while nothing writes, or delete this file"
        )
    (application_id,) = connection.execute("pragma application_id").fetchone()
    if n_tables and application_id != APPLICATION_ID:
        raise LogError(
            f"{path} is another program's database, not a log; name another file, or "
            "restore it from a copy"
        )
    version = version_of(connection)
    refuse_newer(version, path)
    if version < VERSION and read_only:
        locked = _locked(path)
        how = (
            f"open it once for writing to bring it up to date: routerlib log upgrade --log {path}"
            if not locked
            else f"its {locked} may only be read, so that it can't be brought up to date there; "
            f"{_copied(path)}, and say routerlib log upgrade --log COPY"
        )
        raise LogError(f"the log {path} has schema {version}, older than {VERSION}; {how}")


def _locked(path: Path) -> str:
    """Say what of a log may not be written: its file, its folder or both; "" = nothing."""
    by_whom = os.access in os.supports_effective_ids
    places = {"file": path, "folder": path.resolve().parent}
    return " and ".join(
        name
        for name, place in places.items()
        if place.exists() and not os.access(place, os.W_OK, effective_ids=by_whom)
    )


def _copied(path: Path) -> str:
    return (
        f"copy it, and {path.name}-wal if there is one, to a folder that can be written, with the "
        "right to write the copy"
    )


def _n_tables(connection: sqlite3.Connection) -> int:
    return int(connection.execute("select count(*) from sqlite_master").fetchone()[0])


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a log to the newest version in one transaction, a copy of the old one kept."""
    if version_of(connection) == VERSION:
        return
    # Tables are copied and dropped on the way; references are checked as a whole at the end.
    connection.execute("pragma foreign_keys = off")
    try:
        connection.execute("begin immediate")  # from here on nobody else writes
        try:
            # Another process may have migrated the same file a moment earlier.
            version = version_of(connection)
            if version < VERSION:
                _migrate_from(connection, version, path)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:  # a full disk has ended it already
                connection.execute("rollback")
            raise
    finally:
        connection.execute("pragma foreign_keys = on")


def _migrate_from(connection: sqlite3.Connection, version: int, path: Path) -> None:
    backup = _back_up(path, version) if version else None
    for statement in _statements("".join(MIGRATIONS[version:])):
        connection.execute(statement)
    broken = connection.execute("pragma foreign_key_check").fetchall()
    if broken:
        raise sqlite3.IntegrityError(
            f"{n_of(len(broken), 'rows refer', 'row refers')} to rows that are not there, the "
            f"first in {broken[0][0]!r}"
        )
    connection.execute(f"pragma application_id = {APPLICATION_ID}")
    connection.execute(f"pragma user_version = {VERSION}")
    if backup:
        _logger.warning(
            "%s was brought from schema %d to %d; as it was it is kept in %s",
            path,
            version,
            VERSION,
            backup,
        )


def _statements(script: str) -> Iterator[str]:
    """Split a script; unlike `executescript`, running the parts does not commit before them."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _back_up(path: Path, version: int) -> Path:
    """Copy a log to a new file beside it, which is whole before it has its name."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        with closing(_open(path, "ro")) as old, closing(sqlite3.connect(partial)) as copy:
            old.backup(copy)
            copy.execute("pragma journal_mode = delete")  # one file, without others beside it
        for number in range(_MOST_BACKUPS):
            backup = path.with_name(f"{path.name}.v{version}.backup{number or ''}")
            try:
                backup.open("xb").close()  # takes a free name, so that nothing is overwritten
            except FileExistsError:
                continue
            os.replace(partial, backup)
            return backup
        raise OSError(f"there are {_MOST_BACKUPS} backups of {path} already")
    finally:
        Path(partial).unlink(missing_ok=True)
