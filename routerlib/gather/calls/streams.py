"""Put the pieces of a streamed answer together into the body of a plain one."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from routerlib.gather.calls.replies import (
    BrokenOff,
    MalformedAnswer,
    ReportedFault,
    parts_of,
    reported_fault,
    storable,
    thoughts_of,
)
from routerlib.gather.calls.tokens import find_counts
from routerlib.records.canonical import canonical_json, read_json
from routerlib.records.endings import MEANINGS, meaning_of
from routerlib.records.logprobs import TokenLogprob, read_logprobs


class CallPiece(NamedTuple):
    """A part of a call of a tool.

    `number`: of the call among those of the answer, from 0.
    `arguments`: what comes to its arguments, which are text.
    """

    number: int
    id: str
    name: str
    arguments: str


class StreamedCalls:
    """The calls of tools so far, whose arguments come in pieces.

    >>> calls = StreamedCalls()
    >>> calls.add([{"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a"'}}])
    [CallPiece(number=0, id='1', name='f', arguments='{"a"')]
    >>> calls.add([{"index": 0, "id": "1", "function": {"name": "f", "arguments": ": 1}"}}])
    [CallPiece(number=0, id='1', name='f', arguments=': 1}')]
    >>> calls.whole
    [{'id': '1', 'function': {'name': 'f', 'arguments': '{"a": 1}'}}]
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, deltas: Any) -> list[CallPiece]:
        """Take in what a chunk has of calls, and return what may be handed on."""
        told = []
        for delta in deltas or ():
            function = delta.get("function") or {}
            number = self._place(delta.get("index"), delta.get("id"))
            call = self._calls[number]
            call.id = call.id or delta.get("id")
            call.name = call.name or function.get("name")  # some say both with every piece
            if arguments := function.get("arguments"):
                is_text = isinstance(arguments, str)
                call.pieces.append(arguments if is_text else canonical_json(arguments))
            if number == 0 or self._calls[number - 1].has_begun:
                told += call.handed_on(number)
        return told

    def _place(self, index: Any, told_id: Any) -> int:
        """Return which call a piece belongs to: by its index, or, as some say none, its id."""
        for number, call in reversed(list(enumerate(self._calls))):
            is_same = not told_id or not call.id or told_id == call.id
            if is_same and index in (None, call.index):
                return number
        self._calls.append(_Call(index))
        return len(self._calls) - 1

    @property
    def whole(self) -> list[dict[str, Any]]:
        """The calls, put together."""
        return [
            {"id": call.id, "function": {"name": call.name, "arguments": "".join(call.pieces)}}
            for call in self._calls
        ]


class _Call:
    """One call so far."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self.id: Any = None
        self.name: Any = None
        self.pieces: list[str] = []
        self._n_told = 0
        self.has_begun = False

    def handed_on(self, number: int) -> list[CallPiece]:
        """Return what is new: nothing before it has a name, and an id where it has one at all."""
        is_known = isinstance(self.name, str) and (self.id or self.pieces)
        if not is_known or (self.has_begun and self._n_told == len(self.pieces)):
            return []
        new, self._n_told = "".join(self.pieces[self._n_told :]), len(self.pieces)
        self.has_begun = True
        call_id, name = storable(str(self.id or "")), storable(self.name)
        return [CallPiece(number, call_id, name, storable(new))]


class StreamedAnswer:
    """The answer so far, from the chunks that have come.

    >>> from routerlib.gather.calls.replies import read_answer
    >>> answer = StreamedAnswer()
    >>> answer.add({"choices": [{"delta": {"content": "Four"}}]})
    'Four'
    >>> answer.add({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    ''
    >>> answer.is_complete, read_answer(answer.body())["response"]
    (True, 'Four')
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._refusals: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._calls = StreamedCalls()
        self._choice: dict[str, Any] = {}
        self._whole: dict[str, Any] = {}
        self._top: dict[str, Any] = {}
        self._has_begun = self._is_last = False
        self.new_thought = ""  # of the last chunk
        self.new_calls: list[CallPiece] = []
        self._began_at: float | None = None  # by `time.perf_counter`

    @property
    def is_complete(self) -> bool:
        """Whether the provider said why it stopped, or at least that it did."""
        return "finish_reason" in self._choice or self._is_last

    @property
    def text(self) -> str | None:
        """The text so far; None = none came."""
        return storable("".join(self._texts)) if self._texts else None

    def told_beginning(self, started_at: float) -> dict[str, float]:
        """Return what a log keeps of when it began; `started_at`: by `time.perf_counter`."""
        return {} if self._began_at is None else {"first_token_s": self._began_at - started_at}

    def note_end(self) -> None:
        """Learn that the provider has marked the end of the stream."""
        self._is_last = True

    def add(self, chunk: Any) -> str:
        """Take in one chunk of the stream and return its part of the answer's text."""
        self.new_thought, self.new_calls = "", []
        try:
            return self._add(chunk)
        except (AttributeError, LookupError, TypeError) as error:
            raise MalformedAnswer(f"a chunk is not what the API promises: {error}") from error

    def _add(self, chunk: dict[str, Any]) -> str:
        if counts := find_counts(chunk):
            self._note_counts(counts)
        for name in ("model", "promptFeedback"):
            if chunk.get(name):
                self._top[name] = chunk[name]
        choices = chunk.get("choices") or []
        if fault := reported_fault(chunk):
            raise ReportedFault(fault)
        if not choices or choices[0].get("index"):
            return ""  # usage comes without a choice; further choices were not asked for
        choice, self._has_begun = choices[0], True
        for name in ("finish_reason", "native_finish_reason", "provider_specific_fields"):
            self._note_reason(name, choice.get(name))
        if isinstance(choice.get("message"), dict):
            self._whole = choice["message"]  # some send the whole text again, or all of it at last
        self._logprobs += read_logprobs(choice.get("logprobs"))
        return self._add_delta(choice.get("delta") or {})

    def _note_counts(self, counts: dict[str, Any]) -> None:
        """Keep the last counts: they grow where every chunk has them; zeros are fillers."""
        if any(counts.values()) or "usage" not in self._top:
            self._top["usage"] = counts

    def _note_reason(self, name: str, told: Any) -> None:
        """Keep the worst reason that was told: an empty one after it takes nothing back."""
        meaning = meaning_of(told) if name != "provider_specific_fields" else None
        if meaning is None and not (name == "provider_specific_fields" and told):
            return
        known = meaning_of(self._choice.get(name)) if meaning else None
        if meaning is None or known is None or MEANINGS.index(meaning) >= MEANINGS.index(known):
            self._choice[name] = told

    def _add_delta(self, delta: dict[str, Any]) -> str:
        piece, thought = parts_of(delta.get("content"))
        if _is_thought(delta) and piece:
            piece, thought = "", piece
        thought += thoughts_of(delta)
        if self._began_at is None and (piece or thought or delta.get("tool_calls")):
            self._began_at = time.perf_counter()
        if piece:
            self._texts.append(piece)
        if thought:
            self._thoughts.append(thought)
            self.new_thought = storable(thought)
        self.new_calls = self._calls.add(delta.get("tool_calls"))
        if delta.get("refusal"):
            self._refusals.append(delta["refusal"])
        return piece

    def body(self) -> dict[str, Any]:
        """Return the answer as it would have come in one piece."""
        if not self._has_begun:
            return {**self._top, "choices": []}
        message: dict[str, Any] = {"content": "".join(self._texts)}
        if self._thoughts:
            message["reasoning_content"] = "".join(self._thoughts)
        if self._refusals:
            message["refusal"] = "".join(self._refusals)
        if calls := self._calls.whole:
            message["tool_calls"] = calls
        if not (self._texts or self._refusals or self._thoughts or calls) and self._whole:
            message = self._whole
        told = {"message": message, **({"logprobs": self._logprobs} if self._logprobs else {})}
        return {**self._top, "choices": [{**self._choice, **told}]}


def body_of_events(payload: bytes | bytearray) -> dict[str, Any]:
    """Return the answer of a server that streams whatever it was asked, and calls it a text."""
    answer = StreamedAnswer()
    for line in payload.splitlines():
        event = line.removeprefix(b"data:").strip()
        if event == b"[DONE]":
            answer.note_end()
        elif event and line.startswith(b"data:"):
            answer.add(_chunk(event))
    if not answer.is_complete:
        raise BrokenOff("the stream ended before the answer was complete")
    return answer.body()


def _chunk(event: bytes | bytearray) -> Any:
    try:
        return read_json(event)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from error


def _is_thought(delta: dict[str, Any]) -> bool:
    """Tell Gemini's mark on a piece that is thought; tags in the text go before it."""
    extra = delta.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    is_marked = isinstance(google, dict) and google.get("thought") is True
    content = delta.get("content")
    return is_marked and not (isinstance(content, str) and "<" in content)
