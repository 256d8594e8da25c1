"""Read the sample files of lm-evaluation-harness."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from routerlib.gather.importers.ledger import Ledger
from routerlib.gather.importers.lm_eval_choices import (
    Choices,
    Reading,
    listed,
    read_choices,
    reading_of,
)
from routerlib.gather.importers.records import (
    NO_NUMBER,
    Imported,
    Options,
    json_records,
    messages_of,
    origin,
    params_hash,
    rest_of,
)
from routerlib.records.call import Call, Score
from routerlib.records.endings import status_by
from routerlib.records.prompt import Prompt

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.\-]+)")
_USED = ("arguments", "resps", "filtered_resps", "doc", "target", "metrics", "filter")
# Filters that change each draw's text by itself, and choose none.
_OF_EACH_DRAW = frozenset({
    "regex", "regex_pos", "multi_choice_regex", "remove_whitespace", "lowercase", "uppercase",
    "map", "format_span", "take_first", "take_first_k", "decontaminate",
})  # fmt: skip
_OF_NO_DRAW = "scores of a vote over several draws, which belong to no single one"
_OF_ANOTHER = "scores of another choice than the likeliest, which is the answer"

_Sample = dict[str, Any]


@dataclass(frozen=True)
class _Task:
    """What is known of a whole sample file."""

    name: str
    model: str
    filters: Mapping[str, Sequence[str]]
    ledger: Ledger


class _Document(NamedTuple):
    """The samples of one document, one a filter; choices where it is multiple choice."""

    samples: list[_Sample]
    context: Any
    settings: Any
    choices: Choices | None


def read_lm_eval(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per document and draw, with the scores that belong to it.

    For multiple choice, the answer is the continuation with the highest log-likelihood. The
    model's name comes from results_*.json beside the file, else from its folder.
    """
    task = _task(path, options)
    documents = []
    for samples in _by_document(path, options.ledger):
        try:
            documents.append(_document(samples))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path}: the sample of document {samples[0].get('doc_id')!r} can't be read: "
                f"{type(error).__name__} {error}"
            ) from error
    known = [each for each in documents if isinstance(each, _Document)]
    reading = reading_of(
        (each.samples[0].get("target"), each.choices, each.samples[0].get("acc"))
        for each in known
        if each.choices is not None
    )
    for document in documents:
        if isinstance(document, str):
            options.ledger.left_out[document] += 1
        elif document.choices is None:
            yield from _generated(document, task)
        else:
            yield from _chosen(document, document.choices, task, reading)


def _task(path: Path, options: Options) -> _Task:
    name = _NAME.fullmatch(path.stem)
    task = name["task"] if name else path.stem
    results = _results(path.with_name(f"results_{name['date']}.json")) if name else {}
    told = results.get("model_name")
    found = told if isinstance(told, str) and told else path.resolve().parent.name
    return _Task(task, options.candidate or found, _filters(results, task), options.ledger)


def _results(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):  # the samples can be read without
        return {}
    return found if isinstance(found, dict) else {}


def _filters(results: Mapping[str, Any], task: str) -> dict[str, list[str]]:
    """Return the functions of each filter of a task, by the filter's name."""
    try:
        filters = results["configs"][task]["filter_list"]
        return {each["name"]: [f["function"] for f in each["filter"]] for each in filters}
    except (KeyError, TypeError):
        return {}


def _by_document(path: Path, ledger: Ledger) -> list[list[_Sample]]:
    found: dict[str, list[_Sample]] = {}
    for where, record in json_records(path):
        if not isinstance(record.get("arguments"), dict | list) or "resps" not in record:
            raise ValueError(
                f"{where}: no sample of lm-evaluation-harness: it needs 'arguments' and 'resps', "
                f"has {', '.join(map(repr, record))}"
            )
        told = [record.get("doc_id"), record.get("doc_hash"), record["arguments"], record["resps"]]
        found.setdefault(json.dumps(told), []).append(record)
        ledger.n_rows += 1
    ledger.n_merged += ledger.n_rows - len(found)
    return list(found.values())


