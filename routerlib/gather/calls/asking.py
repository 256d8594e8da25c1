"""One call under way: its attempts, what is heard of it, and what the last one came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from routerlib.gather.calls.endpoints import Endpoint
from routerlib.gather.calls.faults import Fault
from routerlib.gather.calls.replies import (
    AnswerFault,
    BrokenOff,
    MalformedAnswer,
    OverlongAnswer,
    SentElsewhere,
    fault_of,
    parse_body,
    read_answer,
    read_error,
    storable,
)
from routerlib.gather.calls.streams import CallPiece, StreamedAnswer, body_of_events
from routerlib.gather.candidates.keys import RedactedStream
from routerlib.records.call import CandidateModel, Usage
from routerlib.records.errors import RouterlibError
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    from tenacity import RetryCallState

# Answers of gateways that gave up waiting: behind them the request may have been worked on.
_UNKNOWN_OUTCOME_STATUS = frozenset({502, 504, 520, 522, 524})
# By name: which HTTP library raises them is the SDK's own affair.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
_LONGEST_WAIT_S = 30.0
# Attempts that a server turned away with a wait that was kept, or that taught how to ask, don't
# count as failures of it; so many of them are forgiven.
_MOST_FORGIVEN = 10
_PATH = "/chat/completions"
# Two for the margin between them. With none some servers send nothing at all, and unasked, twenty.
_WITH_LOGPROBS = {"logprobs": True, "top_logprobs": 2}


class NotAsked(RouterlibError):
    """A call that was not allowed a single attempt."""


class Permit(Protocol):
    """Decides before each attempt whether it may be made, and learns what became of it."""

    async def take(self) -> bool:
        """Return whether the next attempt may be made."""

    def settle(self, usage: Usage | None, is_turned_away: bool) -> None:
        """Take note of an attempt's end: its tokens, or none; whether it surely cost nothing."""


class Unlimited:
    """Allow every attempt."""

    async def take(self) -> bool:
        """Allow it."""
        return True

    def settle(self, usage: Usage | None, is_turned_away: bool) -> None:
        """Keep no accounts."""


@dataclass(frozen=True)
class Listener:
    """Who hears an answer as it comes, in the thread of the event loop; None = nobody.

    `on_text`: given each piece of the answer's text.
    `on_thought`: the same of what is thought, where that has a field of its own; with `on_text`.
    `on_call`: the same of calls of tools, with `on_text`; None = a call that breaks off may be
        tried again.
    `on_body`: given the answer's whole body, for what of it no call keeps.
    """

    on_text: Callable[[str], None] | None = None
    on_thought: Callable[[str], None] | None = None
    on_call: Callable[[CallPiece], None] | None = None
    on_body: Callable[[Any], None] | None = None


# Says, of a candidate by its name, who hears its answer.
ListenerOf = Callable[[str], Listener]
NOBODY = Listener()


def heard_by_nobody(model: str) -> Listener:
    """Return nobody, whoever speaks."""
    return NOBODY


