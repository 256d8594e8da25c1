"""A streamed answer ends in the same typed Call as one that comes in one piece."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from fault_server import FaultServer, candidate_of

from routerlib.gather.calls.asking import Listener
from routerlib.gather.calls.client import Clients
from routerlib.records.call import Call, CandidateModel, Price, Usage
from routerlib.records.prompt import Prompt


def _stream(server: FaultServer, text: str, **known: int | float) -> tuple[Call, list[str]]:
    candidate = CandidateModel(
        "small", "small-1", "custom", server.url, None, Price(1, 2),
        parameters={"max_tokens": 10}, max_attempts=2, **{"timeout_s": 2.0, **known},
    )  # fmt: skip
    pieces: list[str] = []

    async def call() -> Call:
        async with Clients(first_wait_s=0.01) as opened:
            return await opened.call(
                candidate, Prompt.from_text(text), listener=Listener(pieces.append)
            )

    return asyncio.run(call()), pieces


def test_text_is_handed_out_piece_by_piece_and_the_call_is_whole(server: FaultServer) -> None:
    call, pieces = _stream(server, "fine")
    assert pieces == ["Answer: ", "4"]
    assert (call.status, call.response, call.finish_reason) == ("ok", "Answer: 4", "stop")
    assert call.usage == Usage(input_tokens=10, output_tokens=5)
    assert server.bodies[0]["stream_options"] == {"include_usage": True}
    assert server.bodies[0]["max_tokens"] == 10


def test_thoughts_with_a_field_of_their_own_are_handed_out_before_the_answer(
    server: FaultServer,
) -> None:
    heard: list[tuple[str, str]] = []

    async def call(text: str) -> Call:
        async with Clients(first_wait_s=0.01) as opened:
            return await opened.call(
                candidate_of(server, max_attempts=2),
                Prompt.from_text(text),
                listener=Listener(
                    on_text=lambda piece: heard.append(("text", piece)),
                    on_thought=lambda piece: heard.append(("thought", piece)),
                ),
            )

    told = asyncio.run(call("thinks aloud"))
    assert [piece for kind, piece in heard if kind == "text"] == ["Answer: ", "4"]
    thoughts = [piece for kind, piece in heard if kind == "thought"]
    assert heard[: len(thoughts)] == [("thought", piece) for piece in thoughts]
    assert len(thoughts) == 6
    assert "".join(thoughts) == told.extra["thought"] == "Let me see: 2 + 2."

    heard.clear()
    broken = asyncio.run(call("thinks aloud, breaks after 3 quietly"))
    assert "".join(piece for _, piece in heard) == "Let me see: "  # once: it isn't asked again
    assert (broken.status, broken.attempts) == ("error", 1)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("too long", "truncated"),
        ("filtered", "refused"),
        ("refusal", "refused"),
        ("empty", "empty"),
        ("null content", "empty"),
        ("no choices", "error"),
        ("status 400 always", "error"),
        ("broken json", "error"),
        ("sleep 1.0", "timeout"),
    ],
)
def test_each_fault_gets_the_status_it_has_in_one_piece(
    server: FaultServer, text: str, status: str
) -> None:
    assert _stream(server, text, timeout_s=0.5)[0].status == status


@pytest.mark.parametrize("how", ["quietly", "by a reset", "with an error event", "with a bad event",
                                 "with an odd event"])  # fmt: skip
def test_a_stream_that_breaks_is_no_answer_and_not_asked_again(
    server: FaultServer, how: str
) -> None:
    text = f"breaks after 1 {how}"
    call, pieces = _stream(server, text)
    assert pieces == ["Answer: "]
    assert (call.status, call.attempts, call.usage) == ("error", 1, None)
    assert call.response == "Answer: ", "what was paid for is kept"
    assert call.error_type in ("connection", "provider", "malformed")
    assert server.requests[text] == 1


def test_a_stream_that_breaks_before_its_first_piece_is_asked_again(server: FaultServer) -> None:
    call, pieces = _stream(server, "breaks after 0 once")
    assert (call.status, call.attempts, pieces) == ("ok", 2, ["Answer: ", "4"])


def test_a_stream_without_usage_has_unknown_cost(server: FaultServer) -> None:
    assert _stream(server, "no usage")[0].usage is None


def test_a_server_that_does_not_stream_is_read_in_one_piece(server: FaultServer) -> None:
    call, pieces = _stream(server, "in one piece")
    assert (call.status, call.response, pieces) == ("ok", "Answer: 4", ["Answer: 4"])
    assert call.usage == Usage(input_tokens=10, output_tokens=5)


@pytest.mark.parametrize("text", ["fine", "429 once", "always 500", "breaks after 1"])
@pytest.mark.parametrize("is_streamed", [True, False])
def test_what_was_asked_is_let_go_when_its_call_ends(
    server: FaultServer, text: str, is_streamed: bool
) -> None:
    async def freed() -> bool:
        async with Clients(first_wait_s=0.01) as opened:
            prompt = Prompt.from_text(text)
            on_text = str.strip if is_streamed else None
            await opened.call(
                candidate_of(server, max_attempts=2), prompt, listener=Listener(on_text)
            )
            seen = weakref.ref(prompt)
            del prompt
            await asyncio.sleep(0)  # asyncio ends what broke off in its next turn
            return seen() is None

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(freed())
    finally:
        gc.enable()
