"""What other tools have logged comes in whole, once, and as what it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from foreign_files import (
    ASKED,
    body,
    inspect_archive,
    inspect_json,
    lines,
    lm_eval_choice,
    lm_eval_generated,
    new_llm,
    old_llm,
    zstd_archive,
)

from routerlib.cli import main
from routerlib.gather.importers import IMPORTERS, import_log
from routerlib.gather.importers.records import Options
from routerlib.log.call_log import CallLog


def calls(log: CallLog) -> pd.DataFrame:
    return log.sql("select * from calls order by call_id")


def messages(log: CallLog) -> list[list[tuple[str, str]]]:
    return [[(m["role"], m["content"]) for m in prompt.messages] for prompt in log.prompts()]


def scores(log: CallLog) -> list[tuple[str, float]]:
    frame = log.sql("select judge, score from scores order by score_id")
    return list(zip(frame.judge, frame.score, strict=True))


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
    assert report.left_out == {"samples with images or other parts that are no text": 1}
    assert report.unscored == {
        "scores that are no number in [0, 1]": 2,
        "scores of answers that were cut off, refused, empty or broken": 1,
    }
    found = calls(log).sort_values("prompt_id")
    by_text = {prompt.text: prompt for prompt in log.prompts()}
    one = by_text["What is 1+1?"]
    assert (one.reference, one.topic, one.extra) == ("2", "sums", {"metadata": {"level": 1}})
    assert by_text["Be brief\n\nWhat is 2+2?"].reference == ["4", "four"]
    by_prompt = found.set_index("prompt_id")
    ok = by_prompt.loc[one.prompt_id]
    assert (ok.status, ok.response, ok.input_tokens, ok.cached_input_tokens) == ("ok", "2", 14, 4)
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
    assert report.unscored == {"scores that are no number in [0, 1]": 1}
    assert log.prompts()[0].reference == "blue"


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
    assert json.loads(found.extra[0]) == {"note": "kept", "answered_by": "gpt-4o-mini-2024"}


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
    from routerlib.gather.judges import judge_log

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
    assert "1 call of 1 model on 1 new prompt, with 1 score" in capsys.readouterr().out
    assert main(["log", "check", "--log", str(log_path)]) == 0
    assert "is whole: 1 prompt, 1 call, 1 score" in capsys.readouterr().out
    export = tmp_path / "export"
    assert main(["log", "export", "--parquet", str(export), "--log", str(log_path)]) == 0
    assert main(["log", "sql", "select judge from scores", "--log", str(log_path)]) == 0
    assert "table" in capsys.readouterr().out
