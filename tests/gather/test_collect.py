from __future__ import annotations

import asyncio
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fault_server import GOOD, FaultServer, candidate_of

from routerlib.gather.calls.client import Clients
from routerlib.gather.collection.collect import collect
from routerlib.gather.collection.plan import plan_collection, span
from routerlib.gather.collection.result import Tally
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, CandidateModel, Usage
from routerlib.records.prompt import Prompt


def _call(candidate: CandidateModel, text: str) -> Call:
    async def call() -> Call:
        async with Clients(first_wait_s=0.01) as clients:
            return await clients.call(candidate, Prompt.from_text(text))

    return asyncio.run(call())


def test_every_prompt_is_put_to_every_candidate_and_scored(
    log: CallLog, server: FaultServer
) -> None:
    both = [candidate_of(server, "small"), candidate_of(server, "large")]
    collection = collect(GOOD, both, log, progress=False)
    assert collection.statuses == {"ok": 12}
    assert collection.is_complete
    scores = log.sql(
        "select candidate, avg(score) as mean, count(*) as n "
        "from scores join calls using (call_id) group by all order by all"
    )
    assert scores.n.tolist() == [6, 6]
    assert scores["mean"].tolist() == [1.0, 1.0]
    assert collection.spent_usd == pytest.approx(12 * (10 * 1 + 5 * 2) / 1e6)


def test_a_second_run_asks_nothing_again(log: CallLog, server: FaultServer) -> None:
    collect(GOOD[:3], [candidate_of(server)], log, progress=False)
    again = collect(GOOD, [candidate_of(server)], log, progress=False)
    assert again.plan.n_done == {"small": 3}
    assert again.n_asked == 3
    assert set(server.requests.values()) == {1}


def test_other_parameters_are_another_cell(log: CallLog, server: FaultServer) -> None:
    collect(GOOD[:1], [candidate_of(server)], log, progress=False)
    warmer = candidate_of(server, parameters={"temperature": 1, "max_tokens": 10})
    assert collect(GOOD[:1], [warmer], log, progress=False).n_asked == 1


def test_a_dry_run_asks_for_nothing_and_writes_nothing(log: CallLog, server: FaultServer) -> None:
    planned = collect(GOOD, [candidate_of(server)], log, dry_run=True).plan
    assert not server.requests
    assert log.sql("select * from runs").empty
    assert 0 < planned.expected_usd < planned.worst_usd
    assert "6 calls to make" in str(planned)
    assert planned.guessed == ("small",)
    assert "the answers' length is a guess for small, of whom nothing is logged" in str(planned)
    collect(GOOD[:1], [candidate_of(server)], log, progress=False)
    known = collect(GOOD, [candidate_of(server)], log, dry_run=True).plan
    assert known.guessed == ()
    assert "a guess" not in str(known)


def test_time_is_estimated_from_this_log_if_it_can_and_says_from_what(
    log: CallLog, server: FaultServer
) -> None:
    new = candidate_of(server, "new")
    assert "about" not in str(plan_collection(GOOD, [new], log))  # nothing is known of its pace
    told = replace(new, expected_s=10.0)
    planned = plan_collection(GOOD, [told], log)
    time, guess, _ = str(planned).partition("; the answers' length is a guess for new,")
    assert time.endswith("about 60 s (if calls take as long as candidates.yaml expects)")
    assert guess, "nothing is logged of it yet"
    local = replace(told, provider="local")
    assert "as long as on two free cores); the answers'" in str(plan_collection(GOOD, [local], log))
    log.add_prompts([Prompt.from_text("Asked before")])
    usage = Usage(10, 5)
    log.add_call(
        Call(Prompt.from_text("Asked before").prompt_id, "new", "h", "ok", "1", usage, 80.0)
    )
    measured = plan_collection(GOOD, [replace(told, max_concurrency=4)], log)
    assert measured.expected_s == 6 * 80 / 4
    assert str(measured).endswith("about 2 min (if calls take as long as earlier ones of the log)")


