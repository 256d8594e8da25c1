"""One request to one candidate model, with retries, into one typed Call."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from routerlib.answers import (
    BrokenOff,
    MalformedAnswer,
    StreamedAnswer,
    read_answer,
    read_error,
    storable,
)
from routerlib.candidates import api_key
from routerlib.types import Call, CandidateModel, Prompt

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from tenacity import RetryCallState

_RETRIED_STATUS = frozenset({408, 409, 429})
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_NO_KEY_NEEDED = "none"


class Clients:
    """Hold one connection pool per candidate, for use inside one event loop.

    Use it as an async context manager; every connection is closed at its end.

    Examples
    --------
    >>> async def ask(candidate, prompt):
    ...     async with Clients() as clients:
    ...         return await clients.call(candidate, prompt)
    """

    def __init__(self) -> None:
        self._open: dict[str, AsyncOpenAI] = {}
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *error: object) -> None:
        for client in self._open.values():
            await client.close()
        self._open.clear()

    async def client(self, candidate: CandidateModel) -> AsyncOpenAI:
        """Return the candidate's client; the server of a local model is started first.

        Raises
        ------
        ValueError
            If its key is not set.
        RuntimeError
            If its local weights can't be had or its server does not start.
        """
        async with self._starting:
            if candidate.name not in self._open:
                self._open[candidate.name] = await _open_client(candidate)
            return self._open[candidate.name]

    async def call(
        self,
        candidate: CandidateModel,
        prompt: Prompt,
        *,
        repeat: int = 0,
        decision_id: int | None = None,
        reserve_retry: Callable[[], bool] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Call:
        """Ask a candidate and return what came of it; faults become a typed status.

        Parameters
        ----------
        candidate : CandidateModel
            Whom to ask, and how.
        prompt : Prompt
            What to ask.
        repeat : int, default=0
            Number of the repetition, at least 0.
        decision_id : int or None, default=None
            The routing decision behind the call.
        reserve_retry : callable or None, default=None
            Asked before an attempt is made again although the last one may have cost money, as
            after a timeout; False = don't.
        on_text : callable or None, default=None
            Given each piece of the answer's text as it comes, in the thread of the event loop;
            None = the answer comes in one piece. What was handed out can't be taken back, so
            that a stream that breaks after its first piece is not asked again: the Call then has
            status ``error`` or ``timeout``, and the text so far as its response.

        Returns
        -------
        Call
            With status ``ok``, ``truncated``, ``refused``, ``empty``, ``error`` or ``timeout``.

        Raises
        ------
        ValueError
            If the candidate's key is not set.
        RuntimeError
            If a local candidate can't be started.
        """
        cell = {
            "prompt_id": prompt.prompt_id,
            "candidate": candidate.name,
            "params_hash": candidate.params_hash,
            "repeat": repeat,
            "decision_id": decision_id,
        }
        client = await self.client(candidate)
        return await _call_with_retries(client, candidate, prompt, cell, reserve_retry, on_text)


async def _open_client(candidate: CandidateModel) -> AsyncOpenAI:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    base_url = candidate.base_url
    if candidate.provider == "local":
        from routerlib import local

        base_url = await asyncio.to_thread(local.base_url, candidate.model)
    return AsyncOpenAI(
        base_url=base_url,
        api_key=api_key(candidate) or _NO_KEY_NEEDED,
        timeout=candidate.timeout_s,
        max_retries=0,  # the one retry loop is below
        # Loopback must not go through a proxy that the environment names for the world outside.
        http_client=DefaultAsyncHttpxClient(trust_env=not _is_loopback(str(base_url))),
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


async def _call_with_retries(
    client: AsyncOpenAI,
    candidate: CandidateModel,
    prompt: Prompt,
    cell: Mapping[str, Any],
    reserve_retry: Callable[[], bool] | None,
    on_text: Callable[[str], None] | None,
) -> Call:
    from openai import OpenAIError
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

    streamed = StreamedAnswer()

    def may_retry(error: BaseException) -> bool:
        if streamed.text or not _is_passing(error):
            return False
        return reserve_retry is None or not _may_have_cost(error) or reserve_retry()

    attempts = 0
    started = time.perf_counter()
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(may_retry),
            stop=stop_after_attempt(candidate.max_attempts),
            wait=_wait_s,
            reraise=True,
        ):
            with attempt:
                attempts = attempt.retry_state.attempt_number
                started = time.perf_counter()
                if on_text is None:
                    body = await _request(client, candidate, prompt)
                else:
                    streamed = StreamedAnswer()
                    await _stream(client, candidate, prompt, streamed, on_text)
                    body = streamed.body()
        outcome = read_answer(body)
    # Decoding and network errors that the SDK lets through are faults of the provider too.
    except (OpenAIError, MalformedAnswer, BrokenOff, OSError) as error:
        outcome = {"response": streamed.text, **read_error(error, api_key(candidate))}
    return Call(**cell, **outcome, attempts=attempts, latency_s=time.perf_counter() - started)


async def _request(client: AsyncOpenAI, candidate: CandidateModel, prompt: Prompt) -> Any:
    # The raw body: a provider's odd fields must end up typed, not as a validation error.
    response = await client.chat.completions.with_raw_response.create(
        model=candidate.model,
        messages=_messages(candidate, prompt),
        extra_body=dict(candidate.parameters),
    )
    try:
        return json.loads(response.content)
    except ValueError as error:  # broken JSON, or bytes that are no text
        raise MalformedAnswer(str(error)) from error


async def _stream(
    client: AsyncOpenAI,
    candidate: CandidateModel,
    prompt: Prompt,
    answer: StreamedAnswer,
    on_text: Callable[[str], None],
) -> None:
    from openai import AsyncStream

    # Chunks as plain JSON values, not the SDK's models, for the same reason as above.
    stream: AsyncStream[object] = await client.post(
        "/chat/completions",
        cast_to=object,
        stream=True,
        stream_cls=AsyncStream[object],
        body={
            "model": candidate.model,
            "messages": _messages(candidate, prompt),
            **candidate.parameters,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    )
    async with stream:
        try:
            async for chunk in stream:
                if piece := answer.add(chunk):
                    on_text(storable(piece))
        except ValueError as error:
            raise MalformedAnswer(str(error)) from error
    if not answer.is_complete:
        raise BrokenOff("the stream ended before the answer was complete")


def _messages(candidate: CandidateModel, prompt: Prompt) -> list[Any]:
    system = [{"role": "system", "content": candidate.system}] if candidate.system else []
    return [*system, *(dict(message) for message in prompt.messages)]


def _is_passing(error: BaseException) -> bool:
    """Tell faults that may pass by themselves from those that will not."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        return error.status_code in _RETRIED_STATUS or error.status_code >= 500
    return isinstance(error, APIConnectionError | MalformedAnswer | BrokenOff)


def _may_have_cost(error: BaseException) -> bool:
    """Tell attempts that the provider may have answered, and charged, from those it refused."""
    from openai import APIStatusError

    return not isinstance(error, APIStatusError)


def _wait_s(state: RetryCallState) -> float:
    """Return the seconds to wait: what the server asks for, else exponential with jitter."""
    from tenacity import wait_random_exponential

    asked_s = _retry_after_s(state.outcome.exception() if state.outcome else None)
    if asked_s is not None:
        return min(asked_s, _LONGEST_WAIT_S)
    return wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S)(state)


def _retry_after_s(error: BaseException | None) -> float | None:
    from openai import APIStatusError

    if not isinstance(error, APIStatusError):
        return None
    try:
        asked_s = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return asked_s if asked_s >= 0 else None
