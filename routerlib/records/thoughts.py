"""Separate what a model thought aloud from what it answered.

A thought begins at the head of a text, or there where its closing mark shows that the opening one
stood in the prompt; after a thought, further ones begin at the start of a line. Without one, only
a block that ends the text is one. Marks in code, in quotes or in the middle of a sentence are
spoken of, not used: they stay. A thought that is never closed has no answer.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from typing import NamedTuple

from routerlib.records.call import Call
from routerlib.records.messages import TOOL_CALLS
from routerlib.records.thinking_marks import (
    BEGINNING,
    BEGINNINGS,
    ENDS,
    HEADER,
    MARKS,
    WRAPPERS,
    ThinkingMarks,
)

THOUGHT = "thought"  # where a call's `extra` keeps it

_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
# A text made of nothing but marks must not keep anybody waiting.
_SEEN_CHARS = 300
_MOST_MARKS = 300
_MOST_CUTS = 100
_PIECE_CHARS = 2**18
_LONGEST_HINT = max(len(each.hint) for each in MARKS)


class Separated(NamedTuple):
    """An answer without its thoughts.

    `answer`: what is left; empty where a thought was never closed.
    `thought`: what was taken out; None = nothing was.
    """

    answer: str
    thought: str | None

    @property
    def is_only_thought(self) -> bool:
        """Whether there is a thought and no answer."""
        return self.thought is not None and not self.answer.strip()


def separate(text: str) -> Separated:
    r"""Take the thoughts out of a text; done twice, it is the same.

    >>> separate("<think>\nMaybe 41.\n</think>\n\n42")
    Separated(answer='42', thought='Maybe 41.')
    >>> separate("Write your reasoning between <think> and </think>.").thought is None
    True
    >>> separate("<think>Let me see").is_only_thought
    True
    """
    marks = _marks_in(text)
    if not marks:
        return Separated(text, None)
    thoughts: list[str] = []
    rest = text
    for _ in range(_MOST_CUTS):
        found = _leading(rest, marks) or _later(rest, marks, is_after_thought=bool(thoughts))
        if found is None:
            break
        thought, rest = found
        thoughts.append(thought.strip())
        rest = _bare(rest)
    if not thoughts:
        return Separated(text, None)
    return Separated(rest, "\n\n".join(filter(None, thoughts)))


def answer_start(text: str) -> int | None:
    r"""Return where the answer begins in a text of which more may come; None = not known yet.

    >>> answer_start("<th"), answer_start("<think>Hm."), answer_start("<think>Hm.</think>\n4")
    (None, None, 19)
    """
    marks, rest = _marks_in(text), text
    for _ in range(_MOST_CUTS):
        found = _leading(rest, marks) if marks else None
        if found is None:
            break
        rest = found[1]
    start = len(text) - len(rest) + _header_end(rest)
    if any(each.opens.match(text, start) for each in marks):
        return None
    small = text[start:].lower()
    if not small or BEGINNING.match(small) or any(each.startswith(small) for each in BEGINNINGS):
        return None
    return start if len(rest) < len(text) else 0


def thought_apart(call: Call) -> Call:
    """Return a call whose response is the answer alone; its `extra` keeps the thought.

    A complete call that only thought is an empty one.
    """
    found = separate(call.response or "")
    if found.thought is None:
        return call
    known = (call.extra or {}).get(THOUGHT)
    thought = "\n\n".join(filter(None, [known, found.thought]))
    has_said = found.answer.strip() or (call.extra or {}).get(TOOL_CALLS)
    is_empty = call.status == "ok" and not has_said
    return replace(
        call,
        response=found.answer or None,
        status="empty" if is_empty else call.status,
        extra={**(call.extra or {}), THOUGHT: thought} if thought else call.extra,
    )


def _marks_in(text: str) -> list[ThinkingMarks]:
    hints = set[str]()
    for start in range(0, len(text), _PIECE_CHARS):  # a copy of all in small letters may be large
        piece = text[start : start + _PIECE_CHARS + _LONGEST_HINT].lower()
        hints.update(each.hint for each in MARKS if each.hint in piece)
    hinted = [each for each in MARKS if each.hint in hints]
    return [each for each in hinted if each.opens.search(text) or each.closes.search(text)]


def _header_end(text: str) -> int:
    found = HEADER.match(text)
    return found.end() if found else 0


def _leading(text: str, marks: Sequence[ThinkingMarks]) -> tuple[str, str] | None:
    """Return the thought that a text begins with, and the rest."""
    start = _header_end(text)
    page = _Page(text)
    for each in marks:
        opening = each.opens.match(text, start)
        if opening is None:
            continue
        closing = page.closing(each, opening.end())
        rest = text[closing.end() :] if closing else ""
        if each.is_asked_for and not rest.strip():
            continue
        return text[opening.end() : closing.start() if closing else len(text)], rest
    alone = [found for each in marks if (found := page.lone_closing(each))]
    if not alone:
        return None
    first = min(alone, key=lambda found: found.start())
    return text[: first.start()], text[first.end() :]


def _later(
    text: str, marks: Sequence[ThinkingMarks], is_after_thought: bool
) -> tuple[str, str] | None:
    """Return a thought that begins on a line further down, and the text without it."""
    page = _Page(text)
    for each in marks:
        if each.is_asked_for:
            continue
        for opening in islice(each.opens.finditer(text), _MOST_MARKS):
            before = text[: opening.start()]
            if page.is_mentioned(opening) or before.rpartition("\n")[2].strip():
                continue
            closing = page.closing(each, opening.end())
            end = closing.end() if closing else len(text)
            thought = text[opening.end() : closing.start() if closing else end]
            is_last = not text[end:].strip() and bool(before.strip() and thought.strip())
            if is_after_thought or is_last:
                return thought, before.rstrip() + "\n\n" + text[end:].lstrip()
    return None


def _bare(answer: str) -> str:
    """Take off what stands around an answer that follows a thought."""
    answer = answer[_header_end(answer) :].strip()
    answer = (answer[:-_SEEN_CHARS] + ENDS.sub("", answer[-_SEEN_CHARS:])).strip()
    for wrapper in WRAPPERS:
        if found := wrapper.match(answer):
            return found["answer"].strip()
    return answer


class _Page:
    """A text in which marks are used, or only spoken of."""

    def __init__(self, text: str) -> None:
        self._text = text
        has_fences = "```" in text or "~~~" in text
        self._fences = [found.start() for found in _FENCE.finditer(text)] if has_fences else []

    def closing(self, marks: ThinkingMarks, start: int) -> re.Match[str] | None:
        """Return where a thought that was opened ends.

        A thought may speak of its own marks, or open code that it never closes: the clearest kind
        of closing mark that there is at all decides.
        """

        def found() -> Iterator[re.Match[str]]:
            return islice(marks.closes.finditer(self._text, start), _MOST_MARKS)

        used = (each for each in found() if not self.is_mentioned(each))
        unquoted = (each for each in found() if not self._is_quoted(each))
        in_open_code = (each for each in found() if self._begins_line(each))
        return next(used, None) or next(unquoted, None) or next(in_open_code, None)

    def lone_closing(self, marks: ThinkingMarks) -> re.Match[str] | None:
        """Return the first closing mark of a thought whose opening mark is not in the text."""
        if not marks.may_stand_alone:
            return None
        opening: re.Match[str] | None = None
        for found, is_opening in self._both(marks):
            if self._is_quoted(found):
                continue
            if is_opening:
                opening = found
            elif opening is not None and (
                "\n" not in self._text[opening.end() : found.start()]
                or not self._is_in_sentence(opening)
            ):
                opening = None  # a pair in the middle of the text
            elif not self._is_in_sentence(found):
                return found
        return None

    def is_mentioned(self, mark: re.Match[str]) -> bool:
        """Tell whether a mark is spoken of: in code, in quotes, in the middle of a sentence."""
        return self._is_quoted(mark) or self._is_in_sentence(mark)

    def _both(self, marks: ThinkingMarks) -> Iterator[tuple[re.Match[str], bool]]:
        opens = ((each, True) for each in marks.opens.finditer(self._text))
        closes = ((each, False) for each in marks.closes.finditer(self._text))
        return islice(merge(opens, closes, key=lambda each: each[0].start()), _MOST_MARKS)

    def _is_quoted(self, mark: re.Match[str]) -> bool:
        n_before = bisect_right(self._fences, mark.start())
        if n_before % 2 and n_before < len(self._fences):
            return True
        before, after = (_APOSTROPHE.sub("", side) for side in self._around(mark))
        if any(before.count(each) % 2 and each in after for each in ('"', "`", "'")):
            return True
        return before.count("“") > before.count("”") and "”" in after

    def _is_in_sentence(self, mark: re.Match[str]) -> bool:
        before, after = self._around(mark)
        last = before.rstrip()[-1:]
        goes_on = before != before.rstrip() and (last.islower() or last in tuple(",;:"))
        is_at_end = not self._text[mark.end() :].strip()
        next_ = after.lstrip()[:1]
        is_followed = (after[:1].isspace() and next_.islower()) or next_ in tuple(".,;:!?)")
        return bool(last) and (goes_on or last == "(") and (is_followed or is_at_end)

    def _begins_line(self, mark: re.Match[str]) -> bool:
        return not self._around(mark)[0].strip()

    def _around(self, mark: re.Match[str]) -> tuple[str, str]:
        """Return what stands before and after a mark on its line."""
        before = self._text[max(0, mark.start() - _SEEN_CHARS) : mark.start()]
        after = self._text[mark.end() : mark.end() + _SEEN_CHARS]
        return before.rpartition("\n")[2], after.partition("\n")[0]
