"""Judging goes batch by batch: the same scores, kept when it stops, in memory of one batch."""

from __future__ import annotations

import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer

from routerlib.cli import main
from routerlib.gather.collection.measured import Measured
from routerlib.gather.collection.result import Collection
from routerlib.gather.llm_judges import batches, drawn
from routerlib.gather.llm_judges.asking import LLMJudgement, Reply
from routerlib.gather.llm_judges.comparing import compare_with_llm
from routerlib.gather.llm_judges.drawn import Draw
from routerlib.gather.llm_judges.judging import judge_with_llm
from routerlib.log import unjudged
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.progress import shown_by
from routerlib.records.prompt import Prompt

Judge = Callable[..., LLMJudgement]
N_PROMPTS = 5


@pytest.fixture
def critic(server: FaultServer) -> CandidateModel:
    return CandidateModel("critic", "critic-1", "custom", server.url, None, Price(1, 2))


def graded(text: str) -> str:
    """Score "good" high and "bad" low; of "odd" no score can be read."""
    words = re.findall(r"^(good|bad|odd)\b", text, re.M)
    return {"good": "Score: 0.9", "bad": "Score: 0.1", "odd": "I'd rather not say."}[words[0]]


def preferred(text: str) -> str:
    """Prefer "good"; of two other answers always the first."""
    one, other = re.findall(r"^(good|bad|odd)\b", text, re.M)
    if "odd" in (one, other):
        return "Both have their merits."
    return f"Winner: {'B' if other == 'good' != one else 'A'}"


def filled(path: Path, n_prompts: int = N_PROMPTS, filler: str = "") -> CallLog:
    """Return a log of three answers to each prompt, of which two are the same everywhere."""
    log = CallLog(path)
    with log.transaction():
        for number in range(n_prompts):
            prompt = Prompt.from_text(f"What is {number} + 2?", reference=number + 2)
            log.add_prompts([prompt])
            for name, answer in (("a", "good"), ("b", "odd"), ("c", f"bad {number}{filler}")):
                log.add_call(Call(prompt.prompt_id, name, "b2:x", "ok", answer, Usage(1, 1)))
    return log


def scored(log: CallLog) -> list[tuple[int, float]]:
    return log.lookup("select call_id, score from scores order by call_id, score_id")


