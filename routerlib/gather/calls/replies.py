"""Turn what a provider sent back, however odd, into the fields of a Call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from routerlib.gather.calls.faults import FLAGGED, WRONG_ADDRESS, Fault, read_fault
from routerlib.gather.calls.tokens import find_counts, read_tokens
from routerlib.gather.candidates.keys import Redactor
from routerlib.records.canonical import canonical_json, read_json
from routerlib.records.endings import MEANINGS, UNKNOWN_END, Meaning, meaning_of, status_of
from routerlib.records.errors import RouterlibError
from routerlib.records.logprobs import LOGPROBS, logprob_numbers, read_logprobs
from routerlib.records.messages import TOOL_CALLS, calls_text
from routerlib.records.secrets import without_secrets
from routerlib.records.thoughts import THOUGHT, separate

_MAX_ERROR_CHARS = 500
_MAX_MODEL_CHARS = 200
_SURROGATE = re.compile("[\ud800-\udfff]")
# Names under which thoughts come beside the answer; where two say the same, one counts.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
# Names of words that a body without choices has for what went wrong.
_REPORTING = ("message", "msg", "detail", "error_msg")
_FINE = (None, 0, "0", 200, "200")


class AnswerFault(RouterlibError):
    """Something under HTTP status 200 that is no answer."""


class MalformedAnswer(AnswerFault):
    """An answer that is not JSON."""


class OverlongAnswer(AnswerFault):
    """A body that goes on and on, or is packed in a way nobody asked for; the rest is not read."""


class BrokenOff(AnswerFault):
    """A stream that ended before the provider said that the answer was complete."""


class SentElsewhere(AnswerFault):
    """A redirect that would carry prompt and key to somebody else; nothing was sent there."""


class ReportedFault(AnswerFault):
    """An error that the provider reports in the body under status 200."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.text)


def parse_body(payload: bytes | bytearray) -> Any:
    """Read the JSON of an answer."""
    try:
        body = read_json(payload)
    except (ValueError, RecursionError) as error:
        _refuse_ollama(_first_line(payload))
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from error
    if fault := reported_fault(body):
        raise ReportedFault(fault)
    _refuse_ollama(body)
    return body


