"""What other tools have logged comes in whole, once, and as what it is."""

from __future__ import annotations

import json
import sqlite3
import struct
import zipfile
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from routerlib.cli import main
from routerlib.importers import IMPORTERS, Options, import_log
from routerlib.log import CallLog
from routerlib.types import CandidateModel, Price


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def calls(log: CallLog) -> pd.DataFrame:
    return log.sql("select * from calls order by call_id")


def messages(log: CallLog) -> list[list[tuple[str, str]]]:
    return [[(m["role"], m["content"]) for m in prompt.messages] for prompt in log.prompts()]


def scores(log: CallLog) -> list[tuple[str, float]]:
    frame = log.sql("select judge, score from scores order by score_id")
    return list(zip(frame.judge, frame.score, strict=True))


# -- files in the formats of the tools, as these wrote them in November 2026 ---


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


# -- each tool ---


def test_an_older_logs_db_of_llm_comes_in(log: CallLog, tmp_path: Path) -> None:
    report = import_log("llm", old_llm(tmp_path / "llm.db"), log)
    assert (report.n_calls, report.left_out.total()) == (4, 1)
    assert messages(log)[:3] == [
        [("system", "Be brief"), ("user", "1+1?")],
        [("user", "Hi")],
        [("user", "Hi"), ("assistant", "Hello"), ("user", "And again?")],
    ]
    found = calls(log)
    assert found.response.tolist()[:3] == ["2", "Hello", "Hi again"]
    assert found.status.tolist() == ["ok", "ok", "ok", "empty"]
    assert found.input_tokens.isna().tolist() == [False, True, False, False], "never 0 for unknown"
    assert found.latency_s[0] == 0.25
    assert found.asked_at[0] == "2025-01-01"
    assert json.loads(found.extra[0]) == {
        "id": "r1",
        "options_json": '{"temperature": 0.5}',
        "conversation_id": "c1",
    }


def test_a_newer_logs_db_of_llm_comes_in(log: CallLog, tmp_path: Path) -> None:
    report = import_log("llm", new_llm(tmp_path / "llm.db"), log)
    assert (report.n_calls, report.left_out.total()) == (2, 1)
    first = [("system", "Be brief"), ("user", "1+1?")]
    second = [*first, ("assistant", "2"), ("user", "A long fragment and?")]
    assert messages(log) == [first, second]
    assert calls(log).response.tolist() == ["2", "3"]


@pytest.mark.parametrize("write", [inspect_json, inspect_archive, zstd_archive])
def test_a_log_of_inspect_comes_in(log: CallLog, tmp_path: Path, write: Any) -> None:
    report = import_log("inspect", write(tmp_path / "log.eval"), log)
    assert (report.n_calls, report.candidates) == (3, ("mock/m",))
    assert report.left_out == {
        "scores that are no number in [0, 1]": 2,
        "samples with images or other parts that are no text": 1,
    }
    found = calls(log).sort_values("prompt_id")
    by_text = {prompt.text: prompt for prompt in log.prompts()}
    one = by_text["What is 1+1?"]
    assert (one.reference, one.topic, one.extra) == ("2", "sums", {"metadata": {"level": 1}})
    assert by_text["Be brief\n\nWhat is 2+2?"].reference == ["4", "four"]
    by_prompt = found.set_index("prompt_id")
    ok = by_prompt.loc[one.prompt_id]
    assert (ok.status, ok.response, ok.input_tokens, ok.cached_input_tokens) == ("ok", "2", 10, 4)
    assert "events" not in ok.extra
    assert sorted(found.status) == ["error", "ok", "truncated"]
    assert sorted(scores(log)) == [
        ("inspect:graded/style", 0.5),
        ("inspect:lazy", 0.5),
        ("inspect:match", 1.0),
        ("inspect:none", 0.0),
    ]


def test_samples_of_lm_eval_come_in_with_a_score_per_filter(log: CallLog, tmp_path: Path) -> None:
    folder = tmp_path / "org__model"
    folder.mkdir()
    path = lm_eval_generated(folder / "samples_sums_2026-11-24T06-19-16.468296.jsonl")
    import_log("lm-eval", path, log)
    assert [prompt.text for prompt in log.prompts()] == ["Q: 1+1\nA:"]
    assert log.prompts()[0].extra == {"doc": {"question": "1+1", "answer": "2"}}
    assert calls(log)[["candidate", "response", "status"]].values.tolist() == [
        ["org__model", "2", "ok"]
    ]
    assert calls(log).input_tokens.isna().all()
    assert scores(log) == [("lm-eval:exact_match,strict", 1.0), ("lm-eval:exact_match,upper", 0.0)]


