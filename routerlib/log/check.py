"""Check that a log is whole: its file, its references, and what can be derived again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from routerlib.log import file as log_file
from routerlib.log.damage import surprises
from routerlib.log.pieces import altered_piece
from routerlib.log.queries import TABLES
from routerlib.records.progress import watched
from routerlib.records.prompt import Prompt
from routerlib.records.trajectories import as_words, is_trajectory, trajectory_text, whole_text

# A damaged file can have a complaint for every page; the first ones tell enough.
MOST_COMPLAINTS = 20

COUNTED = (
    (
        "scores of calls that failed; a failed call must never become a label",
        "select count(*) from scores join calls using (call_id) where status <> 'ok'",
    ),
    (
        "calls that another tool logged, but more often than once",
        "select count(*) - count(distinct origin) from calls where origin is not null",
    ),
    (
        "calls of which more tokens were cached than came in, or more were thoughts than went "
        "out; what they cost is told too low",
        "select count(*) from calls where "
        "cached_input_tokens + coalesce(cache_write_tokens, 0) > input_tokens "
        "or cache_write_1h_tokens > coalesce(cache_write_tokens, 0) "
        "or reasoning_tokens > output_tokens",
    ),
)


def check_log(path: str | Path) -> list[str]:
    """Check a log without changing it.

    Looks at the file (SQLite's ``integrity_check``), at references between tables, at the guards
    that keep rows from being changed, at scores of failed calls, and derives each prompt's
    identifier and text again from its messages.
    """
    path = Path(path)
    with surprises(path), closing(log_file.connect(path, read_only=True, checked=False)) as opened:
        return list(_complaints(opened))


def _complaints(connection: sqlite3.Connection) -> Iterator[str]:
    checks = (_damage, _broken, _counted, _missing_guards, _altered_pieces, _altered_prompts)
    for check in watched(checks, "checks", len(checks)):
        yield from check(connection)


def _damage(connection: sqlite3.Connection) -> Iterator[str]:
    for (line,) in connection.execute(f"pragma integrity_check({MOST_COMPLAINTS})"):
        if line != "ok":
            yield f"the file is damaged: {line}"


def _broken(connection: sqlite3.Connection) -> Iterator[str]:
    broken = connection.execute("pragma foreign_key_check").fetchmany(MOST_COMPLAINTS)
    for table, row, parent, _ in broken:
        yield f"row {row} of {table} refers to a row of {parent} that is not there"


def _counted(connection: sqlite3.Connection) -> Iterator[str]:
    for complaint, count in COUNTED:
        (n_found,) = connection.execute(count).fetchone()
        if n_found:
            yield f"{n_found} {complaint}"


def _altered_pieces(connection: sqlite3.Connection) -> Iterator[str]:
    if (piece := altered_piece(connection)) is not None:
        yield f"piece {piece} was altered: its hash is another one"


def _altered_prompts(connection: sqlite3.Connection) -> Iterator[str]:
    (n_prompts,) = connection.execute("select count(*) from prompts").fetchone()
    whole = "select prompt_id, messages, text, extra from whole_prompts"
    try:
        rows = watched(connection.execute(whole), "prompts derived again", n_prompts)
        yield from altered(rows)
    except sqlite3.OperationalError as error:
        yield f"the messages of a prompt can't be read, a piece of them is missing: {error}"


def _missing_guards(connection: sqlite3.Connection) -> Iterator[str]:
    triggers = connection.execute("select name from sqlite_master where type = 'trigger'")
    guards = {name for (name,) in triggers}
    for table in (*TABLES, "pieces"):
        for verb in ("update", "delete"):
            if f"{table}_no_{verb}" not in guards:
                yield f"nothing keeps rows of {table} from {verb}: the guard was taken off"


def _earlier(prompt: Prompt) -> str:
    """Return the text of a prompt as an earlier version wrote it."""
    messages = prompt.messages
    return trajectory_text(messages) if is_trajectory(messages) else whole_text(messages)


def _is_text_of(prompt: Prompt, text: str) -> bool:
    if text == prompt.text:
        return True
    return as_words(text) in map(as_words, (prompt.text, _earlier(prompt)))


def altered(rows: Iterable[tuple[str, str, str, str | None]]) -> Iterator[str]:
    """Tell of prompts whose identifier or text doesn't follow from their messages.

    A text may be that of an earlier version: all that was said, without a situation, or with
    lines of the user's own as they were.

    `rows`: identifier, messages as JSON, text, and further fields as JSON of each.
    """
    for prompt_id, messages, text, extra in rows:
        try:
            prompt = Prompt(tuple(json.loads(messages)), extra=json.loads(extra or "null"))
        except (ValueError, TypeError, AttributeError) as error:
            yield f"the messages of prompt {prompt_id!r} can't be read: {error}"
            continue
        if prompt.prompt_id != prompt_id or not _is_text_of(prompt, text):
            yield f"prompt {prompt_id!r} was altered: its messages give {prompt.prompt_id!r}"
