"""Read logs of Inspect AI: .eval archives and .json files."""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routerlib.gather.importers.records import (
    Imported,
    Options,
    messages_of,
    number_or_none,
    origin,
    params_hash,
    rest_of,
    status_of,
    text_of,
    usage_of,
)
from routerlib.records.call import Call, Score
from routerlib.records.canonical import plain_json
from routerlib.records.prompt import Prompt

_TOKENS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "input_tokens_cache_read",
    "reasoning_tokens": "reasoning_tokens",
}
# Inspect's letters for correct, incorrect, partial and no answer.
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_ZSTD = 93  # zipfile can't read it before Python 3.14; Arrow can
_LOCAL_HEADER = struct.Struct("<26xHH")  # lengths of name and extra field come last
_MOST_BYTES = 1 << 31
_ATTACHMENT = "attachment://"
# Kept neither in a column nor in `extra`: the whole course of a sample, which is large.
_NOT_KEPT = ("messages", "events", "events_data", "attachments", "store", "timelines")


def read_inspect(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per sample and epoch, with a score per scorer.

    The prompt is the sample's input; the answer is the model's last output. Tokens are those of
    the evaluated model only. Scores that are no number in [0, 1] stay unscored.
    """
    is_archive = zipfile.is_zipfile(path)
    try:
        header, samples = _read_archive(path) if is_archive else _read_json(path)
        evaluation = header["eval"]
        model, eval_id = evaluation["model"], evaluation.get("eval_id") or evaluation["run_id"]
        for sample in samples:
            found = _imported(sample, evaluation, model, eval_id, options)
            if found is not None:
                yield found
    except (KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} can't be read as a log of Inspect: {type(error).__name__} {error}"
        ) from error


def _read_json(path: Path) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    try:
        log = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is neither a .eval archive nor JSON: {error}") from error
    if not isinstance(log, dict) or not isinstance(log.get("eval"), dict):
        raise ValueError(f"{path} is no log of Inspect: it has no object 'eval'")
    return log, iter(log.get("samples") or [])


def _read_archive(path: Path) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    start = entries.get("header.json") or entries.get("_journal/start.json")
    if start is None:
        raise ValueError(f"{path} is no log of Inspect: it has no header.json")
    names = [name for name in entries if name.startswith("samples/") and name.endswith(".json")]
    return _entry(path, start), (_entry(path, entries[name]) for name in sorted(names))


def _entry(path: Path, entry: zipfile.ZipInfo) -> dict[str, Any]:
    if entry.file_size > _MOST_BYTES:
        raise ValueError(f"{path}: {entry.filename} is larger than {_MOST_BYTES} bytes")
    payload = _read_zstd(path, entry) if entry.compress_type == _ZSTD else _read_plain(path, entry)
    try:
        value: dict[str, Any] = json.loads(payload)
    except ValueError as error:
        raise ValueError(f"{path}: {entry.filename} is not valid JSON: {error}") from error
    return value


def _read_plain(path: Path, entry: zipfile.ZipInfo) -> bytes:
    with zipfile.ZipFile(path) as archive:
        try:
            return archive.read(entry)
        except NotImplementedError as error:
            raise ValueError(
                f"{path}: {entry.filename} is compressed in a way that can't be read here "
                f"({error}); convert it: inspect log convert --to json"
            ) from error


def _read_zstd(path: Path, entry: zipfile.ZipInfo) -> bytes:
    import pyarrow as pa

    with path.open("rb") as stream:
        stream.seek(entry.header_offset)
        name_bytes, extra_bytes = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        stream.seek(name_bytes + extra_bytes, 1)
        packed = stream.read(entry.compress_size)
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as unpacked:
            payload = bytes(unpacked.read())
    except OSError as error:
        raise ValueError(f"{path}: {entry.filename} is damaged: {error}") from error
    if zlib.crc32(payload) != entry.CRC:
        raise ValueError(f"{path}: {entry.filename} is damaged: its checksum differs")
    return payload


def _imported(
    sample: dict[str, Any],
    evaluation: Mapping[str, Any],
    model: str,
    eval_id: str,
    options: Options,
) -> Imported | None:
    messages = messages_of(_with_attachments(sample["input"], sample.get("attachments") or {}))
    output = sample.get("output") or {}
    choice = (output.get("choices") or [{}])[0]
    response = text_of(choice.get("message", {}).get("content"))
    if messages is None or response is None:
        options.left_out["samples with images or other parts that are no text"] += 1
        return None
    prompt = Prompt(
        messages,
        reference=sample.get("target") or None,
        source=f"inspect/{evaluation.get('task', 'task')}",
        topic=evaluation.get("task"),
        extra=rest_of(
            {"metadata": sample.get("metadata") or None, "choices": sample.get("choices")}
        ),
    )
    stop_reason = "max_tokens" if sample.get("limit") else choice.get("stop_reason")
    error = sample.get("error") or output.get("error")
    status = status_of(response, stop_reason, error)
    call = _call(sample, evaluation, model, options, prompt, response, status, stop_reason)
    identity = sample.get("uuid") or [eval_id, sample["id"], sample.get("epoch", 1)]
    scores = _scores(sample, options) if status == "ok" else ()
    return Imported(prompt, _with_origin(call, origin("inspect", identity)), scores)


def _with_origin(call: dict[str, Any], identity: str) -> Call:
    return Call(**call, origin=identity)


def _call(
    sample: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    model: str,
    options: Options,
    prompt: Prompt,
    response: str,
    status: str,
    stop_reason: str | None,
) -> dict[str, Any]:
    usage = (sample.get("model_usage") or {}).get(model) or {}
    error = sample.get("error") or (sample.get("output") or {}).get("error")
    message = error.get("message") if isinstance(error, Mapping) else error
    return {
        "prompt_id": prompt.prompt_id,
        "candidate": options.candidate or model,
        "params_hash": params_hash(model, evaluation.get("model_generate_config")),
        "status": status,
        "finish_reason": stop_reason,
        "response": response or None,
        "usage": usage_of(usage, _TOKENS),
        "latency_s": number_or_none(sample.get("working_time") or sample.get("total_time")),
        "attempts": None,
        "repeat": int(sample.get("epoch", 1)) - 1,
        "error_type": "inspect" if error else None,
        "error": str(message)[:500] if error else None,
        "given_cost_usd": number_or_none(usage.get("total_cost")),
        "asked_at": sample.get("started_at") or evaluation.get("created"),
        "extra": rest_of(sample, *_NOT_KEPT, "input", "target", "output", "metadata", "choices"),
    }


def _with_attachments(value: Any, attachments: Mapping[str, str]) -> Any:
    """Put the texts back that Inspect keeps once and refers to."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return attachments.get(value.removeprefix(_ATTACHMENT), value)
    if isinstance(value, list):
        return [_with_attachments(each, attachments) for each in value]
    if isinstance(value, dict):
        return {name: _with_attachments(each, attachments) for name, each in value.items()}
    return value


def _scores(sample: Mapping[str, Any], options: Options) -> tuple[Score, ...]:
    found = []
    for name, score in (sample.get("scores") or {}).items():
        value = score.get("value")
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for part, each in parts:
            number = _number(each)
            if math.isnan(number):
                options.left_out["scores that are no number in [0, 1]"] += 1
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