class Asking:
    """One call under way: its attempts so far, and what the last one came to."""

    def __init__(
        self,
        endpoint: Endpoint,
        candidate: CandidateModel,
        prompt: Prompt,
        permit: Permit,
        listener: Listener,
        is_wanted: Callable[[], bool] | None,
        first_wait_s: float,
    ) -> None:
        self.attempts = 0
        self.latency_s = 0.0
        self._endpoint = endpoint
        self._candidate = candidate
        self._prompt = prompt
        self._permit = permit
        self._listener = listener
        self._is_wanted = is_wanted
        self._first_wait_s = first_wait_s
        self.streamed = StreamedAnswer()
        self._n_forgiven = 0
        self._last_error: BaseException | None = None
        self._last_fault: Fault | None = None
        self._is_taught = False
        self._is_heard = False
        self.started_at = 0.0

    async def run(self) -> dict[str, Any]:
        """Attempt until one succeeds, and return the fields of a Call."""
        from openai import OpenAIError
        from tenacity import AsyncRetrying, retry_if_exception

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_retry),
            stop=self._is_enough,
            wait=self._wait_s,
            sleep=self._endpoint.pace.nap,
            reraise=True,
        )
        try:
            return await retrying(self._attempt)
        except NotAsked:
            if self._last_error is None:
                raise
            return read_error(self._last_error, self._last_fault)
        # Decoding and network errors that the SDK lets through are faults of the provider too.
        except (OpenAIError, AnswerFault, OSError) as error:
            error.__traceback__ = None
            return {"response": self.streamed.text, **read_error(error, self._last_fault)}
        finally:
            # All of it knows this call: it would hold its prompt until garbage is next looked for.
            retrying.iter_state.reset()
            self._last_error = None

    def _may_retry(self, error: BaseException) -> bool:
        has_spoken = self.streamed.text is not None or self._is_heard
        if isinstance(error, NotAsked) or has_spoken:
            return False
        return self._is_taught or _is_passing(error, self._last_fault)

    def _is_enough(self, state: RetryCallState) -> bool:
        return state.attempt_number - self._n_forgiven >= self._candidate.max_attempts

    def _wait_s(self, state: RetryCallState) -> float:
        """Return the seconds to wait: exponential with jitter.

        What the server asks for comes on top, from the pace, which holds back all of this
        candidate.
        """
        from tenacity import wait_random_exponential

        if self._is_taught:
            return 0.0
        waiting = wait_random_exponential(multiplier=self._first_wait_s, max=_LONGEST_WAIT_S)
        return waiting(state)

    async def _attempt(self) -> dict[str, Any]:
        async with self._endpoint.turn():
            if not await self._permit.take():
                raise NotAsked(f"{self._candidate.name} was not asked")
            if self._is_wanted is not None and not self._is_wanted():
                self._permit.settle(None, is_turned_away=True)
                raise NotAsked(f"{self._candidate.name} is not needed any more")
            self.attempts += 1
            started = self.started_at = time.perf_counter()
            body = self._endpoint.adaptation.apply(self._body())
            try:
                # The SDK's own timeout starts again with each byte.
                async with asyncio.timeout(self._endpoint.timeout_s):
                    answer = await self._request(body)
                    outcome = read_answer(answer)
            except BaseException as error:
                self._note_error(error, body)
                raise
            finally:
                self.latency_s = time.perf_counter() - started
            if self._listener.on_body is not None:
                self._listener.on_body(answer)
            del answer
            self._permit.settle(outcome.get("usage"), is_turned_away=False)
            self._endpoint.pace.note_answer()
            return outcome

    def _note_error(self, error: BaseException, body: dict[str, Any]) -> None:
        """Keep what went wrong, and let the others who ask this candidate learn from it."""
        fault = fault_of(error)
        fault = fault and fault.within(self._candidate.max_wait_s)
        self._last_error, self._last_fault = error, fault
        self._permit.settle(None, _is_turned_away(error))
        endpoint = self._endpoint
        self._is_taught = fault is not None and endpoint.adaptation.learn(fault, body)
        if fault is None:
            return
        is_told = bool(fault.is_passing and fault.wait_s)
        if fault.is_passing:
            endpoint.pace.note_refusal(fault.status or 0, fault.wait_s)
        if (is_told or self._is_taught) and self._n_forgiven < _MOST_FORGIVEN:
            self._n_forgiven += 1

    async def _request(self, body: dict[str, Any]) -> Any:
        """Send a request and return the answer's body, streamed or not, whichever was asked."""
        if self._listener.on_text is not None:
            body = {"stream": True, **body}
        stream = await self._endpoint.client.post(
            _PATH,
            cast_to=object,
            body=body,
            options={"stream_mode": "events"},
            stream=True,
            stream_cls=_marked_ends(),
        )
        async with stream:
            kind = stream.response.headers.get("content-type", "")
            is_whole = self._listener.on_text is None or "json" in kind or "html" in kind
            if "event-stream" in kind or not is_whole:
                return await self._read_stream(stream)
            return await self._read_whole(stream.response)

    async def _read_stream(self, stream: Any) -> Any:
        answer = self.streamed = StreamedAnswer()
        shown, on_text = RedactedStream(self._endpoint.redact), self._listener.on_text
        thought = RedactedStream(self._endpoint.redact)
        calls: dict[int, RedactedStream] = {}
        try:
            async for chunk in stream:
                piece = shown.feed(storable(answer.add(chunk)))
                piece += shown.end() if answer.new_calls else ""  # no key goes on behind a call
                self._think(thought.feed(answer.new_thought))
                if piece and on_text is not None:
                    on_text(piece)
                self._tell(answer.new_calls, calls)
        except (ValueError, RecursionError) as error:
            raise MalformedAnswer(f"{type(error).__name__}: {error}") from error
        self._think(thought.end())
        if (piece := shown.end()) and on_text is not None:
            on_text(piece)
        if stream.has_marked_end:
            answer.note_end()
        if not answer.is_complete:
            raise BrokenOff("the stream ended before the answer was complete")
        if answer.text is None:  # some send all of it at last, as a message
            self._show_whole(answer.body())
        return answer.body()

    def _think(self, piece: str) -> None:
        """Hand on a piece of a thought; after it no other attempt is made, as after a text."""
        if piece and self._listener.on_thought is not None:
            self._is_heard = True
            self._listener.on_thought(piece)

    def _tell(self, pieces: Sequence[CallPiece], redacted: dict[int, RedactedStream]) -> None:
        """Hand on pieces of calls of tools, likewise; what is held back the whole call has."""
        on_call = self._listener.on_call
        if on_call is None:
            return
        redact = self._endpoint.redact
        for piece in pieces:
            self._is_heard = True
            shown = redacted.setdefault(piece.number, RedactedStream(redact)).feed(piece.arguments)
            on_call(piece._replace(name=redact(piece.name), arguments=shown))

    async def _read_whole(self, response: Any) -> Any:
        payload = bytearray()
        try:
            async for piece in response.aiter_bytes():
                payload += piece
            is_stream = payload[:5] == b"data:"
            body = body_of_events(payload) if is_stream else parse_body(payload)
        except AnswerFault:
            raise
        except Exception as error:  # of the HTTP library, which the SDK doesn't wrap here
            raise BrokenOff(f"the answer broke off: {error}") from error
        finally:
            payload.clear()  # an error that is kept would keep it too
        self._show_whole(body)
        return body

    def _show_whole(self, body: Any) -> None:
        on_text = self._listener.on_text
        if on_text is not None and (text := read_answer(body).get("response")):
            on_text(self._endpoint.redact(text))

    def _body(self) -> dict[str, Any]:
        system = self._candidate.system
        first = [{"role": "system", "content": system}] if system else []
        messages = [*first, *(dict(message) for message in self._prompt.messages)]
        streamed = {"stream_options": {"include_usage": True}} if self._listener.on_text else {}
        asked = {"model": self._candidate.model, "messages": messages}
        likely = _WITH_LOGPROBS if self._candidate.logprobs else {}
        return {**streamed, **asked, **likely, **self._candidate.parameters}


