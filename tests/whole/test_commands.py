"""What commands say next, and of a wrong word, is true and can be done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from routerlib.cli import main, progress
from routerlib.gather.labels.replayed import replay_purchases
from routerlib.log import packing
from routerlib.log.call_log import CallLog
from routerlib.log.compact import compact
from routerlib.log.dataset import LogDataset
from routerlib.log.size import size_of
from routerlib.outcomes.worlds import make_world
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle
from routerlib.show.plots.importance import dependence

Printed = pytest.CaptureFixture[str]


def log_with(path: Path, *, reference: str | None, status: str = "ok", judge: str = "") -> Path:
    """Write a log of one call; `judge`: who has scored it, "" = nobody."""
    with CallLog(path) as log:
        prompt = Prompt.from_text("What is 2 + 2?", reference=reference)
        log.add_prompts([prompt])
        answer = "4" if status == "ok" else None
        call = Call(prompt.prompt_id, "small", "h", status, answer)
        log.add_call(call, scores=[Score(judge, 1.0)] if judge else [])
    return path


@pytest.mark.parametrize(
    ("reference", "status", "judge", "then"),
    [
        ("4", "ok", "numeric", "routerlib train"),
        (None, "ok", "", "routerlib judge --judge llm --judge-candidate NAME"),
        ("4", "empty", "", "routerlib inspect"),
    ],
)
def test_what_comes_after_judging_is_training_only_where_there_is_a_score(
    tmp_path: Path, capsys: Printed, reference: str | None, status: str, judge: str, then: str
) -> None:
    path = log_with(tmp_path / "logs.db", reference=reference, status=status, judge=judge)
    assert main(["judge", "--log", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"next: {then} --log {path}"


def test_judging_that_is_stopped_says_how_to_go_on(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = log_with(tmp_path / "logs.db", reference="4")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CallLog, "add_scores", stop)
        assert main(["judge", "--log", str(path), "--judge", "numeric"]) == 130
    assert "stopped: scores so far are kept; the same command goes on" in capsys.readouterr().err
    assert main(["judge", "--log", str(path), "--judge", "numeric"]) == 0
    assert "1 score written" in capsys.readouterr().out


def test_what_comes_after_an_import_without_scores_is_judging(
    tmp_path: Path, capsys: Printed
) -> None:
    table, log = tmp_path / "t.jsonl", tmp_path / "logs.db"
    reply = {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "model": "m"}
    told = {"custom_id": "1", "response": {"status_code": 200, "body": reply}}
    table.write_text(json.dumps(told) + "\n")
    asked = tmp_path / "r.jsonl"
    body = {"model": "m", "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
    asked.write_text(json.dumps({"custom_id": "1", "body": body}) + "\n")
    given = ["import", "openai", str(table), "--requests", str(asked), "--log", str(log)]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "0 scores" in said
    assert "no prompt has a reference to compare with" in said
    assert said.splitlines()[-1].startswith("next: routerlib judge --judge llm")


def test_a_judge_of_no_score_is_named_near_or_said_to_come_first(
    tmp_path: Path, capsys: Printed
) -> None:
    path = log_with(tmp_path / "logs.db", reference="4", judge="numeric")
    for name, meant in (("numerik", "did you mean 'numeric'?"), ("nope", "name one of these.")):
        assert main(["train", "--log", str(path), "--judge", name]) == 1
        told = capsys.readouterr().err
        assert meant in told
        assert f"--judge {name}" not in told


def test_inspect_takes_the_options_of_other_commands(tmp_path: Path, capsys: Printed) -> None:
    path = str(log_with(tmp_path / "logs.db", reference="4", judge="numeric"))
    assert main(["inspect", path]) == 0
    by_place = capsys.readouterr().out
    assert main(["inspect", "--log", path]) == 0
    assert capsys.readouterr().out == by_place
    assert main(["inspect", path, "--log", path]) == 1
    assert "name one file to inspect" in capsys.readouterr().err


def test_sealing_what_is_not_logged_yet_is_refused(tmp_path: Path, capsys: Printed) -> None:
    path = str(log_with(tmp_path / "logs.db", reference="4"))
    sealed = ["log", "compact", "--log", path, "--parquet", str(tmp_path / "sealed")]
    assert main([*sealed, "--before", "9999-12-31"]) == 1
    assert "--before 9999-12-31 lies in the future: give 2" in capsys.readouterr().err
    assert not (tmp_path / "sealed").exists()
    assert main([*sealed, "--older-than", "0"]) == 0


@pytest.mark.parametrize(
    ("reference", "how"), [("4", "--judge auto)"), (None, "--judge llm --judge-candidate NAME)")]
)
def test_training_on_nothing_scored_names_the_judge_that_can(
    tmp_path: Path, capsys: Printed, reference: str | None, how: str
) -> None:
    path = log_with(tmp_path / "logs.db", reference=reference)
    assert main(["train", "--log", str(path)]) == 1
    told = capsys.readouterr().err
    assert "holds no scored answer yet" in told
    assert how in told


def test_answers_that_nobody_scored_are_counted_by_drift(tmp_path: Path, capsys: Printed) -> None:
    path = log_with(tmp_path / "logs.db", reference="4", judge="numeric")
    with CallLog(path) as log:
        outcomes = log.outcomes()
        prompt = Prompt.from_text("And what is 3 + 3?")
        log.add_prompts([prompt])
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "6"))
    BestSingle().fit(outcomes).save(tmp_path / "r.pkl")
    assert main(["drift", "--log", str(path), "--model", str(tmp_path / "r.pkl")]) == 0
    told = capsys.readouterr().out
    assert "Nothing with a score has come in since training" in told
    assert "1 prompt has answers that nobody has scored" in told


def test_a_bare_check_looks_a_projects_prompts_over_and_names_who_can_judge(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.jsonl").write_text('{"prompt": "Is it?", "reference": true}\n')
    Path("routerlib.toml").write_text('prompts = "mine.jsonl"\njudge = "auto"\n')
    assert main(["prompts", "--check"]) == 0
    said = capsys.readouterr().out
    assert "1 prompt in 1 row" in said
    assert "(such as True); `routerlib judge --judge llm --judge-candidate NAME` asks" in said
    assert "--judge auto takes what fits" not in said
    Path("routerlib.toml").unlink()
    assert main(["prompts", "--check"]) == 2
    assert "or --check FILE" in capsys.readouterr().err


def test_a_log_without_a_call_says_so_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "logs.db"
    CallLog(path).close()
    assert main(["inspect", "--log", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"no call is logged in {path} yet\nnext: routerlib collect --log ")


def test_how_much_is_read_and_how_far_it_is_are_told_where_it_takes_long(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "logs.db"
    with CallLog(path) as log, log.transaction():
        for number in range(40):
            prompt = Prompt.from_text(f"What is {number} + {number}?")
            log.add_prompts([prompt])
            for name, score in (("small", number % 2), ("large", 1)):
                call = Call(prompt.prompt_id, name, "h", "ok", "4")
                log.add_call(call, scores=[Score("numeric", score)])
    train = ["train", "--log", str(path), "--model", str(tmp_path / "r.pkl"), "--cross-fit", "0"]
    assert main(train) == 0
    quiet = capsys.readouterr()
    assert not {"reading", "looking for", "learning"} & set(quiet.err.split())

    monkeypatch.setattr(progress, "_MANY_CALLS", 80)
    monkeypatch.setattr(progress, "_MANY_PROMPTS", 20)
    monkeypatch.setattr(progress, "_AFTER_S", 0)
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 50)
    monkeypatch.setattr(packing, "CALLS_OF_PART", 40)
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 30)
    assert main(train) == 0
    told = capsys.readouterr()
    assert told.out == quiet.out
    lines = re.split(r"[\r\n]", told.err)
    size, near, learning = (line for line in lines if re.match("reading|looking|learning", line))
    assert size == f"reading 80 calls, 0.0 GB: {path}"
    assert near == "looking for near-duplicates among 40 prompts"
    assert learning == "learning from 28 prompts"
    for what in ("calls, 30 at a time:", "scores, 30 at a time:", "parts of the log:", "boosters:"):
        assert what in told.err
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", 2_000_000)
    compact([path], tmp_path / "sealed", before="9999-12-31")
    with CallLog(path) as log:
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "5"))
    assert size_of(LogDataset(tmp_path / "sealed").source).n_calls == 81


def test_too_few_prompts_for_a_notebook_are_told_in_words() -> None:
    few = make_world(n_prompts=6, n_models=2).outcomes
    with pytest.raises(ValueError, match=r"first 10 prompts .* there are 3 to buy"):
        replay_purchases(few.take([0, 1, 2]), few, ["random"], [0.5], n_first=10)
    one = {"values": np.zeros((1, 2)), "data": np.ones((1, 2)), "feature_names": ["a", "b"]}
    with pytest.raises(ValueError, match="no feature differs among these 1 prompts"):
        dependence(SimpleNamespace(**one))


def test_inspect_of_what_is_no_log_and_no_router_says_what_it_is(
    tmp_path: Path, capsys: Printed
) -> None:
    described, router = tmp_path / "my.json", tmp_path / "my.pkl"
    described.write_text("{}")
    assert main(["inspect", str(described)]) == 1
    assert "describe it; inspect a log (.db) or the router" in capsys.readouterr().err
    described.unlink()
    router.write_bytes(b"")
    assert main(["inspect", str(router)]) == 1
    assert "my.pkl' is empty, so there is no router in it: train" in capsys.readouterr().err
