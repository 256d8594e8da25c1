"""Staying with a model, or leaving it, is weighed by what its provider has cached."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from caching_provider import caching_provider
from genai_prices import Usage as Usage_
from genai_prices import calc_price
from serving import candidate, rows, serving

from routerlib.gather.calls.prefixes import Prefixes, cached_tokens
from routerlib.gather.candidates.cache_rules import usual_rule
from routerlib.gather.candidates.candidates import PROVIDERS, load_candidates
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.input_costs import InputCost, InputCosts
from routerlib.policies.policies import CostWeight
from routerlib.records.call import CacheRule, Call, CandidateModel, Price, Usage
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt
from routerlib.routers.rivals import KNNRouter
from routerlib.serve.caches import Caches

CHAT = "/v1/chat/completions"
WORDS = [
    "river",
    "table",
    "module",
    "error",
    "window",
    "parser",
    "a",
    "of",
    "value",
    "38",
    "=",
    "(",
]


def text(n_words: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS) for _ in range(n_words))


SYSTEM = {"role": "system", "content": text(700, seed=1)}


LONG_SYSTEM = {"role": "system", "content": text(1400, seed=1)}


def save_router(path: Path, quality: list[float], cost_usd: list[float]) -> None:
    n_prompts = 30
    prompts = [text(5, seed) for seed in range(n_prompts)]
    outcomes = Outcomes(prompts, ["small", "large"], [quality] * n_prompts, [cost_usd] * n_prompts)
    KNNRouter().fit(outcomes).save(path)


def pair(url: str, rule: CacheRule = CacheRule()) -> list[CandidateModel]:  # noqa: B008
    prices = {"small": Price(1.0, 4.0, 0.1), "large": Price(1.2, 5.0, 0.12)}
    return [candidate(name, url, price=price, cache=rule) for name, price in prices.items()]


def ask(client: httpx.Client, messages: list[dict[str, str]], model: str = "router") -> str:
    """Ask, go on with the answer, and return who gave it."""
    told = client.post(CHAT, json={"model": model, "messages": messages})
    assert told.status_code == 200, told.text
    messages.append(
        {"role": "assistant", "content": told.json()["choices"][0]["message"]["content"]}
    )
    return str(told.json()["model"])


ASKS = {"cache_control": {"type": "ephemeral"}}
RULES = {
    "blocks": usual_rule("openai", "gpt-4o", None, {}),
    "requests": usual_rule("openrouter", "anthropic/claude-3.5-haiku", None, ASKS),
    "beginnings": usual_rule("gemini", "gemini-2.5-flash", None, {}),
}


@pytest.mark.parametrize("keeps", RULES)
def test_estimated_cached_tokens_are_those_that_a_provider_bills(
    log_path: Path, tmp_path: Path, keeps: str
) -> None:
    save_router(tmp_path / "r.pkl", [0.8, 0.8], [0.001, 0.001])
    rule = RULES[keeps]
    assert rule is not None
    with (
        caching_provider(keeps, rule.least_tokens) as (provider, url),
        serving(pair(url, rule), log_path, tmp_path / "r.pkl", stickiness="cache") as client,
    ):
        for conversation in range(3):
            messages = [SYSTEM if keeps == "blocks" else LONG_SYSTEM]
            for step in range(7):
                task = text(60 + 90 * (step % 3), seed=10 * conversation + step)
                messages.append({"role": "user", "content": task})
                # Some steps are forced upon the other one, which has then less of it.
                ask(client, messages, "large" if step in (2, 3, 6) else "router")
                if conversation == 2 and step == 4:  # the client cuts its history
                    del messages[3:7]
    found = rows(
        log_path,
        "select calls.candidate, cached_input_tokens, estimates from calls "
        "join decisions using (decision_id) order by call_id",
    )
    billed = np.array([cached for _, cached, _ in found])
    expected = np.array(
        [json.loads(told)[name].get("cached_input_tokens", 0) for name, _, told in found]
    )
    assert billed.tolist() == [cached for *_, cached in provider.billed]
    assert (billed > 0).sum() >= 12
    assert np.abs(expected - billed).sum() <= 0.10 * billed.sum()


def test_a_switch_is_worth_its_lost_cache_or_not(log_path: Path, tmp_path: Path) -> None:
    # Large is a little better and a little dearer: afresh it is chosen, on a cached history not.
    save_router(tmp_path / "r.pkl", [0.80, 0.81], [0.0001, 0.00012])
    model = "router:cost_weight=10"
    asked = {}
    for stickiness in ("none", "cache", "conversation"):
        with (
            caching_provider() as (_, url),
            serving(
                pair(url), tmp_path / f"{stickiness}.db", tmp_path / "r.pkl", stickiness=stickiness
            ) as client,
        ):
            messages = [SYSTEM, {"role": "user", "content": text(800, seed=3)}]
            first = ask(client, messages, "small")
            messages.append({"role": "user", "content": "Go on."})
            asked[stickiness] = (first, ask(client, messages, model))
    assert asked == {
        "none": ("small", "large"),
        "cache": ("small", "small"),
        "conversation": ("small", "small"),
    }
    found = rows(tmp_path / "cache.db", "select reason, estimates, router_hash from decisions")[1]
    assert "switching from small, which has " in found[0]
    assert "to large for the lost cache" in found[0]
    assert found[2] not in ("caller", "conversation")
    costs = {name: known["cost_usd"] for name, known in json.loads(found[1]).items()}
    assert costs["small"] < costs["large"] / 2


def test_a_cache_that_has_run_out_is_none_and_another_servers_counts(log: CallLog) -> None:
    one = CandidateModel(
        "small", "m", "custom", None, None, Price(1, 2, 0.1), cache=CacheRule(lifetime_s=300)
    )
    history = Prompt(({"role": "user", "content": text(2000, seed=5)},))
    log.add_prompts([history])
    caches = Caches(log, [one])
    assert caches.inputs(history, {})["small"].cached_tokens == 0
    usage = Usage(4000, 9)
    call_id = log.add_call(Call(history.prompt_id, "small", one.params_hash, "ok", "4", usage))
    (at,) = log.lookup(
        "select (julianday(created_at) - 2440587.5) * 86400 from calls where call_id = ?", call_id
    )[0]
    more = Prompt((*history.messages, {"role": "user", "content": "And?"}))
    known = caches.inputs(more, {}, now_s=at + 299)["small"]
    assert known.cached_tokens == 1024 + (4000 - 1024) // 128 * 128
    assert known.saved_usd == pytest.approx(known.cached_tokens * 0.9e-6)
    assert caches.inputs(more, {}, now_s=at + 301)["small"].cached_tokens == 0
    with_tools = {"tools": [{"type": "function"}]}
    assert caches.inputs(more, with_tools, now_s=at + 1)["small"].cached_tokens == 0


def test_breakpoints_keep_whole_requests_alone() -> None:
    messages = [{"role": "user", "content": "x" * 4000}, {"role": "user", "content": "y" * 4000}]
    prefixes = Prefixes(lifetime_s=300)
    prefixes.add("m", messages, None, n_tokens=2000, sent_at_s=0.0)
    cut = prefixes.longest("m", [messages[0], {"role": "user", "content": "z"}], None)
    assert cached_tokens(CacheRule(least_tokens=100, block_tokens=None), cut, 1.0) == 0
    assert cached_tokens(CacheRule(least_tokens=100), cut, 1.0) == 100 + 900 // 128 * 128
    whole = prefixes.longest("m", [*messages, {"role": "user", "content": "z"}], None)
    assert cached_tokens(CacheRule(block_tokens=None), whole, 1.0) == 2000


def test_a_decision_is_told_with_the_costs_it_was_made_by() -> None:
    inputs = {"a": InputCost(0.5, saved_usd=0.4, cached_tokens=9)}
    known = {name: {"quality": 0.5, "cost_usd": 0.2} for name in ("a", "b")}
    told = InputCosts(CostWeight(1.0), inputs).told(Decision("a", 0.5, 0.2, 1.0, "", 1.0, known))
    assert told.expected_cost_usd == pytest.approx(0.1)
    assert told.estimates["a"]["cached_input_tokens"] == 9
    assert told.estimates["b"] == known["b"]


def test_a_rule_stands_in_candidates_yaml_and_openais_is_known(tmp_path: Path) -> None:
    path = tmp_path / "candidates.yaml"
    path.write_text(
        "- {name: a, model: gpt-4o-mini, provider: openai}\n"
        "- {name: b, model: m, base_url: 'http://127.0.0.1:9/v1', price: {input_usd_per_mtok: 1,"
        " output_usd_per_mtok: 2}, cache: {least_tokens: 2048, block_tokens: null}}\n"
        "- {name: c, model: m, base_url: 'http://127.0.0.1:9/v1', price: {input_usd_per_mtok: 1,"
        " output_usd_per_mtok: 2}}\n"
    )
    rules = [each.cache for each in load_candidates(path)]
    assert rules == [CacheRule(), CacheRule(2048, None), None]
    path.write_text(path.read_text().replace("least_tokens", "least_token"))
    with pytest.raises(ValueError, match="did you mean least_tokens"):
        load_candidates(path)


@pytest.mark.parametrize(
    ("provider", "model", "asked", "least"),
    [
        ("gemini", "gemini-2.5-pro", {}, 2048),
        ("gemini", "gemini-3.5-flash", {}, 4096),
        ("gemini", "gemini-2.0-flash", {}, None),
        ("openrouter", "anthropic/claude-sonnet-4.5", ASKS, 1024),
        ("openrouter", "anthropic/claude-opus-4.5", ASKS, 4096),
        ("openrouter", "anthropic/claude-opus-5", ASKS, 512),
        ("openrouter", "anthropic/claude-sonnet-4.5", {}, None),
        ("openrouter", "mistral-large", ASKS, None),
        ("anthropic", "claude-sonnet-4-5", ASKS, None),  # its own Chat Completions cache nothing
        ("mistral", "mistral-large-latest", {}, None),
    ],
)
def test_what_is_usual_is_known_by_model(
    provider: str, model: str, asked: dict[str, Any], least: int | None
) -> None:
    rule = usual_rule(provider, model, PROVIDERS[provider].base_url, asked)
    assert (rule and rule.least_tokens) == least


def test_what_claude_charges_is_what_the_table_of_prices_says() -> None:
    rule = usual_rule("openrouter", "claude-sonnet-4-5", None, ASKS)
    assert rule is not None
    asked = [Usage_(input_tokens=1000), Usage_(input_tokens=1000, cache_write_tokens=1000)]
    usd = [calc_price(each, "claude-sonnet-4-5", provider_id="anthropic") for each in asked]
    assert rule.write_factor == pytest.approx(float(usd[1].total_price / usd[0].total_price))
    hour = usual_rule("openrouter", "claude-x", None, {"cache_control": {"ttl": "1h"}})
    assert hour == CacheRule(1024, None, 3600.0, 2.0)


def test_an_entry_changes_what_is_usual_or_takes_it_away(tmp_path: Path) -> None:
    path = tmp_path / "candidates.yaml"
    path.write_text(
        "- {name: a, model: gemini-2.5-pro, provider: gemini, cache: {lifetime_s: 60}}\n"
        "- {name: b, model: gemini-2.5-pro, provider: gemini, cache: null}\n"
    )
    rules = [each.cache for each in load_candidates(path)]
    assert rules == [CacheRule(2048, 1, 60.0), None]


def test_what_is_written_to_a_cache_costs_more(log: CallLog) -> None:
    rule = CacheRule(1024, None, 300.0, 1.25)
    one = CandidateModel("small", "m", "custom", None, None, Price(1, 2, 0.1), cache=rule)
    history = Prompt(({"role": "user", "content": text(2000, seed=5)},))
    log.add_prompts([history])
    caches = Caches(log, [one])
    fresh = caches.inputs(history, {})["small"]
    log.add_call(Call(history.prompt_id, "small", one.params_hash, "ok", "4", Usage(1500, 9)))
    more = Prompt((*history.messages, {"role": "user", "content": text(100, seed=6)}))
    known = caches.inputs(more, {})["small"]
    assert known.cached_tokens == 1500
    n_tokens = round((known.full_usd * 1e6 + 0.25 * 1500) / 1.25)
    assert n_tokens > 1500
    assert fresh.full_usd * 1e6 / 1.25 == pytest.approx(round(fresh.full_usd * 1e6 / 1.25))
    assert known.expected_usd(0.0) == pytest.approx(
        (1.25 * (n_tokens - 1500) + 0.1 * 1500) / 1e6, rel=1e-6
    )


SMALL = CandidateModel(
    "small", "m", "custom", None, None, Price(1, 2, 0.1), cache=CacheRule(lifetime_s=300)
)


def log_call(log: CallLog, prompt: Prompt, extra: dict[str, Any] | None = None) -> None:
    log.add_prompts([prompt])
    usage = Usage(4000, 9)
    log.add_call(Call(prompt.prompt_id, "small", SMALL.params_hash, "ok", "4", usage, extra=extra))


def test_a_long_list_of_tools_counts_as_sent_with_the_messages(log: CallLog) -> None:
    tools = [
        {
            "type": "function",
            "function": {"name": f"tool_{number}", "description": text(60, number)},
        }
        for number in range(20)
    ]
    history = Prompt(({"role": "user", "content": text(2000, seed=5)},))
    log_call(log, history, {"tools": tools})
    (stored,) = log.lookup("select tools_piece from calls")[0]
    assert stored is not None  # it stands beside the call, not in it
    caches = Caches(log, [SMALL])
    more = Prompt((*history.messages, {"role": "user", "content": "And?"}))
    assert caches.inputs(more, {"tools": tools})["small"].cached_tokens > 1024
    assert caches.inputs(more, {})["small"].cached_tokens == 0


def test_texts_of_calls_that_no_provider_has_any_more_are_not_read(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = [Prompt.from_text(text(2000, seed)) for seed in range(3)]
    for history in histories:
        log_call(log, history)
    (at,) = log.lookup("select (julianday(max(created_at)) - 2440587.5) * 86400 from calls")[0]
    looked = []
    lookup = log.lookup

    def noted(query: str, *values: Any) -> list[tuple]:
        rows = lookup(query, *values)
        looked.append((query, len(rows)))
        return rows

    monkeypatch.setattr(log, "lookup", noted)
    caches = Caches(log, [SMALL])
    caches.inputs(histories[0], {}, now_s=at + 10_000)
    assert not [query for query, _ in looked if "messages" in query]
    again = Caches(log, [SMALL])
    again.inputs(histories[0], {}, now_s=at + 1)
    assert [n_rows for query, n_rows in looked if "messages" in query] == [1, 1, 1]
    again.inputs(histories[0], {}, now_s=at + 2)
    assert len([query for query, _ in looked if "messages" in query]) == 3


def test_others_are_served_while_a_history_is_read(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = Prompt.from_text(text(2000, seed=1))
    log_call(log, history)
    caches = Caches(log, [SMALL])
    is_served = threading.Event()
    lookup = log.lookup

    def after_others(query: str, *values: Any) -> list[tuple]:
        assert is_served.wait(20), "nobody was served while the log was read"
        return lookup(query, *values)

    monkeypatch.setattr(log, "lookup", after_others)

    async def ask() -> list[int]:
        two = [asyncio.create_task(caches.inputs_meanwhile(history, {})) for _ in range(2)]
        await asyncio.sleep(0.05)
        is_served.set()
        return [(await each)["small"].cached_tokens for each in two]

    try:
        assert asyncio.run(ask()) == [1024 + (4000 - 1024) // 128 * 128] * 2
    finally:
        caches.close()
