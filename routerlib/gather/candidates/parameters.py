"""Which parameters a candidate's requests may carry: known names, slips, and what is none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

CAPS = ("max_tokens", "max_completion_tokens")
# A name that is nearly one of these is a slip, unless some server has a parameter of that name.
_COMMON = (
    *CAPS, "temperature", "top_p", "top_k", "min_p", "seed", "stop", "reasoning_effort",
    "presence_penalty", "frequency_penalty", "repetition_penalty", "response_format", "logprobs",
    "top_logprobs", "logit_bias", "verbosity", "service_tier",
)  # fmt: skip
# What the chat endpoints of OpenAI, Anthropic, Gemini, Mistral, DeepSeek, Moonshot, xAI, Groq,
# Together, Fireworks, Cerebras, Perplexity, OpenRouter, DashScope, Zhipu, MiniMax, NVIDIA, vLLM,
# SGLang, llama.cpp and Ollama take, by the request types of their SDKs and servers of 2026.
KNOWN = frozenset({
    "adaptive_decay", "adaptive_target", "add_generation_prompt", "add_special_tokens",
    "allowed_token_ids", "audio", "backend_sampling", "bad_words", "cache", "cache_control",
    "cache_prompt", "cache_salt", "chat_template", "chat_template_kwargs", "citation_options",
    "clear_thinking", "compliance", "compound_custom", "context_length_exceeded_behavior",
    "continue_final_message", "country", "cum_logprobs", "custom_logit_processor",
    "custom_params", "data_parallel_rank", "data_sources", "debug", "deferred",
    "deferred_tools", "disable_reasoning", "disable_search", "disable_tool_validation",
    "diverse_first_token", "do_sample", "documents", "drop_params", "dry_allowed_length",
    "dry_base", "dry_multiplier", "dry_penalty_last_n", "dry_sequence_breakers",
    "dynatemp_exponent", "dynatemp_range", "ebnf", "ec_transfer_params", "echo", "echo_last",
    "enable_search", "enable_search_classifier", "enable_thinking", "exclude_domains",
    "extra_key", "file_workspace_id", "format", "frequency_penalty", "function_call",
    "functions", "grammar", "grammar_lazy", "grammar_triggers", "guardrails", "guided_choice",
    "guided_decoding_backend", "guided_grammar", "guided_json", "guided_regex",
    "guided_whitespace_pattern", "has_image_url", "id_slot", "ignore_eos", "image_config",
    "image_domain_filter", "image_format_filter", "images_config", "include_domains",
    "include_reasoning", "include_stop_str_in_output", "incremental_output", "json_schema",
    "keep_alive", "kv_transfer_params", "language_preference", "last_updated_after_filter",
    "last_updated_before_filter", "latitude", "length_penalty", "logit_bias",
    "logprob_token_ids", "logprobs", "longitude", "lora", "lora_path", "mask_sensitive_info",
    "max_completion_tokens", "max_dynamic_patch", "max_thinking_tokens", "max_tokens",
    "media_io_kwargs", "meta", "metadata", "min_completion_tokens", "min_dynamic_patch",
    "min_keep", "min_p", "min_thinking_tokens", "min_tokens", "mirostat", "mirostat_eta",
    "mirostat_lr", "mirostat_target", "mirostat_tau", "mm_payload", "mm_processor_kwargs",
    "mock_response", "modalities", "model_parameters", "models", "moderation", "n_cache_reuse",
    "n_cmpl", "n_discard", "n_indent", "n_keep", "n_predict", "n_probs", "no_stop_trim",
    "num_images", "num_search_results", "nvext", "parallel_tool_calls", "parse_tool_calls",
    "perf_metrics_in_response", "plugins", "post_sampling_probs", "prediction",
    "presence_penalty", "preserved_tokens", "preset", "priority", "prompt_cache_isolation_key",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "prompt_logprobs",
    "prompt_mode", "prompt_truncate_len", "provider", "random_seed", "ranking_model",
    "raw_output", "reasoning", "reasoning_budget_message", "reasoning_budget_tokens",
    "reasoning_control", "reasoning_effort", "reasoning_format", "reasoning_history",
    "reasoning_split", "regex", "repeat_last_n", "repeat_penalty", "repetition_detection",
    "repetition_penalty", "request_id", "response_fields", "response_format",
    "response_formatting_locale", "response_metadata", "result_format",
    "return_cached_tokens_details", "return_flat_raw_output_top_logprobs",
    "return_flat_raw_top_logprobs_b64", "return_hidden_states", "return_images",
    "return_input_ids_in_sglext", "return_meta_info", "return_mm_kwargs",
    "return_output_ids_in_sglext", "return_progress", "return_prompt_text",
    "return_prompt_token_ids", "return_related_questions", "return_routed_experts",
    "return_sampling_mask", "return_spec_tokens_details", "return_token_ids",
    "return_token_offsets", "return_tokens", "return_tokens_as_token_ids",
    "return_weight_versions", "rid", "route", "routed_experts_prompt_start",
    "routed_experts_start_len", "safe_prompt", "safe_search", "safe_tokenization",
    "safety_identifier", "safety_model", "samplers", "sampling_logprobs_mode",
    "search_after_date_filter", "search_before_date_filter", "search_domain_filter",
    "search_internal_properties", "search_language_filter", "search_mode", "search_options",
    "search_parameters", "search_recency_filter", "search_settings", "search_tenant", "seed",
    "sensitive_word_check", "separate_reasoning", "service_tier", "session_id",
    "session_params", "skip_special_tokens", "spaces_between_special_tokens", "speculation",
    "sse_ping_interval", "stop", "stop_regex", "stop_server_tools_when", "stop_token_ids",
    "store", "stream_interval", "stream_mode", "stream_options", "stream_reasoning",
    "structured_outputs", "t_max_predict_ms", "t_max_prompt_ms", "tags", "task", "temperature",
    "think", "thinking", "thinking_budget", "thinking_budget_tokens", "thinking_token_budget",
    "thread_id", "timings_per_token", "tool_choice", "tool_stream", "tools", "top_a", "top_k",
    "top_logprobs", "top_n_sigma", "top_p", "top_prompt_logprobs", "trace", "transforms",
    "translation_options", "truncate_prompt_tokens", "truncation_side", "typical_p",
    "updated_after_timestamp", "updated_before_timestamp", "usage", "use_audio_in_video",
    "use_beam_search", "use_threads", "user", "user_id", "user_original_query", "verbose",
    "verbosity", "video_config", "vl_high_resolution_images", "vllm_xargs", "watermark",
    "watermark_enabled", "watermarking", "web_search_options", "xtc_probability",
    "xtc_threshold",
})  # fmt: skip

_BY_ROUTERLIB = {
    "stream": "answers are streamed where somebody watches, leave it out",
    "model": "write it beside the name",
    "messages": "they come from the prompts",
    "prompt": "prompts come from their own file",
    "input": "prompts come from their own file",
    "n": "one answer is read, and each is paid; use --repeats",
    "best_of": "one answer is read, and each is paid; use --repeats",
}
_OF_AN_SDK = {
    "extra_body": "it is an argument of the openai SDK; write what it holds under extra",
    "extra_query": "it is an argument of the openai SDK; write the query into base_url",
}
_OF_A_CLIENT = {
    "timeout": "write it beside the name, as timeout_s",
    "max_retries": "write it beside the name, as max_attempts",
    "num_retries": "write it beside the name, as max_attempts",
    "base_url": "write it beside the name",
    "api_base": "write it beside the name, as base_url",
    "azure_endpoint": "write it beside the name, as base_url",
    "azure_deployment": "write it into base_url: https://HOST/openai/deployments/NAME?api-version=",
    "api_version": "write it into base_url, as a query: ?api-version=...",
    "organization": "it is an option of the openai SDK, which is not used",
    "project": "it is an option of the openai SDK, which is not used",
    "default_query": "write the query into base_url",
    "http_client": "it is an option of the openai SDK",
    "custom_llm_provider": "write it beside the name, as provider or base_url",
    "system": "one stands beside the name already",
    "system_prompt": "write it beside the name, as system",
    "instructions": "write it beside the name, as system",
    "max_output_tokens": "chat endpoints call it max_tokens",
    "max_new_tokens": "chat endpoints call it max_tokens",
    "maxOutputTokens": "chat endpoints call it max_tokens",
    "maxTokens": "chat endpoints call it max_tokens",
    "num_predict": "chat endpoints call it max_tokens",
    "stop_sequences": "chat endpoints call it stop",
    "generation_config": "write what it holds as parameters of their own",
    "generationConfig": "write what it holds as parameters of their own",
    "inferenceConfig": "write what it holds as parameters of their own",
}
# Ollama takes these at /api/chat; its OpenAI-compatible endpoint drops them without a word.
_LOST_ON_OLLAMA = frozenset({
    "options", "num_ctx", "think", "keep_alive", "top_k", "min_p", "repeat_penalty", "mirostat",
    "typical_p", "repeat_last_n", "num_keep", "num_gpu", "num_batch", "num_thread",
})  # fmt: skip
_SECRET_NAME = re.compile(
    r"(api_?key|authorization|secret|password|(extra|default)_headers)", re.IGNORECASE
)


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse what would not be sent as it is meant: slips, arguments of an SDK, secrets."""
    for name in parameters:
        if why := {**_BY_ROUTERLIB, **_OF_AN_SDK, **_OF_A_CLIENT}.get(name):
            raise ValueError(f"{name} is no parameter here: {why}")
        _refuse_secret(name)
        meant = get_close_matches(name, _COMMON, n=1, cutoff=0.8)
        if meant and name not in KNOWN:  # a misspelled cap would be no cap
            raise ValueError(
                f"unknown parameter {name!r}, did you mean {meant[0]!r}? If not, write it under "
                "extra, which is sent as it is"
            )
    _check_values(parameters)


