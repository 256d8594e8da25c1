"""What the words mean by which providers, servers and tools say why an answer ended."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal, NamedTuple

from routerlib.records.call import CallStatus
from routerlib.records.secrets import without_secrets

_logger = logging.getLogger(__name__)

# Best first: where several words tell of one answer, the worst of them counts.
# "interrupted": a fault from outside cut it. "failed": what came is no answer.
Meaning = Literal[
    "complete", "tool_calls", "unknown", "truncated", "interrupted", "refused", "failed"
]
MEANINGS: tuple[Meaning, ...] = (
    "complete", "tool_calls", "unknown", "truncated", "interrupted", "refused", "failed",
)  # fmt: skip
UNKNOWN_END = "unknown_end"  # error_type of an answer that ended with a word not in the table


class Words(NamedTuple):
    """Words of one meaning, who says them, and where that is written."""

    words: str
    meaning: Meaning
    said_by: str
    source: str


_OPENAI = "openai 3.57.0 types/chat/chat_completion.py"
_RESPONSES = "openai 3.57.0 types/responses"
_ANTHROPIC = "anthropic 2.14.0 types/stop_reason.py"
_GEMINI = "google-genai 3.6.1 types.py FinishReason"
_BEDROCK = "botocore 1.44.8 bedrock-runtime service-2.json StopReason"
_COHERE = "cohere 7.3.1 types/finish_reason.py, chat_finish_reason.py"
_VLLM = "vllm 0.33.0 v1/engine/__init__.py FinishReason"
_SGLANG = "sglang 0.5.23 srt/managers/schedule_batch.py"
_LLAMA = "llama.cpp tools/server/server-task.cpp stop_type_to_str"
_OLLAMA = "ollama docs/api.md"
_MISTRAL = "mistralai 3.7.0 client/models/chatcompletionchoice.py"
_XAI = "xai-sdk 1.21.0 proto/v6/sample_pb2.pyi"
_ZAI = "zai-sdk 0.2.3 types/assistant; pydantic-ai-slim 2.68.0 models/zai.py"
_TGI = "huggingface-hub 2.4.0 inference/_generated/types/text_generation.py"
_INSPECT = "inspect-ai 0.3.285 model/_model_output.py StopReason"
_OPENROUTER = "openrouter 1.3.84 components/chatfinishreasonenum.py"
_SEEN = "seen in use; no document at hand"

ENDINGS: tuple[Words, ...] = (
    Words(
        "stop", "complete",
        "OpenAI, Azure, Gemini, Mistral, DeepSeek, Moonshot, xAI, Groq, Together, Fireworks, "
        "OpenRouter, Cerebras, Perplexity, vLLM, SGLang, llama.cpp, Ollama, Z.AI", _OPENAI,
    ),
    Words("eos", "complete", "Together, llama.cpp", _LLAMA),
    Words("word", "complete", "llama.cpp: a stop string was met", _LLAMA),
    Words("eos_token, stop_sequence", "complete", "TGI, Anthropic, Bedrock, Cohere", _TGI),
    Words("end_turn", "complete", "Anthropic, Bedrock", _ANTHROPIC),
    Words("complete", "complete", "Cohere", _COHERE),
    Words("completed", "complete", "responses of OpenAI, xAI, vLLM", _RESPONSES),
    Words(
        "finish, finished, normal, endoftext, stop_token", "complete",
        "Titan, Baidu, AI21, gateways", _SEEN,
    ),
    Words("tool_calls, function_call", "tool_calls", "OpenAI and its kind", _OPENAI),
    Words("tool_use", "tool_calls", "Anthropic, Bedrock", _ANTHROPIC),
    Words("tool_call", "tool_calls", "Cohere, OpenTelemetry, xAI", _COHERE),
    Words(
        "length", "truncated",
        "OpenAI and its kind, vLLM, llama.cpp, Ollama, TGI: the cap or the context is full", _VLLM,
    ),
    Words("max_tokens", "truncated", "Anthropic, Bedrock, Gemini, Cohere, Inspect", _ANTHROPIC),
    Words(
        "max_output_tokens, max_messages, incomplete", "truncated", "responses of OpenAI, vLLM",
        _RESPONSES,
    ),
    Words("model_length", "truncated", "Mistral, Inspect: the context is full", _MISTRAL),
    Words("model_context_window_exceeded", "truncated", "Anthropic, Bedrock, Z.AI", _ANTHROPIC),
    Words("continuation", "truncated", "Gemini: more would come", _GEMINI),
    Words("limit", "truncated", "llama.cpp", _LLAMA),
    Words("error_limit", "truncated", "Cohere", _COHERE),
    Words("max_len, max_context", "truncated", "xAI", _XAI),
    Words(
        "pause_turn", "truncated", "Anthropic: its own tools paused, to be continued", _ANTHROPIC
    ),
    Words("repetition", "truncated", "vLLM: the model repeated itself", _VLLM),
    Words("token_limit, max_reasoning_tokens", "truncated", "watsonx, gateways", _SEEN),
    Words("time_limit", "interrupted", "xAI", _XAI),
    Words("timeout, user_cancel", "interrupted", "Cohere", _COHERE),
    Words("abort, aborted", "interrupted", "vLLM, SGLang", _SGLANG),
    Words("cancelled", "interrupted", "responses of OpenAI, vLLM", _RESPONSES),
    Words(
        "insufficient_system_resource", "interrupted", "DeepSeek",
        "docs.rs/crate/ds-api finish_reason.rs",
    ),
    Words("network_error", "interrupted", "Z.AI, Zhipu", _ZAI),
    Words("connection_closed", "interrupted", "Ollama", "ollama llm/server.go DoneReason"),
    Words("not_finished", "interrupted", "watsonx", _SEEN),
    Words("content_filter", "refused", "OpenAI and its kind, Azure, SGLang, Inspect", _OPENAI),
    Words("content_filtered, guardrail_intervened", "refused", "Bedrock", _BEDROCK),
    Words("refusal", "refused", "Anthropic", _ANTHROPIC),
    Words("sensitive", "refused", "Z.AI, Zhipu, Hunyuan", _ZAI),
    Words(
        "safety, recitation, blocklist, prohibited_content, spii, model_armor, escalation, "
        "pup_limited_disabled, language, jailbreak, image_safety, image_prohibited_content, "
        "image_recitation, blocked_reason_unspecified", "refused", "Gemini, Vertex", _GEMINI,
    ),
    Words("error_toxic", "refused", "Cohere", _COHERE),
    Words("error", "failed", "Mistral, OpenRouter, Cohere, Fireworks, vLLM", _OPENROUTER),
    Words("failed, in_progress, queued, requires_action, steered", "failed", "responses of OpenAI",
          _RESPONSES),
    Words(
        "malformed_function_call, unexpected_tool_call, malformed_response, too_many_tool_calls, "
        "missing_thought_signature, function_call_filter, image_other, no_image", "failed",
        "Gemini", _GEMINI,
    ),
    Words(
        "malformed_model_output, malformed_tool_use, invalid_query, max_tool_invocations", "failed",
        "Bedrock", "botocore 1.44.8; inspect-ai 0.3.285 model/_providers/bedrock.py",
    ),
    Words("load, unload", "failed", "Ollama: an empty request", _OLLAMA),
    Words("other, finish_reason_unspecified", "unknown", "Gemini", _GEMINI),
    Words("unknown", "unknown", "Inspect", _INSPECT),
    Words("compaction", "unknown", "Anthropic: a summary of what was said",
          "anthropic 2.14.0 types/beta/beta_stop_reason.py"),
)  # fmt: skip

_NO_WORD = frozenset({"", "null", "none", "nan"})
# What enums and protobuf put before a word, and repr around it.
_REPR = re.compile(r"<\w+\.(\w+):.*>", re.DOTALL)
_PREFIX = re.compile(r"(?:(?:finish|stop)_?reason[._]|reason_)(?!unspecified)", re.IGNORECASE)
_JOINT = re.compile(r"[:;,|/+]")


def _key(word: str) -> str:
    """Return what is the same in ``max_tokens``, ``MAX_TOKENS``, ``max-tokens``, ``maxTokens``."""
    return "".join(filter(str.isalnum, word.casefold()))


_MEANINGS: dict[str, Meaning] = {
    _key(word): row.meaning for row in ENDINGS for word in row.words.split(", ")
}


def meaning_of(told: Any) -> Meaning | None:
    """Return what a finish or stop reason means; None where no word was said.

    `told`: a word in any case and with any prefix, two joined by a colon (the first counts, where
        it is known), a list (the worst counts), or an object with the word in ``type``.

    >>> meaning_of("FinishReason.MAX_TOKENS"), meaning_of("content_filter: PROHIBITED_CONTENT")
    ('truncated', 'refused')
    >>> meaning_of("weary"), meaning_of(None)
    ('unknown', None)
    """
    if isinstance(told, dict):
        return meaning_of(told.get("type") or told.get("reason"))
    if isinstance(told, list | tuple):
        return worst(meaning_of(each) for each in told)
    word = "" if told is None else str(told).strip().strip("\"'")
    if word.casefold() in _NO_WORD:
        return None
    if word[0] == "[" and word[-1] == "]":
        return meaning_of(word[1:-1].split(","))
    if found := _MEANINGS.get(_key(word)) or _MEANINGS.get(_key(_bare(word))):
        return found
    first, *others = _JOINT.split(word)
    if not others:
        return "unknown"
    known = [_MEANINGS.get(_key(_bare(part))) for part in (first, *others)]
    if ":" in word and known[0]:
        return known[0]
    return worst(known) or "unknown"


def _bare(word: str) -> str:
    if found := _REPR.fullmatch(word.strip()):
        word = found[1]
    return _PREFIX.sub("", word.strip(), count=1)


def worst(meanings: Iterable[Meaning | None]) -> Meaning | None:
    """Return the worst of several meanings; None where there is none."""
    said = [meaning for meaning in meanings if meaning is not None]
    return max(said, key=MEANINGS.index, default=None)


def status_by(told: Any, text: str | None) -> CallStatus:
    """Return the status of a call that ended for this reason, with this text.

    An unknown end is taken for a cut: it is never judged, nor asked and paid again.

    >>> status_by("abort", "The answer"), status_by("abort", ""), status_by(None, "4")
    ('truncated', 'error', 'ok')
    """
    meaning = meaning_of(told)
    if meaning == "unknown":
        tell_unknown(without_secrets(str(told)))
    return status_of(meaning, text)


def status_of(meaning: Meaning | None, text: str | None) -> CallStatus:
    """Return the status of a call whose end means this."""
    has_text = bool(text and text.strip())
    if meaning == "refused":
        return "refused"
    if meaning == "failed" or (meaning == "interrupted" and not has_text):
        return "error"
    if meaning in ("truncated", "interrupted"):
        return "truncated"
    if not has_text:
        return "empty"
    return "truncated" if meaning == "unknown" else "ok"


def broken_by(finish_reason: str | None, error_type: str | None) -> str:
    """Return by which word an answer was broken off, but not at its cap; "" where at that.

    >>> broken_by("length", None), broken_by("weary", UNKNOWN_END), broken_by(None, "connection")
    ('', 'weary', 'connection')
    """
    if error_type or meaning_of(finish_reason) in ("unknown", "interrupted"):
        return finish_reason or error_type or ""
    return ""


@cache  # each word is told once
def tell_unknown(word: str) -> None:
    """Warn that an answer ended with a word that is not in the table; it must hold no key."""
    _logger.warning(
        "an answer ended with the word %r, whose meaning is not known: such answers count as cut "
        "off and get no score",
        word[:100],
    )
