"""What providers keep of requests that begin alike, by their documentation of a day that is told.

OpenAI (`prompt caching` of its guide): unasked, from 1,024 tokens on, in blocks of 128, for five to
ten minutes. Gemini (`context caching`, state of 2026-10-13): unasked from Gemini 2.5 on, from a
number of tokens that depends on the model; neither blocks nor a lifetime are promised, so five
minutes and any token are taken. Anthropic (`prompt caching`, state of 2026-07, its SDK's issue 1194
for Sonnet 4.6): only where a request asks for it, up to the breakpoint, which with one
``cache_control`` for the whole request is its end; what is written costs 1.25 times the input price
(twice for an hour), and each use begins the lifetime anew. Anthropic's own address for Chat
Completions doesn't cache at all, gateways that speak it do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from routerlib.records.call import CacheRule, Price

# Tokens below which nothing is kept, by names of models; the first that is found counts.
_LEAST_GEMINI = ((r"gemini-2\.5", 2048), (r"gemini-([3-9]|\d\d)", 4096))
_LEAST_CLAUDE = (
    (r"(opus|fable|mythos)-5(?!\d)", 512),
    (r"opus-4[-.][56](?!\d)|haiku-4[-.]5", 4096),
    (r"opus-4[-.]7|sonnet-4[-.]6|(haiku-3|3[-.]5-haiku|3-haiku)", 2048),
    (r"claude", 1024),
)
_WRITE_FACTORS = {"5m": 1.25, "1h": 2.0}
_LIFETIMES_S = {"5m": 300.0, "1h": 3600.0}
_DOES_NOT_CACHE = "api.anthropic.com"


def usual_rule(
    provider: str, model: str, base_url: str | None, parameters: Mapping[str, Any]
) -> CacheRule | None:
    """Return what a provider keeps of requests to a model; None = nothing, or it isn't known.

    `parameters`: what is sent with each request.

    >>> usual_rule("gemini", "gemini-2.5-flash", None, {}).least_tokens
    2048
    >>> asked = {"cache_control": {"type": "ephemeral"}}
    >>> rule = usual_rule("openrouter", "anthropic/claude-haiku-4.5", None, asked)
    >>> rule.least_tokens, rule.block_tokens, rule.write_factor
    (4096, None, 1.25)
    >>> usual_rule("openrouter", "anthropic/claude-haiku-4.5", None, {}) is None
    True
    """
    if provider == "openai":
        return CacheRule()
    if provider == "gemini":
        least = _least(model, _LEAST_GEMINI)
        return None if least is None else CacheRule(least, block_tokens=1)
    asked = parameters.get("cache_control")
    least = _least(model, _LEAST_CLAUDE) if "claude" in model.lower() else None
    if least is None or not isinstance(asked, Mapping) or _DOES_NOT_CACHE in (base_url or ""):
        return None
    ttl = str(asked.get("ttl", "5m"))
    if ttl not in _LIFETIMES_S:
        return None
    return CacheRule(least, None, _LIFETIMES_S[ttl], _WRITE_FACTORS[ttl])


def with_write_price(price: Price, rule: CacheRule | None) -> Price:
    """Return a price that counts what a rule says of writing to the cache, if that is dearer.

    >>> with_write_price(Price(2.0, 4.0), CacheRule(write_factor=1.25)).cache_write_usd_per_mtok
    2.5
    """
    by_rule = 0.0 if rule is None else rule.write_factor * price.input_usd_per_mtok
    known = price.cache_write_usd_per_mtok or price.input_usd_per_mtok
    for_an_hour = price.cache_write_1h_usd_per_mtok
    if for_an_hour is None and by_rule > price.input_usd_per_mtok:
        for_an_hour = max(known, by_rule, _WRITE_FACTORS["1h"] * price.input_usd_per_mtok)
    return replace(
        price,
        cache_write_usd_per_mtok=by_rule if by_rule > known else price.cache_write_usd_per_mtok,
        cache_write_1h_usd_per_mtok=for_an_hour,
    )


def _least(model: str, known: tuple[tuple[str, int], ...]) -> int | None:
    found = (least for pattern, least in known if re.search(pattern, model.lower()))
    return next(found, None)
