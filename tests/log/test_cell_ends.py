"""How calls ended is looked up for the prompts that are asked about, and read of no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from routerlib.log import counted, packing, queries, some_prompts
from routerlib.log.call_log import CallLog
from routerlib.log.cell_ends import cell_ends
from routerlib.log.compact import compact
from routerlib.log.dataset import LogDataset
from routerlib.log.known_quality import known_quality
from routerlib.log.snapshot import LogTable, Snapshot
from routerlib.records.call import Call, Score, Usage
from routerlib.records.decision import AFTER_DECISION, STEP, Decision
from routerlib.records.prompt import Prompt

NAMES = ("small", "large", "odd")
STATUSES = ("ok", "truncated", "empty", "refused", "error")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CallLog]:
    """Return a log of calls that ended in every way, asked in several, some after an answer."""
    rng = np.random.default_rng(5)
    with CallLog(tmp_path / "logs.db") as log:
        with log.transaction():
            fill(log, rng)
        yield log


def fill(log: CallLog, rng: np.random.Generator) -> None:
    prompts = [Prompt.from_text(f"What is {n}?", reference=n if n % 3 else None) for n in range(50)]
    log.add_prompts(prompts)
    log.add_prompts([Prompt.from_text("What is 3?", reference=4)])  # told later
    judging = log.start_run("judge", {})
    for _ in range(400):
        prompt_id = prompts[rng.integers(50)].prompt_id
        name, status = str(rng.choice(NAMES, p=[0.5, 0.4, 0.1])), str(rng.choice(STATUSES))
        after = f"{AFTER_DECISION}1: it looks bad"
        made_by = str(rng.choice(["b2:router", STEP], p=[0.8, 0.2]))
        told = {"small": {"quality": 0.5, "cost_usd": 1e-4}}
        decision = Decision(name, 0.5, 1e-4, 1.0, after, 0.0, told, made_by)
        call = Call(
            prompt_id,
            name,
            str(rng.choice(["untold", "b2:0", "b2:1"], p=[0.2, 0.3, 0.5])),
            status,
            "yes" if status == "ok" and rng.random() < 0.7 else None,
            Usage(9, int(rng.integers(1, 90))) if rng.random() < 0.8 else None,
            finish_reason=str(rng.choice(["length", "weird"])) if status == "truncated" else None,
            error_type="unknown_end" if status == "truncated" and rng.random() < 0.5 else None,
            extra={"tool_calls": [{"id": "1"}]} if rng.random() < 0.2 else None,
            decision_id=log.add_decision(prompt_id, decision) if rng.random() < 0.4 else None,
        )
        judges = rng.choice(["exact", "person"], rng.integers(3), replace=False)
        scores = [Score(str(judge), float(rng.random())) for judge in judges if status == "ok"]
        log.add_call(call, judging if rng.random() < 0.1 else None, scores)


# The same of all prompts at once, from the calls that cells are counted by.
_FURTHER = """finish_reason, output_tokens,
    response is not null and json_extract(extra, '$.tool_calls') is null as is_judgeable,"""
_OF_ALL = f"""
with {queries.PRICED}, {queries.JUDGED},
{counted.CURRENT.format(further=_FURTHER, ways=counted.WAYS)}
select prompt_id, candidate, bool_or(status = 'ok') as has_answer,
    bool_or(status = 'ok' and is_judgeable) as is_judgeable,
    bool_or(status in ('empty', 'refused')) as is_empty,
    bool_or(status = 'truncated') as is_ended,
    max(output_tokens) filter (where status = 'truncated') as cut_tokens
