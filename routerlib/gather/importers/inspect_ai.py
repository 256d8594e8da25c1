"""Read logs of Inspect AI: what its fields mean."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from routerlib.gather.importers.inspect_file import open_log
from routerlib.gather.importers.inspect_turns import (
    Asked,
    Spent,
    asked_of,
    has_tools,
    model_events,
    n_answers,
    spent,
)
from routerlib.gather.importers.ledger import Ledger
from routerlib.gather.importers.records import (
    NO_NUMBER,
    Imported,
    Options,
    messages_of,
    number_or_none,
    origin,
    params_hash,
    rest_of,
    text_of,
    thought_of,
)
from routerlib.records.call import Call, Score
from routerlib.records.canonical import plain_json
from routerlib.records.endings import status_by
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import THOUGHT

# Inspect's letters for correct, incorrect, partial and no answer.
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
# Kept neither in a column nor in `extra`: the whole course of a sample, which is large.
_NOT_KEPT = (
    *("messages", "events", "events_data", "attachments", "store", "timelines"),
    *("error", "error_retries", "input", "target", "output", "metadata", "choices"),
)
# Settings of Inspect's own runner, not of the model.
_RUNNERS = (
    *("max_connections", "adaptive_connections", "max_retries", "timeout", "attempt_timeout"),
    *("cache", "batch"),
)


def read_inspect(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per sample and epoch, with a score per scorer.

    The prompt is what was asked up to the model's first answer, the answer its last output.
    Tokens are those of the calls that made the answer, without a grader's. Scores that are no
    number in [0, 1] stay unscored.
    """
    try:
        header, samples = open_log(path)
        evaluation = header["eval"]
        if "model" not in evaluation:
            raise KeyError("model")
        for sample in samples:
            options.ledger.n_rows += 1
            found = _imported(sample, evaluation, options)
            if isinstance(found, str):
                options.ledger.left_out[found] += 1
            else:
                yield found
    except (
        *(KeyError, TypeError, AttributeError, IndexError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ValueError(
            f"{path} can't be read as a log of Inspect: {type(error).__name__} {error}"
        ) from error


def _imported(
    sample: dict[str, Any], evaluation: Mapping[str, Any], options: Options
) -> Imported | str:
    """Return the call of a sample, or why there is none."""
    if sample.get("invalidation"):
        return "samples that were marked as invalid"
    events = model_events(sample, evaluation["model"])
    if has_tools(sample, events):
        return "samples whose model was given tools"
    asked = asked_of(sample, events)
    messages = messages_of(asked.messages)
    response = text_of(asked.choice.get("message", {}).get("content"))
    if messages is None or response is None:
        return "samples with images or other parts that are no text"
    task = evaluation.get("task")
    known = {"metadata": sample.get("metadata") or None, "choices": asked.options}
    prompt = Prompt(
        messages,
        reference=asked.reference,
        source=f"inspect/{task or 'task'}",
        topic=task,
        extra=rest_of(known),
    )
    call = _call(sample, evaluation, asked, events, prompt, response, options)
    return Imported(prompt, call, _scores(sample, options.ledger))


def _call(
    sample: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    asked: Asked,
    events: Sequence[Mapping[str, Any]],
    prompt: Prompt,
    response: str,
    options: Options,
) -> Call:
    model, output = evaluation["model"], sample.get("output") or {}
    config = evaluation.get("model_generate_config") or {}
    parameters = {name: value for name, value in config.items() if name not in _RUNNERS}
    stop_reason = "max_tokens" if sample.get("limit") else asked.choice.get("stop_reason")
    error = sample.get("error") or output.get("error")
    message = error.get("message") if isinstance(error, Mapping) else error
    eval_id = evaluation.get("eval_id") or evaluation.get("run_id")
    epoch = int(sample.get("epoch", 1))
    tokens = _spent(sample, model, events)
    return Call(
        prompt.prompt_id,
        options.candidate or model,
        params_hash(model, parameters),
        "error" if error else status_by(stop_reason, response),
        finish_reason=stop_reason,
        response=response or None,
        usage=tokens.usage,
        latency_s=_latency_s(sample, events),
        attempts=None,
        repeat=epoch - 1,
        error_type="inspect" if error else None,
        error=str(message)[:500] if error else None,
        given_cost_usd=number_or_none(tokens.cost_usd),
        origin=origin("inspect", sample.get("uuid") or [eval_id, sample["id"], epoch]),
        asked_at=sample.get("started_at") or evaluation.get("created"),
        extra=_extra(sample, asked, events),
    )


def _spent(sample: Mapping[str, Any], model: str, events: Sequence[Mapping[str, Any]]) -> Spent:
    output = sample.get("output") or {}
    if len(events) > 1:
        return spent([(event.get("output") or {}).get("usage") for event in events])
    if n_answers(sample) <= 1 and output.get("usage"):
        return spent([output["usage"]])
    if events:
        return spent([(events[0].get("output") or {}).get("usage")])
    return spent([(sample.get("model_usage") or {}).get(model)])


def _latency_s(sample: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the seconds of the model's calls; of the whole sample where these aren't told."""
    if any(event.get("cache") == "read" for event in events):
        return None  # the answer came out of Inspect's own cache
    of_calls = [number_or_none(event.get("working_time")) for event in events]
    known = [seconds for seconds in of_calls if seconds is not None]
    if known and len(known) == len(of_calls):
        return sum(known)
    return number_or_none(sample.get("working_time") or sample.get("total_time"))


def _extra(
    sample: Mapping[str, Any], asked: Asked, events: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    n_calls = max(len(events), n_answers(sample))
    told = {
        **(rest_of(sample, *_NOT_KEPT) or {}),
        "answered_by": (sample.get("output") or {}).get("model") if asked.choice else None,
        "model_calls": n_calls if n_calls > 1 else None,
        THOUGHT: thought_of(asked.choice.get("message", {}).get("content")) or None,
    }
    return rest_of(told)


def _scores(sample: Mapping[str, Any], ledger: Ledger) -> tuple[Score, ...]:
    found = []
    for name, score in (sample.get("scores") or {}).items():
        value = score.get("value")
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for part, each in parts:
            number = _number(each)
            if math.isnan(number):
                ledger.unscored[NO_NUMBER] += 1
                continue
            judge = f"inspect:{name}" + (f"/{part}" if part is not None else "")
            rationale = str(plain_json(score.get("explanation")) or "")
            found.append(Score(judge, number, rationale))
    return tuple(found)


def _number(value: Any) -> float:
    """Return a score in [0, 1], NaN where it is none."""
    if isinstance(value, str):
        value = _LETTERS.get(value.strip().upper(), math.nan)
    if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
        return math.nan
    return float(value)
