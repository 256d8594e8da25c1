"""Turn what a provider sent back, however odd, into the fields of a Call."""

from __future__ import annotations

from typing import Any

from routerlib.types import Usage

_MAX_ERROR_CHARS = 500


class MalformedAnswer(Exception):
    """An answer that is not JSON."""


class BrokenOff(Exception):
    """A stream that ended before the provider said that the answer was complete."""


class StreamedAnswer:
    """Put the pieces of a streamed answer together into the body of a plain one.

    Examples
    --------
    >>> answer = StreamedAnswer()
    >>> answer.add({"choices": [{"delta": {"content": "Four"}}]})
    'Four'
    >>> answer.add({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    ''
    >>> answer.is_complete, read_answer(answer.body())["response"]
    (True, 'Four')
    """

    def __init__(self) -> None:
        self._message: dict[str, str] = {}
        self._choice: dict[str, Any] = {"message": self._message}
        self._usage: Any = None

    @property
    def is_complete(self) -> bool:
        """Whether the provider said why it stopped."""
        return "finish_reason" in self._choice

    @property
    def text(self) -> str | None:
        """The text so far; None = none came."""
        return storable(self._message["content"]) if self._message.get("content") else None

    def add(self, chunk: Any) -> str:
        """Take in one chunk of the stream.

        Parameters
        ----------
        chunk : Any
            The JSON value of one event.

        Returns
        -------
        str
            The text that it adds; empty for other chunks.

        Raises
        ------
        MalformedAnswer
            If it is not what the API promises.
        """
        try:
            return self._add(chunk)
        except (AttributeError, LookupError, TypeError) as error:
            raise MalformedAnswer(f"a chunk is not what the API promises: {error}") from error

    def _add(self, chunk: Any) -> str:
        self._usage = chunk.get("usage") or self._usage
        choices = chunk.get("choices") or []
        if not choices or choices[0].get("index"):
            return ""  # usage comes without a choice; further choices were not asked for
        if choices[0].get("finish_reason") is not None:
            self._choice["finish_reason"] = choices[0]["finish_reason"]
        delta = choices[0].get("delta") or {}
        for name in ("content", "refusal", "reasoning_content"):
            if piece := delta.get(name):
                self._message[name] = self._message.get(name, "") + piece
        return delta.get("content") or ""

    def body(self) -> dict[str, Any]:
        """Return the answer as it would have come in one piece."""
        return {"choices": [self._choice], "usage": self._usage}


def read_answer(body: Any) -> dict[str, Any]:
    """Turn a provider's answer, however odd, into the fields of a Call."""
    try:
        return _read_body(body)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        why = f"the answer is not what the API promises: {error}"
        return {"status": "error", "error_type": "malformed", "error": why[:_MAX_ERROR_CHARS]}


def _read_body(body: Any) -> dict[str, Any]:
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return {"status": "error", "error_type": "malformed", "error": "no choices in the answer"}
    message = choices[0].get("message") or {}
    content = message.get("content")
    text = storable(content) if isinstance(content, str) else None
    finish_reason = choices[0].get("finish_reason")
    if not isinstance(finish_reason, str):
        finish_reason = None
    fields = {
        "response": text,
        "finish_reason": finish_reason,
        "usage": _read_usage(body.get("usage")),
    }
    if finish_reason == "content_filter" or message.get("refusal"):
        return {"status": "refused", **fields}
    if finish_reason == "length":
        return {"status": "truncated", **fields}
    if not text or not text.strip():
        return {"status": "empty", **fields}
    return {"status": "ok", **fields}


def storable(text: str) -> str:
    """Replace lone surrogates, which JSON may hold and UTF-8 files may not."""
    return text.encode("utf-8", "replace").decode()


def _read_usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    input_details = usage.get("prompt_tokens_details") or {}
    output_details = usage.get("completion_tokens_details") or {}
    try:
        input_tokens = int(usage["prompt_tokens"])
        return Usage(
            input_tokens=input_tokens,
            output_tokens=int(usage["completion_tokens"]),
            cached_input_tokens=min(int(input_details.get("cached_tokens") or 0), input_tokens),
            reasoning_tokens=int(output_details.get("reasoning_tokens") or 0),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # unknown usage: the cost of the call stays unknown, never 0


def read_error(error: Exception, key: str | None) -> dict[str, Any]:
    """Turn what went wrong into the fields of a Call, without the key."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    text = " ".join(storable(str(error)).split())
    if key:
        text = text.replace(key, "[key]")  # before cutting: a part of a key is a secret too
    fields = {"status": "error", "error": text[:_MAX_ERROR_CHARS]}
    if isinstance(error, APITimeoutError):
        return {**fields, "status": "timeout", "error_type": "timeout"}
    if isinstance(error, APIStatusError):
        return {**fields, "error_type": f"http_{error.status_code}"}
    if isinstance(error, APIConnectionError | BrokenOff):
        return {**fields, "error_type": "connection"}
    # An error that a provider sends inside a stream that began well has no status of its own.
    kind = "provider" if isinstance(error, OpenAIError) else "malformed"
    return {**fields, "error_type": kind}