def test_a_choice_of_lm_eval_is_answered_by_the_likeliest(log: CallLog, tmp_path: Path) -> None:
    path = lm_eval_choice(tmp_path / "samples_sky_2026-11-24T06-19-16.468296.jsonl")
    report = import_log("lm-eval", path, log)
    assert report.candidates == ("org/model",)
    assert calls(log).response.tolist() == ["blue"]
    assert scores(log) == [("lm-eval:acc", 1.0), ("lm-eval:acc_norm", 0.0)]
    assert report.left_out == {"scores that are no number in [0, 1]": 1}


def test_litellms_logging_payload_comes_in(log: CallLog, tmp_path: Path) -> None:
    good = {
        "id": "chatcmpl-1",
        "status": "success",
        "model": "gpt-4o-mini",
        "messages": ASKED,
        "response": body(),
        "response_cost": 1.35e-05,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "startTime": 1795502903.0,
        "endTime": 1795502903.5,
        "model_parameters": {"temperature": 0.2},
        "metadata": {"user_api_key_hash": "secret"},
        "request_tags": ["a"],
    }
    bad = {
        **good,
        "id": "chatcmpl-2",
        "status": "failure",
        "response": {},
        "error_str": "broken",
        "response_cost": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
    }
    import_log("litellm", lines(tmp_path / "l.jsonl", good, bad), log)
    found = calls(log)
    assert found.status.tolist() == ["ok", "error"]
    assert found.latency_s.tolist() == [0.5, 0.5]
    assert found.given_cost_usd[0] == 1.35e-05
    assert found.input_tokens[0] == 10
    assert found[["input_tokens", "given_cost_usd"]].isna().loc[1].all(), "unknown is never 0"
    assert found.asked_at[0] == "2026-11-24T06:48:23.000+00:00"
    assert "secret" not in found.extra[0]
    assert json.loads(found.extra[0])["request_tags"] == ["a"]


def test_pairs_of_request_and_response_come_in_typed(log: CallLog, tmp_path: Path) -> None:
    request = {"model": "gpt-4o-mini", "messages": ASKED, "temperature": 0}
    records = [
        {"request": request, "response": body("4"), "note": "kept"},
        {"request": request, "response": body("4, I", "length")},
        {"request": request, "response": body(None)},
        {"request": request, "response": {"choices": []}},
        {"request": request, "error": {"message": "quota"}},
        {"messages": [*ASKED, {"role": "assistant", "content": "Four"}], "model": "tuned"},
    ]
    report = import_log("openai", lines(tmp_path / "pairs.jsonl", *records), log)
    assert report.n_prompts == 1
    found = calls(log)
    assert found.status.tolist() == ["ok", "truncated", "empty", "error", "error", "ok"]
    assert found.candidate.tolist() == ["gpt-4o-mini"] * 5 + ["tuned"]
    assert json.loads(found.extra[0]) == {"note": "kept"}


def test_a_batch_of_openai_comes_in_with_its_request_file(log: CallLog, tmp_path: Path) -> None:
    requests = lines(
        tmp_path / "in.jsonl",
        *[
            {"custom_id": name, "method": "POST", "body": {"model": "m", "messages": ASKED}}
            for name in ("a", "b")
        ],
    )
    out = lines(
        tmp_path / "out.jsonl",
        {"id": "b1", "custom_id": "a", "response": {"status_code": 200, "body": body()}},
        {"id": "b2", "custom_id": "b", "response": {"status_code": 429, "body": {"error": "x"}}},
    )
    with pytest.raises(ValueError, match=r"line 1: the output of a batch holds no prompts"):
        import_log("openai", out, log)
    import_log("openai", out, log, Options(requests=requests))
    assert calls(log).status.tolist() == ["ok", "error"]


# -- tables ---


