"""A candidate's log-probabilities are asked for where it says so, and kept as a few numbers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_server import candidate_of
from scripted_server import GOOD_ANSWER, Reply, ScriptedServer, scripted_server

from routerlib.cli import main
from routerlib.gather.calls.asking import Listener
from routerlib.gather.calls.client import Clients
from routerlib.gather.candidates.candidates import default_candidates, load_candidates
from routerlib.gather.collection.collect import collect
from routerlib.gather.importers import import_log
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, CandidateModel
from routerlib.records.prompt import Prompt

ENTRIES = [
    {"token": "Answer", "logprob": -0.2, "top_logprobs": [
        {"token": "Answer", "logprob": -0.2}, {"token": "The", "logprob": -2.2}]},
    {"token": ": 4", "logprob": -0.6, "top_logprobs": [
        {"token": ": 4", "logprob": -0.6}, {"token": ": 5", "logprob": -1.6}]},
]  # fmt: skip
NUMBERS = {
    "mean": -0.4, "least": -0.6, "q10": -0.56, "q50": -0.4, "margin": 1.5,
    "final_mean": -0.4, "final_least": -0.6, "n_tokens": 2.0,
}  # fmt: skip
SURE = Reply(body={
    **GOOD_ANSWER, "choices": [{**GOOD_ANSWER["choices"][0], "logprobs": {"content": ENTRIES}}],
})  # fmt: skip


def calls_of(
    candidate: CandidateModel, n: int = 1, on_text: Callable[[str], Any] | None = None
) -> list[Call]:
    async def ask() -> list[Call]:
        async with Clients(first_wait_s=0.01) as clients:
            return [
                await clients.call(candidate, Prompt.from_text(f"{i}?"), listener=Listener(on_text))
                for i in range(n)
            ]

    return asyncio.run(ask())


def sure(server: ScriptedServer, **known: Any) -> CandidateModel:
    return candidate_of(server, logprobs=True, **known)


def test_they_are_asked_for_and_kept_as_numbers() -> None:
    with scripted_server(SURE) as server:
        (call,) = calls_of(sure(server))
    assert (server.bodies[0]["logprobs"], server.bodies[0]["top_logprobs"]) == (True, 2)
    assert (call.extra or {})["logprobs"] == NUMBERS
    assert call.response == "Answer: 4"


def test_they_are_not_asked_for_unless_the_candidate_says_so() -> None:
    with scripted_server(Reply()) as server:
        (call,) = calls_of(candidate_of(server))
    assert "logprobs" not in server.bodies[0]
    assert "logprobs" not in (call.extra or {})


def test_a_stream_gives_the_same_numbers() -> None:
    events = [
        {"choices": [{"delta": {"content": "Answer"}, "logprobs": {"content": ENTRIES[:1]}}]},
        {"choices": [{"delta": {"content": ": 4"}, "logprobs": {"content": ENTRIES[1:]}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop", "logprobs": None}]},
        "[DONE]",
    ]
    with scripted_server(Reply(events=events)) as server:
        (call,) = calls_of(sure(server), on_text=lambda piece: None)
    assert (call.extra or {})["logprobs"] == NUMBERS


@pytest.mark.parametrize("field", ["reasoning_content", "content"])
def test_thoughts_are_left_out(field: str) -> None:
    thinking = [{"token": "<think>Hm", "logprob": -9.0}, {"token": "</think>", "logprob": -9.0}]
    said = {"content": "Answer: 4", "reasoning_content": "Hm"}
    if field == "content":
        said = {"content": "<think>Hm</think>Answer: 4"}
    choice = {"message": said, "finish_reason": "stop", "logprobs": {"content": thinking + ENTRIES}}
    with scripted_server(Reply(body={**GOOD_ANSWER, "choices": [choice]})) as server:
        (call,) = calls_of(sure(server))
    assert call.response == "Answer: 4"
    assert (call.extra or {})["thought"] == "Hm"
    assert (call.extra or {})["logprobs"] == NUMBERS


def _refusal(code: int, message: str, known: dict[str, Any]) -> Callable[[dict[str, Any]], Reply]:
    def reply(body: dict[str, Any]) -> Reply:
        if "logprobs" in body or "top_logprobs" in body:
            return Reply(code, {"error": {"message": message, **known}})
        return Reply()

    return reply


@pytest.mark.parametrize(
    ("status", "message", "known"),
    [
        (403, "You are not allowed to request logprobs from this model", {}),
        (400, "Logprobs is not enabled for models/gemini-2.5-pro", {"status": "INVALID_ARGUMENT"}),
        (400, "Logprobs is not supported for the current model.", {}),
        (400, "`logprobs` is not supported with this model", {}),
        (400, 'Invalid JSON payload received. Unknown name "logprobs": Cannot find field.', {}),
        (400, "5 is greater than the maximum of 1 - 'logprobs'", {"param": "logprobs"}),
        (422, "Extra inputs are not permitted", {"loc": ["body", "logprobs"]}),
        (400, "log probabilities are not available here", {}),
        (404, "The requested model does not support logprobs", {}),
    ],
)
def test_a_server_that_refuses_them_is_told_once_and_asked_without(
    status: int, message: str, known: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_server(_refusal(status, message, known)) as server:
        calls = calls_of(sure(server, max_attempts=1), 2)
    assert [(call.status, call.attempts) for call in calls] == [("ok", 2), ("ok", 1)]
    assert ["logprobs" in body for body in server.bodies] == [True, False, False]
    assert (calls[1].extra or {}) == {
        "answered_by": "small-1", "left_out": ["logprobs", "top_logprobs"],
    }  # fmt: skip
    assert [m for m in caplog.messages if "asked without logprobs" in m] == caplog.messages


def test_only_the_number_of_others_is_left_out_where_it_alone_is_refused() -> None:
    def reply(body: dict[str, Any]) -> Reply:
        message = "top_logprobs is not supported"
        return Reply(400, {"error": {"message": message}}) if "top_logprobs" in body else SURE

    with scripted_server(reply) as server:
        (call,) = calls_of(sure(server, max_attempts=1))
    assert server.bodies[1]["logprobs"] is True
    assert (call.extra or {})["logprobs"] == NUMBERS


def test_a_flagged_prompt_about_them_is_no_refusal_of_them() -> None:
    flagged = Reply(400, {"error": {"code": "content_filter", "message": "logprobs: flagged"}})
    with scripted_server(flagged) as server:
        (call,) = calls_of(sure(server, max_attempts=1))
    assert (call.status, len(server.bodies)) == ("refused", 1)


def test_asking_for_them_changes_no_question() -> None:
    with scripted_server(Reply()) as server:
        plain = candidate_of(server)
    assert replace(plain, logprobs=True).params_hash == plain.params_hash


def test_candidates_yaml_says_whose(tmp_path: Path) -> None:
    entry = (
        "- {name: a, model: m, base_url: 'http://127.0.0.1:1/v1', logprobs: true,"
        " price: {input_usd_per_mtok: 1, output_usd_per_mtok: 1}}"
    )
    path = tmp_path / "candidates.yaml"
    path.write_text(entry)
    assert [each.logprobs for each in load_candidates(path)] == [True]
    path.write_text(entry.replace("true", "2"))
    with pytest.raises(ValueError, match="logprobs: Input should be a valid boolean, got 2"):
        load_candidates(path)


def test_the_log_keeps_them_and_inspect_counts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted_server(SURE, Reply()) as server, CallLog(tmp_path / "logs.db") as log:
        collect([Prompt.from_text(f"{i}?") for i in range(3)], [sure(server)], log, concurrency=1)
        kept = log.sql("select extra from calls").extra.map(json.loads)
    assert [each.get("logprobs") for each in kept] == [NUMBERS, None, None]
    assert max(map(len, map(json.dumps, kept))) < 300
    main(["inspect", str(tmp_path / "logs.db")])
    assert "log-probabilities are kept of 1 of 3 answers of small" in capsys.readouterr().out


def test_imported_answers_keep_them(tmp_path: Path) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "2+2?"}]}
    responses = {
        "model": "m", "status": "completed",
        "output": [{"type": "message", "content": [
            {"type": "output_text", "text": "Answer: 4", "logprobs": ENTRIES}]}],
    }  # fmt: skip
    litellm = {**asked, "id": "c", "response": SURE.body, "status": "success"}
    records = [{"request": asked, "response": SURE.body, "id": "a"},
               {"request": asked, "response": responses, "id": "b"}, litellm]  # fmt: skip
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    with CallLog(tmp_path / "logs.db") as log:
        import_log("openai", path, log)
        kept = log.sql("select extra from calls order by call_id").extra.map(json.loads)
    assert [each["logprobs"] for each in kept] == [NUMBERS] * 3


@pytest.mark.live
def test_the_embedded_pool_gives_them_streamed_and_whole() -> None:
    candidate = default_candidates()[0]
    assert candidate.logprobs
    (whole,) = calls_of(candidate)
    (streamed,) = calls_of(candidate, on_text=lambda piece: None)
    numbers = (whole.extra or {})["logprobs"]
    assert streamed.response == whole.response
    assert (streamed.extra or {})["logprobs"] == pytest.approx(numbers, abs=1e-3)
    assert numbers["least"] <= numbers["q10"] <= numbers["q50"] <= 0 < numbers["margin"]
    assert 0 < numbers["n_tokens"] <= 64
