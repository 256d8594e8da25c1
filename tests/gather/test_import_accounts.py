"""No row of a file is lost without a word, and no id is trusted to be unique."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign_files import ASKED, EVALUATION, body, lines

from routerlib.gather.importers import import_log
from routerlib.gather.importers.ledger import Ledger
from routerlib.gather.importers.records import Options
from routerlib.log.call_log import CallLog

REQUEST = {"model": "m", "messages": ASKED}


def test_a_sum_that_does_not_fit_is_an_error() -> None:
    ledger = Ledger(n_rows=3, n_further=1, n_merged=1)
    ledger.left_out["odd ones"] += 1
    ledger.check(2, "f.jsonl")
    with pytest.raises(RuntimeError, match=r"tells of 3 calls .* but 1 were read and 1 left out"):
        ledger.check(1, "f.jsonl")


def test_equal_calls_without_an_id_are_several_draws(log: CallLog, tmp_path: Path) -> None:
    pair = {"request": REQUEST, "response": "4"}
    path = lines(tmp_path / "f.jsonl", pair, pair, pair)
    assert import_log("openai", path, log).n_calls == 3
    assert log.lookup("select repeat from calls order by call_id") == [(0,), (1,), (2,)]
    again = import_log("openai", path, log)
    assert (again.n_calls, again.n_known) == (0, 3)


def test_one_id_for_two_calls_loses_neither_and_a_copy_is_told(
    log: CallLog, tmp_path: Path
) -> None:
    first = {"request": REQUEST, "response": {**body("4"), "id": "chatcmpl-1"}}
    second = {"request": REQUEST, "response": {**body("5"), "id": "chatcmpl-1"}}
    report = import_log("openai", lines(tmp_path / "f.jsonl", first, second, first), log)
    assert (report.n_calls, report.n_rows, report.n_merged) == (2, 3, 1)
    assert "1 of which tell of a call again" in str(report)


def test_a_batch_whose_requests_share_an_id_is_refused(log: CallLog, tmp_path: Path) -> None:
    other = {"model": "m", "messages": [{"role": "user", "content": "Another?"}]}
    requests = lines(
        tmp_path / "in.jsonl",
        {"custom_id": "a", "body": REQUEST},
        {"custom_id": "a", "body": other},
    )
    out = lines(tmp_path / "out.jsonl", {"custom_id": "a", "response": {"body": body()}})
    with pytest.raises(ValueError, match=r"line 2: another request has the custom_id 'a' too"):
        import_log("openai", out, log, Options(requests=requests))


def test_options_that_stand_apart_are_put_under_the_question(log: CallLog, tmp_path: Path) -> None:
    sample = {
        "input": "Which is the largest?",
        "output": {"choices": [{"message": {"content": "B"}, "stop_reason": "stop"}]},
        "target": "B",
    }
    samples = [
        {**sample, "id": 1, "choices": ["1", "2"]},
        {**sample, "id": 2, "choices": ["5", "6"]},
    ]
    path = tmp_path / "l.json"
    path.write_text(json.dumps({"eval": EVALUATION, "samples": samples}))
    import_log("inspect", path, log)
    assert [prompt.text for prompt in log.prompts()] == [
        "Which is the largest?\n\nA) 1\nB) 2",
        "Which is the largest?\n\nA) 5\nB) 6",
    ]


def test_an_answer_that_only_thought_has_no_score(log: CallLog, tmp_path: Path) -> None:
    sample = {
        "id": 1,
        "input": "1+1?",
        "target": "2",
        "output": {"choices": [{"message": {"content": "<think>2 or 3?"}, "stop_reason": "stop"}]},
        "scores": {"match": {"value": "C"}},
    }
    path = tmp_path / "l.json"
    path.write_text(json.dumps({"eval": EVALUATION, "samples": [sample]}))
    report = import_log("inspect", path, log)
    assert (report.n_calls, report.n_scores, report.unscored.total()) == (1, 0, 1)
    assert log.lookup("select status, response from calls") == [("empty", None)]
