"""An agent's steps are judged by whether they lead on, and its log tells the same."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Reply, scripted_server
from serving import candidate
from shipped import private_words

import routerlib as rl
from routerlib.gather.agents.agent import work_on
from routerlib.gather.agents.arithmetic import calculate
from routerlib.gather.agents.tasks import AgentTask, Step, make_tasks, needed_in
from routerlib.gather.agents.trajectories import DUES, LoggedStep, read_steps
from routerlib.log.call_log import CallLog
from routerlib.metrics.intervals import Interval
from routerlib.show.notebooks import agents

TASK = AgentTask(
    "What do two bolts and a jar cost together?", {"bolt": 5, "jar": 20}, ("bolt", "jar"), 30.0
)
BOLT, JAR = Step("look_up", "bolt"), Step("look_up", "jar")
SUM = Step("calculate", "2 * 5 + 20")
N_TASKS = 60
SAMPLE = Path(__file__).parents[2] / "data/sample_agent.db"
TOOL_OF = dict(zip(DUES, ("look_up", "look_up", "calculate", "answer"), strict=True))


@pytest.mark.parametrize(
    ("step", "before", "is_right"),
    [
        (BOLT, [], True),
        (Step("look_up", "Bolts"), [], True),
        (Step("look_up", "nail"), [], False),
        (BOLT, [BOLT], False),
        (SUM, [BOLT], False),
        (SUM, [BOLT, JAR], True),
        (SUM, [BOLT, JAR, SUM], False),
        (Step("calculate", "5 + 20"), [BOLT, JAR], False),
        (Step("answer", "30"), [BOLT, JAR, SUM], True),
        (Step("answer", "30"), [BOLT, JAR], True),
        (Step("answer", "30"), [], False),
        (Step("answer", "thirty"), [BOLT, JAR, SUM], False),
    ],
)
def test_a_step_is_right_where_it_leads_on(step: Step, before: list[Step], is_right: bool) -> None:
    assert TASK.is_right(step, before) is is_right


@pytest.mark.parametrize(
    "expression", ["", "2 ** 9", "abs(3)", "1 / 0", "a", "1" * 300, "(" * 150, "True", "1e308 * 10"]
)
def test_a_calculator_takes_arithmetic_only(expression: str) -> None:
    with pytest.raises(ValueError, match=r"expected numbers, \+ - \* / and parentheses"):
        calculate(expression)
    assert TASK.use(Step("calculate", expression)).startswith("error: expected numbers")


def test_tools_say_what_they_give_and_what_was_wrong() -> None:
    assert TASK.use(BOLT) == "bolt costs 5 cents"
    assert TASK.use(SUM) == "30"
    assert TASK.use(Step("look_up", "moon")) == "error: 'moon' is not on the price list"


def test_tasks_can_be_done_and_are_the_same_for_a_seed() -> None:
    tasks = make_tasks(40, seed=3)
    assert tasks == make_tasks(40, seed=3) != make_tasks(40, seed=4)
    for task in tasks:
        assert needed_in(task.text) == set(task.needed)
        looked = [Step("look_up", thing) for thing in task.needed]
        assert all(task.is_right(step, looked[:at]) for at, step in enumerate(looked))
        assert task.is_right(Step("answer", f"{task.goal:g}"), looked)
    with pytest.raises(ValueError, match="n_tasks must be at least 1"):
        make_tasks(0)


def _clever(body: dict[str, Any]) -> Reply:
    return _reply(_next(body["messages"]))


def _simple(body: dict[str, Any]) -> Reply:
    """Look things up and repeat what stands there, but add wrongly."""
    step = _next(body["messages"])
    return _reply(Step("calculate", "1 + 1") if step.tool == "calculate" else step)


def _next(messages: list[dict[str, str]]) -> Step:
    question = messages[1]["content"]
    told = [each["content"] for each in messages if each["role"] == "user"][1:]
    prices = dict(re.findall(r"(\w+) costs (\d+) cents", "\n".join(told)))
    missing = sorted(needed_in(question) - set(prices))
    if missing:
        return Step("look_up", missing[0])
    numbers = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
    parts = [
        f"{next((n for word, n in numbers.items() if f'{word} {thing}s' in question), 1)} * {price}"
        for thing, price in sorted(prices.items())
    ]
    total = f"{calculate(' + '.join(parts)):g}"
    if len(prices) == 1 or f"calculate: {total}" in told:
        return Step("answer", total)
    return Step("calculate", " + ".join(parts))


def _reply(step: Step) -> Reply:
    said = json.dumps({"tool": step.tool, "argument": step.argument})
    choice = {"message": {"content": said}, "finish_reason": "stop"}
    return Reply(body={"choices": [choice], "usage": {"prompt_tokens": 99, "completion_tokens": 9}})


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallLog]:
    """An agent's log: one model adds wrongly, the other one does all that is due."""
    path = tmp_path_factory.mktemp("agent") / "agent.db"
    with scripted_server(_simple) as simple, scripted_server(_clever) as clever:
        asked = [candidate("small", simple.url), candidate("large", clever.url)]
        with (
            CallLog(path) as live,
            rl.serve_in_background(
                None, asked, live, explore="epsilon-greedy:1", stickiness="none"
            ) as url,
        ):
            agents.work_through(make_tasks(N_TASKS), url)
        yield CallLog(path, read_only=True)