def test_system_prompt_and_parameters_reach_the_provider(log: CallLog, server: FaultServer) -> None:
    collect(GOOD[:1], [candidate_of(server, system="Be brief.")], log, progress=False)
    body = server.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("small-1", 10, 0)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("fine", "ok"),
        ("too long", "truncated"),
        ("filtered", "refused"),
        ("refusal", "refused"),
        ("empty", "empty"),
        ("null content", "empty"),
        ("no choices", "error"),
        ("status 400 always", "error"),
        ("broken json", "error"),
        ("no text", "error"),
        ("message is text", "error"),
        ("details are a list", "ok"),
        ("reason is a number", "truncated"),
        ("lone surrogate", "ok"),
        ("sleep 1.0", "timeout"),
        ("error under 200", "error"),
        ("error in the choice", "error"),
        ("only thoughts", "empty"),
        ("a tool without a name", "error"),
        ("null choices", "error"),
        ("null body", "error"),
        ("deep nesting", "error"),
        ("text in parts", "ok"),
        ("null usage", "ok"),
        ("infinite usage", "ok"),
        ("html", "error"),
    ],
)
def test_each_fault_gets_its_status(server: FaultServer, text: str, status: str) -> None:
    candidate = candidate_of(server, max_attempts=1, timeout_s=0.5)
    assert _call(candidate, text).status == status


def test_a_call_of_a_tool_without_a_name_says_what_is_wrong(server: FaultServer) -> None:
    call = _call(candidate_of(server, max_attempts=1), "a tool without a name")
    assert call.error_type == "malformed"
    assert (call.error or "").endswith("a tool is called without a name")


def test_a_failed_call_is_logged_and_never_scored(log: CallLog, server: FaultServer) -> None:
    prompts = [
        replace(GOOD[0], messages=({"role": "user", "content": text},))
        for text in ("too long", "status 400 always", "empty", "refusal")
    ]
    collect(prompts, [candidate_of(server)], log, progress=False)
    assert sorted(log.sql("select status from calls").status) == [
        "empty",
        "error",
        "refused",
        "truncated",
    ]
    assert log.sql("select * from scores").empty


@pytest.mark.parametrize(
    "fault", ["status 429 once", "status 500 once", "status 408 once", "reset once"]
)
def test_a_passing_fault_is_retried(server: FaultServer, fault: str) -> None:
    call = _call(candidate_of(server), fault)
    assert (call.status, call.attempts) == ("ok", 2)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_a_lasting_fault_is_not_retried(server: FaultServer, code: int) -> None:
    call = _call(candidate_of(server), f"status {code} always")
    assert (call.status, call.attempts, call.error_type) == ("error", 1, f"http_{code}")


def test_retries_end_after_max_attempts(server: FaultServer) -> None:
    call = _call(candidate_of(server, max_attempts=3), "status 429 always")
    assert (call.status, call.attempts, call.error_type) == ("error", 3, "http_429")


@pytest.mark.parametrize("text", ["no usage", "negative usage", "null usage", "infinite usage"])
def test_unknown_usage_is_unknown_and_not_zero(
    log: CallLog, server: FaultServer, text: str
) -> None:
    collect(
        [replace(GOOD[0], messages=({"role": "user", "content": text},))],
        [candidate_of(server)],
        log,
        progress=False,
    )
    assert log.summary().cost_usd.isna().all()


