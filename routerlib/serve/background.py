"""A served router in a thread of this process, for notebooks and tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlib.serve import make_app
from routerlib.serve.settings import Stickiness, Told

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.records.call import CandidateModel
    from routerlib.serve.admission import Patience

_BEGINS_WITHIN_S = 60
_ENDS_WITHIN_S = 120
_EVERY_S = 0.02


@contextmanager
def serve_in_background(
    model_path: str | Path | None,
    candidates: Sequence[CandidateModel],
    log: CallLog,
    *,
    explore: str | None = None,
    stickiness: Stickiness = "conversation",
    budget_usd: float | None = None,
    hedge: bool = False,
    otel: Told = "none",
) -> Iterator[str]:
    """Serve a router on a free port of loopback until the block ends, as `routerlib serve` does.

    Parameters
    ----------
    model_path : str, Path or None
        The router file; None = rules, by the candidates' roles.
    candidates : sequence of CandidateModel
        Whom to ask.
    log : CallLog
        Where every decision and call goes.
    explore : str, optional
        How choices are left to chance, such as ``epsilon-greedy:0.1``; default not at all.
    stickiness : {"conversation", "cache", "none"}, default="conversation"
        Whether a conversation stays with the model that answered it before, weighs what its
        provider has cached, or is decided afresh.
    budget_usd : float, optional
        Cap on what answers may cost until the block ends, US dollars; default none.
    hedge : bool, default=False
        Ask the next best beside a candidate whose stream hasn't begun when nineteen of twenty
        have; whoever begins first is heard, both are paid.
    otel : {"none", "decisions", "texts"}, default="none"
        Send spans of decisions and calls to an OpenTelemetry collector, with texts or without;
        needs the extra ``otel``.

    Yields
    ------
    str
        The address, such as ``http://127.0.0.1:41234``.

    Raises
    ------
    ValueError
        If a setting is none that a server can keep; the message says which there are.
    RuntimeError
        If it doesn't begin within a minute or end within two, or the extra ``serve`` isn't
        installed.

    Examples
    --------
    >>> import tempfile
    >>> import httpx
    >>> import routerlib as rl
    >>> candidate = rl.CandidateModel(
    ...     "small", "small-1", "custom", "http://127.0.0.1:9/v1", None, rl.Price(1.0, 2.0)
    ... )
    >>> with (
    ...     rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db") as log,
    ...     rl.serve_in_background(None, [candidate], log) as url,
    ... ):
    ...     httpx.get(f"{url}/health", trust_env=False).json()["status"]
    'ok'
    """
    path = None if model_path is None else Path(model_path)
    app = make_app(
        path,
        candidates,
        log,
        explore=explore,
        stickiness=stickiness,
        budget_usd=budget_usd,
        hedge=hedge,
        otel=otel,
    )
    with in_background(app) as url:
        yield url


@contextmanager
def in_background(app: Any, patience: Patience | None = None) -> Iterator[str]:
    """Run an application as of `make_app` until the block ends; yield its address."""
    from routerlib.serve.listening import bound, make_server

    with bound("127.0.0.1", 0) as listener:
        server = make_server(app, patience)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            _wait_for(server, thread)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_ENDS_WITHIN_S)
            if thread.is_alive():
                raise RuntimeError(f"the server didn't end within {_ENDS_WITHIN_S} s")


def _wait_for(server: Any, thread: threading.Thread) -> None:
    give_up_at = time.monotonic() + _BEGINS_WITHIN_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > give_up_at:
            raise RuntimeError(f"the server didn't begin within {_BEGINS_WITHIN_S} s")
        time.sleep(_EVERY_S)
