"""Answers as events of OpenAI's /v1/responses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from routerlib.gather.calls.answers import Answer
from routerlib.serve.faults import Refused
from routerlib.serve.response_answers import begun, called, message, response_body, said
from routerlib.serve.response_requests import ResponsesRequest
from routerlib.serve.streaming import Piece, event
from routerlib.serve.told_calls import Told, ToldCalls


class ResponseEvents:
    """An answer as events of a response, item by item: what is told first is its first item."""

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request
        self._created = int(time.time())
        self._n_events = 0
        self._done: list[dict[str, Any]] = []
        self._text: list[str] | None = None  # of the message that is being told
        self._arguments: list[str] = []
        self._n_messages = 0
        self._calls = ToldCalls(0)
        self._started: dict[str, Any] = {}
        self._decision_id = 0

    def begin(self, model: str, decision_id: int) -> Iterator[bytes]:
        """Say that an answer begins."""
        self._decision_id, self._calls = decision_id, ToldCalls(decision_id)
        self._started = begun(model, decision_id, self._request, self._created)
        yield self._event("response.created", response=self._started)
        yield self._event("response.in_progress", response=self._started)

    def piece(self, piece: Piece) -> Iterator[bytes]:
        """Tell a part of it; thoughts are left out, as nothing could be done with them."""
        if piece.call is not None:
            for told in self._calls.add(piece.call):
                yield from self._called(told, "completed")
        elif piece.field == "content":
            yield from self._said(piece.text)

    def end(self, answered: Answer, late: str) -> Iterator[bytes]:
        """Tell what is left, and how it ended."""
        body = response_body(answered, self._request, self._created)
        for item in body["output"]:
            if item["type"] == "message" and not (self._n_messages or late):
                yield from self._whole_message(item)
        yield from self._end_text(body["status"])
        for told in self._calls.rest(answered):
            yield from self._called(told, body["status"])
        if late:
            yield from self._said(late)
            yield from self._end_text(body["status"])
        body["output"] = self._done
        yield self._event(f"response.{body['status']}", response=body)

    def fail(self, refused: Refused) -> Iterator[bytes]:
        """Say that it broke off."""
        error = {"code": refused.code or "server_error", "message": str(refused)}
        failed = {**self._started, "status": "failed", "error": error}
        yield self._event("response.failed", response=failed)

    def _whole_message(self, item: dict[str, Any]) -> Iterator[bytes]:
        """Tell a message that came in one piece."""
        if "text" in item["content"][0]:
            yield from self._said(item["content"][0]["text"])
        else:  # a refusal has no events of its own here
            yield self._added(item)
            yield self._item_done(item)

    def _said(self, text: str) -> Iterator[bytes]:
        if self._text is None:
            self._text, self._n_messages = [], self._n_messages + 1
            yield self._added(self._message([], "in_progress"))
            yield self._event("response.content_part.added", **self._of_text(), part=said(""))
        self._text.append(text)
        yield self._event("response.output_text.delta", **self._of_text(), delta=text, logprobs=[])

    def _end_text(self, status: str) -> Iterator[bytes]:
        if self._text is None:
            return
        part, place = said("".join(self._text)), self._of_text()
        yield self._event("response.output_text.done", **place, text=part["text"], logprobs=[])
        yield self._event("response.content_part.done", **place, part=part)
        item = self._message([part], status)
        self._text = None
        yield self._item_done(item)

    def _called(self, told: Told, status: str) -> Iterator[bytes]:
        named = self._request.named(told.name)
        item = called(self._decision_id, told.number, told.id, named)
        if told.begins:
            yield from self._end_text("completed")
            self._arguments = []
            yield self._added(item)
        place = {"item_id": item["id"], "output_index": len(self._done)}
        if told.arguments:
            self._arguments.append(told.arguments)
            yield self._event(
                "response.function_call_arguments.delta", **place, delta=told.arguments
            )
        if told.ends:
            item |= {"arguments": "".join(self._arguments), "status": status}
            yield self._event(
                "response.function_call_arguments.done",
                **place,
                name=item["name"],
                arguments=item["arguments"],
            )
            yield self._item_done(item)

    def _message(self, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
        return message(self._decision_id, content, status, self._n_messages - 1)

    def _added(self, item: dict[str, Any]) -> bytes:
        return self._event("response.output_item.added", output_index=len(self._done), item=item)

    def _item_done(self, item: dict[str, Any]) -> bytes:
        index = len(self._done)
        self._done.append(item)
        return self._event("response.output_item.done", output_index=index, item=item)

    def _of_text(self) -> dict[str, Any]:
        item_id = self._message([], "in_progress")["id"]
        return {"item_id": item_id, "output_index": len(self._done), "content_index": 0}

    def _event(self, kind: str, **told: Any) -> bytes:
        number, self._n_events = self._n_events, self._n_events + 1
        return event({"type": kind, "sequence_number": number, **told}, kind)