def _document(samples: list[_Sample]) -> _Document | str:
    """Return what was asked in a document, or why there is nothing that can be asked again."""
    first = samples[0]
    groups = first["arguments"]
    groups = groups.values() if isinstance(groups, dict) else groups
    requests = [list(each.values() if isinstance(each, dict) else each) for each in groups]
    if not requests or not all(requests):
        raise ValueError("'arguments' needs a context")
    settings = requests[0][-1]
    if len(requests[0]) > 1 and isinstance(settings, Mapping):
        return _Document(samples, requests[0][0], settings, None)
    choices = read_choices(requests, first["resps"])
    if isinstance(choices, str):
        return choices
    return _Document(samples, choices.context, {"loglikelihood": True}, choices)


def _prompt(document: _Document, reference: Any, task: _Task) -> Prompt | None:
    messages = messages_of(_chat(document.context))
    if messages is None:
        task.ledger.left_out["documents with images or other parts that are no text"] += 1
        return None
    doc = document.samples[0].get("doc")
    return Prompt(
        messages,
        reference=reference,
        source=f"lm-eval/{task.name}",
        topic=task.name,
        extra=rest_of({"doc": doc}),
    )


def _chat(context: Any) -> Any:
    """Return chat messages where a context holds them, written as one JSON text in a list."""
    told = context[0] if isinstance(context, list) and len(context) == 1 else context
    if not isinstance(told, str) or (told is context and not told.startswith('[{"role"')):
        return told
    try:
        found = json.loads(told)
    except ValueError:
        return told
    return found if isinstance(found, list) else told


def _generated(document: _Document, task: _Task) -> Iterator[Imported]:
    first = document.samples[0]
    prompt = _prompt(document, listed(first.get("target"), first.get("doc")), task)
    if prompt is None:
        return
    draws = first["resps"][0]
    draws = draws if isinstance(draws, list) else [draws]
    task.ledger.n_further += len(draws) - 1
    scores = [s for sample in document.samples for s in _of_first(sample, len(draws), task)]
    for number, draw in enumerate(draws):
        response = "" if draw is None else str(draw)
        call = _call(document, prompt, response, number, task)
        yield Imported(prompt, call, () if number else tuple(scores))


def _chosen(
    document: _Document, choices: Choices, task: _Task, reading: Reading | None
) -> Iterator[Imported]:
    first = document.samples[0]
    right = None if reading is None else reading(first.get("target"), choices.texts)
    texts = None if right is None else [choices.texts[place] for place in right]
    prompt = _prompt(document, texts[0] if texts and len(texts) == 1 else texts, task)
    if prompt is None:
        return
    scores = []
    for sample in document.samples:
        for metric, score in _scores(sample, task.ledger):
            if choices.judged_by(metric) == choices.chosen:
                scores.append(score)
            else:
                task.ledger.unscored[_OF_ANOTHER] += 1
    call = _call(document, prompt, choices.texts[choices.chosen], 0, task)
    yield Imported(prompt, call, tuple(scores))


def _call(document: _Document, prompt: Prompt, response: str, repeat: int, task: _Task) -> Call:
    first = document.samples[0]
    return Call(
        prompt.prompt_id,
        task.model,
        params_hash(task.model, dict(document.settings)),
        status_by(None, response),
        response=response or None,
        attempts=None,
        repeat=repeat,
        origin=origin(
            *("lm-eval", task.model, task.name),
            *(first.get("doc_id"), prompt.prompt_id, first["resps"], repeat),
        ),
        extra=rest_of(first, *_USED, *_metrics(first)),
    )


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


def _of_first(sample: _Sample, n_draws: int, task: _Task) -> list[Score]:
    """Return a sample's scores where they are of its first draw."""
    scores = [score for _, score in _scores(sample, task.ledger)]
    name = str(sample.get("filter"))
    standard = ["take_first"] if name in ("None", "none") else None
    functions = task.filters.get(name, standard)
    is_of_first = functions is not None and _OF_EACH_DRAW.issuperset(functions)
    if n_draws == 1 or is_of_first:
        return scores
    task.ledger.unscored[_OF_NO_DRAW] += len(scores)
    return []


def _scores(record: Mapping[str, Any], ledger: Ledger) -> Iterator[tuple[str, Score]]:
    filter_name = record.get("filter")
    for name in _metrics(record):
        value = record[name]
        if not isinstance(value, bool | int | float) or math.isnan(value) or not 0 <= value <= 1:
            ledger.unscored[NO_NUMBER] += 1
            continue
        judge = f"lm-eval:{name}"
        if filter_name not in (None, "none"):
            judge += f",{filter_name}"
        yield name, Score(judge, float(value))
