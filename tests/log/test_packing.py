"""A large log is read in parts, compressed in memory: what it tells is what the whole one tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from routerlib.evaluation.repeats import repeats_from_log
from routerlib.log import counted, packing, queries
from routerlib.log.call_log import CallLog
from routerlib.log.cells import blended_judges
from routerlib.log.compact import compact
from routerlib.log.dataset import LogDataset
from routerlib.log.overview import overview
from routerlib.log.parts import Parts, each_answer
from routerlib.log.schema import LogError
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.prompt import Prompt

JUDGES = ("exact", "person", "audit")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CallLog]:
    """Return a log of prompts asked in several ways and repeatedly, judged by some, or failed."""
    with CallLog(tmp_path / "logs.db") as log:
        with log.transaction():
            fill(log)
        yield log


def fill(log: CallLog) -> None:
    rng = np.random.default_rng(0)
    names = ("small", "large", "odd")
    log.add_prices(
        CandidateModel(name, name, "custom", "http://x", None, Price(place + 1, 3))
        for place, name in enumerate(names)
    )
    prompts = [Prompt.from_text(f"What is {n}?", task="math", topic="t") for n in range(40)]
    log.add_prompts(prompts)
    grading = Prompt.from_text("Grade it.", source="judge/llm:large")
    log.add_prompts([grading])
    log.add_call(Call(grading.prompt_id, "large", "b2:j", "ok", "1", Usage(5, 5), 1.0))
    for _ in range(300):
        name = names[rng.choice(3, p=[0.5, 0.4, 0.1])]
        status = rng.choice(["ok", "truncated", "error"], p=[0.8, 0.1, 0.1])
        usage = Usage(*map(int, rng.integers(1, 90, 2))) if rng.random() < 0.9 else None
        call = Call(
            prompts[rng.integers(40)].prompt_id,
            name,
            f"b2:{rng.integers(2)}",
            status,
            "yes" if status != "error" else None,
            usage,
            float(rng.random()),
            repeat=int(rng.integers(2)),
            extra={"first_token_s": float(rng.random())} if rng.random() < 0.5 else None,
        )
        judges = rng.choice(JUDGES, rng.integers(3), replace=False) if status == "ok" else ()
        log.add_call(call, scores=[Score(str(j), float(rng.random())) for j in judges])


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 30)


@pytest.mark.parametrize("judge", [None, "person"])
@pytest.mark.parametrize("models", [None, ("large", "small")])
def test_outcomes_are_those_of_the_whole_log(
    log: CallLog,
    monkeypatch: pytest.MonkeyPatch,
    judge: str | None,
    models: tuple[str, ...] | None,
) -> None:
    whole = log.outcomes(judge=judge, models=models, failures="wrong")
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 30)
    with queries.opened(log.source) as reader:
        assert packing.n_parts(reader) == 8
    found = log.outcomes(judge=judge, models=models, failures="wrong")
    assert len(found) > 20
    for name in ("prompts", "models", "topics", "prompt_ids", "group_ids"):
        assert getattr(found, name) == getattr(whole, name), name
    for name in ("quality", "cost_usd", "latency_s", "first_token_s"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-14)


@pytest.mark.parametrize("judge", [None, "person"])
def test_the_overview_is_that_of_the_whole_log(
    log: CallLog, monkeypatch: pytest.MonkeyPatch, judge: str | None
) -> None:
    whole, alone = overview(log, judge), log.summary(judge)
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 30)
    found = overview(log, judge)
    assert found.summary.index.tolist() == whole.summary.index.tolist()
    np.testing.assert_allclose(found.summary, whole.summary, rtol=1e-12)
    np.testing.assert_allclose(log.summary(judge), alone, rtol=1e-12)
    assert found.judging.to_dict() == whole.judging.to_dict() != {}
    assert found.tasks.to_dict() == whole.tasks.to_dict()
    assert (found.blended, found.changes, found.logprobs) == whole[4:]
    assert found.blended == ([] if judge else ["exact", "person"])
    assert blended_judges(log.source) == ["exact", "person"]


@pytest.mark.usefixtures("in_parts")
def test_a_judge_that_scored_nothing_is_told_with_those_that_did(log: CallLog) -> None:
    with pytest.raises(ValueError, match="it has audit, exact, person"):
        log.outcomes(judge="nobody")


@pytest.mark.usefixtures("in_parts")
def test_a_log_without_a_call_has_one_part(tmp_path: Path) -> None:
    with CallLog(tmp_path / "empty.db") as empty:
        assert overview(empty).summary.empty
        with pytest.raises(ValueError, match="no scored answer yet"):
            empty.outcomes()


@pytest.mark.parametrize("calls_of_whole", [40, 2_000_000])
def test_a_prompt_that_is_gone_is_told_and_not_read_as_an_empty_text(
    log: CallLog, monkeypatch: pytest.MonkeyPatch, calls_of_whole: int
) -> None:
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", calls_of_whole)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    gone = log.outcomes().prompt_ids[3]
    with closing(sqlite3.connect(log.path)) as connection, connection:
        connection.execute("drop trigger prompts_no_delete")
        connection.execute("delete from prompts where prompt_id = ?", [gone])
    with pytest.raises(LogError, match="calls ask 1 prompt that the log doesn't hold"):
        log.outcomes()


@pytest.mark.parametrize("judge", [None, "person"])
def test_answers_that_can_be_shown_are_those_of_the_whole_log(
    log: CallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: str | None
) -> None:
    prompt_id = log.prompts()[0].prompt_id
    log.add_call(Call(prompt_id, "odd", "b2:0", "ok", None, repeat=0))  # of which no text is kept
    whole = sorted(each_answer(log.source, judge))
    assert len(whole) > 40
    assert whole == sorted(
        log.sql(
            counted.ANSWERS.replace("$judge", "null" if judge is None else f"'{judge}'")
        ).itertuples(index=False, name=None)
    )
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 30)
    assert sorted(each_answer(log.source, judge)) == whole
    compact([log.path], tmp_path / "sealed", before="9999-12-31")
    assert sorted(each_answer(LogDataset(tmp_path / "sealed").source, judge)) == whole


@pytest.mark.parametrize("models", [None, ("odd", "small"), ("odd", "unheard")])
def test_repeats_are_those_of_the_whole_log(
    log: CallLog,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    models: tuple[str, ...] | None,
) -> None:
    whole = repeats_from_log(log, models)
    assert np.isfinite(whole.quality).any(axis=(0, 2)).tolist() == [
        name != "unheard" for name in whole.models
    ]
    assert whole.quality.shape == (len(whole.prompts), 3 if models is None else 2, 2)
    compact([log.path], tmp_path / "sealed", before="9999-12-31")
    sealed = repeats_from_log(LogDataset(tmp_path / "sealed"), models)
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 30)
    for found in (repeats_from_log(log, models), sealed):
        assert (found.prompts, found.models) == (whole.prompts, whole.models)
        assert (found.topics, found.group_ids) == (whole.topics, whole.group_ids)
        np.testing.assert_allclose(found.quality, whole.quality, rtol=1e-14)


def sealed_in_the_middle(log: CallLog, folder: Path) -> LogDataset:
    """Seal what a log holds, and log as much again, which is the dataset's tail."""
    compact([log.path], folder, before="9999-12-31")
    with log.transaction():
        fill(log)
    return LogDataset(folder)


