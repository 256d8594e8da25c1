"""What a chat message holds, in the shape of OpenAI's API: words, calls of tools, attachments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from routerlib.records.brief import brief

# Parts of a message that are no words, and what stands for each of them in a text.
ATTACHMENTS = {"image_url": "image", "file": "file", "input_audio": "audio"}
_WORDS = {"text": "text", "refusal": "refusal"}

# Where a call's `extra` keeps the calls of tools in its answer.
TOOL_CALLS = "tool_calls"

Message = Mapping[str, Any]


def check_message(message: Message) -> None:
    """Raise ValueError for what is no message.

    >>> check_message({"role": "user", "content": 3})
    Traceback (most recent call last):
        ...
    ValueError: each message needs text, or a list of parts, got {'content': 3, 'role': 'user'}
    """
    content = message.get("content")
    if isinstance(message.get("role"), str):
        if isinstance(content, str) or (content is None and message.get("tool_calls")):
            return
        if isinstance(content, list) and all(map(_is_part, content)):
            return
    raise ValueError(f"each message needs text, or a list of parts, got {brief(dict(message))}")


def _is_part(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    words = _WORDS.get(str(part.get("type")))
    return part.get("type") in ATTACHMENTS if words is None else isinstance(part.get(words), str)


def content_text(content: Any) -> str:
    """Return the words of a message's content, with a mark for each image, file and sound.

    >>> image = {"type": "image_url", "image_url": {"url": "data:,"}}
    >>> content_text([{"type": "text", "text": "What is this? "}, image])
    'What is this? [image]'
    """
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(_part_text(part) for part in content)


def _part_text(part: Mapping[str, Any]) -> str:
    kind = part["type"]
    return str(part[_WORDS[kind]]) if kind in _WORDS else f"[{ATTACHMENTS[kind]}]"


def calls_of(message: Message) -> list[Mapping[str, Any]]:
    """Return the calls of tools in a message."""
    return list(message.get("tool_calls") or ())


def calls_text(calls: Sequence[Mapping[str, Any]]) -> str:
    """Write calls of tools in words, one a line.

    >>> calls_text([{"id": "1", "function": {"name": "add", "arguments": '{"a": 1}'}}])
    '[add({"a": 1})]'
    """
    functions = [call.get("function") or call.get("custom") or {} for call in calls]
    return "\n".join(
        f"[{each.get('name', '')}({each.get('arguments', each.get('input', ''))})]"
        for each in functions
    )


def said(message: Message) -> str:
    """Return all that a message says: its words, then its calls of tools."""
    words, calls = content_text(message.get("content")), calls_text(calls_of(message))
    return "\n".join(filter(None, (words, calls)))


def n_characters(message: Message) -> int:
    """Return the characters that a message takes when it is sent, attachments and all."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        parts = [content or ""]
    else:
        parts = [text for part in content for text in _texts_in(part)]
    return sum(map(len, (*parts, calls_text(calls_of(message)))))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts_in(each)


def attachments(messages: Sequence[Message]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the kind (image, file, audio) of each part that is no words, and the part."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] in ATTACHMENTS:
                yield ATTACHMENTS[part["type"]], part
