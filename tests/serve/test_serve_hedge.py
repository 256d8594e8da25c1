"""A stream that is slow to begin is hedged: the next best is asked too, and both are logged."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_server import FaultServer, fault_server
from serving import candidate, rows, serving, wait_until

from routerlib.gather.calls.budget import worst_cost_usd
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.prompt import Prompt
from routerlib.routers.rivals import KNNRouter

CHAT = "/v1/chat/completions"
BEGINS_S = 0.3


@pytest.fixture
def slow() -> Iterator[FaultServer]:
    """Serve answers that are told to wait, in another process's place."""
    with fault_server() as running:
        yield running


def save_router(path: Path) -> None:
    outcomes = Outcomes(
        [f"Say {number}" for number in range(40)],
        ["slow", "quick"],
        [[0.9, 0.5]] * 40,
        [[0.001, 0.002]] * 40,
        latency_s=[[1.0, 1.0]] * 40,
        first_token_s=[[BEGINS_S, BEGINS_S]] * 40,
    )
    KNNRouter().fit(outcomes).save(path)


def stream(client, text: str) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    """Return who was heard, and what it said."""
    body = {"model": "router", "stream": True, "messages": [{"role": "user", "content": text}]}
    told = client.post(CHAT, json=body)
    events = [line.removeprefix("data: ") for line in told.text.splitlines() if line]
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    said = [
        (chunk["choices"][0]["delta"].get("content") or "") for chunk in chunks if chunk["choices"]
    ]
    return told.headers["x-routerlib-model"], "".join(said)


@pytest.mark.parametrize("hedge", [False, True])
def test_the_second_is_heard_where_the_first_is_slow_to_begin(
    server: FaultServer, slow: FaultServer, log_path: Path, tmp_path: Path, hedge: bool
) -> None:
    save_router(tmp_path / "r.pkl")
    slow.reply = lambda text: time.sleep(3) or "from the slow one"  # type: ignore[assignment]
    who = [candidate("slow", slow.url), candidate("quick", server.url)]
    with serving(who, log_path, tmp_path / "r.pkl", hedge=hedge) as client:
        heard, said = stream(client, "Say 5")
        assert heard == ("quick" if hedge else "slow")
        assert (said == "from the slow one") != hedge
        n_calls = 2 if hedge else 1
        query = "select candidate, extra, decision_id, input_tokens from calls order by candidate"
        wait_until(lambda: len(rows(log_path, query)) == n_calls, "the other call wasn't logged")
        found = rows(log_path, query)
        ((decision,),) = rows(log_path, "select distinct decision_id from calls")
        told = client.post("/feedback", json={"decision_id": decision, "score": 1}).json()
        assert told["model"] == heard, "a verdict is about the answer that was heard"
        slow.reply = lambda text: "and on"  # type: ignore[assignment]
        turns = [{"role": "user", "content": "Say 5"}, {"role": "assistant", "content": "edited"},
                 {"role": "user", "content": "And on?"}]  # fmt: skip
        named = {"x-routerlib-continues": str(decision)}
        told = client.post(CHAT, json={"model": "router", "messages": turns}, headers=named)
        assert told.headers["x-routerlib-model"] == heard
    marks = {name: json.loads(extra or "{}").get("hedged") for name, extra, *_ in found}
    assert marks == ({"quick": "heard", "slow": "not heard"} if hedge else {"slow": None})
    assert len({decision for *_, decision, _ in found}) == 1
    assert all(tokens > 0 for *_, tokens in found)  # the price of both is known


def test_nobody_else_is_asked_where_the_first_begins_in_time(
    server: FaultServer, slow: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    save_router(tmp_path / "r.pkl")
    who = [candidate("slow", slow.url), candidate("quick", server.url)]
    with serving(who, log_path, tmp_path / "r.pkl", hedge=True) as client:
        assert stream(client, "Say 5")[0] == "slow"
        assert stream(client, "Say that slowly, after it has begun")[0] == "slow"
    assert [name for (name,) in rows(log_path, "select candidate from calls")] == ["slow", "slow"]


def test_where_both_fail_the_third_is_asked(
    server: FaultServer, slow: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    save_router(tmp_path / "r.pkl")
    who = [
        candidate("slow", slow.url, timeout_s=0.8),
        candidate("quick", "http://127.0.0.1:9/v1"),
        candidate("third", server.url),
    ]
    slow.reply = lambda text: time.sleep(2) or ""  # type: ignore[assignment]
    with serving(who, log_path, tmp_path / "r.pkl", hedge=True) as client:
        assert stream(client, "Say 5")[0] == "third"
    found = rows(log_path, "select candidate, status from calls order by call_id")
    assert found[-1] == ("third", "ok")
    assert {name for name, _ in found} == {"slow", "quick", "third"}
    assert len(found) == 3


def test_the_second_is_not_sent_once_the_first_is_heard(
    server: FaultServer, slow: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    save_router(tmp_path / "r.pkl")
    slow.reply = lambda text: time.sleep(1.2) or "from the slow one"  # type: ignore[assignment]
    most = {"max_tokens": 50}
    who = [
        candidate("slow", slow.url, parameters=most),
        candidate("quick", server.url, parameters=most),
    ]
    # Room for one of them, so that the second has to wait until the first has ended.
    cap_usd = 1.3 * max(worst_cost_usd(each, Prompt.from_text("Say 5")) for each in who)
    with serving(who, log_path, tmp_path / "r.pkl", hedge=True, budget_usd=cap_usd) as client:
        assert stream(client, "Say 5") == ("slow", "from the slow one")
        # Nothing stays reserved for the other: there is room for the next.
        assert stream(client, "Say 6") == ("slow", "from the slow one")
    # The server has ended, and with it all that it had under way.
    found = rows(log_path, "select candidate, status, extra from calls")
    assert [(name, status) for name, status, _ in found] == [("slow", "ok")] * 2
    assert {json.loads(extra)["hedged"] for *_, extra in found} == {"heard"}
    assert server.bodies == []
