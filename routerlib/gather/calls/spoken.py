"""Hand on an answer as it comes, without the thoughts before it."""

from __future__ import annotations

import re
from collections.abc import Callable

from routerlib.records.thoughts import answer_start, separate

# So many characters at the end of an answer after a thought may be marks that end it.
_HELD_CHARS = 60
_MAY_CLOSE = re.compile("[]>▷:]")
_LOOKED_CHARS = 100


class SpokenAnswer:
    """Listen to the pieces of a text, and hand on those of the answer.

    A thought whose opening mark stands in the prompt can't be told from an answer before it is
    closed: it is handed on as it comes. The logged response has the answer alone.

    >>> heard = []
    >>> spoken = SpokenAnswer(heard.append)
    >>> for piece in ("<thi", "nk>Hm", ".</think>", "Four"):
    ...     spoken.hear(piece)
    >>> spoken.end()
    >>> heard
    ['Four']
    """

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._text = ""
        self._start: int | None = None
        self._n_shown = 0
        self._look_until = _LOOKED_CHARS

    def hear(self, piece: str) -> None:
        """Take in a piece, and hand on what is surely answer by now."""
        self._text += piece
        if self._start is None:
            self._start = self._find_start(piece)
            self._n_shown = self._start or 0
        if self._start is not None:
            self._show(len(self._text) - (_HELD_CHARS if self._start else 0))

    def show(self) -> None:
        """Hand on what is answer by now: something else follows, so that no mark goes on."""
        if self._start is not None:
            self._show(len(self._text))

    def end(self) -> None:
        """Hand on what was held back."""
        answer = separate(self._text).answer
        shown = self._text[self._start or 0 : self._n_shown]
        if answer.startswith(shown):
            if len(answer) > len(shown):
                self._on_text(answer[len(shown) :])
        else:  # part of a thought was shown before anybody could know
            self._show(len(self._text))

    def _find_start(self, piece: str) -> int | None:
        """Look for the answer where a thought may have ended, not at each of its pieces."""
        n_chars = len(self._text)
        if _MAY_CLOSE.search(piece) or self._text.endswith("assistantfinal"):
            self._look_until = n_chars + _LOOKED_CHARS
        return answer_start(self._text) if n_chars <= self._look_until else None

    def _show(self, end: int) -> None:
        if end > self._n_shown:
            piece, self._n_shown = self._text[self._n_shown : end], end
            self._on_text(piece)
