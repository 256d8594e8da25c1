"""Of very many held-out prompts a random part is tested, and that is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from routerlib.cli import app
from routerlib.evaluation import compare as comparing
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter
from routerlib.show import held_out
from routerlib.show.held_out import drawn_for_test, split_as_trained
from routerlib.show.pages import findings
from routerlib.show.tables.evaluation import comparison_table

MOST = 60


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "logs.db"
    world = make_world(n_prompts=240, n_models=2, seed=1).outcomes
    with CallLog(path) as log:
        for row, text in enumerate(world.prompts):
            prompt = Prompt.from_text(text)
            log.add_prompts([prompt])
            for arm, name in enumerate(world.models):
                cost = float(world.cost_usd[row, arm])
                call = Call(prompt.prompt_id, name, "h", "ok", "x", given_cost_usd=cost)
                log.add_call(call, scores=[Score("exact", float(world.quality[row, arm]))])
    return path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (held_out, findings):
        monkeypatch.setattr(module, "MOST_TESTED", MOST)


def test_a_report_tests_a_part_and_says_so(filled: Path, few: None) -> None:
    with CallLog(filled, read_only=True) as log:
        outcomes = Outcomes.from_log(log)
        router = BestSingle().fit(outcomes.take(range(100)))
        found = findings.find(log, router, n_bootstrap=20)
    assert len(found.test) == MOST
    assert not set(found.test.prompt_ids) & set(router.train_prompt_ids_)
    assert "Tested are 60 of 140 prompts that the router hasn't seen" in found.finding.sentence
    assert found.evaluation.verdict.numbers["n"] == MOST


def test_with_fewer_all_are_tested_and_nothing_is_said(filled: Path) -> None:
    with CallLog(filled, read_only=True) as log:
        router = BestSingle().fit(Outcomes.from_log(log).take(range(100)))
        found = findings.find(log, router, n_bootstrap=20)
    assert len(found.test) == 140
    assert "Tested are" not in found.finding.sentence


def test_the_draw_stays_the_same_and_leaves_out_none_that_was_learnt(
    filled: Path, few: None, caplog: pytest.LogCaptureFixture
) -> None:
    with CallLog(filled, read_only=True) as log:
        outcomes = Outcomes.from_log(log)
    router = BestSingle().fit(outcomes.take(range(100)))
    train, test = split_as_trained(outcomes, router)
    assert "60 of 140 prompts" in caplog.text
    assert train.prompt_ids == outcomes.prompt_ids[:100]
    assert sorted(test.prompt_ids) == sorted(outcomes.prompt_ids[100:])[:MOST]
    ids = outcomes.prompt_ids[100:]
    assert [ids[row] for row in drawn_for_test(ids)] == list(test.prompt_ids)


def test_training_tests_the_same_prompts_and_says_so(
    filled: Path, few: None, tmp_path: Path
) -> None:
    given = ["train", "--log", str(filled), "--model", str(tmp_path / "router.pkl")]
    told = CliRunner().invoke(app, [*given, "--test-size", "0.5"])
    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    assert "Tested are 60 of 120 prompts that the router hasn't seen, drawn at random." in words


def test_rivals_learn_from_a_part_of_very_many_which_the_table_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = make_world(n_prompts=200, n_models=2, seed=1).outcomes
    train, test = outcomes.split(0.5, random_state=0)
    router = KNNRouter().fit(train)
    whole = comparing.compare({"mine": router}, test, train=train, n_bootstrap=20)
    assert "learnt from" not in comparison_table(whole).caption
    monkeypatch.setattr(comparing, "MOST_TAUGHT", 50)
    part = comparing.compare({"mine": router}, test, train=train, n_bootstrap=20)
    assert (part.attrs["n_taught"], part.attrs["n_train"]) == (50, len(train))
    assert "learnt from 50 of 100 training prompts" in comparison_table(part).caption
