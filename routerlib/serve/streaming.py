"""An answer as server-sent events, in the shape of OpenAI's API."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from routerlib.gather.calls.answers import Answer
from routerlib.gather.calls.asking import Listener
from routerlib.gather.calls.streams import CallPiece
from routerlib.records.messages import TOOL_CALLS
from routerlib.records.prompt import Prompt
from routerlib.serve.answering import Answering, Service
from routerlib.serve.faults import Refused
from routerlib.serve.responses import (
    about,
    completion_id,
    finish_reason,
    thoughts,
    usage,
)
from routerlib.serve.told_calls import Told, ToldCalls
from routerlib.serve.wishes import Wish

if TYPE_CHECKING:
    from fastapi.responses import StreamingResponse


# Where a completion tells what was thought.
THOUGHT_FIELD = "reasoning_content"


class Piece(NamedTuple):
    """What a candidate says (field ``content``), thinks or calls: a part of a field of the message.

    `call`: a part of a call of a tool; None = it is text.
    """

    model: str
    field: str
    text: str
    call: CallPiece | None = None


class Telling(Protocol):
    """How an API tells an answer, as events."""

    def begin(self, model: str, decision_id: int) -> Iterator[bytes]:
        """Say that an answer begins."""

    def piece(self, piece: Piece) -> Iterator[bytes]:
        """Tell a part of it."""

    def end(self, answered: Answer, late: str) -> Iterator[bytes]:
        """Tell what is left (calls that came in one piece, a late thought), and how it ended.

        `late`: text that came after a call, which has to end first.
        """

    def fail(self, refused: Refused) -> Iterator[bytes]:
        """Say that it broke off."""


async def stream(
    service: Service,
    prompt: Prompt,
    wish: Wish,
    telling: Telling,
    on_body: Callable[[Any], None] | None = None,
) -> StreamingResponse:
    """Return a response that streams the answer as it comes.

    It begins with the first text, thought or call of a tool, so that a candidate that fails before
    is replaced by the next best unseen, and its headers can say who answers. It ends well only once
    the call is on the disk; what fails after the beginning ends it with an error event. A client
    that leaves doesn't stop the call: it is answered and logged to its end. Thoughts that stand in
    the text come in one piece, after it: what of it was thought is sure only then.

    A cascade looks at whole answers: what it gives back comes in one piece once it stands, and a
    header says so.

    `on_body`: given the whole answer of the candidate's server; then text comes with the end.
    """
    from fastapi.responses import StreamingResponse

    pieces: asyncio.Queue[Piece | None] = asyncio.Queue()

    def listener_of(model: str) -> Listener:
        if on_body is not None:
            return Listener(on_body=on_body)
        put = pieces.put_nowait
        return Listener(
            on_text=lambda text: put(Piece(model, "content", text)),
            on_thought=lambda text: put(Piece(model, THOUGHT_FIELD, text)),
            on_call=lambda call: put(Piece(model, TOOL_CALLS, call.arguments, call)),
        )

    asking = await service.ask(prompt, wish, listener_of)
    asking.task.add_done_callback(lambda _: pieces.put_nowait(None))
    first = await pieces.get()
    if first is None:  # over without a text: a failure, which is raised here, a call, or a refusal
        answered = await asking.answered()
        model, decision_id = answered.call.candidate, answered.decision_id
    elif asking.is_held_back:
        model, decision_id = first.model, (await asking.answered()).decision_id
    else:
        model, decision_id = first.model, await _logged_decision(asking)
    held_back = {"x-routerlib-held-back": "until-it-stands"} if asking.is_held_back else {}
    return StreamingResponse(
        _events(asking, first, pieces, telling, telling.begin(model, decision_id)),
        media_type="text/event-stream",
        headers={**answer_headers(model, decision_id), "cache-control": "no-cache", **held_back},
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
    first: Piece | None,
    pieces: asyncio.Queue[Piece | None],
    telling: Telling,
    beginning: Iterator[bytes],
) -> AsyncIterator[bytes]:
    for event in beginning:
        yield event
    piece, has_called, late = first, False, list[str]()
    while piece is not None:
        has_called |= piece.call is not None
        if has_called and piece.field == "content":
            late.append(piece.text)
        else:
            for event in telling.piece(piece):
                yield event
        piece = await pieces.get()
    try:
        answered = await asking.answered()
    except Refused as refused:
        for event in telling.fail(refused):
            yield event
        return
    for event in telling.end(answered, "".join(late)):
        yield event


class ToldLogprobs:
    """Keep what a server told of log-probabilities, which the log has no room for."""

    logprobs: dict[str, Any] | None = None

    def __call__(self, body: Any) -> None:
        """Look for it in the answer's body."""
        choices = body.get("choices") if isinstance(body, dict) else None
        first = choices[0] if choices else None
        told = first.get("logprobs") if isinstance(first, dict) else None
        self.logprobs = told if isinstance(told, dict) else None


