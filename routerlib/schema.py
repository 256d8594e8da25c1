"""Shape of the log: its file and its tables as numbered migrations."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from routerlib.types import CALL_STATUSES

# Marks an SQLite file as a log of this library, so that no other database is ever altered.
APPLICATION_ID = 0x524C4F47  # "RLOG"

_SQLITE_MAGIC = b"SQLite format 3\x00"
_BUSY_TIMEOUT_MS = 30_000
_BIRTH_S = 1.0

_STATUSES = ", ".join(f"'{status}'" for status in CALL_STATUSES)
_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

_M001_INITIAL = f"""
create table prompts (
    prompt_id text primary key,
    messages text not null,
    text text not null,
    task text,
    source text not null,
    reference text,
    judge text,
    created_at text not null default ({_NOW})
) strict;

create table runs (
    run_id integer primary key,
    kind text not null,
    parameters text not null,
    versions text not null,
    budget_usd real,
    created_at text not null default ({_NOW})
) strict;

create table prices (
    price_id integer primary key,
    candidate text not null,
    input_usd_per_mtok real not null check (input_usd_per_mtok >= 0),
    output_usd_per_mtok real not null check (output_usd_per_mtok >= 0),
    cached_input_usd_per_mtok real check (cached_input_usd_per_mtok >= 0),
    source text not null,
    as_of text,
    run_id integer references runs (run_id),
    created_at text not null default ({_NOW})
) strict;

create table decisions (
    decision_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    router_hash text not null,
    candidate text not null,
    propensity real not null check (propensity > 0 and propensity <= 1),
    cost_weight real not null,
    estimates text not null,
    reason text not null,
    run_id integer references runs (run_id),
    created_at text not null default ({_NOW})
) strict;

create table calls (
    call_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    candidate text not null,
    params_hash text not null,
    repeat integer not null default 0,
    status text not null check (status in ({_STATUSES})),
    finish_reason text,
    response text,
    input_tokens integer check (input_tokens >= 0),
    cached_input_tokens integer check (cached_input_tokens >= 0),
    output_tokens integer check (output_tokens >= 0),
    reasoning_tokens integer check (reasoning_tokens >= 0),
    latency_s real not null check (latency_s >= 0),
    attempts integer not null check (attempts >= 1),
    error_type text,
    error text,
    run_id integer references runs (run_id),
    decision_id integer references decisions (decision_id),
    created_at text not null default ({_NOW})
) strict;

create index calls_by_cell on calls (prompt_id, candidate, params_hash, repeat);

create table scores (
    score_id integer primary key,
    call_id integer not null references calls (call_id),
    judge text not null,
    score real not null check (score >= 0 and score <= 1),
    rationale text not null default '',
    created_at text not null default ({_NOW})
) strict;

create index scores_by_call on scores (call_id);
"""

_M002_PROMPT_FACTS = f"""
create table prompt_facts (
    fact_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    task text,
    source text not null,
    reference text,
    judge text,
    created_at text not null default ({_NOW})
) strict;

create index prompt_facts_by_prompt on prompt_facts (prompt_id);

create view known_prompts as
select
    prompts.prompt_id,
    messages,
    text,
    iif(fact_id is null, prompts.task, prompt_facts.task) as task,
    iif(fact_id is null, prompts.source, prompt_facts.source) as source,
    iif(fact_id is null, prompts.reference, prompt_facts.reference) as reference,
    iif(fact_id is null, prompts.judge, prompt_facts.judge) as judge,
    prompts.created_at,
    prompt_facts.created_at as known_since
from prompts left join prompt_facts on fact_id = (
    select max(fact_id) from prompt_facts as newer where newer.prompt_id = prompts.prompt_id
)
order by prompts.rowid;
"""

_M_STARTS = f"""
create table starts (
    start_id integer primary key,
    prompt_id text not null references prompts (prompt_id),
    candidate text not null,
    params_hash text not null,
    repeat integer not null default 0,
    run_id integer not null references runs (run_id),
    created_at text not null default ({_NOW})
) strict;

