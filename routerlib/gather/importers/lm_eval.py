"""Read the sample files of lm-evaluation-harness."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routerlib.gather.importers.records import (
    Imported,
    Options,
    json_lines,
    origin,
    params_hash,
    rest_of,
    status_of,
)
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.\-]+)")
_USED = ("arguments", "resps", "filtered_resps", "doc", "target", "metrics", "filter")


def read_lm_eval(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per document, with a score per metric and filter.

    For multiple choice, the answer is the continuation with the highest log-likelihood. The
    model's name comes from results_*.json beside the file, else from its folder.
    """
    name = _NAME.fullmatch(path.stem)
    task = name["task"] if name else path.stem
    model = options.candidate or _model_name(path, name["date"] if name else None)
    by_document: dict[str, list[dict[str, Any]]] = {}
    for where, record in json_lines(path):
        if not isinstance(record.get("arguments"), dict | list) or "resps" not in record:
            raise ValueError(
                f"{where}: no sample of lm-evaluation-harness: it needs 'arguments' and 'resps', "
                f"has {', '.join(map(repr, record))}"
            )
        key = json.dumps([record.get("doc_id"), record.get("doc_hash"), record["arguments"]])
        by_document.setdefault(key, []).append(record)
    for records in by_document.values():
        try:
            yield _imported(records, task, model, options)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path}: the sample of document {records[0].get('doc_id')!r} can't be read: "
                f"{type(error).__name__} {error}"
            ) from error


def _model_name(path: Path, date: str | None) -> str:
    results = path.with_name(f"results_{date}.json")
    if date and results.is_file():
        try:
            found = json.loads(results.read_bytes()).get("model_name")
        except (ValueError, AttributeError):
            found = None
        if isinstance(found, str) and found:
            return found
    return path.resolve().parent.name


def _imported(records: list[dict[str, Any]], task: str, model: str, options: Options) -> Imported:
    first = records[0]
    requests = _requests(first["arguments"])
    contexts = {request[0] for request in requests}
    if len(contexts) != 1:
        raise ValueError("its requests differ in more than the continuation")
    prompt = Prompt.from_text(
        contexts.pop(),
        reference=first.get("target"),
        source=f"lm-eval/{task}",
        topic=task,
        extra=rest_of({"doc": first.get("doc")}),
    )
    is_generated = isinstance(requests[0][-1], Mapping)
    parameters = dict(requests[0][-1]) if is_generated else {"loglikelihood": True}
    response = _generated(first["resps"]) if is_generated else _chosen(requests, first["resps"])
    status = status_of(response, None)
    call = Call(
        prompt.prompt_id,
        model,
        params_hash(model, parameters),
        status,
        response=response,
        attempts=None,
        origin=origin(
            "lm-eval", model, task, first.get("doc_id"), prompt.prompt_id, first["resps"]
        ),
        extra=rest_of(first, *_USED, *_metrics(first)),
    )
    scores = [score for record in records for score in _scores(record, options)]
    return Imported(prompt, call, tuple(scores) if status == "ok" else ())


def _requests(arguments: Any) -> list[list[Any]]:
    """Return the requests as lists of context and continuation or settings."""
    groups = arguments.values() if isinstance(arguments, dict) else arguments
    requests = [list(group.values() if isinstance(group, dict) else group) for group in groups]
    if not requests or not all(len(request) > 1 for request in requests):
        raise ValueError("'arguments' needs a context and a continuation or settings")
    return requests


def _generated(resps: Any) -> str:
    return str(resps[0][0])


def _chosen(requests: list[list[Any]], resps: Any) -> str:
    likelihoods = [_likelihood(each[0]) for each in resps]
    return str(requests[likelihoods.index(max(likelihoods))][1]).strip()


def _likelihood(response: Any) -> float:
    return float(response[0] if isinstance(response, list) else response)


def _metrics(record: Mapping[str, Any]) -> list[str]:
    named = record.get("metrics")
    if isinstance(named, list):
        return [name for name in named if name in record]
    standard = {*_USED, "doc_id", "doc_hash", "prompt_hash", "target_hash"}
    return [
        name
        for name, value in record.items()
        if name not in standard and isinstance(value, bool | int | float)
    ]


def _scores(record: Mapping[str, Any], options: Options) -> Iterator[Score]:
    filter_name = record.get("filter")
    for name in _metrics(record):
        value = record[name]
        if not isinstance(value, bool | int | float) or math.isnan(value) or not 0 <= value <= 1:
            options.left_out["scores that are no number in [0, 1]"] += 1
            continue
        judge = f"lm-eval:{name}"
        if filter_name not in (None, "none"):
            judge += f",{filter_name}"
        yield Score(judge, float(value))
