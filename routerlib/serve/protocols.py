"""Providers' addresses: OpenAI's chat completions and responses, Anthropic's messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Header, Response
from fastapi.responses import JSONResponse

from routerlib.gather.calls.answers import Answer
from routerlib.gather.calls.asking import Listener
from routerlib.records.prompt import Prompt, asked_by
from routerlib.serve.answering import Service
from routerlib.serve.anthropic_answers import MessageEvents, message_body
from routerlib.serve.anthropic_requests import MessagesRequest
from routerlib.serve.faults import refusing
from routerlib.serve.requests import ChatRequest
from routerlib.serve.response_answers import response_body
from routerlib.serve.response_events import ResponseEvents
from routerlib.serve.response_requests import ResponsesRequest
from routerlib.serve.responses import chat_body
from routerlib.serve.streaming import Chunks, Telling, ToldLogprobs, answer_headers, stream
from routerlib.serve.wishes import read_wish

Continues = Annotated[
    str,
    Header(
        alias="x-routerlib-continues",
        description="Decision id of the turn that this one goes on from, or none",
        pattern=r"^([1-9][0-9]{0,14}|none|)$",
    ),
]


class Protocols:
    """What each of these addresses does."""

    def __init__(self, service: Service, names: Sequence[str]) -> None:
        self._service = service
        self._names = names

    async def chat(self, request: ChatRequest, x_routerlib_continues: Continues = "") -> Response:
        """Answer as OpenAI's API does: `router`, `router:cascade`, or a candidate's name.

        `router:cost_weight=20` weighs cost. A cascade's stream begins once an answer stands.
        """
        options = request.stream_options
        told = ToldLogprobs() if request.logprobs else None
        return await self._answered(
            request,
            x_routerlib_continues,
            Chunks(bool(options and options.include_usage), told),
            lambda answer: chat_body(answer, int(time.time()), told and told.logprobs),
            told,
        )

    async def messages(
        self, request: MessagesRequest, x_routerlib_continues: Continues = ""
    ) -> Response:
        """Answer as Anthropic's API does; the model may be `router` or a candidate's name."""
        return await self._answered(request, x_routerlib_continues, MessageEvents(), message_body)

    async def responses(
        self, request: ResponsesRequest, x_routerlib_continues: Continues = ""
    ) -> Response:
        """Answer as OpenAI's newer API does, where nothing is kept between requests."""
        created = int(time.time())
        return await self._answered(
            request,
            x_routerlib_continues,
            ResponseEvents(request),
            lambda answer: response_body(answer, request, created),
        )

    async def _answered(
        self,
        request: ChatRequest | MessagesRequest | ResponsesRequest,
        continues: str,
        telling: Telling,
        body_of: Callable[[Answer], dict[str, Any]],
        on_body: Callable[[Any], None] | None = None,
    ) -> Response:
        with refusing(400):
            prompt = Prompt(
                tuple(request.conversation()), source="serve", extra=asked_by(request.asks)
            )
        wish = read_wish(request.model, self._names)
        wish = replace(wish, continues=continues or None, parameters=request.parameters)
        if request.stream:
            return await stream(self._service, prompt, wish, telling, on_body)
        listener = Listener(on_body=on_body)
        answer = await (await self._service.ask(prompt, wish, lambda _: listener)).answered()
        headers = answer_headers(answer.call.candidate, answer.decision_id)
        return JSONResponse(body_of(answer), headers=headers)
