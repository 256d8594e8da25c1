"""How a whole conversation went is kept as such, and credited to each of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from scripted_server import scripted_server
from serving import NOBODY, candidate, rows, serving
from tool_calls import ADD, adding, call, calling

from routerlib.cli import main
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes

CHAT = "/v1/chat/completions"
SCORES = "select call_id, judge, score, extra from scores order by score_id"


@pytest.fixture
def served(log_path: Path) -> Iterator[httpx.Client]:
    """One candidate that calls tools."""
    with (
        scripted_server(adding) as provider,
        serving([candidate("small", provider.url)], log_path) as client,
    ):
        yield client


def _conversation(served: httpx.Client, question: str, **headers: str) -> list[int]:
    """Ask, answer the call of the tool, ask why; return the decisions."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    decisions = []
    for more in (None, {"role": "user", "content": "Why?"}):
        told = served.post(CHAT, json=_body(messages), headers=headers).json()
        decisions.append(told["routerlib"]["decision_id"])
        answer = told["choices"][0]["message"]
        messages.append(answer)
        for called in answer.get("tool_calls", ()):
            messages.append({"role": "tool", "tool_call_id": called["id"], "content": "5"})
        messages += [more] if more else []
    return decisions


def _body(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model": "router", "messages": messages, "tools": [ADD]}


@pytest.mark.parametrize("stickiness", ["conversation", "none"])
def test_each_answer_of_a_conversation_is_credited(log_path: Path, stickiness: Any) -> None:
    with (
        scripted_server(adding) as provider,
        serving([candidate("small", provider.url)], log_path, stickiness=stickiness) as served,
    ):
        other = _conversation(served, "What is 1 + 1?")
        ours = _conversation(served, "What is 2 + 3?")
        told = served.post(
            "/feedback", json={"decision_id": ours[-1], "score": 0.5, "of": "conversation"}
        )
    assert told.json() == {
        "decision_id": ours[-1],
        "model": "small",
        "score": 0.5,
        "n_answers": 2,
    }
    scored = rows(log_path, SCORES)
    assert [(judge, score) for _, judge, score, _ in scored] == [("conversation", 0.5)] * 2
    assert [json.loads(extra) for *_, extra in scored] == [{"decisions": ours}] * 2
    calls = dict(rows(log_path, "select call_id, decision_id from calls"))
    assert sorted(calls[row[0]] for row in scored) == ours
    assert not set(ours) & set(other)


def test_a_verdict_on_the_answer_is_of_that_alone(served: httpx.Client, log_path: Path) -> None:
    decisions = _conversation(served, "What is 2 + 3?")
    for of in (None, "answer"):
        body = {"decision_id": decisions[-1], "score": 1, "of": of}
        assert served.post("/feedback", json=body).json()["n_answers"] == 1
    assert {row[1] for row in rows(log_path, SCORES)} == {"feedback"}


def test_training_may_use_it_or_not(
    served: httpx.Client, log_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decisions = _conversation(served, "What is 2 + 3?")
    for of, score in (("conversation", 0.0), ("answer", 1.0)):
        served.post("/feedback", json={"decision_id": decisions[-1], "score": score, "of": of})
    with CallLog(log_path) as log:
        both = Outcomes.from_log(log).quality[:, 0]
        alone = Outcomes.from_log(log, judge="feedback").quality[:, 0]
        steps = Outcomes.from_log(log, judge="conversation").quality[:, 0]
    assert (both.tolist(), alone.tolist(), steps.tolist()) == ([0.0, 0.5], [1.0], [0.0, 0.0])
    assert np.isfinite(both).all()
    main(["train", "--log", str(log_path), "--model", str(log_path.parent / "r.pkl")])
    assert (
        "2 answers are credited with how their whole conversation went" in capsys.readouterr().out
    )


def test_it_goes_back_over_other_candidates_and_told_decisions(log_path: Path) -> None:
    with (
        scripted_server(calling(call())) as small,
        scripted_server(adding) as large,
        serving([candidate("small", small.url), candidate("large", large.url)], log_path) as served,
    ):
        first = served.post(CHAT, json={**_body([{"role": "user", "content": "hi"}])}).json()
        answer = first["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": "5"}
        messages = [{"role": "user", "content": "hi"}, answer, result]
        second = served.post(CHAT, json={**_body(messages), "model": "large"}).json()
        shortened = [{"role": "user", "content": "In short: 5. Why?"}]
        ids = [each["routerlib"]["decision_id"] for each in (first, second)]
        third = served.post(
            CHAT, json=_body(shortened), headers={"x-routerlib-continues": str(ids[1])}
        ).json()
        ids.append(third["routerlib"]["decision_id"])
        body = {"decision_id": ids[2], "score": 1, "of": "conversation"}
        assert served.post("/feedback", json=body).json()["n_answers"] == 3
    assert [first["model"], second["model"]] == ["small", "large"]
    assert json.loads(rows(log_path, SCORES)[0][3]) == {"decisions": ids}


def test_what_failed_on_the_way_is_not_scored(log_path: Path) -> None:
    with serving([candidate("small", NOBODY)], log_path) as served:
        served.post(CHAT, json=_body([{"role": "user", "content": "hi"}]))
        body = {"decision_id": 1, "score": 1, "of": "conversation"}
        assert served.post("/feedback", json=body).status_code == 409
    assert rows(log_path, SCORES) == []