create index starts_by_cell on starts (prompt_id, candidate, params_hash, repeat);
"""


def _append_only(*tables: str) -> str:
    return "".join(
        f"create trigger {table}_no_{verb} before {verb} on {table} begin "
        f"select raise(abort, '{table} is append-only: write a new row instead'); end;\n"
        for table in tables
        for verb in ("update", "delete")
    )


# Position i turns version i into version i + 1; never edit one that has been released.
MIGRATIONS: tuple[str, ...] = (
    _M001_INITIAL + _append_only("prompts", "runs", "prices", "decisions", "calls", "scores"),
    _M002_PROMPT_FACTS + _append_only("prompt_facts"),
    _M_STARTS + _append_only("starts"),
)
VERSION = len(MIGRATIONS)


class LogError(RuntimeError):
    """A log that can't be used: not ours, newer than this library, damaged or read-only."""


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """Open the file of a log, made and migrated as needed.

    Parameters
    ----------
    path : Path
        The SQLite file; its folder is made if absent.
    read_only : bool, default=False
        Open an existing log without ever writing to it.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode, usable from any thread, one thread at a time.

    Raises
    ------
    LogError
        If the file is not a log of this library, has a newer schema or can't be opened.
    """
    _refuse_foreign_file(path, must_exist=read_only)
    try:
        return _connect(path, read_only)
    except (sqlite3.Error, OSError) as error:
        raise LogError(
            f"cannot open the log {path}: {error}; check that its folder can be written, "
            "that the disk is not full and that the file is whole"
        ) from error


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
    )
    try:
        connection.execute(f"pragma busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.execute("pragma foreign_keys = on")
        _refuse_other_schema(connection, path, read_only)
        if not read_only:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_foreign_file(path: Path, must_exist: bool) -> None:
    if path.is_dir():
        raise LogError(f"the log {path} is a folder; name a file such as {path / 'logs.db'}")
    if not path.exists():
        if must_exist:
            raise LogError(f"there is no log {path}; make one with `routerlib collect`")
        return
    head = _head(path)
    deadline = time.monotonic() + _BIRTH_S
    while not head and time.monotonic() < deadline:  # another process may be making it right now
        time.sleep(0.02)
        head = _head(path)
    if head != _SQLITE_MAGIC:
        raise LogError(
            f"{path} is not a log: it is {'no SQLite file' if head else 'empty'}; "
            "move it away or name another file"
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(_SQLITE_MAGIC))


def _refuse_other_schema(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (n_tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if n_tables and application_id != APPLICATION_ID:
        raise LogError(f"{path} is another program's database, not a log; name another file")
    version = version_of(connection)
    if version > VERSION:
        raise LogError(
            f"the log {path} has schema {version}, this routerlib knows up to {VERSION}; "
            "update routerlib to open it"
        )
    if version < VERSION and read_only:
        raise LogError(
            f"the log {path} has schema {version}, older than {VERSION}; "
            "open it once for writing to bring it up to date"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a log to the newest version in one transaction.

    Parameters
    ----------
    connection : sqlite3.Connection
        An open, writable log, or an empty new file, with no transaction under way.

    Raises
    ------
    sqlite3.OperationalError
        If a migration fails; the log stays as it was.
    """
    version = version_of(connection)
    if version == VERSION:
        return
    script = "".join(MIGRATIONS[version:])
    try:
        connection.executescript(
            f"begin exclusive;\n{script}\npragma application_id = {APPLICATION_ID};\n"
            f"pragma user_version = {VERSION};\ncommit;"
        )
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.rollback()
        # Another process may have migrated the same new file a moment earlier.
        if version_of(connection) != VERSION:
            raise


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of migrations that the log has had."""
    return int(connection.execute("pragma user_version").fetchone()[0])
