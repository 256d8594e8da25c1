"""Answers in the shape of OpenAI's /v1/responses, whole and as events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from routerlib.gather.calls.answers import Answer
from routerlib.serve.faults import Refused
from routerlib.serve.response_requests import ResponsesRequest
from routerlib.serve.responses import about, is_refusal, refusal_text, tool_calls
from routerlib.serve.streaming import Piece, event


class ResponseBody(BaseModel):
    """Body of an answer to POST /v1/responses, with ``routerlib`` as an extra field."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["completed", "incomplete"]
    model: str
    output: list[dict[str, Any]]
    incomplete_details: dict[str, str] | None
    usage: dict[str, Any] | None
    routerlib: dict[str, Any]


def response_body(answer: Answer, request: ResponsesRequest, created: int) -> dict[str, Any]:
    """Return the body of an answer to POST /v1/responses."""
    reason = {"truncated": "max_output_tokens", "refused": "content_filter"}.get(answer.call.status)
    is_cut = answer.call.status == "truncated"
    return {
        **_begun(answer.call.candidate, answer.decision_id, request, created),
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": reason} if is_cut else None,
        "output": _items(answer, request),
        "usage": _usage(answer),
        "routerlib": about(answer),
    }


def _begun(model: str, decision_id: int, request: ResponsesRequest, created: int) -> dict[str, Any]:
    """Return what is told of a response before anything is said."""
    asked = request.model_dump(exclude_none=True, by_alias=True)
    text = {"format": {"type": "text"}, **asked.get("text", {})}
    return {
        "id": f"resp_{decision_id}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "model": model,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "tools": asked.get("tools", []),
        "tool_choice": asked.get("tool_choice", "auto"),
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": request.max_output_tokens,
        "reasoning": {"effort": None, "summary": None, **asked.get("reasoning", {})},
        "text": text,
        "truncation": "disabled",
        "previous_response_id": None,
        "store": False,
        "metadata": request.metadata or {},
        "user": request.user,
        "usage": None,
    }


def _items(answer: Answer, request: ResponsesRequest) -> list[dict[str, Any]]:
    status = "incomplete" if answer.call.status == "truncated" else "completed"
    items: list[dict[str, Any]] = []
    if is_refusal(answer):
        content: list[dict[str, Any]] = [{"type": "refusal", "refusal": refusal_text(answer)}]
        items.append(_message(answer.decision_id, content, status))
    elif answer.text or not tool_calls(answer):
        items.append(_message(answer.decision_id, [_text(answer.text)], status))
    for number, call in enumerate(tool_calls(answer)):
        items.append(
            {
                "id": f"fc_{answer.decision_id}_{number}",
                "type": "function_call",
                "call_id": call["id"],
                **request.named(call["function"]["name"]),
                "arguments": call["function"]["arguments"],
                "status": status,
            }
        )
    return items


def _message(decision_id: int, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": f"msg_{decision_id}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(answer: Answer) -> dict[str, Any] | None:
    used = answer.call.usage
    if used is None:
        return None
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cached_input_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }


class ResponseEvents:
    """An answer as events of a response."""

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request
        self._created = int(time.time())
        self._n_events = 0
        self._n_items = 0
        self._has_text = False
        self._started: dict[str, Any] = {}
        self._decision_id = 0

    def begin(self, model: str, decision_id: int) -> Iterator[bytes]:
        """Say that an answer begins."""
        self._decision_id = decision_id
        self._started = _begun(model, decision_id, self._request, self._created)
        yield self._event("response.created", response=self._started)
        yield self._event("response.in_progress", response=self._started)

    def piece(self, piece: Piece) -> Iterator[bytes]:
        """Tell a part of its text; thoughts are left out, as nothing could be done with them."""
        if piece.field != "content":
            return
        if not self._has_text:
            self._has_text = True
            item = _message(self._decision_id, [], "in_progress")
            yield self._event("response.output_item.added", output_index=0, item=item)
            place = self._of_text()
            yield self._event("response.content_part.added", **place, part=_text(""))
        yield self._event(
            "response.output_text.delta", **self._of_text(), delta=piece.text, logprobs=[]
        )

    def end(self, answered: Answer) -> Iterator[bytes]:
        """Tell what came in one piece, and how it ended."""
        body = response_body(answered, self._request, self._created)
        for index, item in enumerate(body["output"]):
            if item["type"] == "function_call":
                yield from self._called(index, item)
            elif "text" in item["content"][0]:
                if not self._has_text:
                    text = item["content"][0]["text"]
                    yield from self.piece(Piece(answered.call.candidate, "content", text))
                yield from self._said(index, item)
            else:
                yield self._event("response.output_item.added", output_index=index, item=item)
                yield self._event("response.output_item.done", output_index=index, item=item)
        yield self._event(f"response.{body['status']}", response=body)

    def fail(self, refused: Refused) -> Iterator[bytes]:
        """Say that it broke off."""
        error = {"code": refused.code or "server_error", "message": str(refused)}
        failed = {**self._started, "status": "failed", "error": error}
        yield self._event("response.failed", response=failed)

    def _said(self, index: int, item: dict[str, Any]) -> Iterator[bytes]:
        (part,) = item["content"]
        place = self._of_text()
        yield self._event("response.output_text.done", **place, text=part["text"], logprobs=[])
        yield self._event("response.content_part.done", **place, part=part)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _called(self, index: int, item: dict[str, Any]) -> Iterator[bytes]:
        begun = {**item, "arguments": "", "status": "in_progress"}
        place = {"item_id": item["id"], "output_index": index}
        told = item["arguments"]
        yield self._event("response.output_item.added", output_index=index, item=begun)
        yield self._event("response.function_call_arguments.delta", **place, delta=told)
        yield self._event(
            "response.function_call_arguments.done", **place, name=item["name"], arguments=told
        )
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _of_text(self) -> dict[str, Any]:
        return {"item_id": f"msg_{self._decision_id}", "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **told: Any) -> bytes:
        number, self._n_events = self._n_events, self._n_events + 1
        return event({"type": kind, "sequence_number": number, **told}, kind)