@cache
def _marked_ends() -> Any:
    """Return a class of streams that tells whether the provider marked the stream's end."""
    from openai import AsyncStream

    class MarkedEnds(AsyncStream[object]):
        has_marked_end = False

        async def _iter_events(self) -> Any:
            async for event in super()._iter_events():
                self.has_marked_end |= event.data.startswith("[DONE]")
                yield event

        async def close(self) -> None:
            await super().close()
            # One that isn't read to its end holds the request.
            await cast("AsyncGenerator[object]", self._iterator).aclose()

    return MarkedEnds


def _is_passing(error: BaseException, fault: Fault | None) -> bool:
    """Tell faults that may pass by themselves from those that will not."""
    from openai import APIConnectionError

    if fault is not None:
        return fault.is_passing
    if isinstance(error, OverlongAnswer | SentElsewhere):
        return False
    return isinstance(error, APIConnectionError | AnswerFault | OSError)


def _is_turned_away(error: BaseException) -> bool:
    """Tell attempts that surely cost nothing from those that the provider may have charged."""
    from openai import APIStatusError

    if isinstance(error, APIStatusError):
        return error.status_code not in _UNKNOWN_OUTCOME_STATUS
    if isinstance(error, SentElsewhere):
        return True
    return type(error.__cause__).__name__ in _NEVER_SENT