class Chunks:
    """An answer as chunks of a chat completion.

    `with_usage`: whether the last chunk tells the tokens.
    `told`: what the candidate's server tells of log-probabilities; None = nobody asked.
    """

    def __init__(self, with_usage: bool, told: ToldLogprobs | None = None) -> None:
        self._with_usage = with_usage
        self._told_logprobs = told
        self._told: Counter[str] = Counter()
        self._thought = ""
        self._calls = ToldCalls(0)
        self._common: dict[str, Any] = {}

    def begin(self, model: str, decision_id: int) -> Iterator[bytes]:
        """Say that an answer begins."""
        self._calls = ToldCalls(decision_id)
        self._common = {
            "id": completion_id(decision_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        yield self._delta({"role": "assistant", "content": ""})

    def piece(self, piece: Piece) -> Iterator[bytes]:
        """Tell a part of it."""
        if piece.call is not None:
            yield from self._called(self._calls.add(piece.call))
            return
        self._thought += piece.text if piece.field == THOUGHT_FIELD else ""
        self._told[piece.field] += len(piece.text)
        yield self._delta({piece.field: piece.text})

    def end(self, answered: Answer, late: str) -> Iterator[bytes]:
        """Tell what came in one piece, why the answer ended, and perhaps its tokens."""
        # What was told so far is the whole thought's beginning, unless it stood in the text.
        if rest := thoughts(answered).get(THOUGHT_FIELD, "").removeprefix(self._thought):
            yield self._delta({THOUGHT_FIELD: rest})
        if late:
            yield self._delta({"content": late})
        elif answered.text and not self._told["content"]:
            logprobs = self._told_logprobs and self._told_logprobs.logprobs
            yield self._delta({"content": answered.text}, logprobs)
        yield from self._called(self._calls.rest(answered))
        ended = _choice({}, finish_reason(answered))
        yield self._chunk([ended], routerlib=about(answered))
        if self._with_usage:
            yield event({**self._common, "choices": [], "usage": usage(answered)})
        yield b"data: [DONE]\n\n"

    def fail(self, refused: Refused) -> Iterator[bytes]:
        """Say that it broke off."""
        yield event(refused.body())

    def _called(self, calls: Iterator[Told]) -> Iterator[bytes]:
        """Tell parts of calls: id and name once, since clients put together what comes again."""
        for told in calls:
            call: dict[str, Any] = {"index": told.number}
            if told.begins:
                function = {"name": told.name, "arguments": told.arguments}
                call |= {"id": told.id, "type": "function", "function": function}
            else:
                call["function"] = {"arguments": told.arguments}
            if told.begins or told.arguments:
                yield self._delta({TOOL_CALLS: [call]})

    def _delta(self, delta: dict[str, Any], logprobs: Any = None) -> bytes:
        return self._chunk([_choice(delta, None, logprobs)])

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        unknown_yet = {"usage": None} if self._with_usage else {}
        return event({**self._common, "choices": choices, **unknown_yet, **more})


def _choice(delta: dict[str, Any], reason: str | None, logprobs: Any = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def event(body: dict[str, Any], name: str | None = None) -> bytes:
    """Return a server-sent event, with its kind where an API wants that said."""
    kind = b"" if name is None else b"event: " + name.encode() + b"\n"
    return kind + b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
