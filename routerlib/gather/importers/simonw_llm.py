"""Read logs.db of the llm command line, of its newer and older versions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from routerlib.gather.calls.tokens import read_tokens
from routerlib.gather.importers.records import (
    Imported,
    Options,
    origin,
    params_hash,
    rest_of,
)
from routerlib.records.call import Call
from routerlib.records.endings import status_by
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import THOUGHT

_NO_TEXT = "calls with attachments, tools or without text"

_Messages = tuple[Mapping[str, str], ...]


def read_llm(path: Path, options: Options) -> Iterator[Imported]:
    """Yield every response; in a conversation, what was said before belongs to the prompt."""
    try:
        with closing(_open(path)) as database:
            tables = {
                name for (name,) in database.execute("select name from sqlite_master").fetchall()
            }
            if not tables & {"turns", "responses"}:
                raise ValueError(f"{path} has neither a table 'turns' nor 'responses' of llm")
            if "turns" in tables:
                yield from _turns(database, options)
            if "responses" in tables:
                yield from _responses(database, options)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} can't be read as logs.db of llm: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    return database


# -- from version 0.27 on: messages that know the one before them ---


def _turns(database: sqlite3.Connection, options: Options) -> Iterator[Imported]:
    messages = {
        row["hash"]: (row["parent_hash"], row["role"])
        for row in database.execute("select hash, parent_hash, role from messages")
    }
    texts = _texts(database)
    thoughts = _thoughts(database)
    for row in database.execute("select * from turns order by datetime_utc, id").fetchall():
        options.ledger.n_rows += 1
        asked = _chain(row["parent_message_hash"], None, messages, texts)
        said = _chain(row["tip_message_hash"], row["parent_message_hash"], messages, texts)
        if not asked or said is None:
            options.ledger.left_out[_NO_TEXT] += 1
            continue
        response = "".join(each["content"] for each in said if each["role"] == "assistant")
        thought = thoughts.get(row["tip_message_hash"], "")
        yield _imported(dict(row), asked, response, options, thought)


def _texts(database: sqlite3.Connection) -> dict[str, str | None]:
    """Return each message's text; None where it holds more than text."""
    fragments = dict(database.execute("select id, content from fragments").fetchall())
    texts: dict[str, str | None] = {}
    query = "select message_hash, type, text, payload from parts order by message_hash, position"
    for key, kind, text, payload in database.execute(query):
        if kind == "reasoning":
            continue
        piece = _part_text(text, payload, fragments) if kind == "text" else None
        before = texts.get(key, "")
        texts[key] = None if piece is None or before is None else before + piece
    return texts


def _thoughts(database: sqlite3.Connection) -> dict[str, str]:
    """Return each message's thoughts, as far as they are kept."""
    query = (
        "select message_hash, group_concat(text, char(10) || char(10)) from parts "
        "where type = 'reasoning' and text <> '' group by message_hash"
    )
    return dict(database.execute(query).fetchall())


def _part_text(text: str | None, payload: str | None, fragments: Mapping[int, str]) -> str | None:
    if text is not None:
        return text
    pieces = _json(payload).get("text_ref")
    if not isinstance(pieces, list):
        return None
    found = [
        piece.get("literal", fragments.get(piece.get("fragment", -1)))
        for piece in pieces
        if isinstance(piece, dict)
    ]
    return None if None in found else "".join(map(str, found))


def _chain(
    tip: str | None,
    stop: str | None,
    messages: Mapping[str, tuple[str | None, str]],
    texts: Mapping[str, str | None],
) -> _Messages | None:
    """Return the messages up to a tip, from the start or after another one."""
    chain: list[Mapping[str, str]] = []
    while tip is not None and tip != stop:
        if tip not in messages or len(chain) > len(messages):
            return None
        parent, role = messages[tip]
        text = texts.get(tip, "")
        if text is None:
            return None
        chain.append({"role": role, "content": text})
        tip = parent
    return tuple(reversed(chain))


# -- before: one row per response, with prompt and system prompt as columns ---