def check_extra(extra: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Refuse only what can't be meant, of what is sent as it is."""
    for name in extra:
        if name in parameters:
            raise ValueError(f"{name} stands under parameters too")
        is_sent = name == "extra_body" and _is_geminis(extra[name])
        refused = {**_BY_ROUTERLIB, **({} if is_sent else _OF_AN_SDK)}
        if why := refused.get(name):
            raise ValueError(f"{name} can't be sent: {why}")
        _refuse_secret(name)
    _check_values(extra)


def check_for_ollama(parameters: Mapping[str, Any]) -> None:
    """Refuse what Ollama's endpoint would drop without a word."""
    for name in parameters:
        if name in _LOST_ON_OLLAMA:
            raise ValueError(
                f"{name} has no effect here: Ollama's OpenAI-compatible endpoint drops it; set it "
                "in a Modelfile, or write it under extra if your version takes it"
            )


def _is_geminis(value: Any) -> bool:
    """Tell Gemini's own field of that name, whose only key is ``google``."""
    return isinstance(value, dict) and set(value) == {"google"}


def _refuse_secret(name: str) -> None:
    if _SECRET_NAME.search(name):
        raise ValueError(f"{name} would be logged; name an environment variable in api_key_env")


def _check_values(parameters: Mapping[str, Any]) -> None:
    for name in CAPS:
        cap = parameters.get(name, 1)
        if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {cap!r}")
    try:
        json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"must be plain JSON values: {error}") from error
