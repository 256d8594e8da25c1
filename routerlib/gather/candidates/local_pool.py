"""Serve GGUF weights through an OpenAI-compatible server on loopback, inside this process.

A server starts when its model is first asked for and stops with the program. Its threads
belong to this process, so that nothing is left behind after an exception, Ctrl-C or a kill.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from routerlib.gather.candidates.places import Places
from routerlib.records.errors import RouterlibError
from routerlib.weights import cache

# One thread a server: with the cores contended, two threads are 4 to 9 times slower (they wait
# for each other at every layer), and on quiet cores one thread with several slots costs about 8%.
_THREADS = 1
SLOTS = 4  # calls that one server works on at a time
CONTEXT_TOKENS_PER_SLOT = 1024
_SILENT = -1
_HEALTHY_WITHIN_S = 60.0
_CHECK_EVERY_S = 0.05


class LocalServerError(RouterlibError, RuntimeError):
    """A local model can't be served; the message says why and what to do."""


class _Running(NamedTuple):
    server: Any  # xllamacpp.Server; dropping the last reference stops it
    address: str


_running: dict[str, _Running] = {}
_places: dict[str, Places] = {}
_lock = threading.Lock()


def base_url(model: str) -> str:
    """Return the base URL of a local model's server, starting it on first use.

    Weights that are not in the cache are fetched first (see `routerlib.weights.cache.ensure`). Safe
    to call from several threads; the same model always gets the same server. Loading takes
    one to a few seconds, during which other Python threads of the process stand still.
    """
    key = _key(model)
    with _lock:
        if key not in _running:
            if not _running:
                atexit.register(stop)
            _running[key] = _start(cache.ensure(model))
        return f"{_running[key].address}/v1"


def places(model: str) -> Places:
    """Return the places at a model's server: who has one is worked on, and waits for nobody."""
    with _lock:
        return _places.setdefault(_key(model), Places(SLOTS))


def running() -> dict[str, str]:
    """Return the servers that run now."""
    return {model: f"{entry.address}/v1" for model, entry in list(_running.items())}


def stop(model: str | None = None) -> None:
    """Stop one server, or all of them; calls in flight are cut off."""
    with _lock:
        for key in list(_running) if model is None else [_key(model)]:
            entry = _running.pop(key, None)
            if entry is not None:
                _hang_up(entry.address)
                del entry  # the last reference: the server's destructor stops and joins it
        if not _running:
            atexit.unregister(stop)


def _key(model: str) -> str:
    return model if model in cache.KNOWN else str(Path(model).expanduser().resolve())


def _start(gguf: Path) -> _Running:
    try:
        import xllamacpp
    except ImportError as error:
        raise LocalServerError(
            f"serving {gguf.name!r} needs the package xllamacpp ({error}); "
            "install it with: pip install 'routerlib[local]'"
        ) from error
    try:
        server = xllamacpp.Server(_parameters(xllamacpp.CommonParams(), gguf))
    except RuntimeError as error:
        raise LocalServerError(
            f"llama.cpp could not load {str(gguf)!r} ({gguf.stat().st_size / 1e6:.0f} MB); "
            "expected a whole GGUF of a chat model that fits into the memory that is free"
        ) from error
    entry = _Running(server, server.listening_address)
    _wait_until_healthy(entry.address, gguf)
    return entry


def _parameters(params: Any, gguf: Path) -> Any:
    params.model.path = str(gguf)
    params.port = 0  # the system picks a free one
    params.cpuparams.n_threads = _THREADS
    params.cpuparams_batch.n_threads = _THREADS
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_TOKENS_PER_SLOT
    params.cache_ram_mib = 0  # the default keeps old prompts in memory: 2.7 GB for a 1 GB model
    params.cache_idle_slots = False  # works only with that cache
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = "http://127.0.0.1"  # no web page elsewhere may ask the model
    params.verbosity = _SILENT
    return params


def _wait_until_healthy(address: str, gguf: Path) -> None:
    give_up_at = time.monotonic() + _HEALTHY_WITHIN_S
    while not _is_healthy(address):
        if time.monotonic() > give_up_at:
            raise LocalServerError(
                f"the server of {gguf.name!r} did not become ready within "
                f"{_HEALTHY_WITHIN_S:.0f} s; close other programs and try again"
            )
        time.sleep(_CHECK_EVERY_S)


def _is_healthy(address: str) -> bool:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_HEALTHY_WITHIN_S
    )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _hang_up(address: str) -> None:
    """Cut the connections that a server of this process still serves.

    Why not just destroy the server: its destructor waits for the calls in flight while it
    holds the interpreter's lock. A caller in this same process could then never hang up, and
    the program would never end.
    """
    port = urlsplit(address).port
    with contextlib.suppress(OSError):  # no such folder on Windows
        for name in os.listdir("/dev/fd"):
            _shut_down_if_accepted_on(port, int(name))


def _shut_down_if_accepted_on(port: int | None, descriptor: int) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        local_address = connection.getsockname()
        if isinstance(local_address, tuple) and local_address[1] == port:
            connection.getpeername()  # the listening socket has no peer: it stays
            connection.shutdown(socket.SHUT_RDWR)