def _responses(database: sqlite3.Connection, options: Options) -> Iterator[Imported]:
    with_attachments = _ids(database, "select response_id from prompt_attachments")
    with_tools = _ids(database, "select response_id from tool_calls")
    fragments = _fragments(database, "prompt_fragments")
    system_fragments = _fragments(database, "system_fragments")
    history: dict[str, _Messages] = {}
    for row in database.execute("select * from responses order by datetime_utc, id").fetchall():
        options.ledger.n_rows += 1
        record = dict(row)
        system = "\n\n".join([*system_fragments.get(row["id"], []), *_some(row["system"])])
        prompt = "\n".join([*fragments.get(row["id"], []), *_some(row["prompt"])])
        before = history.get(row["conversation_id"] or "", ())
        if system and not before:
            before = ({"role": "system", "content": system},)
        asked = (*before, {"role": "user", "content": prompt})
        answer = {"role": "assistant", "content": row["response"] or ""}
        if row["conversation_id"]:
            history[row["conversation_id"]] = (*asked, answer)
        if row["id"] in with_attachments | with_tools or not prompt.strip():
            options.ledger.left_out[_NO_TEXT] += 1
            continue
        yield _imported(record, asked, row["response"], options)


def _some(text: str | None) -> list[str]:
    return [text] if text else []


def _ids(database: sqlite3.Connection, query: str) -> set[str]:
    try:
        return {row[0] for row in database.execute(query)}
    except sqlite3.OperationalError:  # a version of llm that had no such table yet
        return set()


def _fragments(database: sqlite3.Connection, table: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    query = (
        f"select response_id, content from {table} join fragments on fragments.id = fragment_id "
        f'order by response_id, "order"'
    )
    try:
        rows = database.execute(query).fetchall()
    except sqlite3.OperationalError:  # a version of llm that had no fragments yet
        return {}
    for response_id, content in rows:
        found.setdefault(response_id, []).append(content)
    return found


def _imported(
    row: dict[str, Any], asked: _Messages, response: str | None, options: Options, thought: str = ""
) -> Imported:
    prompt = Prompt(asked, source="llm")
    told = _json(row.get("response_json"))
    reason = _end_of(told)
    duration_ms = row.get("duration_ms")
    counts = {**_json(row.get("token_details")), **_known(row, "input_tokens", "output_tokens")}
    tokens = read_tokens(counts, has_text=bool(response and response.strip()))
    rest = rest_of(
        row,
        *("prompt", "system", "response", "model", "prompt_json", "response_json", "reply_to"),
        *("parent_message_hash", "tip_message_hash", "input_tokens", "output_tokens"),
        *("duration_ms", "datetime_utc", "token_details"),
    )
    beside = {
        "answered_by": told.get("model") or row.get("resolved_model"),
        THOUGHT: thought or _message(told).get("reasoning_content"),
        "tokens_uncertain": tokens.doubt or None,
    }
    return Imported(
        prompt,
        Call(
            prompt.prompt_id,
            options.candidate or row["model"],
            params_hash(row["model"], _json(row.get("options_json"))),
            status_by(reason, response),
            response=response or None,
            finish_reason=None if reason is None else str(reason),
            usage=tokens.usage,
            latency_s=None if duration_ms is None else duration_ms / 1000,
            attempts=None,
            origin=origin("llm", row["id"]),
            asked_at=row.get("datetime_utc"),
            extra=rest_of({**(rest or {}), **beside}),
        ),
    )


def _known(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names if row.get(name) is not None}


def _end_of(told: Mapping[str, Any]) -> Any:
    """Return why an answer ended, which stands in the provider's own words only."""
    first = _choice(told)
    if told.get("status") == "incomplete":
        return (told.get("incomplete_details") or {}).get("reason") or "incomplete"
    return told.get("finish_reason") or first.get("finish_reason") or told.get("stop_reason")


def _choice(told: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = told.get("choices")
    is_one = isinstance(choices, list) and choices and isinstance(choices[0], Mapping)
    return choices[0] if is_one else {}  # type: ignore[index]


def _message(told: Mapping[str, Any]) -> Mapping[str, Any]:
    message = _choice(told).get("message")
    return message if isinstance(message, Mapping) else {}


def _json(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
