"""The story of served traffic is what its log holds."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shipped import private_words

from routerlib.evaluation.off_policy.value import OffPolicyValue
from routerlib.gather.calls.answers import instead
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, Score
from routerlib.records.decision import CONVERSATION, Decision
from routerlib.records.prompt import Prompt
from routerlib.show.notebooks import served

SAMPLE = Path(__file__).parents[2] / "data/sample_served.db"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallLog]:
    copy = tmp_path_factory.mktemp("served") / "served.db"
    shutil.copy2(SAMPLE, copy)
    with CallLog(copy, read_only=True) as log:
        yield log


def write(path: Path, decisions: list[Decision]) -> CallLog:
    """Log decisions on prompts of their own; every answer is scored 1."""
    log = CallLog(path)
    for number, decision in enumerate(decisions):
        prompt = Prompt.from_text(f"What is {number} + {number * number}?")
        log.add_prompts([prompt])
        decision_id = log.add_decision(prompt.prompt_id, decision)
        answer = Call(prompt.prompt_id, decision.model, "b2:x", "ok", decision_id=decision_id)
        log.add_call(answer, scores=[Score("feedback", 1.0)])
    return log


def rule(model: str = "small", propensity: float = 1.0) -> Decision:
    return Decision(model, float("nan"), float("nan"), propensity, "rule", 0.0, {}, "b2:rules")


def test_the_sample_says_who_decided_when(shipped: CallLog) -> None:
    decisions = served.decisions_of(shipped)
    assert decisions.decided_by.tolist() == [served.RULES] * 150 + [served.ROUTER] * 50
    assert len(set(decisions.router_hash)) == 2
    # Epsilon 0.5 over two candidates: 0.75 for the preferred one, 0.25 for the other.
    assert set(decisions.propensity) == {0.75, 0.25}
    assert decisions.is_preferred.equals(decisions.propensity == 0.75)
    axes = served.served_plot(decisions)
    assert axes.get_title(loc="left") == "The rules decided 150 times, then the router took over"


def test_the_sample_holds_scores_from_feedback_and_no_path_or_address(shipped: CallLog) -> None:
    assert shipped.check() == []
    with closing(sqlite3.connect(shipped.path)) as connection:
        assert connection.execute("select distinct judge from scores").fetchall() == [("feedback",)]
    assert private_words(Path(shipped.path)) == []


def test_a_router_is_valued_on_prompts_of_the_rules_that_it_did_not_learn(shipped: CallLog) -> None:
    decisions = served.decisions_of(shipped)
    before = served.value_before(shipped, decisions)
    assert isinstance(before, OffPolicyValue)
    assert 50 < before.n < 140
    assert before.quality.low < before.quality.value < before.quality.high
    values = served.served_values(decisions, before)
    assert values.index.tolist() == [
        *("rules, own choices", "rules, as served"),
        *("router, valued before", "router, own choices", "router, as served"),
    ]
    scored = decisions[decisions.decided_by == served.ROUTER].quality.dropna()
    assert values.loc["router, as served", "quality"] == pytest.approx(scored.mean())
    assert values.loc["router, as served", "n"] == len(scored)
    axes = served.served_values_plot(values)
    assert [tick.get_text() for tick in axes.get_yticklabels()][2] == (
        f"router, valued before\n(n = {before.n})"
    )
    assert before.sentence in str(served.served_findings(decisions, before))


def test_without_chance_the_log_is_said_not_to_tell(tmp_path: Path) -> None:
    names = ["small", "large"] * 60
    with write(tmp_path / "logs.db", [rule(name) for name in names]) as log:
        decisions = served.decisions_of(log)
        before = served.value_before(log, decisions)
    assert isinstance(before, str)
    assert "left nothing to chance" in before
    values = served.served_values(decisions, before)
    assert values.index.tolist() == ["rules, own choices", "rules, as served"]
    assert "No answer that the router chose" in str(served.served_findings(decisions, before))
    assert served.served_plot(decisions).get_title(loc="left") == (
        "All 120 choices were made by the rules"
    )


def test_turns_that_stayed_are_nobodys_draw_and_intervals_stay_in_range(tmp_path: Path) -> None:
    stayed = instead(rule(), "large", "stays", CONVERSATION)
    with write(tmp_path / "logs.db", [rule(), rule("large", 0.1), stayed]) as log:
        decisions = served.decisions_of(log)
    assert decisions.decided_by.tolist()[:2] == ["rules", "rules"]
    assert "stayed" in decisions.decided_by.iloc[2]
    values = served.served_values(decisions, "no")
    assert values.quality_high.dropna().le(1).all()


def test_a_log_without_decisions_is_refused(tmp_path: Path) -> None:
    with (
        CallLog(tmp_path / "logs.db") as log,
        pytest.raises(ValueError, match="holds no decision; answer prompts with routerlib serve"),
    ):
        served.decisions_of(log)