@pytest.mark.parametrize(
    ("judge", "reply"), [(judge_with_llm, graded), (compare_with_llm, preferred)]
)
def test_batches_give_what_all_at_once_gives(
    tmp_path: Path,
    server: FaultServer,
    critic: CandidateModel,
    monkeypatch: pytest.MonkeyPatch,
    judge: Judge,
    reply: Callable[[str], str],
) -> None:
    server.reply = reply
    whole = filled(tmp_path / "whole.db")
    expected = judge(whole, critic, progress=False)
    n_asked, plan = server.requests.total(), str(judge(whole, critic, dry_run=True, progress=False))
    monkeypatch.setattr(batches, "_MOST_QUESTIONS", 4)
    log = filled(tmp_path / "parts.db")
    told = judge(log, critic, dry_run=True, progress=False).collection.plan
    assert (told.n_cells, told.worst_usd) == (
        expected.collection.plan.n_cells,
        pytest.approx(expected.collection.plan.worst_usd),
    )
    found = judge(log, critic, progress=False)
    assert log.lookup("select count(*) from runs where kind = 'judge'")[0][0] > 2
    assert server.requests.total() == 2 * n_asked == 2 * told.n_cells
    assert scored(log) == scored(whole) != []
    for name in ("n_scores", "n_unreadable", "n_own", "n_verdicts", "n_unreached", "is_complete"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.collection.spent_usd == pytest.approx(expected.collection.spent_usd)
    assert found.collection.n_asked == n_asked
    assert str(judge(log, critic, dry_run=True, progress=False)) == plan, "nothing is left"


def test_a_budget_stops_between_batches_and_the_next_run_goes_on(
    tmp_path: Path, server: FaultServer, critic: CandidateModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_MOST_QUESTIONS", 4)
    server.reply = graded
    log = filled(tmp_path / "logs.db")
    plan = judge_with_llm(log, critic, dry_run=True, progress=False).collection.plan
    cap_usd = plan.worst_usd / plan.n_cells + 6 * 20e-6  # a call costs 20e-6
    some = judge_with_llm(log, critic, budget_usd=cap_usd, concurrency=1, progress=False)
    assert some.collection.is_over_budget
    assert not some.is_complete
    assert 4 < some.collection.n_asked < plan.n_cells, "the budget holds over batches"
    assert some.collection.spent_usd <= cap_usd
    assert f"{some.n_unreached} more weren't looked at" in str(some)
    rest = judge_with_llm(log, critic, progress=False)
    assert rest.is_complete
    assert some.n_scores + rest.n_scores == len(scored(log)) == 2 * N_PROMPTS
    assert server.requests.total() == plan.n_cells, "nothing was asked twice"


def test_a_budget_that_a_batch_went_beyond_stops_the_next_one(
    tmp_path: Path, server: FaultServer, critic: CandidateModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider may bill more than the worst case, and sums of floats may be a hair too large."""
    monkeypatch.setattr(batches, "_MOST_QUESTIONS", 4)
    server.reply = graded
    monkeypatch.setattr(Collection, "spent_usd", property(lambda told: 2.0 if told.n_asked else 0))
    log = filled(tmp_path / "logs.db")
    some = judge_with_llm(log, critic, budget_usd=1.0, progress=False)
    assert some.collection.is_over_budget
    assert some.n_scores == len(scored(log)) > 0
    assert some.n_unreached


@pytest.mark.parametrize("judge", [judge_with_llm, compare_with_llm])
def test_what_was_judged_before_a_crash_stays(
    tmp_path: Path,
    server: FaultServer,
    critic: CandidateModel,
    monkeypatch: pytest.MonkeyPatch,
    judge: Judge,
) -> None:
    monkeypatch.setattr(batches, "_MOST_QUESTIONS", 4)
    server.reply = graded if judge is judge_with_llm else preferred
    log = filled(tmp_path / "logs.db")
    ask, n_batches = batches.Asker.ask, []

    def ask_twice(self: batches.Asker, *given: object) -> dict[str, Reply]:
        n_batches.append(1)
        replies = ask(self, *given)  # type: ignore[arg-type]
        if len(n_batches) == 3:
            raise MemoryError("after the replies, before the scores")
        return replies

    with monkeypatch.context() as patched:
        patched.setattr(batches.Asker, "ask", ask_twice)
        with pytest.raises(MemoryError):
            judge(log, critic, progress=False)
    kept, n_asked = scored(log), server.requests.total()
    assert kept
    left = judge(log, critic, dry_run=True, progress=False).collection.plan.n_cells
    judge(log, critic, progress=False)
    assert set(kept) < set(scored(log))
    assert server.requests.total() == n_asked + left
    assert len(dict(scored(log))) == len(scored(log)), "no answer has two scores"


@pytest.mark.parametrize("judge", [judge_with_llm, compare_with_llm])
def test_memory_follows_from_a_batch_and_not_from_the_log(
    tmp_path: Path, critic: CandidateModel, monkeypatch: pytest.MonkeyPatch, judge: Judge
) -> None:
    monkeypatch.setattr(batches, "_MOST_CHARACTERS", 300_000)
    peaks = {}
    for n_prompts in (20, 80):
        log = filled(tmp_path / f"{n_prompts}.db", n_prompts, " x" * 20_000)
        judge(log, critic, dry_run=True, progress=False)  # imports and caches
        tracemalloc.start()
        judge(log, critic, dry_run=True, progress=False)
        peaks[n_prompts] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[80] < 1.2 * peaks[20]


@pytest.mark.parametrize(("judge", "n_asked"), [(judge_with_llm, 3), (compare_with_llm, 6)])
def test_a_dry_run_of_many_answers_looks_at_some_prompts_and_says_so(
    tmp_path: Path,
    critic: CandidateModel,
    monkeypatch: pytest.MonkeyPatch,
    judge: Judge,
    n_asked: int,
) -> None:
    log = filled(tmp_path / "logs.db", 60)
    for prompt in log.prompts():  # the same answer once more is no further question
        log.add_call(Call(prompt.prompt_id, "d", "b2:x", "ok", "good", Usage(1, 1)))
    exact = judge(log, critic, dry_run=True, progress=False).collection.plan
    assert exact.n_cells == 60 * n_asked
    assert "drawn" not in str(exact)
    monkeypatch.setattr(drawn, "ANSWERS", Draw(100, 60, "answers"))
    monkeypatch.setattr(drawn, "PROMPTS", Draw(30, 15, "prompts"))
    plan = judge(log, critic, dry_run=True, progress=False).collection.plan
    asked = {cell.prompt.text for cell in plan.cells}
    assert 8 * n_asked < len(asked) < 25 * n_asked
    assert len(asked) == len(plan.cells)
    assert len(asked) % n_asked == 0, "prompts are drawn whole"
    assert plan.n_cells == exact.n_cells
    for name in ("expected_usd", "worst_usd"):
        assert getattr(plan, name) == pytest.approx(getattr(exact, name), rel=0.02)
    assert re.match(
        r"about \d+ calls to make, .*, as \d+ of \d+ (answers|prompts).* tell", str(plan)
    )
    assert "the bound is not" in str(exact)
    assert "the bound is not" not in str(plan)


def test_calls_of_prompts_drawn_at_random_are_all_of_theirs(tmp_path: Path) -> None:
    log = filled(tmp_path / "logs.db", 200)
    left = log.unjudged_calls("critic")
    some = left.drawn(150)
    by_prompt = Counter(prompt.prompt_id for _, _, prompt in some)
    assert set(by_prompt.values()) == {3}
    assert 100 < len(some) < 200
    assert [each[0] for each in some] == [each[0] for each in left.drawn(150)]
    assert len(left.drawn(10**6)) == len(left) == 600
    log.add_scores(next(iter(some))[0], [Score("critic", 1.0)])
    assert len(log.unjudged_calls("critic").drawn(10**6)) == 599


def test_many_calls_are_looked_at_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = filled(tmp_path / "logs.db")
    found = [each[0] for each in log.unjudged_calls("critic")]
    monkeypatch.setattr(unjudged, "CALLS_AT_ONCE", 4)
    told: list[int | None] = []

    def shower(items: Iterable[Any], _what: str, total: int | None) -> Iterator[Any]:
        told.append(total)
        yield from items

    with shown_by(shower):
        assert [each[0] for each in log.unjudged_calls("critic")] == found == [*range(1, 16)]
    assert told == [4]


def test_auto_gives_judges_to_prompts_of_several_batches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from routerlib.cli import judging

    monkeypatch.setattr(judging, "_PROMPTS_AT_ONCE", 3)
    filled(tmp_path / "logs.db").close()
    assert main(["judge", "--log", str(tmp_path / "logs.db"), "--judge", "auto"]) == 0
    assert f"{3 * N_PROMPTS} scores written" in capsys.readouterr().out
    with CallLog(tmp_path / "logs.db", read_only=True) as log:
        assert {prompt.judge for prompt in log.prompts()} == {"numeric"}


def test_what_calls_took_is_read_from_new_rows_alone(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "logs.db")
    asked, question = Prompt.from_text("What is 2 + 2?"), Prompt.from_text("?", source="judge/llm")
    log.add_prompts([asked, question])
    run_id = log.start_run("judge", {})

    def add(n_calls: int, start: int) -> None:
        with log.transaction():
            for repeat in range(start, start + n_calls):
                seconds = None if repeat % 3 else 0.5
                for prompt, run in ((asked, None), (question, run_id)):
                    call = Call(prompt.prompt_id, "a", "h", "ok", "4", Usage(1, repeat))
                    log.add_call(replace(call, repeat=repeat, latency_s=seconds), run)

    def steps(measured: Measured) -> int:
        """Count how many thousands of SQLite's own steps a look takes."""
        ticks: list[int] = []
        log._connection.set_progress_handler(lambda: ticks.append(1), 1000)
        measured.means()
        log._connection.set_progress_handler(None, 0)
        return len(ticks)

    for is_judging in (False, True):
        add(2000, 0)
        measured = Measured(log, is_judging)
        assert steps(measured) > 20
        add(10, 2000)
        assert steps(measured) <= 1
        assert measured.means() == Measured(log, is_judging).means()
        assert measured.means() == {"a": (1004.5, 0.5)}
