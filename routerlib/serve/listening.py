"""Where the server listens, and how long it is patient."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uvicorn

    from routerlib.serve.admission import Patience

logger = logging.getLogger("routerlib.serve")

# The least that is told, by whom.
_LEVELS = {
    "routerlib": logging.INFO,
    "uvicorn": logging.WARNING,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
}

KEY_VARIABLE = "ROUTERLIB_API_KEY"

# So many are taken from the system at once; what they sent is read before the next ones are taken.
_BACKLOG = 100
# Files that the server may want open: 500 connections that wait, 1,000 requests with as many
# connections to candidates, the log, and room to spare.
_FILES = 4_096
_KEEP_ALIVE_S = 30
_LAST_REQUESTS_S = 60
_LOOPBACK_NAME = "localhost"


def check_exposure(host: str, key: str | None) -> None:
    """Refuse to be reachable from elsewhere without a key.

    >>> check_exposure("127.0.0.1", None)
    >>> check_exposure("0.0.0.0", None)
    Traceback (most recent call last):
        ...
    ValueError: '0.0.0.0' can be reached from other machines ...
    """
    if key is None and not _is_loopback(host):
        raise ValueError(
            f"{host!r} can be reached from other machines and so needs a key: set the environment "
            f"variable {KEY_VARIABLE}, or listen on 127.0.0.1"
        )


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Write what the server says of itself to standard error, one line each, with the time.

    Other packages may have sent the root logger to standard error, some at import: what goes there
    too would stand there twice, and a line for each request to a candidate is no news.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = {logging.getLogger(name): level for name, level in _LEVELS.items()}
    before = [(each, each.level, each.propagate) for each in loggers]
    for each, level in loggers.items():
        each.addHandler(handler)
        each.setLevel(level)
        each.propagate = False
    try:
        yield
    finally:
        for each, old_level, old_propagate in before:
            each.removeHandler(handler)
            each.setLevel(old_level)
            each.propagate = old_propagate


def make_server(app: Any, patience: Patience | None = None) -> uvicorn.Server:
    """Return a server with this library's limits, to be run on sockets.

    `patience`: None = the usual one.
    """
    import uvicorn

    from routerlib.serve.admission import Patience, PatientProtocol, WaitingRoom

    room = WaitingRoom(patience or Patience())
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            http=partial(PatientProtocol, room),  # type: ignore[arg-type]  # it makes protocols
            ws="none",
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_LAST_REQUESTS_S,
        )
    )


def run(app: Any, listener: socket.socket) -> None:
    """Serve on a socket until interrupted, or told to end, which is an orderly end too."""
    address, port = listener.getsockname()[:2]
    logger.info("starting on http://%s:%d", address, port)
    make_server(app).run(sockets=[listener])


def end_in_order_on_sigterm() -> None:
    """Let SIGTERM close everything and leave with 0, whenever it comes.

    uvicorn answers what is under way first, and then raises the signal anew.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def allow_many_files() -> None:
    """Raise the number of files that this process may open, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # not POSIX: no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOOPBACK_NAME


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that holds an address."""
    try:
        # With the protocol named: asyncio switches Nagle's delay of 40 ms off only where it is.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise RuntimeError(f"can't listen on {host!r}: {error}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise RuntimeError(
            f"port {port} is in use on {host}, or not allowed; choose another with --port"
        ) from error
    return listener
