"""What cannot get better is not tried again: answers without end, accounts without credit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from fault_server import FaultServer

from routerlib.gather.calls import body_size
from routerlib.gather.calls.client import Clients
from routerlib.gather.collection.collect import collect
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, CandidateModel, Price
from routerlib.records.prompt import Prompt


@pytest.fixture
def candidate(server: FaultServer) -> CandidateModel:
    return CandidateModel(
        "small", "small-1", "custom", server.url, None, Price(1, 2), max_concurrency=1
    )


def _call(candidate: CandidateModel, text: str, on_text: Callable | None) -> Call:
    async def call() -> Call:
        async with Clients() as clients:
            return await clients.call(candidate, Prompt.from_text(text), on_text=on_text)

    return asyncio.run(call())


@pytest.mark.parametrize("code", [200, 500])
@pytest.mark.parametrize("on_text", [None, str.strip])
def test_an_answer_without_end_is_cut_and_not_asked_again(
    candidate: CandidateModel,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    on_text: Callable | None,
) -> None:
    monkeypatch.setattr(body_size, "MOST_BYTES", 2**20)
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
