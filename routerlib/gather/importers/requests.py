"""Read requests and responses: LiteLLM's logs, OpenAI's and Anthropic's batches, own pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routerlib.gather.calls.tokens import read_tokens
from routerlib.gather.importers import litellm_shapes, provider_shapes
from routerlib.gather.importers.exchange import (
    Exchange,
    answer_of,
    asked_of,
    calls_a_tool,
    iso_of,
)
from routerlib.gather.importers.records import (
    Imported,
    Options,
    json_records,
    number_or_none,
    origin,
    params_hash,
    rest_of,
)
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt

_SHAPES = (
    "an object with 'request' and 'response'; a line of a batch output of OpenAI ('custom_id', "
    "'response' or 'error') or Anthropic ('custom_id', 'result') with the batch's request file; "
    "LiteLLM's standard logging payload ('messages', 'response', 'model') or spend log; a stored "
    "completion with its 'messages'; or 'messages' that end with the assistant's"
)
_NO_PARAMETERS = (
    *("messages", "input", "prompt", "model", "system", "instructions", "stream"),
    *("stream_options", "user", "metadata", "store", "extra_headers"),
)
_NO_TEXT = "requests without text, or with more than text"


def read_requests(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per line, or per entry of a JSON array."""
    requests = {}
    if options.requests is not None:
        requests = provider_shapes.batch_requests(options.requests)
    answered = set()
    for where, record in json_records(path, lists=("data",)):
        options.ledger.n_rows += 1
        answered.add(record.get("custom_id"))
        found = _exchange(record, requests, where)
        imported = found if isinstance(found, str) else imported_of(found, where, options)
        if isinstance(imported, str):
            options.ledger.left_out[imported] += 1
        else:
            yield imported
    if n_silent := len(requests.keys() - answered):
        options.understood.append(f"{n_silent} requests of {options.requests} have no line in it")


def _exchange(
    record: dict[str, Any], requests: Mapping[str, Mapping[str, Any]], where: str
) -> Exchange | str:
    """Return request and response of a record of any shape, or why they can't come in."""
    found = (
        provider_shapes.openai_batch(record, requests, where)
        or provider_shapes.anthropic_batch(record, requests, where)
        or provider_shapes.own_pair(record)
        or litellm_shapes.spend(record)
        or litellm_shapes.payload(record)
        or provider_shapes.stored(record)
        or provider_shapes.conversation(record)
    )
    if found is None:
        raise ValueError(f"{where}: expected {_SHAPES}; got {', '.join(map(repr, record))}")
    return found


def imported_of(exchange: Exchange, where: str, options: Options) -> Imported | str:
    """Return the call of an exchange, or why there is none."""
    request, response = exchange.request, exchange.response
    messages = asked_of(request)
    if messages is None:
        return _NO_TEXT
    if calls_a_tool(response):
        return "answers that ask for a tool"
    told = exchange.model or request.get("model")
    named = told or (response.get("model") if isinstance(response, Mapping) else None)
    model = options.candidate or named
    if not isinstance(model, str) or not model:
        raise ValueError(f"{where}: no model is named; name it (--candidate)")
    prompt = Prompt(messages, source="requests")
    answer = {"usage": None, **answer_of(exchange)}
    if answer["usage"] is None and exchange.counts:
        text = answer.get("response") or ""
        answer["usage"] = read_tokens(dict(exchange.counts), has_text=bool(text.strip())).usage
    parameters = {name: value for name, value in request.items() if name not in _NO_PARAMETERS}
    kept = {**exchange.kept, **(answer.pop("extra", None) or {})}
    call = Call(
        prompt.prompt_id,
        model,
        params_hash(str(named or model), parameters),
        **answer,
        latency_s=number_or_none(exchange.latency_s),
        attempts=None,
        given_cost_usd=exchange.cost_usd if answer["usage"] else None,
        origin=origin("requests", *exchange.ids),
        asked_at=iso_of(exchange.sent_at),
        extra=rest_of(kept),
    )
    return Imported(prompt, call, has_id=bool(exchange.ids))