def test_parts_of_a_dataset_share_no_prompt_and_hold_every_call(
    log: CallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = sealed_in_the_middle(log, tmp_path / "sealed")
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
    rows: dict[str, list[list[tuple]]] = {"calls": [], "scores": [], "prompts": []}
    with queries.opened(dataset.source) as reader:
        parts = Parts(reader)
        assert parts.n == 16  # of 602 calls, two in each of the buckets
        for part in parts:
            for table, found in rows.items():
                found.append(part.rows(f"select * from {table}"))
    for table, found in rows.items():
        whole = log.sql(f"select * from {table}")
        assert sorted(row[0] for part in found for row in part) == sorted(whole.iloc[:, 0])
    asked = [{row[1] for row in part} for part in rows["calls"]]
    assert sum(map(len, asked)) == len(set().union(*asked)) == 41
    known = [{row[0] for row in part} for part in rows["prompts"]]
    assert all(mine <= ours for mine, ours in zip(asked, known, strict=True))


@pytest.mark.parametrize("calls_of_whole", [40, 500])
def test_a_dataset_read_in_parts_tells_what_the_whole_log_does(
    log: CallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls_of_whole: int
) -> None:
    dataset = sealed_in_the_middle(log, tmp_path / "sealed")
    whole, told = log.outcomes(), overview(log)
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", calls_of_whole)
    found, seen = dataset.outcomes(), overview(dataset)
    for name in ("prompts", "models", "topics", "prompt_ids", "group_ids"):
        assert getattr(found, name) == getattr(whole, name), name
    for name in ("quality", "cost_usd", "latency_s", "first_token_s"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-14)
    np.testing.assert_allclose(seen.summary, told.summary, rtol=1e-12)
    assert seen.judging.to_dict() == told.judging.to_dict() != {}
    assert (seen.blended, seen.changes, seen.logprobs) == told[4:]
    assert seen.blended == ["exact", "person"]


def test_judges_that_share_calls_are_told_and_no_others(tmp_path: Path) -> None:
    with CallLog(tmp_path / "logs.db") as log:
        prompt = Prompt.from_text("What is 2 + 2?")
        log.add_prompts([prompt])
        for judges in (("b", "d"), ("a",), ("c", "audit"), ("f", "f"), ("d", "e")):
            scores = [Score(judge, 1.0) for judge in judges]
            log.add_call(Call(prompt.prompt_id, "small", "b2:x", "ok", "4"), scores=scores)
        assert blended_judges(log.source) == ["b", "d", "e"]
        log.add_scores(2, [Score(f"judge-{n}", 0.5) for n in range(100)])
        assert len(blended_judges(log.source)) == 104
