"""Answers in the shape of OpenAI's /v1/responses, whole and as events."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from routerlib.gather.calls.answers import Answer
from routerlib.serve.response_requests import ResponsesRequest
from routerlib.serve.responses import about, is_refusal, refusal_text, tool_calls


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
        **begun(answer.call.candidate, answer.decision_id, request, created),
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": reason} if is_cut else None,
        "output": _items(answer, request),
        "usage": _usage(answer),
        "routerlib": about(answer),
    }


def begun(model: str, decision_id: int, request: ResponsesRequest, created: int) -> dict[str, Any]:
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
        items.append(message(answer.decision_id, content, status))
    elif answer.text or not tool_calls(answer):
        items.append(message(answer.decision_id, [said(answer.text)], status))
    for number, call in enumerate(tool_calls(answer)):
        function = call["function"]
        item = called(answer.decision_id, number, call["id"], request.named(function["name"]))
        items.append({**item, "arguments": function["arguments"], "status": status})
    return items


def called(decision_id: int, number: int, call_id: str, named: dict[str, Any]) -> dict[str, Any]:
    """Return a call of a function as it begins; `named`: as of `ResponsesRequest.named`."""
    return {
        "id": f"fc_{decision_id}_{number}",
        "type": "function_call",
        "call_id": call_id,
        **named,
        "arguments": "",
        "status": "in_progress",
    }


def message(
    decision_id: int, content: list[dict[str, Any]], status: str, number: int = 0
) -> dict[str, Any]:
    """Return an item that is said, not called; `number`: among those of the answer, from 0."""
    return {
        "id": f"msg_{decision_id}" + (f"_{number}" if number else ""),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def said(text: str) -> dict[str, Any]:
    """Return a part of a message that is text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(answer: Answer) -> dict[str, Any] | None:
    used = answer.call.usage
    if used is None:
        return None
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cached_input_tokens,
            "cache_write_tokens": used.cache_write_tokens,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }
