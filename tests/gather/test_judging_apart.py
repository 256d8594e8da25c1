"""What a judge does is booked apart from what candidates do, and a judge without verdicts stops."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_server import FaultServer

from routerlib.cli import main
from routerlib.gather.collection.collect import collect
from routerlib.gather.collection.plan import plan_collection
from routerlib.gather.llm_judges.asking import LLMJudgement
from routerlib.gather.llm_judges.comparing import compare_with_llm
from routerlib.gather.llm_judges.judging import judge_with_llm
from routerlib.log.call_log import CallLog
from routerlib.log.candidates_seen import changes_of_model, left_out
from routerlib.records.call import Call, CandidateModel, Price, Usage
from routerlib.records.prompt import Prompt
from routerlib.show.tables import log as log_tables

PROMPTS = [Prompt.from_text(f"What is {n} + {n}?", reference=2 * n) for n in range(12)]


@pytest.fixture
def cloud(server: FaultServer) -> CandidateModel:
    return CandidateModel(
        "cloud", "cloud-1", "custom", server.url, None, Price(1, 2), parameters={"max_tokens": 50}
    )


def graded(text: str) -> str:
    return "Score: 1" if "A right answer" in text else "It is 4."


def preferred(_: str) -> str:
    return "Winner: A"


@pytest.fixture
def asked(log: CallLog, server: FaultServer, cloud: CandidateModel) -> CallLog:
    """The cloud answers three prompts; another candidate's answers are there already."""
    log.add_prompts(PROMPTS[:3])
    for prompt in PROMPTS[:3]:
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "4", Usage(1, 1), latency_s=1.0))
    server.reply = graded
    collect(PROMPTS[:3], [cloud], log, progress=False)
    return log


@pytest.mark.parametrize(
    ("judge", "reply", "n_calls"), [(judge_with_llm, graded, 6), (compare_with_llm, preferred, 6)]
)
def test_what_a_judge_does_describes_no_candidate(
    asked: CallLog,
    server: FaultServer,
    cloud: CandidateModel,
    judge: object,
    reply: object,
    n_calls: int,
) -> None:
    before = asked.summary().drop(columns=["scored", "quality"])
    n_prompts, examples = len(asked.prompts()), len(log_tables.statuses(asked).rows)
    server.reply = reply
    judge(asked, cloud, progress=False)  # type: ignore[operator]
    after = asked.summary()
    assert after.drop(columns=["scored", "quality"]).equals(before)
    assert after.calls.to_dict() == {"cloud": 3, "small": 3}
    assert after.scored.to_dict() == {"cloud": 3, "small": 3}
    assert (len(asked.prompts()), len(log_tables.statuses(asked).rows)) == (n_prompts, examples)
    kinds = asked.sql("select kind, count(*) as n from calls join runs using (run_id) group by 1")
    assert dict(zip(kinds.kind, kinds.n, strict=True)) == {"collect": 3, "judge": n_calls}
    judging = asked.judging()
    assert judging.asked.tolist() == ["cloud"]
    assert judging.calls.tolist() == [n_calls]
    assert judging.cost_usd.iloc[0] == pytest.approx(n_calls * (10 * 1 + 5 * 2) / 1e6)
    assert len(log_tables.judging(asked).rows) == 1
    outcomes = asked.outcomes()
    assert (len(outcomes), set(outcomes.models)) == (3, {"cloud", "small"})
    assert left_out(asked, ["small"])[0].startswith("cloud is left out: only 3 of its answers")
    assert changes_of_model(asked) == []


def test_a_judge_that_only_judges_is_no_candidate(
    asked: CallLog, server: FaultServer, cloud: CandidateModel
) -> None:
    critic = CandidateModel("critic", "c", "custom", server.url, None, Price(1, 2))
    judge_with_llm(asked, critic, progress=False)
    assert set(asked.summary().index) == {"cloud", "small"}
    assert left_out(asked, ["cloud", "small"]) == []
    assert "critic" not in asked.price_sentence()


def test_judge_calls_of_older_logs_are_told_by_their_prompts(
    asked: CallLog, cloud: CandidateModel
) -> None:
    question = Prompt.from_text("Grade this. Score: ?", source="judge/llm:cloud")
    run_id = asked.start_run("collect", {})
    asked.add_prompts([question])
    call = Call(question.prompt_id, "cloud", "h", "truncated", "Well", Usage(900, 900))
    asked.add_call(call, run_id)
    assert asked.summary().calls["cloud"] == 3
    assert asked.summary().truncated["cloud"] == 0
    assert asked.judging().failed.to_dict() == {"llm:cloud": 1}
    assert question.prompt_id not in {prompt.prompt_id for prompt in asked.prompts()}


def test_estimates_of_a_collection_rest_on_answers_and_not_on_verdicts(
    asked: CallLog, server: FaultServer, cloud: CandidateModel
) -> None:
    before = plan_collection(PROMPTS, [cloud], asked)
    question = Prompt.from_text("Grade this.", source="judge/llm:cloud")
    asked.add_prompts([question])
    asked.add_call(
        Call(question.prompt_id, "cloud", "h", "ok", "x", Usage(1, 5000), latency_s=90.0)
    )
    after = plan_collection(PROMPTS, [cloud], asked)
    assert (after.expected_s, after.expected_usd) == (before.expected_s, before.expected_usd)


