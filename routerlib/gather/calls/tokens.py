"""Read the tokens of a call from wherever a provider tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from routerlib.records.call import Usage

# Far above any context: a larger count is a slip, and would turn into money.
MOST_TOKENS = 10**9

# Anthropic and Bedrock leave what a cache held out of the input that bears these names.
_INPUT_BESIDE_CACHE = ("input_tokens", "inputTokens")
_INPUT = (*_INPUT_BESIDE_CACHE, "prompt_tokens", "promptTokenCount", "prompt_eval_count")
_OUTPUT = (
    "completion_tokens", "output_tokens", "outputTokens", "candidatesTokenCount", "eval_count",
)  # fmt: skip
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount")
_CACHED = (
    "prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens", "cached_tokens",
    "prompt_cache_hit_tokens", "cache_read_input_tokens", "cacheReadInputTokens",
    "cachedContentTokenCount", "cached_prompt_text_tokens", "num_cached_tokens",
)  # fmt: skip
_WRITTEN = (
    "prompt_tokens_details.cache_write_tokens", "input_tokens_details.cache_write_tokens",
    "prompt_tokens_details.cache_creation_tokens", "cache_write_tokens",
    "cache_creation_input_tokens", "cacheWriteInputTokens",
)  # fmt: skip
_WRITTEN_FOR_AN_HOUR = (
    "cache_creation.ephemeral_1h_input_tokens",
    "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
    "cache_write_1h_tokens",
)
_BESIDE_INPUT = (
    ("cache_read_input_tokens", "cacheReadInputTokens"),
    ("cache_creation_input_tokens", "cacheWriteInputTokens"),
)
_THOUGHT = (
    "completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens",
    "output_tokens_details.thinking_tokens", "reasoning_tokens", "thoughtsTokenCount",
)  # fmt: skip
# Where these stand, output leaves thoughts out even without a total that would show it.
_THOUGHTS_BESIDE_OUTPUT = ("thoughtsTokenCount", "citation_tokens")


class Tokens(NamedTuple):
    """The tokens of a call; what speaks against them, "" where nothing does."""

    usage: Usage | None
    doubt: str = ""


def find_counts(body: Any) -> dict[str, Any] | None:
    """Return the object that holds an answer's, or a chunk's, token counts; None without any."""
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    last = choices[-1] if isinstance(choices, list) and choices else None
    places = (
        body.get("usage"),
        *(each.get("usage") for each in (last, body.get("x_groq"), body.get("result"))
          if isinstance(each, dict)),
        body.get("usageMetadata"),
        body if "eval_count" in body else None,
        _of_timings(body.get("timings")),
    )  # fmt: skip
    found = [place for place in places if isinstance(place, dict) and place]
    return next(filter(_tells_any, found), found[0] if found else None)


def _tells_any(counts: Mapping[str, Any]) -> bool:
    try:
        return bool(_first(counts, _INPUT) or _first(counts, _OUTPUT)) or "billed_units" in counts
    except ValueError:
        return True


def _of_timings(timings: Any) -> dict[str, Any] | None:
    """Read the counts of llama.cpp, whose prompt count leaves out what its cache held."""
    if not isinstance(timings, dict) or "predicted_n" not in timings:
        return None
    cached = timings.get("cache_n") or 0
    try:
        n_input = _count(timings.get("prompt_n")) + _count(cached)
    except ValueError:
        return None
    return {
        "prompt_tokens": n_input,
        "completion_tokens": timings["predicted_n"],
        "cached_tokens": cached,
    }


def read_tokens(counts: Any, *, has_text: bool) -> Tokens:
    """Read token counts; unknown where one is absurd, or zero beside a text that cost some.

    >>> told = {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 513}
    >>> read_tokens(told, has_text=True).usage == Usage(8, 505, reasoning_tokens=500)
    True
    """
    if not isinstance(counts, dict):
        return Tokens(None)
    for inner in ("billed_units", "tokens"):
        if isinstance(counts.get(inner), dict):
            counts = {**counts, **counts[inner]}
            break
    try:
        return _read(counts, has_text)
    except ValueError as error:
        return Tokens(None, str(error))


def _read(counts: dict[str, Any], has_text: bool) -> Tokens:
    n_input, n_output = _input(counts), _first(counts, _OUTPUT)
    n_thought = _first(counts, _THOUGHT) or 0
    if n_output is None and "thoughtsTokenCount" in counts:
        n_output = 0
    if n_input is None or n_output is None:
        return Tokens(None)
    total = _first(counts, _TOTAL)
    if total is None:
        n_output += _told_beside(counts, n_thought)
    elif total > n_input + n_output:  # thoughts, which some tell in the total only
        n_thought = max(n_thought, total - n_input - n_output)
        n_output = total - n_input
    if n_input == 0 or (n_output == 0 and has_text):
        return Tokens(None, "no tokens are told beside a text")
    n_cached, n_written = _first(counts, _CACHED) or 0, _first(counts, _WRITTEN) or 0
    doubt = ""
    if total and total < n_input + n_output:
        doubt = f"{n_input} tokens in and {n_output} out are told, and {total} in all"
    elif n_cached + n_written > n_input or n_thought > n_output:
        doubt = "more tokens were cached than came in, or more were thoughts than went out"
    n_cached = min(n_cached, n_input)
    n_written = min(n_written, n_input - n_cached)
    n_hour = min(_for_an_hour(counts), n_written)
    n_thought = min(n_thought, n_output)
    return Tokens(Usage(n_input, n_output, n_cached, n_thought, n_written, n_hour), doubt)


def _input(counts: Mapping[str, Any]) -> int | None:
    n_input = _first(counts, _INPUT)
    if n_input is None:
        return None
    if any(name in counts for name in _INPUT_BESIDE_CACHE):
        n_input += sum(_first(counts, names) or 0 for names in _BESIDE_INPUT)
    return n_input + (_first(counts, ("toolUsePromptTokenCount",)) or 0)


def _for_an_hour(counts: Mapping[str, Any]) -> int:
    """Return how many tokens a cache took in for an hour; Bedrock lists them by their lifetime."""
    listed = counts.get("cacheDetails")
    of_hours = [
        _count(each.get("inputTokens", 0))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and each.get("ttl") == "1h"
    ]
    return sum(of_hours) or _first(counts, _WRITTEN_FOR_AN_HOUR) or 0


def _told_beside(counts: Mapping[str, Any], n_thought: int) -> int:
    if not any(name in counts for name in _THOUGHTS_BESIDE_OUTPUT):
        return 0
    return n_thought + (_first(counts, ("citation_tokens",)) or 0)


def _first(counts: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first count above 0 that is told under one of these names, else 0 or None."""
    told = [_count(value) for name in names if (value := _at(counts, name)) is not None]
    return next(filter(None, told), 0 if told else None)


def _at(counts: Mapping[str, Any], path: str) -> Any:
    outer, _, inner = path.partition(".")
    found = counts.get(outer)
    if not inner:
        return found
    return _at(found, inner) if isinstance(found, dict) else None


def _count(value: Any) -> int:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOKENS:
        told = repr(value)[:40]
        raise ValueError(f"a token count must be a whole number up to {MOST_TOKENS:,}, got {told}")
    return value
