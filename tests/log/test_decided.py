"""Decisions of a large log are read in parts; what is held follows from them, not from calls."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from routerlib.log import packing
from routerlib.log.call_log import CallLog
from routerlib.log.choices import LoggedChoices, recent
from routerlib.log.compact import compact
from routerlib.log.dataset import LogDataset
from routerlib.log.snapshot import Snapshot
from routerlib.records.call import Call, Score
from routerlib.records.decision import CALLER, CONVERSATION, Decision
from routerlib.records.prompt import Prompt

NAMES = tuple(f"model-{arm}" for arm in range(10))
N = 400
COLUMNS = ("arms", "propensities", "quality", "cost_usd", "unheard", "order", "is_able")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallLog]:
    """Return a log of decisions between changing candidates, with turns, fallbacks and silence."""
    rng = np.random.default_rng(0)
    with CallLog(tmp_path_factory.mktemp("log") / "logs.db") as log:
        with log.transaction():
            for number in range(N):
                prompt = Prompt.from_text(f"What is {number % (N // 2)}?")
                log.add_prompts([prompt])
                asked = sorted(rng.permutation(NAMES)[: 2 + number % 9])
                _decide(log, prompt, number, asked, rng)
        yield log


def _decide(
    log: CallLog, prompt: Prompt, number: int, asked: Sequence[str], rng: np.random.Generator
) -> None:
    chosen, other = asked[number % len(asked)], asked[(number + 1) % len(asked)]
    estimates = {name: {"quality": rng.random(), "cost_usd": rng.random()} for name in asked}
    hashes = {5: CALLER, 7: CONVERSATION}
    reason = f"the turn stays under decision {number}" if number % 10 == 7 else "drawn"
    drawn_by = hashes.get(number % 10, "b2:r")
    decision = Decision(chosen, 0.5, 0.1, 1 / len(asked), reason, 0.0, estimates, drawn_by)
    decision_id = log.add_decision(prompt.prompt_id, decision)
    for name in (chosen, other) if number % 6 == 0 else (chosen,):
        call = Call(prompt.prompt_id, name, "h", "ok", f"{number}", decision_id=decision_id)
        scores = [Score("j", rng.random()), Score("k", rng.random())][: number % 3]
        log.add_call(call, scores=scores)
    log.add_call(Call(prompt.prompt_id, other, "h", "ok", "of no decision"))


def _same(found: LoggedChoices | None, whole: LoggedChoices | None) -> None:
    assert found is not None
    assert whole is not None
    assert len(whole) > 50
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), name)
    assert (found.prompts, found.prompt_ids) == (whole.prompts, whole.prompt_ids)
    assert found.models == whole.models
    assert found.estimates is not None
    assert whole.estimates is not None
    np.testing.assert_array_equal(found.estimates.quality, whole.estimates.quality)
    np.testing.assert_array_equal(found.estimates.cost_usd, whole.estimates.cost_usd)


@pytest.mark.parametrize("judge", [None, "j"])
def test_choices_in_parts_are_those_of_the_whole_log(
    log: CallLog, monkeypatch: pytest.MonkeyPatch, judge: str | None, tmp_path: Path
) -> None:
    whole = LoggedChoices.from_log(log, judge)
    compact([log.path], tmp_path / "sealed", before="9999-12-31")
    sealed = LoggedChoices.from_log(LogDataset(tmp_path / "sealed"), judge)
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 100)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 100)
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 90)
    for found in (LoggedChoices.from_log(log, judge), sealed):
        _same(found, whole)
        _same(found.unscored, whole.unscored)
        assert found.left_out == whole.left_out != {}


def test_estimates_are_not_held_as_texts_or_dictionaries(log: CallLog) -> None:
    LoggedChoices.from_log(log)  # imports
    tracemalloc.start()
    try:
        choices = LoggedChoices.from_log(log)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert choices.estimates is not None
    texts = log.lookup("select sum(length(estimates)) from decisions")[0][0]
    # Beside batches of a bounded size: numbers take a tenth of what dictionaries do.
    assert peak < 4 * texts


def test_the_latest_decisions_are_read_alone(log: CallLog, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    batches = Snapshot.batches

    def counted(
        self: Snapshot, query: str, values: Sequence[object], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        for batch in batches(self, query, values, schema):
            if "estimates" in schema.names:
                read.append(len(batch))
            yield batch

    monkeypatch.setattr(Snapshot, "batches", counted)
    found = recent(log, 7)
    assert found.decision_id.tolist() == list(range(N - 6, N + 1))
    assert found.text.tolist() == [f"What is {n % (N // 2)}?" for n in range(N - 7, N)]
    assert sum(read) == 7
