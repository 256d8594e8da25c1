"""Turn what a provider sent back, however odd, into the fields of a Call."""

from __future__ import annotations

import json
from typing import Any

from routerlib.gather.candidates.keys import Redactor
from routerlib.records.call import Usage
from routerlib.records.endings import MEANINGS, UNKNOWN_END, Meaning, meaning_of, status_by
from routerlib.records.errors import RouterlibError
from routerlib.records.secrets import without_secrets

NO_CREDIT = "no_credit"  # error_type of a call that was refused until somebody pays

_MAX_ERROR_CHARS = 500
_PAYMENT_REQUIRED = 402
# Larger token counts are nonsense, and SQLite could not hold them.
_MOST_TOKENS = 2**53


class AnswerFault(RouterlibError):
    """Something under HTTP status 200 that is no answer."""


class MalformedAnswer(AnswerFault):
    """An answer that is not JSON."""


class OverlongAnswer(AnswerFault):
    """A body that goes on and on; the rest of it was not read."""


class BrokenOff(AnswerFault):
    """A stream that ended before the provider said that the answer was complete."""


class ReportedFault(AnswerFault):
    """An error that the provider reports in the body under status 200."""

    def __init__(self, error: Any) -> None:
        code = error.get("code") if isinstance(error, dict) else None
        self.code = code if isinstance(code, int) and 400 <= code < 600 else None
        super().__init__(f"the provider reports an error under status 200: {error}")


def parse_body(payload: str) -> Any:
    """Read the JSON of an answer."""
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from error
    if isinstance(body, dict) and body.get("error") and not body.get("choices"):
        raise ReportedFault(body["error"])
    return body


class StreamedAnswer:
    """Put the pieces of a streamed answer together into the body of a plain one.

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
        """Take in one chunk of the stream."""
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
        return _fault("malformed", f"the answer is not what the API promises: {error}")


def _fault(error_type: str, why: str) -> dict[str, Any]:
    return {"status": "error", "error_type": error_type, "error": why}


def _read_body(body: Any) -> dict[str, Any]:
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return _fault("malformed", "no choices in the answer")
    message = choices[0].get("message") or {}
    text = _text(message.get("content"))
    reason, meaning = _end_of(choices[0])
    fields = {
        "response": text,
        "finish_reason": None if reason is None else storable(str(reason)),
        "usage": _read_usage(body.get("usage")),
    }
    if choices[0].get("error") or meaning == "failed":
        told = choices[0].get("error") or f"it ended with {reason!r}"
        return {**fields, **_fault("provider", f"the provider reports an error: {told}")}
    if message.get("refusal"):
        return {"status": "refused", **fields}
    # A model that only thought aloud (reasoning_content) has not answered.
    fields["status"] = status_by(reason, text)
    if fields["status"] == "error":
        fields |= _fault("provider", f"the provider broke the answer off: it ended with {reason!r}")
    if meaning == "unknown":
        fields |= {"error_type": UNKNOWN_END, "error": f"it ended with the unknown word {reason!r}"}
    return fields


def _end_of(choice: dict[str, Any]) -> tuple[Any, Meaning | None]:
    """Return why an answer ended: the provider's own word too, where a gateway hands it on."""
    gateway_fields = choice.get("provider_specific_fields")
    reasons = [
        choice.get("finish_reason"),
        choice.get("native_finish_reason"),
        gateway_fields.get("native_finish_reason") if isinstance(gateway_fields, dict) else None,
    ]
    told = [(reason, meaning) for reason in reasons if (meaning := meaning_of(reason))]
    known = [each for each in told if each[1] != "unknown"]
    return max(known or told, key=lambda each: MEANINGS.index(each[1]), default=(None, None))


def _text(content: Any) -> str | None:
    """Return the text of a message, which some providers send in parts."""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    return storable(content) if isinstance(content, str) else None


def storable(text: str) -> str:
    """Replace lone surrogates, which JSON may hold and UTF-8 files may not."""
    return text.encode("utf-8", "replace").decode()


def _read_usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    input_details = usage.get("prompt_tokens_details") or {}
    output_details = usage.get("completion_tokens_details") or {}
    try:
        n_input, n_output = _count(usage["prompt_tokens"]), _count(usage["completion_tokens"])
        n_reasoning = _count(output_details.get("reasoning_tokens") or 0)
        if usage.get("total_tokens") == n_input + n_output + n_reasoning:
            n_output += n_reasoning  # some providers count, and charge, thoughts beside the answer
        return Usage(
            input_tokens=n_input,
            output_tokens=n_output,
            cached_input_tokens=min(_count(input_details.get("cached_tokens") or 0), n_input),
            reasoning_tokens=min(n_reasoning, n_output),
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        return None  # unknown usage: the cost of the call stays unknown, never 0


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_TOKENS:
        raise ValueError(f"a token count must be a whole number of at least 0, got {value!r}")
    return value


def is_out_of_credit(error: BaseException) -> bool:
    """Tell an account without credit, which no waiting mends, from one that asks too fast."""
    from openai import APIStatusError

    return isinstance(error, APIStatusError) and (
        error.status_code == _PAYMENT_REQUIRED or error.code == "insufficient_quota"
    )


def read_error(error: BaseException) -> dict[str, Any]:
    """Turn what went wrong into the fields of a Call."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError

    text = storable(str(error) or type(error).__name__)
    if isinstance(error, APITimeoutError | TimeoutError):
        return {"status": "timeout", "error_type": "timeout", "error": text}
    if is_out_of_credit(error):
        return _fault(NO_CREDIT, text)
    if isinstance(error, APIStatusError):
        return _fault(f"http_{error.status_code}", text)
    if isinstance(error, ReportedFault) and error.code:
        return _fault(f"http_{error.code}", text)
    if isinstance(error, APIConnectionError | BrokenOff | OSError):
        return _fault("connection", text)
    # An error that a provider sends inside a stream that began well has no status of its own.
    return _fault(
        "provider" if isinstance(error, OpenAIError | ReportedFault) else "malformed", text
    )


def redacted(fields: dict[str, Any], redact: Redactor) -> dict[str, Any]:
    """Take the key out of everything that a provider may have echoed, and cut long errors."""
    clean = {
        name: redact(value) if isinstance(value, str) else value for name, value in fields.items()
    }
    if clean.get("error"):  # cut last: a part of a key is a secret too
        clean["error"] = without_secrets(clean["error"])[:_MAX_ERROR_CHARS]
    return clean
