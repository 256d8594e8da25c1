"""Where the server listens, and how long it is patient."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uvicorn

logger = logging.getLogger("routerlib.serve")

# The least that is told, by whom.
_LEVELS = {
    "routerlib": logging.INFO,
    "uvicorn": logging.WARNING,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
}

KEY_VARIABLE = "ROUTERLIB_API_KEY"

# More connections at once get 503 at once, which a client can handle; no memory is spent on them.
_MOST_CONNECTIONS = 1_000
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


def make_server(app: Any) -> uvicorn.Server:
    """Return a server with this library's limits, to be run on sockets."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_LAST_REQUESTS_S,
        )
    )


def run(app: Any, host: str, port: int) -> None:
    """Listen until interrupted."""
    # uvicorn ends in order and then raises the signal anew: as Ctrl-C, so that the log is closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bound(host, port) as listener:
        address, listening_port = listener.getsockname()[:2]
        logger.info("starting on http://%s:%d", address, listening_port)
        make_server(app).run(sockets=[listener])


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
