"""A server that a program starts is told the same as one that a command starts, and checks it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fault_server import FaultServer, fault_server
from serving import NOBODY, candidate, rows

import routerlib as rl
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.rivals import KNNRouter

BEGINS_S = 0.2
SLOW_S = 2.0


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"stickiness": "foo"}, "stickiness must be one of conversation, cache, none, got 'foo'"),
        ({"otel": "all"}, "otel must be one of none, decisions, texts, got 'all'"),
        ({"budget_usd": -1.0}, "budget_usd must be at least 0, got -1.0"),
        ({"explore": "greedy"}, "exploration must be one of"),
    ],
)
def test_what_no_server_can_keep_is_refused(
    log: CallLog, setting: dict[str, Any], told: str
) -> None:
    with (
        pytest.raises(ValueError, match=told),
        rl.serve_in_background(None, [candidate("small", NOBODY)], log, **setting),
    ):
        pass


def test_a_server_in_the_background_hedges(
    server: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    prompts, times = [f"Say {number}" for number in range(40)], [[BEGINS_S, BEGINS_S]] * 40
    outcomes = Outcomes(
        prompts,
        ["slow", "quick"],
        [[0.9, 0.5]] * 40,
        [[0.001, 0.002]] * 40,
        latency_s=times,
        first_token_s=times,
    )
    KNNRouter().fit(outcomes).save(tmp_path / "r.pkl")
    asked = {"model": "router", "stream": True, "messages": [{"role": "user", "content": "Say 9"}]}
    with fault_server() as slow, CallLog(log_path) as log:
        slow.reply = lambda text: time.sleep(SLOW_S) or "late"  # type: ignore[assignment]
        who = [candidate("slow", slow.url), candidate("quick", server.url)]
        with rl.serve_in_background(tmp_path / "r.pkl", who, log, hedge=True) as url:
            told = httpx.post(f"{url}/v1/chat/completions", json=asked, trust_env=False, timeout=60)
    assert told.headers["x-routerlib-model"] == "quick"
    heard = rows(log_path, "select candidate, extra ->> '$.hedged' from calls order by candidate")
    assert heard == [("quick", "heard"), ("slow", "not heard")]
