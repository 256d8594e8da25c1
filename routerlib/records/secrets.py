"""Take out of foreign texts what must not be seen: keys, and what would move a terminal."""

from __future__ import annotations

import re

_MARK = "[key]"
# How keys of providers begin, and where a key stands in what they send; anybody's, not only ours.
_KEY_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|r8|ghp|ghs|glpat|fw|csk|tgp|key)[-_][\w*./+=-]{8,}"
    r"|\bAIza[\w-]{20,}|\bA(?:KIA|SIA)[A-Z0-9]{12,}|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|(?<=Bearer )[\w.~+/=*-]{8,}"
    r"|(?<=api[_-]key[=:])\s*['\"]?[\w*.-]{8,}|(?<=[?&]key=)[\w*.-]{8,}",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f]+")


def without_secrets(text: str) -> str:
    r"""Put a foreign text on one line, without control characters and anything like a key.

    >>> without_secrets("Incorrect API key provided: sk-proj-abcdefgh12345678 \x1b[31m Go on")
    'Incorrect API key provided: [key] Go on'
    """
    return _KEY_SHAPES.sub(_MARK, " ".join(_CONTROL.sub(" ", text).split()))