from current group by prompt_id, candidate
"""
COLUMNS = ["has_answer", "is_judgeable", "is_empty", "is_ended", "cut_tokens"]


def expected(log: CallLog, prompt_ids: list[str], judge: str | None) -> pd.DataFrame:
    found = queries.run(log.source, _OF_ALL, parameters={"judge": judge})
    return keyed(found[found.prompt_id.isin(prompt_ids)])


def keyed(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.set_index(["prompt_id", "candidate"]).sort_index()[COLUMNS]


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(some_prompts, "_PROMPTS_AT_ONCE", 4)


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("judge", [None, "person"])
@pytest.mark.parametrize("kept", ["whole", "in parts", "sealed"])
def test_ends_of_some_prompts_are_those_of_the_whole_log(
    log: CallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: str | None, kept: str
) -> None:
    prompt_ids = [prompt.prompt_id for prompt in log.prompts()[:17]]
    right = expected(log, prompt_ids, judge)
    assert {*right.has_answer, *right.is_judgeable, *right.is_ended} == {True, False}
    source = log.source
    if kept == "in parts":
        monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
        monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    if kept == "sealed":
        compact([log.path], tmp_path / "sealed", before="9999-12-31")
        source = LogDataset(tmp_path / "sealed").source
    found = cell_ends(source, prompt_ids, judge)
    cells = found.cells.assign(is_ended=found.cells.is_cut | found.cells.is_broken)
    pd.testing.assert_frame_equal(keyed(cells), right)
    is_worded = found.cells.cut_by != ""
    assert found.cells.is_broken.equals(cells.is_ended & is_worded)
    assert {*found.cells.is_broken, *found.cells.is_cut} == {True, False}
    told = {prompt.prompt_id for prompt in log.prompts() if prompt.reference is not None}
    assert found.with_reference == told & set(prompt_ids)


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("judge", [None, "person"])
@pytest.mark.parametrize("kept", ["whole", "sealed"])
def test_quality_of_some_prompts_is_that_of_the_whole_log(
    log: CallLog, tmp_path: Path, judge: str | None, kept: str
) -> None:
    prompt_ids = [prompt.prompt_id for prompt in log.prompts()[:17]]
    whole = log.outcomes(judge=judge, models=NAMES)
    right = {
        (prompt_id, name): value
        for prompt_id, row in zip(whole.prompt_ids, whole.quality.tolist(), strict=True)
        for name, value in zip(whole.models, row, strict=True)
        if prompt_id in prompt_ids and not np.isnan(value)
    }
    source = log.source
    if kept == "sealed":
        compact([log.path], tmp_path / "sealed", before="9999-12-31")
        source = LogDataset(tmp_path / "sealed").source
    assert known_quality(source, prompt_ids, judge) == pytest.approx(right)
    assert right
    assert known_quality(source, [], judge) == {}


@pytest.mark.usefixtures("few_at_once")
def test_only_calls_of_the_prompts_asked_about_are_read_some_at_a_time(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[str]] = []
    plans: list[str] = []
    found, batches = LogTable.found, Snapshot.batches

    def noted(table: LogTable, *asked: Any) -> pa.Table:
        rows = found(table, *asked)
        read.append(set(rows["prompt_id"].to_pylist()))
        return rows

    def planned(snapshot: Snapshot, query: str, values: Any, schema: pa.Schema) -> Any:
        if values:  # of what a query of SQLite's names
            plans.extend(
                str(row[-1]) for row in snapshot.rows(f"explain query plan {query}", *values)
            )
        return batches(snapshot, query, values, schema)

    monkeypatch.setattr(LogTable, "found", noted)
    monkeypatch.setattr(Snapshot, "batches", planned)
    prompt_ids = [prompt.prompt_id for prompt in log.prompts()[10:20]]
    with queries.opened(log.source) as reader:
        n_calls = len(reader.frame("select 1 from calls"))
    cell_ends(log.source, prompt_ids)
    assert n_calls == 400
    assert max(map(len, read)) == 4
    assert set.union(*read) == set(prompt_ids)
    assert any("SEARCH prompts USING INDEX" in step for step in plans)
    assert any("SEARCH calls USING INDEX" in step for step in plans)
    assert not [step for step in plans if "SCAN prompts" in step or "SCAN calls" in step]


def test_no_prompt_has_no_end(log: CallLog) -> None:
    found = cell_ends(log.source, [])
    assert found.cells.empty
    assert {"has_answer", "is_cut", "cut_by"} <= set(found.cells)
    assert found.with_reference == set()


def test_what_a_cascade_asked_after_an_answer_chooses_no_way(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large log counts candidates by the way that a small one does."""
    prompts = [Prompt.from_text(f"Who is {n}?") for n in range(80)]
    log.add_prompts(prompts)
    told = {"small": {"quality": 0.5, "cost_usd": 1e-4}}
    step = Decision("small", 0.5, 1e-4, 1.0, f"{AFTER_DECISION}1: bad", 0.0, told, STEP)
    for prompt in prompts:
        number = log.add_decision(prompt.prompt_id, step)
        call = Call(prompt.prompt_id, "small", "b2:0", "ok", "yes", decision_id=number)
        log.add_call(call, scores=[Score("exact", 1.0)])
    whole = log.outcomes()
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 40)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    found = log.outcomes()
    assert (found.prompt_ids, found.models) == (whole.prompt_ids, whole.models)
    np.testing.assert_allclose(found.quality, whole.quality)
