"""The root of all errors that are routerlib's own."""

from __future__ import annotations


class RouterlibError(Exception):
    """Something that routerlib can't do; the message says what came and what to do.

    Every error of routerlib's own derives from it, and from the built-in error that it is a kind
    of, such as `ValueError`. What is wrong with an argument is a plain `ValueError`.

    Examples
    --------
    >>> import routerlib as rl
    >>> try:
    ...     rl.CallLog("pyproject.toml")
    ... except rl.RouterlibError as error:
    ...     type(error).__name__
    'LogError'
    """
