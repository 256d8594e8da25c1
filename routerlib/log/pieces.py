"""Messages, and lists of tools, that many rows hold: stored once, under the hash of their JSON.

Each step of a conversation is sent with all that was said before it. In the file of a log the rows
of its prompts name their messages by number; whoever reads a log through this library, or through
the views ``whole_prompts``, ``known_prompts`` and ``whole_calls``, gets them whole, letter by
letter as they were.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routerlib.log.damage import damaged
from routerlib.records.canonical import canonical_json, tagged_text_hash
from routerlib.records.prompt import Prompt
from routerlib.records.trajectories import whole_text

# Shorter ones take no more room in each row than a name for them would.
_LEAST_CHARACTERS = 500
# Further field of a call that is stored as a piece, and the column that names it.
TOOLS = "tools"
TOOLS_PIECE = "tools_piece"

_ADD = "insert into pieces (hash, json) values (?, ?) on conflict do nothing"


def shared_messages(
    connection: sqlite3.Connection, prompt: Prompt, row: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the row of a prompt with its messages by number; a short one, or one message, as is.

    `row`: of `routerlib.log.rows.prompt_row`.
    """
    if len(prompt.messages) < 2 or len(row["messages"]) < _LEAST_CHARACTERS:
        return row
    numbers = [_number(connection, canonical_json(dict(each))) for each in prompt.messages]
    stored = {**row, "messages": canonical_json(numbers)}
    is_words = all(isinstance(each.get("content"), str) for each in prompt.messages)
    # SQLite puts the words together; it ends a text at a NUL.
    if is_words and "\0" not in row["text"] and row["text"] == whole_text(prompt.messages):
        stored["text"] = ""
    return stored


def shared_tools(
    connection: sqlite3.Connection, extra: Mapping[str, Any] | None, row: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the row of a call with a long list of tools by number.

    `row`: of `routerlib.log.rows.call_row`. `extra`: the call's further fields.
    """
    tools = (extra or {}).get(TOOLS)
    if extra is None or not isinstance(tools, list):
        return row
    text = canonical_json(tools)
    if len(text) < _LEAST_CHARACTERS:
        return row
    rest = {name: value for name, value in extra.items() if name != TOOLS}
    return {**row, "extra": canonical_json(rest), TOOLS_PIECE: _number(connection, text)}


def _number(connection: sqlite3.Connection, text: str) -> int:
    """Store a piece that is not there yet, and return its number."""
    name = tagged_text_hash(text)
    found = connection.execute("select piece_id from pieces where hash = ?", [name]).fetchone()
    if found is None:
        return int(connection.execute(_ADD, [name, text]).lastrowid or 0)
    return int(found[0])


def altered_piece(connection: sqlite3.Connection) -> int | None:
    """Return the number of a piece that is not what its hash says; None = there is none."""
    for number, name, text in connection.execute("select piece_id, hash, json from pieces"):
        told, said = (each.decode() if isinstance(each, bytes) else each for each in (name, text))
        if tagged_text_hash(said) != told:
            return int(number)
    return None


def refuse_altered(connection: sqlite3.Connection, path: Path) -> None:
    """Raise LogError where a piece was altered: each stands for many prompts."""
    number = altered_piece(connection)
    if number is not None:
        raise damaged(path, f"piece {number} was altered")
