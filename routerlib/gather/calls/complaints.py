"""Find a provider's own words in an error body, whatever shape it has."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# What a provider echoes of the request is not its own word: its texts would be misread.
_ECHOED = frozenset({
    "input", "flagged_input", "headers", "request_id", "requestid", "id", "user_id", "url", "ctx",
    "@type", "domain", "doc_url", "documentation_url", "help", "provider_name", "model_slug",
    "content_filter_result", "content_filter_results", "object", "model",
})  # fmt: skip
_CODES = frozenset({
    "code", "type", "status", "error_code", "error_type", "status_code", "__type", "reason",
    "provider_code", "exception", "limit_source", "quotaid", "blockreason", "err_type",
})  # fmt: skip
_PARAMETERS = frozenset({"param", "parameter", "field"})
_WAITS = frozenset({
    "retrydelay", "quotaresetdelay", "retry_after", "retry_after_seconds", "estimated_time",
})  # fmt: skip
_OUTER_LOCATIONS = frozenset({"body", "query", "header"})
_SIGNALS = frozenset({"flagged_input", "contentfilter"})  # names that tell by being there

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>|<h1[^>]*>(.*?)</h1>", re.I | re.S)
_MARKUP = re.compile(r"<(?:!doctype|html|head|body|center)\b", re.I)
_CODE_IN_BRACKETS = re.compile(r"\((\d{4})\)\s*$")
_UNIT_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = r"\d+(?:\.\d+)?\s*(?:ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?|[smhd])\b"
_SPAN = _SPAN.replace(r"\b", r"(?![a-z])")
_STATED_WAIT = re.compile(
    rf"(?:try again|retry|wait|available)(?: again)?(?: in| after| for)?(?: about)?\s+"
    rf"((?:{_SPAN}[\s,]*(?:and )?)+)",
    re.I,
)
_SPAN_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|mil|s|mi|m|h|d)", re.I)
_MOST_DEPTH = 12
_MOST_CHARS = 20_000


class Complaint(NamedTuple):
    """What an error body says.

    `text`: the provider's own words.
    `codes`: codes, types and names of exceptions, in small letters; numbers of one provider with
        what makes them its own, such as ``base_resp:1008``.
    `parameters`: what it names as the parameters at fault.
    `wait_s`: seconds that it asks to wait; None = it says none.
    `http_status`: the status that stands in the body; None = none.
    """

    text: str
    codes: frozenset[str] = frozenset()
    parameters: tuple[str, ...] = ()
    wait_s: float | None = None
    http_status: int | None = None


def read_complaint(body: Any) -> Complaint:
    """Read an error body: an object, a list, a text, or JSON inside a text.

    >>> told = read_complaint('[{"error": {"code": 400, "message": "no", "status": "INVALID"}}]')
    >>> told.text, sorted(told.codes), told.http_status
    ('no', ['400', 'invalid'], 400)
    """
    reader = _Reader()
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    if isinstance(body, str):
        body = _parsed(body)
    reader.read(body, "", 0)
    texts = list(dict.fromkeys(reader.texts))
    if not texts and reader.codes:
        texts = sorted(reader.codes)
    return Complaint(
        "; ".join(texts)[:_MOST_CHARS],
        frozenset(reader.codes),
        tuple(dict.fromkeys(reader.parameters)),
        max(reader.waits_s, default=None),
        reader.http_status,
    )


def _parsed(text: str) -> Any:
    text = text.strip()
    if _MARKUP.search(text[:1000]):
        found = _TITLE.search(text)
        return " ".join((found[1] or found[2] or "").split()) if found else "a page of HTML"
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text[:_MOST_CHARS]
    return text[:_MOST_CHARS]


def inner_json(text: str) -> Any:
    """Return the object that is written inside a text, as JSON or as Python writes it, or None."""
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return None
    inner = text[start : end + 1]
    try:
        return json.loads(inner)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(inner)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


class _Reader:
    """Walk through a body and gather what it tells."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.codes: set[str] = set()
        self.parameters: list[str] = []
        self.waits_s: list[float] = []
        self.http_status: int | None = None

    def read(self, node: Any, name: str, depth: int) -> None:
        if depth > _MOST_DEPTH:
            return
        if isinstance(node, dict):
            self._read_object(node, name, depth)
        elif isinstance(node, list | tuple):
            for each in node[:20]:
                self.read(each, name, depth + 1)
        elif isinstance(node, str):
            self._read_text(node, depth)

    def _read_object(self, node: dict[Any, Any], name: str, depth: int) -> None:
        if location := node.get("loc"):
            self._read_location(location)
        for key, value in node.items():
            known = str(key).casefold()
            if known in _SIGNALS:
                self.codes.add(known)
            if known in _ECHOED or known == "loc" or value in (None, "", [], {}):
                continue
            if known in _CODES and isinstance(value, str | int):
                self._read_code(value, known, name, depth)
            elif known in _PARAMETERS and isinstance(value, str):
                self.parameters.append(value)
            elif known in _WAITS and (wait_s := span_s(str(value))) is not None:
                self.waits_s.append(wait_s)
            else:
                self.read(value, known, depth + 1)

    def _read_location(self, location: Any) -> None:
        parts = location if isinstance(location, list) else [location]
        self.parameters += [
            part for part in parts if isinstance(part, str) and part not in _OUTER_LOCATIONS
        ]

    def _read_code(self, value: str | int, key: str, parent: str, depth: int) -> None:
        if isinstance(value, bool):
            return
        text = str(value).strip()
        if len(text) > 60 or text.count(" ") > 2:  # some put a sentence there
            self._read_text(text, depth)
            return
        self.codes.add(text.casefold())
        if not text.isdecimal():
            return
        if 400 <= int(text) < 600 and self.http_status is None:
            self.http_status = int(text)
        # A number means something only beside the name of the field that one provider uses.
        if parent == "base_resp" or isinstance(value, str):
            self.codes.add(f"{parent or 'top'}:{text}")

    def _read_text(self, text: str, depth: int) -> None:
        text = text.strip()
        if not text:
            return
        if found := _CODE_IN_BRACKETS.search(text):
            self.codes.add(f"base_resp:{found[1]}")
        if found := _STATED_WAIT.search(text):
            self.waits_s += filter(None, [span_s(found[1])])
        inner = inner_json(text) if "{" in text else None
        if isinstance(inner, dict | list):
            n_known = len(self.texts)
            self.read(inner, "", depth + 1)
            if len(self.texts) > n_known:
                return  # its words have been read
        self.texts.append(text)


def span_s(text: str) -> float | None:
    """Read a span such as ``37s``, ``1h16m0.667s``, ``20 seconds`` or ``7.5`` as seconds.

    >>> span_s("1m2.5s"), span_s("430ms"), span_s("2 minutes"), span_s("soon")
    (62.5, 0.43, 120.0, None)
    """
    text = text.strip()
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    parts = list(_spans(text))
    return sum(parts) if parts else None


def _spans(text: str) -> Iterator[float]:
    for number, unit in _SPAN_PART.findall(text):
        unit = unit.casefold()
        unit = {"mil": "ms", "mi": "m"}.get(unit, unit)
        yield float(number) * _UNIT_S[unit]
