"""A router behind HTTP: /inference, /route, /feedback, and OpenAI's /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.serve.settings import Stickiness, Told, check_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from routerlib.log.call_log import CallLog
    from routerlib.records.call import CandidateModel


def make_app(
    model_path: Path | None,
    candidates: Sequence[CandidateModel],
    log: CallLog,
    *,
    key: str | None = None,
    explore: str | None = None,
    stickiness: Stickiness = "conversation",
    budget_usd: float | None = None,
    hedge: bool = False,
    otel: Told = "none",
) -> FastAPI:
    """Make the web application, for a server of one's own.

    `model_path`: the router file; where there is none (yet) rules decide, by the candidates'
        roles, and a file that comes later is taken up. None = rules, always.
    `key`: what callers must show as ``Authorization: Bearer``; None = callers must be on this
        machine.
    `budget_usd`: cap on what answers may cost until the server ends, US dollars.
    `otel`: whether decisions and calls are sent to an OpenTelemetry collector, and texts with them.

    Settings that no server can keep are refused with a ValueError.
    """
    check_settings(stickiness, otel)
    try:
        from routerlib.serve.app import make_application
    except ImportError as error:
        raise RuntimeError(
            "serving needs routerlib with the extra 'serve': pip install 'routerlib[serve]'"
        ) from error
    from routerlib.serve.answering import Service
    from routerlib.serve.choosing import read_exploration
    from routerlib.serve.reloading import ReloadedRouter
    from routerlib.serve.spans import exported

    exploration = read_exploration(explore)
    service = Service(
        ReloadedRouter(model_path, candidates),
        candidates,
        log,
        exploration=exploration,
        stickiness=stickiness,
        budget_usd=budget_usd,
        hedge=hedge,
        spans=exported(otel),
    )
    return make_application(service, key)


def serve(
    model_path: Path | None,
    candidates: Sequence[CandidateModel],
    log: CallLog,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    key: str | None = None,
    explore: str | None = None,
    stickiness: Stickiness = "conversation",
    budget_usd: float | None = None,
    hedge: bool = False,
    otel: Told = "none",
) -> None:
    """Serve a router until interrupted; requests under way are answered first."""
    from routerlib.serve import listening

    listening.check_exposure(host, key)
    listening.end_in_order_on_sigterm()
    listening.allow_many_files()
    # The port first: reading the router takes longer than finding out that somebody is there.
    with listening.logging_to_stderr(), listening.bound(host, port) as listener:
        app = make_app(
            model_path,
            candidates,
            log,
            key=key,
            explore=explore,
            stickiness=stickiness,
            budget_usd=budget_usd,
            hedge=hedge,
            otel=otel,
        )
        listening.run(app, listener)
