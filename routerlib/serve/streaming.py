"""An answer as server-sent events, in the shape of OpenAI's API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib.gather.calls.ask import Answer
from routerlib.records.prompt import Prompt
from routerlib.serve.answering import Answering, Service, Wish
from routerlib.serve.faults import Refused
from routerlib.serve.responses import about, completion_id, finish_reason, thoughts, usage

if TYPE_CHECKING:
    from fastapi.responses import StreamingResponse


_THOUGHT = "reasoning_content"


class _Piece(NamedTuple):
    """What a candidate says, or thinks: a part of one field of the message."""

    model: str
    field: str
    text: str


async def stream(
    service: Service, prompt: Prompt, wish: Wish, with_usage: bool
) -> StreamingResponse:
    """Return a response that streams the answer as it comes.

    It begins with the first text or thought, so that a candidate that fails before is replaced by
    the next best unseen, and its headers can say who answers. It ends with ``[DONE]`` only once the
    call is on the disk; what fails after the beginning ends it with an error event. A client that
    leaves doesn't stop the call: it is answered and logged to its end. Thoughts that stand in the
    text come in one piece, after it: what of it was thought is sure only then.
    """
    from fastapi.responses import StreamingResponse

    pieces: asyncio.Queue[_Piece | None] = asyncio.Queue()

    def hear(model: str, text: str) -> None:
        pieces.put_nowait(_Piece(model, "content", text))

    def hear_thought(model: str, text: str) -> None:
        pieces.put_nowait(_Piece(model, _THOUGHT, text))

    asking = await service.ask(prompt, wish, hear, hear_thought)
    asking.task.add_done_callback(lambda _: pieces.put_nowait(None))
    first = await pieces.get()
    if first is None:  # over without a text: a failure, which is raised here, or a refusal
        answered = await asking.answered()
        model, decision_id = answered.call.candidate, answered.decision_id
    else:
        model, decision_id = first.model, await _logged_decision(asking)
    return StreamingResponse(
        _events(asking, first, pieces, _Chunks(model, decision_id, with_usage)),
        media_type="text/event-stream",
        headers={**answer_headers(model, decision_id), "cache-control": "no-cache"},
    )


def answer_headers(model: str, decision_id: int) -> dict[str, str]:
    """Return the headers that say who answered, and under which decision."""
    from urllib.parse import quote

    return {
        "x-routerlib-model": quote(model, safe=" /:@+,;=()[]"),
        "x-routerlib-decision-id": str(decision_id),
    }


async def _logged_decision(asking: Answering) -> int:
    try:
        return await asking.decision_id()
    except RuntimeError as error:
        raise Refused(503, str(error)) from error


async def _events(
    asking: Answering,
    first: _Piece | None,
    pieces: asyncio.Queue[_Piece | None],
    chunks: _Chunks,
) -> AsyncIterator[bytes]:
    yield chunks.delta({"role": "assistant", "content": ""})
    piece, thought = first, ""
    while piece is not None:
        thought += piece.text if piece.field == _THOUGHT else ""
        yield chunks.delta({piece.field: piece.text})
        piece = await pieces.get()
    try:
        answered = await asking.answered()
    except Refused as refused:
        yield _event(refused.body())
        return
    # What was told so far is the whole thought's beginning, unless some of it stood in the text.
    if rest := thoughts(answered).get(_THOUGHT, "").removeprefix(thought):
        yield chunks.delta({_THOUGHT: rest})
    yield chunks.end(answered)
    if chunks.with_usage:
        yield chunks.usage(answered)
    yield b"data: [DONE]\n\n"


class _Chunks:
    """The chunks of one completion."""

    def __init__(self, model: str, decision_id: int, with_usage: bool) -> None:
        self.with_usage = with_usage
        self._common = {
            "id": completion_id(decision_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def delta(self, delta: dict[str, Any]) -> bytes:
        """Return a chunk with a part of the answer."""
        return self._chunk([_choice(delta, None)])

    def end(self, answered: Answer) -> bytes:
        """Return the chunk that says why the answer ended."""
        return self._chunk([_choice({}, finish_reason(answered))], routerlib=about(answered))

    def usage(self, answered: Answer) -> bytes:
        """Return the chunk that tells the tokens."""
        return _event({**self._common, "choices": [], "usage": usage(answered)})

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        unknown_yet = {"usage": None} if self.with_usage else {}
        return _event({**self._common, "choices": choices, **unknown_yet, **more})


def _choice(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
