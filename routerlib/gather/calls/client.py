"""One request to one candidate model, with retries, into one typed Call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from routerlib.gather.calls.body_size import refuse_overlong
from routerlib.gather.calls.pacing import Pace, asked_wait_s
from routerlib.gather.calls.replies import (
    AnswerFault,
    BrokenOff,
    MalformedAnswer,
    OverlongAnswer,
    ReportedFault,
    StreamedAnswer,
    is_out_of_credit,
    parse_body,
    read_answer,
    read_error,
    redacted,
    storable,
)
from routerlib.gather.candidates.keys import RedactedStream, Redactor, api_key
from routerlib.records.call import Call, CandidateModel, Usage
from routerlib.records.errors import RouterlibError
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from tenacity import RetryCallState

_RETRIED_STATUS = frozenset({408, 409, 429})
# Answers of gateways that gave up waiting: behind them the request may have been worked on.
_UNKNOWN_OUTCOME_STATUS = frozenset({502, 504, 520, 522, 524})
# By name: which HTTP library raises them is the SDK's own affair.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_NO_KEY_NEEDED = "none"
_PATH = "/chat/completions"


class NotAsked(RouterlibError):
    """A call that was not allowed a single attempt."""


class Permit(Protocol):
    """Decides before each attempt whether it may be made, and learns what became of it."""

    async def take(self) -> bool:
        """Return whether the next attempt may be made."""

    def settle(self, usage: Usage | None, is_turned_away: bool) -> None:
        """Take note of an attempt's end: its tokens, or none; whether it surely cost nothing."""


class _Unlimited:
    """Allow every attempt."""

    async def take(self) -> bool:
        return True

    def settle(self, usage: Usage | None, is_turned_away: bool) -> None:
        """Keep no accounts."""


@dataclass(frozen=True)
class _Endpoint:
    client: AsyncOpenAI
    pace: Pace
    redact: Redactor


