"""Find in a sample of Inspect AI what was really asked, who answered it, and in how many calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from routerlib.gather.calls.tokens import MOST_TOKENS
from routerlib.gather.importers.records import text_of
from routerlib.records.call import Usage

_ATTACHMENT = "attachment://"
_SCORERS = ("scorers", "scorer")
_OPTION = re.compile(r"^([A-Z])\) (.*)$", re.MULTILINE)


class Asked(NamedTuple):
    """What a model was asked and answered, and what is right.

    `messages`: as in the log, texts in place; `choice`: the answer's entry of an output.
    `reference`: a text, a letter, or a list of them; `options`: the choices as they were shown.
    """

    messages: Any
    choice: Mapping[str, Any]
    reference: Any
    options: Sequence[str] | None


def asked_of(sample: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Asked:
    """Return what a sample's model was asked: everything up to its first own answer.

    A solver that shuffles the options rewrites them, and the answer's letter, afterwards: then
    question and answer are the model event's, and the right letter is the one shown there.
    """
    options = sample.get("choices")
    told = Asked(
        _up_to_the_answer(sample),
        _first_choice(sample.get("output")),
        sample.get("target") or None,
        options,
    )
    if len(events) != 1 or not options:
        return told
    messages = _input_of(events[0], sample)
    if not messages or _texts(messages) == _texts(told.messages):
        return told
    shown = dict(_OPTION.findall("\n".join(filter(None, _texts(messages)))))
    reference = _shown_letters(told.reference, options, shown)
    if reference is None:
        return told  # log and reference belong together, whatever the event says
    choice = _first_choice(with_attachments(events[0].get("output"), sample))
    return Asked(messages, choice, reference, list(shown.values()))


def model_events(sample: Mapping[str, Any], model: str) -> list[Mapping[str, Any]]:
    """Return the calls of the evaluated model that made the answer, without those of graders."""
    events = [each for each in sample.get("events") or [] if isinstance(each, Mapping)]
    spans = {each.get("id"): each for each in events if each.get("event") == "span_begin"}
    found = []
    n_open_scorers = 0  # older logs have steps, which begin and end, instead of spans
    for event in events:
        if event.get("event") == "step" and event.get("type") in _SCORERS:
            n_open_scorers += 1 if event.get("action") == "begin" else -1
        if event.get("event") != "model" or event.get("model") != model or n_open_scorers > 0:
            continue
        if not event.get("error") and not _is_scorers(event, spans):
            found.append(event)
    return found


def has_tools(sample: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the model could do more than answer."""
    messages = sample.get("messages") or []
    return any(event.get("tools") for event in events) or any(
        message.get("role") == "tool" or message.get("tool_calls") for message in messages
    )


def n_answers(sample: Mapping[str, Any]) -> int:
    """Count the answers that the model gave in a sample's conversation."""
    messages = sample.get("messages") or []
    if any(message.get("source") for message in messages):
        return sum(message.get("source") == "generate" for message in messages)
    return sum(message.get("role") == "assistant" for message in messages) - _n_shown(sample)


class Spent(NamedTuple):
    """Tokens, and US dollars where they are told; None = not known."""

    usage: Usage | None
    cost_usd: float | None


def spent(usages: Sequence[Any]) -> Spent:
    """Add up usages of Inspect, whose input leaves out what a cache held or took.

    >>> told = {"input_tokens": 3, "output_tokens": 5, "input_tokens_cache_read": 4}
    >>> spent([told]).usage == Usage(7, 5, cached_input_tokens=4)
    True
    >>> spent([{"input_tokens": 10**12, "output_tokens": 5}]).usage is None
    True
    """
    if not usages or not all(isinstance(each, Mapping) for each in usages):
        return Spent(None, None)
    try:
        read = [_count(each, "input_tokens_cache_read") for each in usages]
        written = [_count(each, "input_tokens_cache_write") for each in usages]
        full = [_count(each, "input_tokens", None) for each in usages]
        output = sum(_count(each, "output_tokens", None) for each in usages)
        reasoning = sum(_count(each, "reasoning_tokens") for each in usages)
    except ValueError:
        return Spent(None, None)
    n_input = sum(full) + sum(read) + sum(written)
    costs = [each.get("total_cost") for each in usages]
    cost_usd = None if None in costs else float(sum(costs))
    if n_input == 0:
        return Spent(None, cost_usd or None)
    usage = Usage(n_input, output, sum(read), min(reasoning, output), sum(written))
    return Spent(usage, cost_usd)


