"""Tokens are read from wherever they are told, and never taken for fewer than they cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlib.gather.calls.tokens import MOST_TOKENS, find_counts, read_tokens
from routerlib.records.call import Usage

PLAIN = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def _usage(counts: Any, has_text: bool = True) -> Usage | None:
    return read_tokens(counts, has_text=has_text).usage


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (PLAIN, Usage(10, 5)),
        ({"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 513}, Usage(8, 505, 0, 500)),
        ({**PLAIN, "total_tokens": 22, "completion_tokens_details": {"reasoning_tokens": 7}},
         Usage(10, 12, 0, 7)),
        ({**PLAIN, "completion_tokens_details": {"reasoning_tokens": 4}}, Usage(10, 5, 0, 4)),
        ({**PLAIN, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(10, 5, 9)),
        ({**PLAIN, "prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 9},
         Usage(10, 5, 9)),
        ({**PLAIN, "prompt_cache_hit_tokens": 9, "prompt_cache_miss_tokens": 1}, Usage(10, 5, 9)),
        ({**PLAIN, "cache_read_input_tokens": 9}, Usage(10, 5, 9)),
        ({**PLAIN, "reasoning_tokens": 3}, Usage(10, 5, 0, 3)),
        ({**PLAIN, "prompt_tokens_details": None, "completion_tokens_details": []}, Usage(10, 5)),
        ({"input_tokens": 1, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 99,
          "output_tokens": 5}, Usage(1000, 5, 900, 0, 99)),
        ({"inputTokens": 1, "outputTokens": 5, "totalTokens": 906, "cacheReadInputTokens": 900},
         Usage(901, 5, 900)),
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
          "totalTokenCount": 22}, Usage(10, 12, 0, 7)),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 7}, Usage(10, 7, 0, 7)),
        ({"prompt_eval_count": 10, "eval_count": 5}, Usage(10, 5)),
        ({"billed_units": {"input_tokens": 10.0, "output_tokens": 5.0},
          "tokens": {"input_tokens": 99.0, "output_tokens": 6.0}}, Usage(10, 5)),
        ({"prompt_tokens": "10", "completion_tokens": "5"}, Usage(10, 5)),
    ],
)  # fmt: skip
def test_tokens_are_read_from_where_providers_tell_them(counts: Any, usage: Usage) -> None:
    assert read_tokens(counts, has_text=True) == (usage, "")


@pytest.mark.parametrize(
    "counts",
    [
        None, {}, [], "15", {"total_tokens": 15}, {"prompt_tokens": 10},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": 10, "completion_tokens": 0}, {"prompt_tokens": 0, "completion_tokens": 5},
        {**PLAIN, "prompt_tokens": True}, {**PLAIN, "prompt_tokens": -1},
        {**PLAIN, "prompt_tokens": 1.5}, {**PLAIN, "completion_tokens": MOST_TOKENS + 1},
        {**PLAIN, "total_tokens": 10**12}, {**PLAIN, "completion_tokens": float("inf")},
        {**PLAIN, "cached_tokens": "many"},
    ],
)  # fmt: skip
def test_absurd_and_missing_counts_are_unknown_never_free(counts: Any) -> None:
    assert _usage(counts) is None


def test_no_text_may_cost_no_output() -> None:
    assert _usage({"prompt_tokens": 10, "completion_tokens": 0}, has_text=False) == Usage(10, 0)


def test_counts_that_contradict_each_other_are_uncertain() -> None:
    usage, doubt = read_tokens({**PLAIN, "total_tokens": 12}, has_text=True)
    assert (usage, doubt) == (Usage(10, 5), "10 tokens in and 5 out are told, and 12 in all")
    assert read_tokens({**PLAIN, "cached_tokens": 11}, has_text=True).doubt


@pytest.mark.parametrize(
    "body",
    [
        {"usage": PLAIN},
        {"usage": None, "choices": [{"usage": PLAIN}]},
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0}, "choices": [{"usage": PLAIN}]},
        {"choices": [], "x_groq": {"id": "x", "usage": PLAIN}},
        {"result": {"usage": PLAIN}},
        {"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}},
        {"prompt_eval_count": 10, "eval_count": 5, "done": True},
        {"timings": {"cache_n": 4, "prompt_n": 6, "predicted_n": 5, "prompt_ms": 1.5}},
    ],
)
def test_counts_are_found_in_every_place(body: Any) -> None:
    usage = _usage(find_counts(body))
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (10, 5)


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 60},
        {"inputTokens": 10, "cacheReadInputTokens": 30, "cacheWriteInputTokens": 60},
        {
            "prompt_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 60},
        },
        {
            "prompt_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 30, "cache_creation_tokens": 60},
            "cache_creation_input_tokens": 60,
        },
    ],
    ids=["Anthropic", "Bedrock", "OpenRouter", "LiteLLM"],
)
@pytest.mark.parametrize(
    ("split", "n_hour"),
    [
        ({}, 0),
        (
            {"cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 20}},
            20,
        ),
        (
            {"cacheDetails": [{"inputTokens": 20, "ttl": "1h"}, {"inputTokens": 40, "ttl": "5m"}]},
            20,
        ),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 70}}, 60),
        ({"cache_creation": None, "cacheDetails": []}, 0),
    ],
)
def test_tokens_that_a_cache_took_in_are_known_apart(
    counts: dict[str, Any], split: dict[str, Any], n_hour: int
) -> None:
    usage, doubt = read_tokens({**counts, **split, "output_tokens": 5}, has_text=True)
    expected = Usage(100, 5, cached_input_tokens=30, cache_write_tokens=60)
    assert usage == replace(expected, cache_write_1h_tokens=n_hour)
    assert not doubt


def test_litellm_tells_inside_the_details_what_is_kept_for_an_hour() -> None:
    details = {
        "cache_creation_tokens": 60,
        "cache_creation_token_details": {"ephemeral_1h_input_tokens": 20},
    }
    counts = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": details}
    usage = read_tokens(counts, has_text=True).usage
    assert usage == Usage(100, 5, cache_write_tokens=60, cache_write_1h_tokens=20)


COUNTS = st.none() | st.integers(0, 50)


@given(
    st.integers(0, 50), st.integers(0, 50), COUNTS, COUNTS, st.none() | st.integers(0, 160),
    st.booleans(),
)  # fmt: skip
def test_in_out_and_thoughts_agree_with_the_total_or_are_called_uncertain(
    n_in: int, n_out: int, n_thought: int | None, n_cached: int | None, total: int | None,
    has_text: bool,
) -> None:  # fmt: skip
    counts = {
        "prompt_tokens": n_in,
        "completion_tokens": n_out,
        "completion_tokens_details": {"reasoning_tokens": n_thought},
        "prompt_tokens_details": {"cached_tokens": n_cached},
        "total_tokens": total,
    }
    usage, doubt = read_tokens(counts, has_text=has_text)
    if usage is None:
        return
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0 or not has_text
    assert usage.cached_input_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens
    assert doubt or not total or usage.input_tokens + usage.output_tokens == total
