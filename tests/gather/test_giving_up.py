"""What cannot get better is not tried again: answers without end, accounts without credit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fault_server import FaultServer

from routerlib.cli import main
from routerlib.gather.calls.asking import Listener
from routerlib.gather.calls.client import Clients
from routerlib.gather.collection.collect import collect
from routerlib.gather.collection.plan import plan_collection
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, CandidateModel, Price
from routerlib.records.prompt import Prompt


@pytest.fixture
def candidate(server: FaultServer) -> CandidateModel:
    return CandidateModel(
        "small", "small-1", "custom", server.url, None, Price(1, 2), max_concurrency=1
    )


def _call(
    candidate: CandidateModel, text: str, on_text: Callable | None, most_bytes: int = 2**20
) -> Call:
    async def call() -> Call:
        async with Clients(most_bytes=most_bytes) as clients:
            return await clients.call(candidate, Prompt.from_text(text), listener=Listener(on_text))

    return asyncio.run(call())


@pytest.mark.parametrize("code", [200, 500])
@pytest.mark.parametrize("on_text", [None, str.strip])
def test_an_answer_without_end_is_cut_and_not_asked_again(
    candidate: CandidateModel, code: int, on_text: Callable | None
) -> None:
    call = _call(candidate, f"no end, status {code}", on_text)
    assert (call.status, call.error_type, call.attempts) == ("error", "malformed", 1)
    assert "longer than 1,048,576 bytes" in str(call.error)


@pytest.mark.parametrize("on_text", [None, str.strip])
def test_an_answer_that_is_cut_in_the_middle_is_typed(
    candidate: CandidateModel, on_text: Callable | None
) -> None:
    call = _call(replace(candidate, max_attempts=1), "cut in the middle", on_text)
    assert (call.status, call.error_type) == ("error", "connection")


@pytest.mark.parametrize("text", ["status 402 always", "status 429 always, quota"])
def test_an_account_without_credit_is_switched_off_and_not_asked_again(
    log: CallLog, server: FaultServer, candidate: CandidateModel, text: str
) -> None:
    prompts = [Prompt.from_text(t) for t in ("fine", text, f"{text}, too", f"{text}, again")]
    collection = collect(prompts, [candidate], log, progress=False)
    assert collection.statuses == {"ok": 1, "error": 1}
    assert "no credit (no_credit: " in collection.switched_off["small"]
    assert server.requests[text] == 1


def test_a_model_that_is_not_there_is_switched_off(log: CallLog, candidate: CandidateModel) -> None:
    gone = [Prompt.from_text(f"status 404 always, {number}") for number in range(3)]
    collection = collect(gone, [candidate], log, progress=False)
    assert collection.statuses == {"error": 1}
    assert "model or its address is not there" in collection.switched_off["small"]
    one = [Prompt.from_text("fine"), gone[2], Prompt.from_text("fine, too")]
    assert not collect(one, [candidate], log, progress=False).switched_off


def test_a_candidate_whose_first_prompts_all_fail_alike_is_stopped_after_a_few(
    log: CallLog, server: FaultServer, candidate: CandidateModel
) -> None:
    bad = [Prompt.from_text(f"status 400 always, {number}") for number in range(20)]
    collection = collect(bad, [candidate], log, progress=False)
    assert collection.statuses == {"error": 3}
    assert "first 3 prompts all failed in the same way" in collection.switched_off["small"]
    assert "told to fail" in str(collection)


def test_a_few_prompts_that_fail_do_not_stop_a_candidate_that_has_answered(
    log: CallLog, server: FaultServer, candidate: CandidateModel
) -> None:
    texts = ["fine", *(f"status 400 always, {number}" for number in range(5)), "fine, too"]
    collection = collect(list(map(Prompt.from_text, texts)), [candidate], log, progress=False)
    assert collection.statuses == {"ok": 2, "error": 5}
    assert not collection.switched_off
    assert not collection.complaint


def test_one_candidate_without_any_answer_is_complained_of(
    log: CallLog, server: FaultServer, candidate: CandidateModel
) -> None:
    gone = replace(candidate, name="gone", base_url="http://127.0.0.1:9/v1", max_attempts=1)
    collection = collect([Prompt.from_text("fine")], [candidate, gone], log, progress=False)
    assert collection.is_complete
    assert collection.complaint.startswith("no call of gone: all 1 failed (1 error, 1 connection)")


def test_prompts_that_fail_for_good_come_last_and_stop_no_candidate_that_has_answered_others(
    log: CallLog, server: FaultServer, candidate: CandidateModel
) -> None:
    bad = [Prompt.from_text(f"status 400 always, {number}") for number in range(4)]
    new = [Prompt.from_text(f"fine, {number}") for number in range(3)]
    collect([new[0], *bad], [candidate], log, progress=False)
    again = collect([new[0], *bad], [candidate], log, progress=False)
    assert again.statuses == {"error": 4}, "old failures alone: all are tried"
    assert not again.switched_off
    assert "4 cells of small failed again, as in an earlier run (4 http_400): where" in str(again)
    assert [cell.prompt for cell in plan_collection([*bad, *new], [candidate], log).cells] == [
        *new[1:],
        *bad,
    ]
    third = collect([*bad, *new], [candidate], log, progress=False)
    assert third.statuses == {"ok": 2, "error": 4}
    unheard = [Prompt.from_text(f"status 400 always, new {number}") for number in range(5)]
    dead = collect([*bad, *unheard], [candidate], log, progress=False)
    assert dead.statuses == {"error": 3}, "three new ones that fail alike still tell"
    assert "first 3 prompts all failed in the same way" in dead.switched_off["small"]


def test_a_candidate_that_has_never_answered_is_stopped_by_old_failures_too(
    log: CallLog, candidate: CandidateModel
) -> None:
    bad = [Prompt.from_text(f"status 400 always, {number}") for number in range(3)]
    for _ in range(2):
        assert collect(bad, [candidate], log, progress=False).statuses == {"error": 3}
    bad.append(Prompt.from_text("status 400 always, 3"))
    third = collect(bad, [candidate], log, progress=False)
    assert third.statuses == {"error": 3}
    assert "first 3 prompts all failed in the same way" in third.switched_off["small"]


def test_a_prompt_that_is_forbidden_again_stops_no_candidate_that_has_answered_others(
    log: CallLog, candidate: CandidateModel
) -> None:
    prompts = [Prompt.from_text(text) for text in ("fine", "status 403 always", "fine, too")]
    collect(prompts[:2], [candidate], log, progress=False)
    again = collect(prompts[:2], [candidate], log, progress=False)
    assert again.statuses == {"error": 1}
    assert not again.switched_off


def test_what_is_missing_is_what_the_next_run_asks(
    log: CallLog,
    server: FaultServer,
    candidate: CandidateModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = ["fine", "status 400 always, 1", "too long", "status 400 always, 2"]
    prompts = [Prompt.from_text(text) for text in texts]
    both = [candidate, replace(candidate, name="gone", base_url="http://127.0.0.1:9/v1")]
    both[1] = replace(both[1], max_attempts=1)
    collection = collect(prompts, both, log, progress=False)
    assert collection.switched_off.keys() == {"gone"}
    assert collection.table().missing.to_dict() == {"small": 2, "gone": 4}
    left = plan_collection(prompts, both, log)
    assert {cell.key for cell in left.cells} == {cell.key for cell in collection.missing}
    assert not collection.is_complete, "one cell was never asked"
    assert "6 cells are still missing (small 2, gone 4), 5 of them failed, which" in str(collection)
    path, pool = tmp_path / "p.jsonl", tmp_path / "candidates.yaml"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    pool.write_text(
        f"- {{name: other, model: m, base_url: '{server.url}', "
        "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}"
    )
    command = ["--prompts", str(path), "--candidates", str(pool), "--log", str(log.path)]
    assert main(["collect", *command]) == 0, "every cell is done or typed"
    said = capsys.readouterr().out
    assert "2 cells are still missing (other 2), 2 of them failed" in said
    assert "next: the same command, for 2 cells that failed; without them:\n" in said
    assert main(["collect", *command, "--dry-run"]) == 0
    assert "2 calls to make, 2 done before" in capsys.readouterr().out