def test_a_refused_key_switches_off_one_candidate_and_hides_the_key(
    log: CallLog, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKED_KEY", "sk-marked-secret")
    prompts = [
        replace(
            p, messages=({"role": "user", "content": f"status 401 always {i} sk-marked-secret"},)
        )
        for i, p in enumerate(GOOD)
    ]
    refused = candidate_of(server, "refused", api_key_env="MARKED_KEY", max_concurrency=1)
    collection = collect(prompts, [refused], log, progress=False)
    assert collection.n_asked == 1
    assert "key was refused" in collection.switched_off["refused"]
    assert server.headers[0]["authorization"] == "Bearer sk-marked-secret"
    logged = log.sql("select * from calls").to_csv() + log.sql("select * from runs").to_csv()
    assert "sk-marked-secret" not in logged + str(collection)


def test_a_missing_key_switches_off_its_candidate_while_the_others_go_on(
    log: CallLog, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    keyless = candidate_of(server, "keyless", api_key_env="NO_SUCH_KEY")
    collection = collect(GOOD, [keyless, candidate_of(server, "small")], log, progress=False)
    assert "NO_SUCH_KEY" in collection.switched_off["keyless"]
    assert collection.statuses == {"ok": 6}


def test_an_estimate_of_time_says_what_it_rests_on(log: CallLog, server: FaultServer) -> None:
    candidates = [candidate_of(server, "small"), candidate_of(server, "stated", expected_s=90.0)]
    assert "if calls take" not in str(collect(GOOD, candidates, log, dry_run=True))
    collect(GOOD[:1], candidates[:1], log, progress=False)
    plan = collect(GOOD, candidates, log, dry_run=True).plan
    assert (
        f"about {span(plan.expected_s)} (if calls take as long as earlier ones of the log and "
        "candidates.yaml expects)" in str(plan)
    )


def test_odd_answers_never_end_the_collection(log: CallLog, server: FaultServer) -> None:
    odd = [
        "no text",
        "message is text",
        "details are a list",
        "reason is a number",
        "lone surrogate",
        "no usage",
    ]
    prompts = [
        replace(p, messages=({"role": "user", "content": t},))
        for p, t in zip(GOOD, odd, strict=True)
    ]
    candidate = candidate_of(server, max_attempts=1)
    assert collect(prompts, [candidate], log, progress=False).is_complete
    assert collect(prompts, [candidate], log, progress=False).n_asked == 2, "the two errors"
    assert log.sql("select response from calls where response like 'a %'").response[0] == "a ? b"


def test_a_part_of_a_key_is_a_secret_too(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKED_KEY", "sk-marked-secret")
    padding = "x" * 435
    call = _call(
        candidate_of(server, api_key_env="MARKED_KEY"),
        f"status 400 always {padding} sk-marked-secret",
    )
    assert "sk-mark" not in (call.error or "")
    assert "xxx" in (call.error or "")


def test_concurrency_is_limited_percandidate_of(log: CallLog, server: FaultServer) -> None:
    prompts = [Prompt.from_text(f"sleep 0.1 number {i}") for i in range(12)]
    collect(prompts, [candidate_of(server, max_concurrency=8)], log, concurrency=3, progress=False)
    assert server.most_at_once == 3


def test_a_crowd_that_is_turned_away_does_not_come_back_as_one(
    log: CallLog, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [Prompt.from_text(f"at most 2 at once, {i}, sleep 0.05") for i in range(12)]
    collection = collect(prompts, [candidate_of(server, max_concurrency=8)], log, progress=False)
    assert collection.statuses == {"ok": 12}


def test_requests_per_minute_hold_for_retries_too(server: FaultServer) -> None:
    started = time.monotonic()
    call = _call(candidate_of(server, requests_per_minute=300), "status 429 always")
    assert call.attempts == 4
    assert time.monotonic() - started >= 3 * 0.2


def test_a_forbidden_prompt_is_no_refused_key(log: CallLog, server: FaultServer) -> None:
    prompts = [Prompt.from_text(text) for text in ("fine", "status 403 always", "fine too")]
    collection = collect(prompts, [candidate_of(server, max_concurrency=1)], log, progress=False)
    assert not collection.switched_off
    assert collection.statuses == {"ok": 2, "error": 1}
    first = [Prompt.from_text("status 403 always, first")]
    refused = collect(first, [candidate_of(server, "other")], log, progress=False)
    assert "key was refused" in refused.switched_off["other"]


def test_a_trickle_of_bytes_is_a_timeout(server: FaultServer) -> None:
    assert _call(candidate_of(server, timeout_s=0.5, max_attempts=1), "trickle").status == "timeout"


def test_an_answer_of_ten_megabytes_is_kept_whole(log: CallLog, server: FaultServer) -> None:
    collect([Prompt.from_text("ten megabytes")], [candidate_of(server)], log, progress=False)
    ((status, n),) = log.lookup("select status, length(response) from calls")
    assert (status, n) == ("ok", 10_000_000)


def test_a_failing_judge_does_not_lose_the_answer(
    log: CallLog, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall_over(*_: object) -> None:
        raise RuntimeError("a bug in a judge")

    monkeypatch.setattr(sys.modules["routerlib.gather.collection.collect"], "judge", fall_over)
    assert collect(GOOD[:1], [candidate_of(server)], log, progress=False).statuses == {"ok": 1}
    assert log.sql("select * from scores").empty
    assert len(log.unjudged_calls()) == 1


def test_what_the_run_will_do_and_did_is_written(
    log: CallLog, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = [*GOOD[:2], Prompt.from_text("too long")]
    collection = collect(prompts, [candidate_of(server)], log)
    out = capsys.readouterr().out
    assert re.search(r"to_ask +done_before +expected_usd +worst_case_usd", out)
    assert re.search(r"small +3 +0", out)
    assert re.search(r"3/3 calls  [\d.]+ calls/s  \$0\.00006 spent  1 truncated\n", out)
    assert "failed" not in out
    row = collection.table().loc["small"]
    assert (row.asked, row.ok, row.truncated, row.missing) == (3, 2, 1, 0)
    assert "1 of 3 answers of small were cut off, and none of these is" in str(collection)


def test_an_unknown_end_is_told_and_no_larger_cap_advised() -> None:
    tally = Tally()
    for word, error_type in (("weary", "unknown_end"), ("abort", None), ("length", None)):
        tally.note(Call("p", "big", "h", "truncated", "x", None, finish_reason=word,
                        error_type=error_type))  # fmt: skip
    assert tally.cuts_told("big") == [
        "1 of 3 answers of big were cut off, and none of these is ever scored: raise its "
        "max_tokens, which asks it anew",
        "2 of 3 answers of big ended by 'abort', 'weary', which is no word for a whole answer nor "
        "for a cap (docs/providers.md): none of these is ever scored, and a larger max_tokens "
        "would not help",
    ]


def test_nothing_to_ask_with_is_refused(log: CallLog, candidates: list[CandidateModel]) -> None:
    with pytest.raises(ValueError, match="needs prompts and candidates, got 0 and 2"):
        plan_collection([], candidates, log)


def test_collecting_works_inside_a_running_event_loop(log: CallLog, server: FaultServer) -> None:
    async def as_in_a_notebook() -> int:
        return collect(GOOD[:2], [candidate_of(server)], log, progress=False).n_asked

    assert asyncio.run(as_in_a_notebook()) == 2


def test_progress_is_written_as_text_where_there_is_no_terminal(
    log: CallLog, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(GOOD[:2], [candidate_of(server)], log)
    assert "2/2 calls" in capsys.readouterr().out


def test_a_proxy_for_the_world_outside_is_not_asked_for_loopback(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert _call(candidate_of(server, max_attempts=1), "fine").status == "ok"


def test_weights_that_are_not_there_switch_off_theircandidate_of(
    log: CallLog, server: FaultServer, tmp_path: Path
) -> None:
    absent = replace(
        candidate_of(server, "absent"), provider="local", model=str(tmp_path / "no.gguf")
    )
    collection = collect(GOOD, [absent, candidate_of(server)], log, progress=False)
    assert "no.gguf" in collection.switched_off["absent"]
    assert collection.statuses == {"ok": 6}