class Clients:
    """Hold one connection pool per candidate, for use inside one event loop.

    Use it as an async context manager; every connection is closed at its end.
    """

    def __init__(self, stopping: asyncio.Event | None = None) -> None:
        self._open: dict[str, _Endpoint] = {}
        self._starting = asyncio.Lock()
        self._stopping = stopping or asyncio.Event()

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *error: object) -> None:
        for endpoint in self._open.values():
            await endpoint.client.close()
        self._open.clear()

    async def client(self, candidate: CandidateModel) -> AsyncOpenAI:
        """Return the candidate's client; the server of a local model is started first."""
        return (await self._endpoint(candidate)).client

    async def _endpoint(self, candidate: CandidateModel) -> _Endpoint:
        async with self._starting:
            if candidate.name not in self._open:
                key = api_key(candidate)
                self._open[candidate.name] = _Endpoint(
                    await _open_client(candidate, key),
                    Pace(candidate.requests_per_minute, self._stopping),
                    Redactor(key),
                )
            return self._open[candidate.name]

    async def call(
        self,
        candidate: CandidateModel,
        prompt: Prompt,
        *,
        repeat: int = 0,
        decision_id: int | None = None,
        permit: Permit | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Call:
        """Ask a candidate and return what came of it; faults become a typed status.

        `repeat`: number of the repetition, at least 0.
        `permit`: asked before each attempt, told what became of it; None = every attempt may be
            made.
        `on_text`: given each piece of the answer's text as it comes, in the thread of the event
            loop.
        """
        endpoint = await self._endpoint(candidate)
        asking = _Asking(endpoint, candidate, prompt, permit or _Unlimited(), on_text)
        outcome = await asking.run()
        return Call(
            prompt_id=prompt.prompt_id,
            candidate=candidate.name,
            params_hash=candidate.params_hash,
            repeat=repeat,
            decision_id=decision_id,
            attempts=asking.attempts,
            latency_s=asking.latency_s,
            **redacted(outcome, endpoint.redact),
        )


async def _open_client(candidate: CandidateModel, key: str | None) -> AsyncOpenAI:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    base_url = candidate.base_url
    if candidate.provider == "local":
        from routerlib.gather.candidates import local_pool

        base_url = await asyncio.to_thread(local_pool.base_url, candidate.model)
    return AsyncOpenAI(
        base_url=base_url,
        api_key=key or _NO_KEY_NEEDED,
        timeout=candidate.timeout_s,
        max_retries=0,  # the one retry loop is below
        # Loopback must not go through a proxy that the environment names for the world outside.
        http_client=DefaultAsyncHttpxClient(
            trust_env=not _is_loopback(str(base_url)), event_hooks={"response": [refuse_overlong]}
        ),
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


class _Asking:
    """One call under way: its attempts so far, and what the last one came to."""

    def __init__(
        self,
        endpoint: _Endpoint,
        candidate: CandidateModel,
        prompt: Prompt,
        permit: Permit,
        on_text: Callable[[str], None] | None,
    ) -> None:
        self.attempts = 0
        self.latency_s = 0.0
        self._endpoint = endpoint
        self._candidate = candidate
        self._prompt = prompt
        self._permit = permit
        self._on_text = on_text
        self._streamed = StreamedAnswer()
        self._last_error: BaseException | None = None

    async def run(self) -> dict[str, Any]:
        from openai import OpenAIError
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_retry),
            stop=stop_after_attempt(self._candidate.max_attempts),
            wait=_wait_s,
            sleep=self._endpoint.pace.nap,
            reraise=True,
        )
        try:
            return await retrying(self._attempt)
        except NotAsked:
            if self._last_error is None:
                raise
            return read_error(self._last_error)
        # Decoding and network errors that the SDK lets through are faults of the provider too.
        except (OpenAIError, AnswerFault, OSError) as error:
            return {"response": self._streamed.text, **read_error(error)}

    def _may_retry(self, error: BaseException) -> bool:
        return self._streamed.text is None and _is_passing(error)

    async def _attempt(self) -> dict[str, Any]:
        async with self._endpoint.pace.turn():
            if not await self._permit.take():
                raise NotAsked(f"{self._candidate.name} was not asked")
            self.attempts += 1
            started = time.perf_counter()
            try:
                # The SDK's own timeout starts again with each byte.
                async with asyncio.timeout(self._candidate.timeout_s):
                    outcome = read_answer(await self._request())
            except BaseException as error:
                self._last_error = error
                self._permit.settle(None, _is_turned_away(error))
                self._note_refusal(error)
                raise
            finally:
                self.latency_s = time.perf_counter() - started
            self._permit.settle(outcome.get("usage"), is_turned_away=False)
            self._endpoint.pace.note_answer()
            return outcome

    def _note_refusal(self, error: BaseException) -> None:
        from openai import APIStatusError

        if isinstance(error, APIStatusError):
            asked_s = asked_wait_s(error.response.headers)
            self._endpoint.pace.note_refusal(error.status_code, asked_s)

    async def _request(self) -> Any:
        if self._on_text is not None:
            return await self._stream(self._on_text)
        from openai import APIConnectionError

        try:
            # The raw text: a provider's odd fields must end up typed, not as a validation error.
            text = await self._endpoint.client.post(_PATH, cast_to=str, body=self._body())
        except APIConnectionError as error:  # the SDK takes any fault in a body for the network's
            if isinstance(error.__cause__, OverlongAnswer):
                raise error.__cause__ from None
            raise
        return parse_body(text)

    async def _stream(self, on_text: Callable[[str], None]) -> Any:
        from openai import AsyncStream

        self._streamed = answer = StreamedAnswer()
        shown = RedactedStream(self._endpoint.redact)
        # Chunks as plain JSON values, not the SDK's models, for the same reason as above.
        stream: AsyncStream[object] = await self._endpoint.client.post(
            _PATH,
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
            body={**self._body(), "stream": True, "stream_options": {"include_usage": True}},
        )
        async with stream:
            if "json" in stream.response.headers.get("content-type", ""):  # it doesn't stream
                return await self._read_whole(stream.response, on_text)
            try:
                async for chunk in stream:
                    if piece := shown.feed(storable(answer.add(chunk))):
                        on_text(piece)
            except (ValueError, RecursionError) as error:
                raise MalformedAnswer(f"{type(error).__name__}: {error}") from error
        if piece := shown.end():
            on_text(piece)
        if not answer.is_complete:
            raise BrokenOff("the stream ended before the answer was complete")
        return answer.body()

    async def _read_whole(self, response: Any, on_text: Callable[[str], None]) -> Any:
        try:
            payload = await response.aread()
        except AnswerFault:
            raise
        except Exception as error:  # of the HTTP library, which the SDK doesn't wrap here
            raise BrokenOff(f"the answer broke off: {error}") from error
        body = parse_body(payload.decode(errors="replace"))
        if text := read_answer(body).get("response"):
            on_text(self._endpoint.redact(text))
        return body

    def _body(self) -> dict[str, Any]:
        system = self._candidate.system
        first = [{"role": "system", "content": system}] if system else []
        messages = [*first, *(dict(message) for message in self._prompt.messages)]
        return {"model": self._candidate.model, "messages": messages, **self._candidate.parameters}


def _is_passing(error: BaseException) -> bool:
    """Tell faults that may pass by themselves from those that will not."""
    from openai import APIConnectionError, APIStatusError

    if is_out_of_credit(error) or isinstance(error, OverlongAnswer):
        return False
    status = error.status_code if isinstance(error, APIStatusError) else None
    if isinstance(error, ReportedFault):
        status = error.code
    if status is not None:
        return status in _RETRIED_STATUS or status >= 500
    return isinstance(error, APIConnectionError | AnswerFault | OSError)


def _is_turned_away(error: BaseException) -> bool:
    """Tell attempts that surely cost nothing from those that the provider may have charged."""
    from openai import APIStatusError

    if isinstance(error, APIStatusError):
        return error.status_code not in _UNKNOWN_OUTCOME_STATUS
    return type(error.__cause__).__name__ in _NEVER_SENT


def _wait_s(state: RetryCallState) -> float:
    """Return the seconds to wait: exponential with jitter.

    What the server asks for comes on top, from the pace, which holds back all of this candidate.
    """
    from tenacity import wait_random_exponential

    return wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S)(state)