def test_a_judge_stops_after_ten_replies_in_a_row_without_a_verdict(
    log: CallLog, server: FaultServer, cloud: CandidateModel
) -> None:
    log.add_prompts(PROMPTS)
    for prompt in PROMPTS:
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "4", Usage(1, 1)))
    server.reply = lambda _: "I would rather not say."
    done = judge_with_llm(log, cloud, concurrency=1, progress=False)
    assert (done.n_scores, server.requests.total()) == (0, 10)
    assert not done.collection.is_complete
    assert "10 replies in a row gave no verdict; take another judge" in str(done)
    assert "one said: 'I would rather not say.'" in str(done)


def test_a_verdict_between_them_lets_a_judge_go_on(
    log: CallLog, server: FaultServer, cloud: CandidateModel
) -> None:
    log.add_prompts(PROMPTS)
    for prompt in PROMPTS:
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "4", Usage(1, 1)))
    server.reply = lambda text: "Score: 1" if "What is 5 + 5?" in text else "Hm."
    done = judge_with_llm(log, cloud, concurrency=1, progress=False)
    assert (done.n_scores, done.n_unreadable, server.requests.total()) == (1, 11, 12)
    assert done.collection.is_complete
    assert done.complaint == ""


def test_the_command_fails_where_a_judge_gives_no_verdict_and_shows_a_reply(
    log: CallLog, server: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.add_prompts(PROMPTS[:2])
    for prompt in PROMPTS[:2]:
        log.add_call(Call(prompt.prompt_id, "critic", "h", "ok", "4", Usage(1, 1)))
    pool = tmp_path / "c.yaml"
    pool.write_text(
        f"- {{name: critic, model: c, base_url: '{server.url}',"
        " price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}\n"
    )
    server.reply = lambda _: "Both are fine."
    arguments = ["judge", "--log", str(log.path), "--judge", "llm", "--candidates", str(pool)]
    arguments += ["--judge-candidate", "critic"]
    assert main([*arguments, "--dry-run"]) == 0
    told = "it judges 2 answers of its own, and models tend to favour their own"
    assert told in capsys.readouterr().out
    assert main([*arguments, "--max-tokens", "77"]) == 1
    shown = capsys.readouterr()
    assert "llm:critic gave no verdict in 2 replies; take another judge" in shown.err
    assert "one said: 'Both are fine.'" in shown.out
    assert "one said" not in shown.err  # each is told once
    assert told in shown.out
    assert "next:" not in shown.out
    assert {body["max_tokens"] for body in server.bodies} == {77}


def test_the_same_model_under_another_name_judges_itself_too(
    asked: CallLog, server: FaultServer, cloud: CandidateModel
) -> None:
    twin = CandidateModel("twin", cloud.model, "custom", server.url, None, Price(1, 2))
    assert judge_with_llm(asked, twin, dry_run=True, progress=False).n_own == 3
    other = CandidateModel("other", "else", "custom", server.url, None, Price(1, 2))
    assert judge_with_llm(asked, other, dry_run=True, progress=False).self_judging == ""


def test_inspect_shows_judging_in_its_own_row(
    asked: CallLog, cloud: CandidateModel, capsys: pytest.CaptureFixture[str]
) -> None:
    judge_with_llm(asked, cloud, progress=False)
    asked.close()
    capsys.readouterr()
    assert main(["inspect", str(asked.path)]) == 0
    shown = capsys.readouterr().out
    assert "calls that judges made, which describe no candidate:" in shown
    assert "llm:cloud" in shown
    assert [line.split() for line in shown.splitlines()][-1][-1] == "3", "prompts, no judge's own"


@pytest.mark.parametrize("judge", [judge_with_llm, compare_with_llm])
def test_answers_that_were_served_are_judged_too(
    asked: CallLog, server: FaultServer, cloud: CandidateModel, judge: Callable[..., LLMJudgement]
) -> None:
    # A server names its candidates by a hash alone.
    asked.start_run("serve", {"candidates": {cloud.name: cloud.params_hash}})
    assert judge(asked, cloud, dry_run=True, progress=False).collection.plan.cells


def test_what_a_judge_did_is_told_once_and_by_answers(
    log: CallLog, server: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.add_prompts(PROMPTS)
    for prompt in PROMPTS:
        for repeat in range(2):  # the same answer twice is judged by one reply
            call = Call(prompt.prompt_id, "small", "h", "ok", "4", Usage(1, 1), repeat=repeat)
            log.add_call(call)
    pool = tmp_path / "c.yaml"
    pool.write_text(
        f"- {{name: critic, model: c, base_url: '{server.url}',"
        " price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}\n"
    )
    server.reply = lambda _: "Both are fine."
    arguments = ["judge", "--log", str(log.path), "--judge", "llm", "--candidates", str(pool)]
    assert main([*arguments, "--judge-candidate", "critic"]) == 1
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("one said: 'Both are fine.'") == 1
    numbers = re.search(
        r"replies about (\d+) gave no verdict.* its calls: (\d+) calls", shown.out + shown.err
    )
    assert numbers is not None, shown
    assert int(numbers[1]) == 2 * int(numbers[2])
