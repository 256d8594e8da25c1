"""Turn records into rows of the log, and rows back into records."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any

from routerlib.records.call import Call, CandidateModel, Score, Usage
from routerlib.records.canonical import canonical_json
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt

# What `prompt_from_row` needs, in its order.
PROMPT_COLUMNS = ("messages", "task", "reference", "judge", "source", "topic", "extra")

# Values in one query: every build of SQLite takes so many.
_VALUES_AT_ONCE = 500
_LOGGED_VERSIONS = ("routerlib", "openai", "xllamacpp", "lightgbm", "scikit-learn", "duckdb")
_NO_TOKENS: Mapping[str, int | None] = dict.fromkeys(
    (
        *("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"),
        *("cache_write_tokens", "cache_write_1h_tokens"),
    )
)


def rows_of(
    lookup: Callable[..., list[tuple]], query: str, keys: Collection[Any], *values: Any
) -> Iterator[tuple]:
    """Run a query for some keys, a few hundred at a time, and hand on what it finds.

    `query`: with ``?`` for each of `values`, and behind them ``{marks}`` for the keys.
    """
    left = iter(keys)
    while some := list(islice(left, _VALUES_AT_ONCE)):
        yield from lookup(query.format(marks=", ".join("?" * len(some))), *values, *some)


def logged_versions() -> dict[str, str]:
    """Return the versions of what a run depends on."""
    versions = {"python": platform.python_version()}
    for name in _LOGGED_VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt as columns of ``prompts``."""
    return {
        "prompt_id": prompt.prompt_id,
        "messages": canonical_json([dict(message) for message in prompt.messages]),
        "text": prompt.text,
        "task": prompt.task,
        "source": prompt.source,
        "reference": _json(prompt.reference),
        "judge": prompt.judge,
        "topic": prompt.topic,
        "extra": _json_object(prompt.extra),
    }


def prompt_from_row(row: tuple) -> Prompt:
    """Return the prompt that a row of `PROMPT_COLUMNS` tells of."""
    messages, task, reference, judge, source, topic, extra = row
    return Prompt(
        messages=tuple(json.loads(messages)),
        task=task,
        reference=None if reference is None else json.loads(reference),
        judge=judge,
        source=source,
        topic=topic,
        extra=None if extra is None else json.loads(extra),
    )


def call_row(call: Call, run_id: int | None) -> dict[str, Any]:
    """Return a call as columns of ``calls``."""
    return {
        "prompt_id": call.prompt_id,
        "candidate": call.candidate,
        "params_hash": call.params_hash,
        "repeat": call.repeat,
        "status": call.status,
        "finish_reason": call.finish_reason,
        "response": call.response,
        **(_NO_TOKENS if call.usage is None else _token_row(call.usage)),
        "latency_s": None if call.latency_s is None else float(call.latency_s),
        "attempts": call.attempts,
        "error_type": call.error_type,
        "error": call.error,
        "run_id": run_id,
        "decision_id": call.decision_id,
        "given_cost_usd": call.given_cost_usd,
        "origin": call.origin,
        "asked_at": call.asked_at,
        "extra": _json_object(call.extra),
    }


def _token_row(usage: Usage) -> dict[str, int | None]:
    return {name: getattr(usage, name) for name in _NO_TOKENS}


def score_row(call_id: int, score: Score) -> dict[str, Any]:
    """Return a score as columns of ``scores``."""
    return {
        "call_id": call_id,
        "judge": score.judge,
        "score": float(score.score),
        "rationale": score.rationale,
        "extra": _json_object(score.extra),
    }


def price_row(candidate: CandidateModel, run_id: int | None) -> dict[str, Any]:
    """Return a candidate's price as columns of ``prices``."""
    price = candidate.price
    return {
        "candidate": candidate.name,
        "input_usd_per_mtok": float(price.input_usd_per_mtok),
        "output_usd_per_mtok": float(price.output_usd_per_mtok),
        "cached_input_usd_per_mtok": price.cached_input_usd_per_mtok,
        "cache_write_usd_per_mtok": price.cache_write_usd_per_mtok,
        "cache_write_1h_usd_per_mtok": price.cache_write_1h_usd_per_mtok,
        "source": price.source,
        "as_of": price.as_of,
        "run_id": run_id,
    }


def decision_row(prompt_id: str, decision: Decision, run_id: int | None) -> dict[str, Any]:
    """Return a decision as columns of ``decisions``."""
    return {
        "prompt_id": prompt_id,
        "router_hash": decision.router_hash,
        "candidate": decision.model,
        "propensity": float(decision.propensity),
        "cost_weight": float(decision.cost_weight),
        "estimates": canonical_json({k: dict(v) for k, v in decision.estimates.items()}),
        "reason": decision.reason,
        "run_id": run_id,
    }


def insertion(table: str, row: Mapping[str, Any]) -> str:
    """Return the statement that writes a row, its values given by name."""
    return f"insert into {table} ({', '.join(row)}) values ({', '.join(f':{key}' for key in row)})"


def _json(value: Any) -> str | None:
    return None if value is None else canonical_json(value)


def _json_object(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else canonical_json(dict(value))