def _count(usage: Mapping[str, Any], name: str, missing: int | None = 0) -> int:
    value = usage.get(name)
    value = missing if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOKENS:
        raise ValueError(f"{name} must be a whole number up to {MOST_TOKENS:,}, got {value!r}")
    return value


def with_attachments(value: Any, sample: Mapping[str, Any]) -> Any:
    """Put the texts back that Inspect keeps once and refers to."""
    attachments = sample.get("attachments") or {}
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return attachments.get(value.removeprefix(_ATTACHMENT), value)
    if isinstance(value, list):
        return [with_attachments(each, sample) for each in value]
    if isinstance(value, dict):
        return {name: with_attachments(each, sample) for name, each in value.items()}
    return value


def _up_to_the_answer(sample: Mapping[str, Any]) -> Any:
    messages = with_attachments(sample.get("messages") or [], sample)
    asked = messages[: _n_asked(messages, _n_shown(sample))]
    if asked:
        return asked
    return _with_options(with_attachments(sample["input"], sample), sample.get("choices") or [])


def _n_asked(messages: Sequence[Mapping[str, Any]], n_shown: int) -> int:
    """Return where the model's first answer stands; older logs don't say who wrote a message."""
    if any(message.get("source") for message in messages):
        own = (n for n, each in enumerate(messages) if each.get("source") == "generate")
        return next(own, len(messages))
    assistants = [n for n, each in enumerate(messages) if each.get("role") == "assistant"]
    return assistants[n_shown] if len(assistants) > n_shown else len(messages)


def _n_shown(sample: Mapping[str, Any]) -> int:
    given = sample["input"]
    messages = given if isinstance(given, list) else []
    return sum(each.get("role") == "assistant" for each in messages)


def _with_options(given: Any, options: Sequence[str]) -> Any:
    """Put the options under the question, where a log holds them apart and nothing else."""
    if not options or _OPTION.search("\n".join(filter(None, _texts(given)))):
        return given
    block = "".join(f"\n{chr(ord('A') + n)}) {option}" for n, option in enumerate(options))
    if isinstance(given, str):
        return f"{given}\n{block}"
    last = {**given[-1], "content": f"{text_of(given[-1].get('content'))}\n{block}"}
    return [*given[:-1], last]


def _shown_letters(reference: Any, options: Sequence[str], shown: Mapping[str, str]) -> Any:
    """Return the right letters as they were shown; None where that can't be told for sure."""
    letters = reference if isinstance(reference, list) else [reference]
    found = []
    for letter in letters:
        place = ord(letter) - ord("A") if isinstance(letter, str) and len(letter) == 1 else -1
        if not 0 <= place < len(options):
            return None
        same = [each for each, text in shown.items() if text == options[place]]
        if len(same) != 1:
            return None
        found += same
    return found if isinstance(reference, list) else found[0]


def _input_of(event: Mapping[str, Any], sample: Mapping[str, Any]) -> list[Any]:
    messages = event.get("input") or []
    known = (sample.get("events_data") or {}).get("messages") or []
    for first, last in event.get("input_refs") or []:
        messages = [*messages, *known[first:last]]
    found = with_attachments(messages, sample)
    return found if isinstance(found, list) else []


def _first_choice(output: Any) -> Mapping[str, Any]:
    choices = output.get("choices") if isinstance(output, Mapping) else None
    return choices[0] if choices else {}


def _texts(messages: Any) -> list[str | None]:
    if isinstance(messages, str):
        return [messages]
    return [text_of(message.get("content")) for message in messages]


def _is_scorers(event: Mapping[str, Any], spans: Mapping[Any, Mapping[str, Any]]) -> bool:
    return any(span.get("type") in _SCORERS for span in _around(event.get("span_id"), spans))


def _around(span_id: Any, spans: Mapping[Any, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for _ in range(len(spans)):
        span = spans.get(span_id)
        if span is None:
            return
        yield span
        span_id = span.get("parent_id")