def test_the_log_tells_the_trajectories(log: CallLog) -> None:
    steps = read_steps(log)
    assert [each.task for each in steps] == sorted(each.task for each in steps)
    assert {each.task for each in steps} == set(range(N_TASKS))
    assert [each.number for each in steps if each.task == 3] == list(
        range(sum(each.task == 3 for each in steps))
    )
    for each in steps:
        is_wrong = each.due == "the sum" and each.model == "small"
        assert each.is_right is not is_wrong
        assert each.step.tool == TOOL_OF[each.due]
    assert {each.model for each in steps} == {"small", "large"}
    assert {propensity for (propensity,) in log.lookup("select propensity from decisions")} == {0.5}


def test_a_conversation_is_scored_as_well(log: CallLog) -> None:
    steps, judge = read_steps(log), "conversation"
    told = dict(
        log.lookup(
            "select decision_id, score from calls join scores using (call_id) where judge = ?",
            judge,
        )
    )
    last: dict[int, LoggedStep] = {each.task: each for each in steps}
    for each in last.values():
        assert told[each.decision_id] == float(each.step.tool == "answer" and each.is_right)


def test_the_steps_that_need_the_large_model_stand_apart(log: CallLog) -> None:
    steps = agents.agent_steps(log)
    due = agents.due_frame(steps)
    assert due.loc[("the sum", "small"), "quality"] == 0
    assert due.loc[("another price", "small"), "quality"] == 1
    assert list(dict.fromkeys(due.index.get_level_values("due"))) == list(DUES)
    assert "small took" in agents.describe_steps(steps)
    assert "yes" in str(agents.trajectory_table(steps))
    values = agents.agent_values(log)
    assert not isinstance(values, str), values
    assert values.best_single == "large"
    assert values.single.quality.value == pytest.approx(1, abs=0.1)
    assert values.difference.low <= 0 <= values.difference.high
    assert "keeps to large on all" in values.sentence
    for difference, word in (
        (Interval(0.1, 0.05, 0.15, 0.02), "Routing steps pays: +10.0 points [5.0, 15.0]"),
        (Interval(-0.1, -0.2, -0.05, 0.02), "Routing steps does harm: -10.0 points"),
        (Interval(0.1, -0.1, 0.3, 0.1), "Whether routing steps pays isn't measurable yet"),
    ):
        told = replace(values, difference=difference).sentence
        assert word in told
        assert "against always asking large, at 0 % less cost" in told
    told = str(agents.agent_lessons(steps, due, values))
    assert "where the sum was due, large led on most often (100 % of" in told


def test_a_log_without_steps_says_so(tmp_path: Path) -> None:
    with CallLog(tmp_path / "logs.db") as empty:
        with pytest.raises(ValueError, match=r"no scored step of an agent; set n_tasks"):
            agents.agent_steps(empty)
        assert "can't tell yet" in str(agents.agent_values(empty))


def test_a_task_is_given_up_after_so_many_steps(tmp_path: Path) -> None:
    lost = Step("look_up", "moon")
    with (
        scripted_server(_reply(lost)) as provider,
        CallLog(tmp_path / "logs.db") as log,
        rl.serve_in_background(None, [candidate("small", provider.url)], log) as url,
    ):
        taken = list(work_on(make_tasks(1), url, most_steps=3))
        assert [each.step for each in taken] == [lost] * 3
        (score,) = log.lookup("select distinct score from scores where judge = 'conversation'")
    assert score == (0.0,)


def test_the_sample_holds_no_path_and_its_story(tmp_path: Path) -> None:
    shutil.copy2(SAMPLE, tmp_path / "sample.db")
    with CallLog(tmp_path / "sample.db", read_only=True) as sample:
        assert sample.check() == []
        steps = agents.agent_steps(sample)
    due = agents.due_frame(steps)
    small, large = sorted(set(steps.model))
    assert (steps.task.nunique(), small, large) == (
        120, "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b",
    )  # fmt: skip
    assert due.loc[("the first price", large), "quality"] == 1
    assert due.loc[("the first price", small), "quality_low"] > 0.7
    assert due.loc[("another price", small), "quality_high"] < 0.1
    assert private_words(SAMPLE) == []
