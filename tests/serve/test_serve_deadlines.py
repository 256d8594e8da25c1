"""A request may say in how many seconds it wants its answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer
from serving import candidate, rows, save_router, serving

from routerlib.gather.llm_judges.judging import SOURCE
from routerlib.log.call_log import CallLog
from routerlib.log.latencies import Latency, recent_latencies, too_slow
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt
from routerlib.routers.rivals import KNNRouter
from routerlib.serve.faults import Refused
from routerlib.serve.wishes import read_wish

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hi"}]


def _log_calls(path: Path, name: str, seconds: list[float], **fields: Any) -> None:
    with CallLog(path) as log, log.transaction():
        prompt = Prompt.from_text(f"asked of {name}")
        log.add_prompts([prompt])
        for number, each in enumerate(seconds):
            call = Call(prompt.prompt_id, name, "h", "ok", "4", latency_s=each, repeat=number)
            log.add_call(Call(**{**call.__dict__, **fields}))


def test_latencies_are_of_the_latest_calls_alone(log_path: Path) -> None:
    _log_calls(log_path, "small", [9.0] * 300 + [float(i) for i in range(1, 201)])
    _log_calls(log_path, "small", [99.0] * 30, status="timeout", response=None)
    _log_calls(log_path, "large", [2.0] * 3)
    with CallLog(log_path) as log:
        found = recent_latencies(log)
    assert found["small"] == Latency(pytest.approx(100.5), pytest.approx(180.1), 200)
    assert found["large"] == Latency(2.0, 2.0, 3)


def test_what_an_llm_judge_took_and_imports_say_nothing(log_path: Path) -> None:
    with CallLog(log_path) as log:
        run_id = log.start_run("judge", {})
        prompt = Prompt.from_text("Grade this.", source=f"{SOURCE}llm")
        log.add_prompts([prompt])
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "1", latency_s=9.0), run_id)
        log.add_call(
            Call(prompt.prompt_id, "small", "h", "ok", "1", latency_s=9.0, origin="file:1")
        )
        assert recent_latencies(log) == {}


@pytest.mark.parametrize(
    ("p90_s", "n", "is_slow"), [(2.9, 50, False), (3.1, 50, True), (9, 19, False)]
)
def test_too_slow_is_who_is_known_to_be(p90_s: float, n: int, is_slow: bool) -> None:
    assert too_slow({"a": Latency(1.0, p90_s, n)}, "a", 3.0) == is_slow
    assert not too_slow({}, "a", 3.0)


def test_who_takes_too_long_is_left_out(
    provider: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    save_router(tmp_path / "r.pkl", ("small", "middle", "large"))
    _log_calls(log_path, "small", [4.0] * 40)
    _log_calls(log_path, "middle", [1.0] * 40)
    who = [candidate(name, provider.url) for name in ("small", "middle", "large")]
    with serving(who, log_path, tmp_path / "r.pkl", stickiness="none") as client:
        models = ("router", "router:max_latency_s=5", "router:cost_weight=1,max_latency_s=3")
        told = [client.post(CHAT, json={"model": each, "messages": HI}).json() for each in models]
        asked = client.post(
            "/v1/messages", json={"model": models[2], "max_tokens": 9, "messages": HI}
        )
    assert [each["model"] for each in told] == ["small", "small", "middle"]
    assert asked.json()["model"] == "middle"
    capped = rows(log_path, "select estimates, cost_weight from decisions order by decision_id")[2]
    assert (set(json.loads(capped[0])), capped[1]) == ({"middle", "large"}, 1.0)


def test_where_all_are_too_slow_it_says_what_they_take(
    provider: FaultServer, log_path: Path
) -> None:
    _log_calls(log_path, "small", [4.0] * 40)
    with serving([candidate("small", provider.url)], log_path) as client:
        told = client.post(CHAT, json={"model": "router:max_latency_s=3", "messages": HI})
    assert told.status_code == 400
    assert told.json()["error"]["message"] == (
        "nobody is expected within 3 s in nine of ten calls; lately they took small 4 s; give a "
        "larger max_latency_s, or name the one to ask"
    )


def test_a_conversation_leaves_a_model_that_has_become_too_slow(
    provider: FaultServer, log_path: Path
) -> None:
    who = [candidate("small", provider.url), candidate("large", provider.url)]
    with serving(who, log_path) as client:
        first = client.post(CHAT, json={"model": "router", "messages": HI}).json()
    _log_calls(log_path, "small", [9.0] * 40)
    answer = first["choices"][0]["message"]
    more = {"messages": [*HI, answer, {"role": "user", "content": "hi"}]}
    with serving(who, log_path) as client:
        stayed = client.post(CHAT, json={"model": "router", **more}).json()
        left = client.post(CHAT, json={"model": "router:max_latency_s=3", **more}).json()
    assert [first["model"], stayed["model"], left["model"]] == ["small", "small", "large"]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "soon"])
def test_a_deadline_is_seconds_above_0(provider: FaultServer, log_path: Path, value: str) -> None:
    with serving([candidate("small", provider.url)], log_path) as client:
        told = client.post(CHAT, json={"model": f"router:max_latency_s={value}", "messages": HI})
        twice = {"model": "router:max_latency_s=1,max_latency_s=2", "messages": HI}
        assert "each setting stands once" in client.post(CHAT, json=twice).text
    assert told.status_code == 400
    assert "max_latency_s must be seconds above 0" in told.json()["error"]["message"]


def test_a_latency_weight_and_a_cap_go_by_what_a_router_expects_of_the_prompt(
    provider: FaultServer, log_path: Path, tmp_path: Path
) -> None:
    outcomes = Outcomes(
        [f"Say {number}" for number in range(40)],
        ["small", "large"],
        [[0.5, 0.9]] * 40,
        [[0.001, 0.002]] * 40,
        latency_s=[[1.0, 5.0]] * 40,
    )
    KNNRouter().fit(outcomes).save(tmp_path / "r.pkl")
    who = [candidate(name, provider.url) for name in ("small", "large")]
    with serving(who, log_path, tmp_path / "r.pkl", stickiness="none") as client:
        models = ("router", "router:latency_weight=0.2", "router:max_latency_s=3")
        told = [client.post(CHAT, json={"model": each, "messages": HI}).json() for each in models]
        expected = client.post("/route", json={"prompt": "Hi"}).json()["estimates"]["large"]
    assert [each["model"] for each in told] == ["large", "small", "small"]
    reasons = [reason for (reason,) in rows(log_path, "select reason from decisions")]
    assert "expected to take 1 s against 5 s of large" in reasons[1]
    assert "too slow for 3 s: large 5 s" in reasons[2]
    assert expected["latency_s"] == expected["latency_p90_s"] == 5.0
    assert "first_token_s" not in expected  # nobody knows it


def test_a_streamed_answer_is_logged_with_the_seconds_until_it_began(
    provider: FaultServer, log_path: Path
) -> None:
    with serving([candidate("small", provider.url)], log_path) as client:
        for stream in (False, True):
            client.post(CHAT, json={"model": "router", "messages": HI, "stream": stream})
    found = rows(log_path, "select latency_s, extra from calls order by call_id")
    begun = [json.loads(extra or "{}").get("first_token_s") for _, extra in found]
    assert begun[0] is None
    assert 0 < begun[1] <= found[1][0]


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("router:cost_wieght=20", "router:cost_weight=20"),
        ("router:max_latency=3,cascade", "router:max_latency_s=3,cascade"),
        ("smal", "small"),
        ("ruoter", "router"),
    ],
)
def test_a_near_miss_of_a_name_or_setting_is_asked_about(told: str, meant: str) -> None:
    with pytest.raises(Refused, match=f"unknown model '{told}', did you mean '{meant}'") as refusal:
        read_wish(told, ["small", "large"])
    assert refusal.value.status == 404


def test_what_is_near_nothing_is_asked_about_nothing() -> None:
    with pytest.raises(Refused, match="unknown model 'router:speed=3'; known are router, router:c"):
        read_wish("router:speed=3", ["small"])
