"""How a server may be told to behave, by a command or a program, and what it refuses to be told."""

from __future__ import annotations

from typing import Literal, get_args

# Whether a conversation stays with the model that answered it before.
Stickiness = Literal["conversation", "cache", "none"]
# What of decisions and calls is sent to an OpenTelemetry collector.
Told = Literal["none", "decisions", "texts"]


def check_settings(stickiness: object, otel: object) -> None:
    """Raise ValueError for what a server can't do.

    >>> check_settings("foo", "none")
    Traceback (most recent call last):
    ...
    ValueError: stickiness must be one of conversation, cache, none, got 'foo'
    """
    for name, told, known in (
        ("stickiness", stickiness, get_args(Stickiness)),
        ("otel", otel, get_args(Told)),
    ):
        if told not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {told!r}")