def test_a_wide_table_becomes_outcomes(log: CallLog, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "prompt": ["a?", "b?", "a?"],
            "topic": ["abstract_algebra", "math", "abstract_algebra"],
            "metric": ["em", "em", "f1"],
            "small": [1.0, np.nan, 0.0],
            "large": [1, 0, 1],
            "small cost_usd": [0.1, 0.1, 0.3],
            "cost_usd_large": [1.0, 2.0, 1.0],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    report = import_log("table", tmp_path / "t.parquet", log)
    assert (report.n_calls, report.n_prompts, report.n_scores) == (5, 2, 5)
    outcomes = log.outcomes()
    assert outcomes.models == ("small", "large")
    np.testing.assert_array_equal(outcomes.quality, [[0.5, 1], [np.nan, 0]])
    np.testing.assert_allclose(outcomes.cost_usd, [[0.2, 1], [np.nan, 2]])
    assert outcomes.topics == ("abstract_algebra", "math")
    assert [prompt.task for prompt in log.prompts()] == [None, "math"]
    found = calls(log)
    assert found[["response", "input_tokens", "latency_s", "attempts"]].isna().all(axis=None)
    assert found.repeat.tolist() == [0, 0, 0, 1, 1]


def test_costs_are_estimated_where_asked_for_and_marked(log: CallLog, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt,m\n" + "x" * 400 + ",1\n")
    priced = [CandidateModel("m", "m", "custom", "http://x", None, Price(1, 2))]
    options = Options(prices=priced, output_tokens=200)
    import_log("table", tmp_path / "t.csv", log, options, priced)
    assert log.outcomes().cost_usd.tolist() == [[pytest.approx((100 * 1 + 200 * 2) / 1e6)]]
    assert "estimated" in calls(log).extra[0]


def test_a_cost_column_of_another_name_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("prompt,m,m_dollars\na,1,0.25\n")
    target = tmp_path / "new.db"
    arguments = ["import", "table", str(tmp_path / "t.csv"), "--log", str(target)]
    assert main(arguments) == 1
    assert not target.exists(), "a refused import must leave no log behind"
    assert main([*arguments, "--cost", "m"]) == 1
    assert "--cost must be MODEL=COLUMN" in capsys.readouterr().err
    assert main([*arguments, "--cost", "m=m_dollars"]) == 0
    assert "scores of m; costs: m = m_dollars" in capsys.readouterr().out
    with CallLog(target) as log:
        assert log.outcomes().cost_usd.tolist() == [[0.25]]


def test_a_corrected_table_is_the_judges_newer_word(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,m\na,0\nb,1\n")
    import_log("table", path, log)
    path.write_text("prompt,m\na,1\nb,1\nc,1\n")
    report = import_log("table", path, log)
    assert (report.n_calls, report.n_known, report.n_scores) == (1, 2, 2)
    assert log.outcomes().quality.ravel().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "prompt,m\na,1\nb,7\n",
            r"t\.csv row 2: scores must lie in \[0, 1\], got 7\.0 in column 'm'",
        ),
        ("prompt,m\na,-0.1\n", "got -0.1 in column 'm'"),
        ("prompt,m\na,inf\n", "got inf"),
        ("question,m\na,1\n", "has no column 'prompt'; it has question, m"),
        ("prompt,m\na,good\n", "has no column of numbers"),
        ("prompt,m,m_cost_usd\na,1,-3\n", "costs must be at least 0, got -3.0 for 'm'"),
        ("prompt,m,n_cost_usd\na,1,3\n", "holds costs, but no column 'n' scores"),
        ("prompt,m,m_dollars\na,1,0.1\n", "'m_dollars' looks like money.* say --cost MODEL="),
        ("prompt,m,seconds\na,1,0.1\n", "'seconds' looks like money, tokens or time"),
        ("prompt,m\n", "has no rows"),
        ("prompt,m\n ,1\n", "row 1: a prompt needs text"),
        ("", "can't be read as a table"),
    ],
)
def test_a_wrong_table_is_refused_and_changes_nothing(
    log: CallLog, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        import_log("table", path, log)
    assert log.prompts() == []
    assert log.sql("select * from runs").empty


# -- all of them ---


def own_pair(path: Path) -> Path:
    return lines(path, {"request": {"model": "m", "messages": ASKED}, "response": body()})


def plain_answer(path: Path) -> Path:
    return lines(path, {"model": "m", "messages": ASKED, "response": "4"})


WRITERS = [
    ("llm", old_llm, "f.db"),
    ("llm", new_llm, "f.db"),
    ("inspect", inspect_json, "f.json"),
    ("inspect", zstd_archive, "f.eval"),
    ("lm-eval", lm_eval_generated, "samples_t_2026-11-24T06-19-16.468296.jsonl"),
    ("lm-eval", lm_eval_choice, "samples_t_2026-11-24T06-19-16.468296.jsonl"),
    ("openai", own_pair, "f.jsonl"),
    ("litellm", plain_answer, "f.jsonl"),
]


def n_rows(log: CallLog) -> dict[str, int]:
    return {
        table: int(log.sql(f"select count(*) as n from {table}").n[0])
        for table in ("prompts", "prompt_facts", "runs", "calls", "scores", "prices")
    }


@pytest.mark.parametrize(("kind", "write", "name"), WRITERS)
def test_importing_twice_adds_nothing(
    log: CallLog, tmp_path: Path, kind: str, write: Any, name: str
) -> None:
    path = write(tmp_path / name)
    first = import_log(kind, path, log)
    before = n_rows(log)
    assert first.n_calls > 0
    again = import_log(kind, path, log)
    assert (again.n_calls, again.n_known, again.n_scores) == (0, first.n_calls, 0)
    assert n_rows(log) == before
    assert log.check() == []


@pytest.mark.parametrize("kind", IMPORTERS)
@pytest.mark.parametrize(
    "payload", [b"", b"\x00\xff nonsense", b"[1, 2]", b'{"a": 1}', b"PK\x05\x06" + b"\0" * 18]
)
def test_a_wrong_file_is_refused_in_one_sentence_that_names_it(
    log: CallLog, tmp_path: Path, kind: str, payload: bytes
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_bytes(payload)
    with pytest.raises(ValueError, match=r"wrong\.csv"):
        import_log(kind, path, log)
    assert n_rows(log) == dict.fromkeys(n_rows(log), 0)


def test_a_file_that_is_wrong_at_its_end_changes_nothing(log: CallLog, tmp_path: Path) -> None:
    request = {"model": "m", "messages": ASKED}
    path = lines(tmp_path / "f.jsonl", {"request": request, "response": body()}, {"what": "else"})
    with pytest.raises(ValueError, match=r"f\.jsonl line 2: expected .* got 'what'"):
        import_log("openai", path, log)
    assert n_rows(log)["calls"] == 0


def test_a_failure_while_writing_changes_nothing(
    log: CallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lines(
        tmp_path / "f.jsonl",
        *[{"model": "m", "messages": ASKED, "response": f"{i}"} for i in range(5)],
    )
    add_call = CallLog.add_call

    def failing(self: CallLog, call: Any, *rest: Any) -> int:
        if call.response == "3":
            call = replace(call, response="lone \ud800")
        return add_call(self, call, *rest)

    monkeypatch.setattr(CallLog, "add_call", failing)
    with pytest.raises(ValueError, match="lone surrogate"):
        import_log("litellm", path, log)
    assert n_rows(log) == dict.fromkeys(n_rows(log), 0)


def test_an_unknown_kind_and_a_missing_file_are_refused(log: CallLog, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind must be one of llm, inspect"):
        import_log("csv", tmp_path, log)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        import_log("table", tmp_path / "none.csv", log)
    with pytest.raises(ValueError, match="is a folder"):
        import_log("table", tmp_path, log)


def test_a_grown_file_adds_only_what_is_new(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    records = [
        {"id": f"r{i}", "model": "m", "messages": ASKED, "response": f"{i}"} for i in range(3)
    ]
    import_log("litellm", lines(path, *records[:2]), log)
    report = import_log("litellm", lines(path, *records), log)
    assert (report.n_calls, report.n_known) == (1, 2)


def test_imported_answers_can_be_judged_and_bare_scores_are_left_alone(
    log: CallLog, tmp_path: Path
) -> None:
    from routerlib.judges import judge_log

    import_log("inspect", inspect_json(tmp_path / "i.json"), log)
    (tmp_path / "t.csv").write_text("prompt,reference,m\nWhat is 5+5?,10,1\n")
    import_log("table", tmp_path / "t.csv", log)
    assert judge_log(log, "numeric", progress=False) == 1, "only the answer that is there"
    assert ("numeric", 1.0) in scores(log)


def test_the_command_imports_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("question,m,n\na,1,0\n")
    log_path = tmp_path / "new" / "logs.db"
    arguments = ["import", "table", str(table), "--log", str(log_path)]
    assert main(arguments) == 1
    assert "has no column 'prompt'" in capsys.readouterr().err
    assert main([*arguments, "--prompt", "question", "--score", "m"]) == 0
    assert "1 calls of 1 models on 1 new prompts, with 1 scores" in capsys.readouterr().out
    assert main(["log", "check", "--log", str(log_path)]) == 0
    assert "is whole: 1 prompts, 1 calls, 1 scores" in capsys.readouterr().out
    export = tmp_path / "export"
    assert main(["log", "export", "--parquet", str(export), "--log", str(log_path)]) == 0
    assert main(["log", "sql", "select judge from scores", "--log", str(log_path)]) == 0
    assert "table" in capsys.readouterr().out
