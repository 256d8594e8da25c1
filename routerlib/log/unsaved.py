"""Keep calls that were paid for and can't be written to the log, and bring them in later."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from routerlib.log.rows import insertion

Row = tuple[str, Mapping[str, Any]]

# Tables whose rows can't be had again without paying, and the prompts that they refer to.
_KEPT = ("prompts", "calls")
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

_IS_THERE = """
select 1 from calls where prompt_id = :prompt_id and candidate = :candidate
and params_hash = :params_hash and repeat = :repeat and status = :status
and response is :response and latency_s is :latency_s
"""


def is_without_room(error: BaseException) -> bool:
    """Tell whether SQLite could not write because the disk is full or fails."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _NO_ROOM


def side_file(path: Path) -> Path:
    """Name the file beside a log that holds what could not be written to it."""
    return path.with_name(f"{path.name}.unsaved.jsonl")


def keep(path: Path, rows: Sequence[Row]) -> str:
    """Append rows to the side file, elsewhere where its folder is full too; say where they are."""
    kept = [json.dumps({"table": table, "row": dict(row)}) for table, row in rows if table in _KEPT]
    if not kept:
        return "nothing that was paid for is lost"
    lines = "".join(f"{line}\n" for line in kept).encode()
    beside = side_file(path)
    for target in (beside, Path(tempfile.gettempdir()) / beside.name):
        try:
            _append(target, lines)
        except OSError:
            continue
        place = "" if target == beside else f" once you have moved it to {beside}"
        return (
            f"the calls that were paid for are kept in {target}, and come into the log when it is "
            f"next opened with room on the disk{place}"
        )
    return f"{len(kept)} rows that were paid for could not be kept anywhere"


def _append(target: Path, lines: bytes) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    before = os.fstat(handle).st_size
    try:
        if os.write(handle, lines) < len(lines):
            os.ftruncate(handle, before)
            raise OSError(f"no room in {target}")
        os.fsync(handle)
    finally:
        os.close(handle)


def bring_back(connection: sqlite3.Connection, path: Path) -> int:
    """Write what was kept beside a log into it, each call once; return how many calls came."""
    beside = side_file(path)
    if not beside.exists():
        return 0
    rows = [json.loads(line) for line in beside.read_text(encoding="utf-8").splitlines()]
    n_calls = 0
    connection.execute("begin immediate")
    try:
        for each in rows:
            row = _known_references(connection, each["row"])
            if each["table"] == "calls":
                if connection.execute(_IS_THERE, row).fetchone():
                    continue
                n_calls += 1
            connection.execute(insertion(each["table"], row) + " on conflict do nothing", row)
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    beside.unlink()
    return n_calls


def _known_references(connection: sqlite3.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the run or decision that was lost with the row."""
    known = dict(row)
    for name, table in (("run_id", "runs"), ("decision_id", "decisions")):
        query = f"select 1 from {table} where {name} = ?"
        if known.get(name) and not connection.execute(query, [known[name]]).fetchone():
            known[name] = None
    return known
