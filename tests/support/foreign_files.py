"""Files in the formats of other tools, as these wrote them in November 2026."""

from __future__ import annotations

import json
import sqlite3
import struct
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def old_llm(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "create table conversations (id text primary key, name text, model text);"
            "create table responses (id text primary key, model text, prompt text, system text, "
            "prompt_json text, options_json text, response text, response_json text, "
            "conversation_id text, duration_ms integer, datetime_utc text, input_tokens integer, "
            "output_tokens integer, token_details text);"
            "create table attachments (id text primary key);"
            "create table prompt_attachments (response_id text, attachment_id text);"
        )
        rows = [
            ("r1", "m", "1+1?", "Be brief", '{"temperature": 0.5}', "2", "c1", "2025-01-01", 10, 5),
            ("r2", "m", "Hi", None, None, "Hello", "c2", "2025-01-02", None, None),
            ("r3", "m", "And again?", None, None, "Hi again", "c2", "2025-01-03", 30, 3),
            ("r4", "m", "What is on it?", None, None, "A cat", "c3", "2025-01-04", 900, 3),
            ("r5", "m", "Say nothing", None, None, "", "c4", "2025-01-05", 3, 0),
        ]
        database.executemany(
            "insert into responses (id, model, prompt, system, options_json, response, "
            "conversation_id, datetime_utc, input_tokens, output_tokens, duration_ms) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 250)",
            rows,
        )
        database.execute("insert into prompt_attachments values ('r4', 'a1')")
        database.commit()
    return path


def new_llm(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            """
            create table messages (hash text primary key, parent_hash text, role text);
            create table parts (id integer primary key, message_hash text, position integer,
                type text, tool_name text, text text, payload text);
            create table fragments (id integer primary key, hash text, content text);
            create table turns (id text primary key, thread_id text, parent_message_hash text,
                tip_message_hash text, model text, resolved_model text, options_json text,
                input_tokens integer, output_tokens integer, token_details text,
                duration_ms integer, datetime_utc text);
            create table responses (id text primary key, model text, prompt text, system text,
                options_json text, response text, conversation_id text, datetime_utc text);
            insert into fragments values (1, 'h', 'A long fragment');
            insert into messages values ('s', null, 'system'), ('u1', 's', 'user'),
                ('a1', 'u1', 'assistant'), ('u2', 'a1', 'user'), ('a2', 'u2', 'assistant'),
                ('u3', null, 'user'), ('a3', 'u3', 'assistant');
            insert into parts (message_hash, position, type, text, payload) values
                ('s', 0, 'text', 'Be brief', null), ('u1', 0, 'text', '1+1?', null),
                ('a1', 0, 'reasoning', 'Let me think', null), ('a1', 1, 'text', '2', null),
                ('u2', 0, 'text', null, '{"text_ref": [{"fragment": 1}, {"literal": " and?"}]}'),
                ('a2', 0, 'text', '3', null),
                ('u3', 0, 'attachment', null, '{"id": "x"}'), ('a3', 0, 'text', 'A cat', null);
            insert into turns values
                ('t1', 'th', 'u1', 'a1', 'm', null, '{"temperature": 0.5}', 10, 5, null, 250,
                 '2026-01-01T00:00:00'),
                ('t2', 'th', 'u2', 'a2', 'm', null, null, null, null, null, null,
                 '2026-01-02T00:00:00'),
                ('t3', 'th2', 'u3', 'a3', 'm', null, null, 9, 9, null, 1, '2026-01-03T00:00:00');
            """
        )
        database.commit()
    return path