def _first_line(payload: bytes | bytearray) -> Any:
    """Return the first of several lines of JSON; None where it is none."""
    try:
        return read_json(payload.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return None


def _refuse_ollama(body: Any) -> None:
    """Say what to do where Ollama answers in its own way, which knows no choices."""
    if not isinstance(body, dict) or "choices" in body or not isinstance(body.get("done"), bool):
        return
    if "message" in body or "response" in body:
        why = (
            "this address is Ollama's own API; write base_url so that it ends with /v1, such as "
            "http://localhost:11434/v1"
        )
        raise ReportedFault(Fault(why, WRONG_ADDRESS, 200))


def reported_fault(body: Any) -> Fault | None:
    """Return the error that stands in the place of an answer, or of a chunk of one."""
    if isinstance(body, list):  # Gemini wraps its errors so
        return read_fault(200, body, {}) if body and _reports(body[0]) else None
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return read_fault(200, body, {}) if _reports(body) else None
    error = choice.get("error") or body.get("error")
    return read_fault(200, {"error": error}, {}) if error and not _has_content(choice) else None


def _reports(body: Any) -> bool:
    """Tell what reports an error from keep-alive objects and the like."""
    if not isinstance(body, dict):
        return False
    groq, base = body.get("x_groq"), body.get("base_resp")
    if body.get("error") or body.get("errors") or (isinstance(groq, dict) and groq.get("error")):
        return True
    if isinstance(base, dict) and base.get("status_code") not in _FINE:
        return True
    if body.get("code") in _FINE[1:] or body.get("error_code") in _FINE[1:]:
        return False
    return any(isinstance(body.get(name), str | list) and body[name] for name in _REPORTING)


def _has_content(choice: dict[str, Any]) -> bool:
    said = choice.get("message") or choice.get("delta")
    return isinstance(said, dict) and bool(said.get("content"))


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
        return _without_choices(body)
    choice = choices[0]
    message = choice.get("message") or {}
    text, thoughts = parts_of(message.get("content"))
    has_text = message.get("content") is not None
    reason, meaning = _end_of(choice)
    thoughts += thoughts_of(message)
    usage, doubt = read_tokens(find_counts(body), has_text=bool(text.strip()))
    calls = tool_calls_of(message)
    fields: dict[str, Any] = {
        "response": storable(text) if text or (has_text and not calls) else None,
        "finish_reason": None if reason is None else storable(str(reason)),
        "usage": usage,
        "extra": extra_of(body, text, thoughts, doubt, choice.get("logprobs")),
    }
    if calls:
        fields["extra"] = {**(fields["extra"] or {}), TOOL_CALLS: calls}
    if choice.get("error") or meaning == "failed":
        told = choice.get("error") or f"it ended with {reason!r}"
        return {**fields, **_fault("provider", f"the provider reports an error: {told}")}
    if message.get("refusal"):
        return {"status": "refused", **fields}
    # A model that only thought aloud has not answered; one that calls a tool has.
    fields["status"] = status_of(meaning, text if text.strip() else calls_text(calls))
    if fields["status"] == "error":
        fields |= _fault("provider", f"the provider broke the answer off: it ended with {reason!r}")
    if meaning == "unknown":
        fields |= {"error_type": UNKNOWN_END, "error": f"it ended with the unknown word {reason!r}"}
    return fields


def _without_choices(body: Any) -> dict[str, Any]:
    feedback = body.get("promptFeedback") if isinstance(body, dict) else None
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        why = f"the provider blocked the prompt: {feedback['blockReason']}"
        reason = storable(str(feedback["blockReason"]))
        return {**_fault(FLAGGED, why), "status": "refused", "finish_reason": reason}
    return _fault("malformed", "no choices in the answer")


def extra_of(
    body: Mapping[str, Any], text: str, thoughts: str, doubt: str, logprobs: Any
) -> dict[str, Any] | None:
    """Return what is kept beside the columns of a call.

    `doubt`: what speaks against its tokens.
    `logprobs`: as the provider tells them; a few numbers of them are kept.
    """
    model = body.get("model")
    told: dict[str, Any] = {
        "answered_by": storable(model)[:_MAX_MODEL_CHARS] if isinstance(model, str) else "",
        THOUGHT: storable(thoughts),
        "tokens_uncertain": doubt,
        LOGPROBS: _numbers(logprobs, text, has_thought=bool(thoughts)) if logprobs else None,
    }
    return {name: value for name, value in told.items() if value} or None


def _numbers(logprobs: Any, text: str, *, has_thought: bool) -> dict[str, float]:
    answer, thought = separate(text)
    is_mixed = has_thought or thought is not None
    return logprob_numbers(read_logprobs(logprobs), answer, has_thought=is_mixed)


def _end_of(choice: dict[str, Any]) -> tuple[Any, Meaning | None]:
    """Return why an answer ended: the provider's own word too, where a gateway hands it on."""
    by_gateway = choice.get("provider_specific_fields")
    native = by_gateway.get("native_finish_reason") if isinstance(by_gateway, dict) else None
    reasons = (choice.get("finish_reason"), choice.get("native_finish_reason"), native)
    told = [(reason, meaning) for reason in reasons if (meaning := meaning_of(reason))]
    # A gateway that knows no better calls the unknown "stop": then the provider's word counts.
    known = [(r, m) for r, m in told if m != "unknown" or r is native]
    return max(known or told, key=lambda each: MEANINGS.index(each[1]), default=(None, None))


def parts_of(content: Any) -> tuple[str, str]:
    """Return the text and the thoughts of a message's content, which some send in parts."""
    if not isinstance(content, list):
        return (content, "") if isinstance(content, str) else ("", "")
    texts, thoughts = [], []
    for part in content:
        kind = part.get("type")
        if kind in ("text", "output_text"):
            texts.append(part["text"])
        elif kind in ("thinking", "reasoning"):
            told = part.get("thinking") or part.get("text") or part.get("summary") or ""
            thoughts.append(told if isinstance(told, str) else _joined(told))
    return "".join(texts), "".join(thoughts)


def thoughts_of(message: dict[str, Any]) -> str:
    """Return the thoughts that stand beside a message's, or a piece's, text."""
    for name in _THOUGHTS:
        if isinstance(message.get(name), str) and message[name]:
            return str(message[name])
    details = message.get("reasoning_details")
    return _joined(details) if isinstance(details, list) else ""


def tool_calls_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of tools in an answer, each with id, name and arguments as text.

    >>> tool_calls_of({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": ""}}]})
    [{'id': '1', 'type': 'function', 'function': {'name': 'f', 'arguments': '{}'}}]
    """
    old = message.get("function_call")
    told = message.get("tool_calls") or ([{"function": old}] if old else [])
    return [_tool_call(each) for each in told]


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name:
        raise ValueError("a tool is called without a name")
    if not isinstance(arguments, str):  # some send what others write as text
        arguments = canonical_json(arguments or {})
    known = {"name": storable(name), "arguments": storable(arguments.strip() or "{}")}
    return {"id": storable(str(call.get("id") or "")), "type": "function", "function": known}


def _joined(parts: list[Any]) -> str:
    told = [part.get("text") or part.get("summary") for part in parts if isinstance(part, dict)]
    return "".join(each for each in told if isinstance(each, str))


def storable(text: str) -> str:
    """Replace lone surrogates, which JSON may hold and UTF-8 files may not."""
    if text.isascii() or not _SURROGATE.search(text):
        return text  # not copied: it may be large
    return text.encode("utf-8", "replace").decode()


def fault_of(error: BaseException) -> Fault | None:
    """Return what a provider said went wrong; None where it was not the provider who spoke."""
    from openai import APIStatusError

    if isinstance(error, ReportedFault):
        return error.fault
    if not isinstance(error, APIStatusError):
        return None
    response = error.response
    return read_fault(error.status_code, _body_of(response), response.headers)


def _body_of(response: Any) -> Any:
    """Return the body of an error, with what some providers put into a header."""
    exception = response.headers.get("x-amzn-errortype", "").partition(":")[0]
    body = response.content.decode(errors="replace")
    return [body, {"code": exception}] if exception and not body.startswith("{") else body


def read_error(error: BaseException, fault: Fault | None) -> dict[str, Any]:
    """Turn what went wrong into the fields of a Call."""
    from openai import APIConnectionError, APITimeoutError, OpenAIError

    if fault is not None:
        fields = _fault(fault.error_type, storable(fault.text))
        return {**fields, "status": "refused"} if fault.kind == FLAGGED else fields
    text = storable(str(error) or type(error).__name__)
    if isinstance(error, APITimeoutError | TimeoutError):
        return {"status": "timeout", "error_type": "timeout", "error": text}
    if isinstance(error, SentElsewhere):
        return _fault("redirect", text)
    if isinstance(error, APIConnectionError):
        url = error.request.url
        whom = f"{url.scheme}://{url.netloc.decode()}"  # no query: it may hold a key
        return _fault("connection", f"{text.rstrip('.')} with {whom}")
    if isinstance(error, BrokenOff | OSError):
        return _fault("connection", text)
    # An error that a provider sends inside a stream that began well has no status of its own.
    return _fault("provider" if isinstance(error, OpenAIError) else "malformed", text)


def redacted(fields: dict[str, Any], redact: Redactor) -> dict[str, Any]:
    """Take the key out of everything that a provider may have echoed, and cut long errors."""
    clean = {name: _redacted(value, redact) for name, value in fields.items()}
    if clean.get("error"):  # cut last: a part of a key is a secret too
        clean["error"] = without_secrets(clean["error"])[:_MAX_ERROR_CHARS]
    return clean


def _redacted(value: Any, redact: Redactor) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(each, redact) for name, each in value.items()}
    return [_redacted(each, redact) for each in value] if isinstance(value, list) else value
