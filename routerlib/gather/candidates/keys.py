"""Keys of providers: where they come from, and how they stay out of every text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from routerlib.records.errors import RouterlibError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routerlib.records.call import CandidateModel

_MARK = "[key]"
# Servers without keys are given words such as "none"; hiding those would garble every text.
_LEAST_SECRET_CHARS = 6


class KeyFault(RouterlibError, ValueError):
    """A key that is missing or can't be one."""

    def __init__(self, candidate: str, reason: str) -> None:
        super().__init__(f"candidate {candidate!r} {reason}")
        self.reason = reason


def api_key(candidate: CandidateModel) -> str | None:
    """Return the candidate's key, None where it needs none.

    It comes from the environment, else from a ``.env`` file in the current folder or above.
    That file is read each time and never put into the environment, so that no child process
    inherits what it does not need.
    """
    name = candidate.api_key_env
    if name is None:
        return None
    key = (os.environ.get(name) or _from_file(name)).strip()
    if not key:
        raise KeyFault(
            candidate.name,
            f"needs a key in the environment variable {name}, which is not set; export it, or "
            "write it into a .env file",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise KeyFault(
            candidate.name,
            f"can't be asked: what {name} holds is no key: it must be one line of ASCII letters, "
            "digits and signs without spaces",
        )
    return key


def key_complaints(candidates: Sequence[CandidateModel]) -> list[str]:
    """Say what is wrong with the keys of candidates, each fault once."""
    names: dict[str, list[str]] = {}
    for candidate in candidates:
        try:
            api_key(candidate)
        except KeyFault as fault:
            names.setdefault(fault.reason, []).append(repr(candidate.name))
    return [
        f"candidate {named[0]} {reason}"
        if len(named) == 1
        else f"candidates {', '.join(named)}: each {reason}"
        for reason, named in names.items()
    ]


def _from_file(name: str) -> str:
    from dotenv import dotenv_values, find_dotenv

    path = find_dotenv(usecwd=True)
    # Not interpolated: a "$" in a key stands for itself.
    return (dotenv_values(path, interpolate=False).get(name) or "") if path else ""


class Redactor:
    """Replace a key in texts, also where it was quoted for a URL.

    `key`: what must not be seen; None = nothing.
    """

    def __init__(self, key: str | None) -> None:
        is_secret = key is not None and len(key) >= _LEAST_SECRET_CHARS
        self._forms = sorted({key, quote(key, safe="")}, key=len) if key and is_secret else []

    def __call__(self, text: str) -> str:
        """Return the text without the key."""
        for form in self._forms:
            text = text.replace(form, _MARK)
        return text

    def held_back(self, text: str) -> int:
        """Return how many characters at the end of a text may be the beginning of the key."""
        longest = min(max(map(len, self._forms), default=1) - 1, len(text))
        return next(
            (n for n in range(longest, 0, -1) if any(f.startswith(text[-n:]) for f in self._forms)),
            0,
        )


class RedactedStream:
    """Hand on the pieces of a text without a key, even where it spans several of them."""

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take in a piece and return what may be shown by now."""
        text = self._redact(self._held + piece)
        n_held = self._redact.held_back(text)
        shown, self._held = text[: len(text) - n_held], text[len(text) - n_held :]
        return shown

    def end(self) -> str:
        """Return what was held back although no key followed."""
        held, self._held = self._held, ""
        return held