SAMPLES = [
    {
        "id": "a",
        "epoch": 1,
        "input": "What is 1+1?",
        "target": "2",
        "output": {"choices": [{"message": {"content": "2"}, "stop_reason": "stop"}]},
        "scores": {
            "match": {"value": "C", "explanation": "2"},
            "graded": {"value": {"style": 0.5, "length": 120}},
            "lazy": {"value": "P"},
            "none": {"value": "N"},
            "odd": {"value": "excellent"},
        },
        "model_usage": {
            "mock/m": {"input_tokens": 10, "output_tokens": 5, "input_tokens_cache_read": 4},
            "grader": {"input_tokens": 999, "output_tokens": 9},
        },
        "metadata": {"level": 1},
        "working_time": 0.5,
        "started_at": "2026-11-24T06:19:04+00:00",
        "uuid": "u-a1",
        "events": [{"large": "x" * 1000}],
    },
    {
        "id": 2,
        "epoch": 2,
        "input": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "attachment://h1"}]},
        ],
        "target": ["4", "four"],
        "output": {
            "choices": [
                {
                    "message": {
                        "content": [
                            {"type": "reasoning", "reasoning": "hm"},
                            {"type": "text", "text": "five five"},
                        ]
                    },
                    "stop_reason": "max_tokens",
                }
            ]
        },
        "scores": {"match": {"value": "I"}},
        "attachments": {"h1": "What is 2+2?"},
    },
    {
        "id": 3,
        "epoch": 1,
        "input": "What is 3+3?",
        "target": "6",
        "output": {"choices": []},
        "error": {"message": "the sandbox died"},
    },
    {
        "id": 4,
        "epoch": 1,
        "input": [{"role": "user", "content": [{"type": "image", "image": "data:..."}]}],
        "target": "cat",
        "output": {"choices": [{"message": {"content": "cat"}, "stop_reason": "stop"}]},
        "scores": {"match": {"value": "C"}},
    },
]
EVALUATION = {
    "eval_id": "e1",
    "run_id": "r1",
    "task": "sums",
    "model": "mock/m",
    "created": "2026-11-24T06:19:00+00:00",
    "model_generate_config": {"temperature": 0.5},
}


def inspect_json(path: Path) -> Path:
    path.write_text(json.dumps({"version": 2, "eval": EVALUATION, "samples": SAMPLES}))
    return path


def inspect_archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "eval": EVALUATION}))
        for sample in SAMPLES:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, json.dumps(sample))
        archive.writestr("summaries.json", "[]")
    return path


def zstd_archive(path: Path) -> Path:
    """Write an archive as Inspect does today, with a compression that zipfile can't write."""
    entries = {"header.json": {"version": 2, "eval": EVALUATION}}
    entries |= {f"samples/{each['id']}_epoch_1.json": each for each in SAMPLES}
    body, directory = b"", b""
    for name, value in entries.items():
        plain = json.dumps(value).encode()
        packed = pa.Codec("zstd").compress(plain, asbytes=True)
        fields = (93, 0, 33, zlib.crc32(plain), len(packed), len(plain), len(name), 0)
        directory += struct.pack("<4sHHH3HLLLHH", b"PK\1\2", 63, 63, 0, *fields)
        directory += struct.pack("<HHHLL", 0, 0, 0, 0, len(body)) + name.encode()
        body += struct.pack("<4sHH3HLLLHH", b"PK\3\4", 63, 0, *fields) + name.encode() + packed
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(body), 0
    )
    path.write_bytes(body + directory + end)
    return path


def lm_eval_generated(path: Path) -> Path:
    sample = {
        "doc_id": 0,
        "doc": {"question": "1+1", "answer": "2"},
        "target": "2",
        "arguments": {"gen_args_0": {"arg_0": "Q: 1+1\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [["2"]],
        "filtered_resps": ["2"],
        "filter": "strict",
        "metrics": ["exact_match"],
        "doc_hash": "d0",
        "exact_match": 1.0,
    }
    return lines(path, sample, {**sample, "filter": "upper", "exact_match": 0.0})


def lm_eval_choice(path: Path) -> Path:
    sample = {
        "doc_id": 1,
        "doc": {"question": "Sky?", "choices": ["blue", "red"]},
        "target": "0",
        "arguments": {
            "gen_args_0": {"arg_0": "Sky?", "arg_1": " blue"},
            "gen_args_1": {"arg_0": "Sky?", "arg_1": " red"},
        },
        "resps": [[["-0.1", "False"]], [["-0.6", "False"]]],
        "filtered_resps": [["-0.1", "False"], ["-0.6", "False"]],
        "filter": "none",
        "metrics": ["acc", "acc_norm", "perplexity"],
        "doc_hash": "d1",
        "acc": 1.0,
        "acc_norm": 0.0,
        "perplexity": 12.0,
    }
    results = path.with_name("results_2026-11-24T06-19-16.468296.json")
    results.write_text(json.dumps({"model_name": "org/model"}))
    return lines(path, sample)


def body(content: str | None = "4", finish: str = "stop") -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{content}",
        "created": 1795502903,
        "model": "gpt-4o-mini-2024",
        "choices": [
            {"message": {"role": "assistant", "content": content}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


ASKED = [{"role": "user", "content": "What is 2+2?"}]
