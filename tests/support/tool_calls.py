"""A candidate that speaks Chat Completions and calls tools, in the shapes that servers have."""

from __future__ import annotations

from typing import Any

from scripted_server import Reply

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    },
}
USAGE = {"prompt_tokens": 30, "completion_tokens": 9, "total_tokens": 39}


def call(arguments: str = '{"a": 2, "b": 3}', call_id: str = "x1") -> dict[str, Any]:
    """A call of the tool."""
    return {"id": call_id, "type": "function", "function": {"name": "add", "arguments": arguments}}


def calling(*calls: dict[str, Any], text: str | None = None) -> Reply:
    """An answer that calls tools; streamed with its arguments in pieces where it is asked so."""
    message = {"role": "assistant", "content": text, "tool_calls": list(calls)}
    return Reply(
        body={"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": USAGE},
        events=[*_events(calls, text), "[DONE]"],
    )


def _events(calls: tuple[dict[str, Any], ...], text: str | None) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": text}]
    for index, each in enumerate(calls):
        name, arguments = each["function"]["name"], each["function"]["arguments"]
        begun = {"index": index, "id": each["id"], "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        for piece in (arguments[:4], arguments[4:]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": USAGE}
    return [*chunks, last]


def adding(body: dict[str, Any]) -> Reply:
    """Call the tool, and once its result is there, say it."""
    last = body["messages"][-1]
    if last["role"] != "tool":
        return calling(call())
    said = f"The sum is {last['content']}."
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": each}}]} for each in (said[:4], said[4:])
    ]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    choice = {"message": {"content": said}, "finish_reason": "stop"}
    return Reply(body={"choices": [choice], "usage": USAGE}, events=[*chunks, end, "[DONE]"])
