"""A notebook finds its files from wherever it runs, and builds on what can be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routerlib.evaluation.evaluate import evaluate
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt
from routerlib.routers import artifact
from routerlib.routers.archive import rollback
from routerlib.routers.baselines import BestSingle
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router
from routerlib.show.held_out import failures_as_wrong, split_as_trained
from routerlib.show.words.prose import Caution, say
from routerlib.show.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("ROUTERLIB_HOME", raising=False)
    for name in ("notebooks", "data"):
        (tmp_path / name).mkdir()
    return Workspace.find(tmp_path)


def write_log(path: Path, n_prompts: int, models: tuple[str, ...] = ("small", "large")) -> None:
    """Log one scored answer of each model to each prompt."""
    with CallLog(path) as log:
        for number in range(n_prompts):
            prompt = Prompt.from_text(f"What is {number} plus {number * 7}?")
            log.add_prompts([prompt])
            for model in models:
                call = Call(prompt.prompt_id, model, "h", "ok", response="1")
                log.add_call(call, scores=[Score("exact", 1.0)])


def test_workspace_is_found_from_the_notebooks_folder_and_from_the_root(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (workspace.root, workspace.root / "notebooks"):
        monkeypatch.chdir(folder)
        assert Workspace.find().root == workspace.root
        assert Workspace.find().path("data/logs.db") == workspace.root / "data/logs.db"


def test_environment_variable_names_the_workspace(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTERLIB_HOME", str(workspace.root))
    monkeypatch.chdir("/")
    assert Workspace.find().root == workspace.root


def test_environment_variable_that_names_no_workspace_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTERLIB_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"at ROUTERLIB_HOME=.*nowhere, found none; start"):
        Workspace.find()


def test_folder_outside_any_workspace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a folder with notebooks/ and data/"):
        Workspace.find(tmp_path)


def test_live_log_that_can_teach_is_read(workspace: Workspace) -> None:
    write_log(workspace.path("data/logs.db"), 60)
    with workspace.open_log("data/logs.db") as log:
        assert log.path.name == "logs.db"
        assert log.read_only
    assert workspace.log_origin == "This run reads the live log data/logs.db."


@pytest.mark.parametrize(("n_prompts", "models"), [(59, ("small", "large")), (60, ("small",))])
def test_default_log_that_is_too_thin_gives_way_to_the_sample_and_says_so(
    workspace: Workspace, n_prompts: int, models: tuple[str, ...]
) -> None:
    write_log(workspace.path("data/logs.db"), n_prompts, models)
    write_log(workspace.path("data/sample_logs.db"), 1)
    with workspace.open_log() as log:
        assert log.path.name == "sample_logs.db"
    assert workspace.is_sample
    assert "sample log data/sample_logs.db, not data/logs.db: it has" in workspace.log_origin
    assert '<p class="caution" style="color:' in say(workspace.log_origin)._repr_html_()


def test_absent_default_log_gives_way_to_the_sample_and_is_not_made(workspace: Workspace) -> None:
    write_log(workspace.path("data/sample_logs.db"), 1)
    with workspace.open_log():
        assert "not data/logs.db: it does not exist yet." in workspace.log_origin
    assert not workspace.path("data/logs.db").exists()


def test_log_that_was_asked_for_is_never_replaced_by_the_sample(workspace: Workspace) -> None:
    write_log(workspace.path("data/sample_logs.db"), 60)
    write_log(workspace.path("data/mine.db"), 58)
    with workspace.open_log("data/mine.db") as log:
        assert log.path.name == "mine.db", "commands take as few"
    assert not workspace.is_sample
    assert workspace.log_shortage("data/mine.db") == ""
    write_log(workspace.path("data/one.db"), 70, ("small",))
    with pytest.raises(
        ValueError,
        match=r"data/one\.db can't teach a router yet: it has 1 candidate models with at least 1 "
        r"scored answers \(small 70\), and 2 are needed; ask more prompts, or judge",
    ):
        workspace.open_log("data/one.db")
    with pytest.raises(FileNotFoundError, match=r"expected a log at data/mien\.db, found none at"):
        workspace.open_log("data/mien.db")
    with pytest.raises(FileNotFoundError, match=r"a log at data/mien\.db"):
        workspace.open_outcomes("data/mien.db")
    with pytest.raises(FileNotFoundError, match=r"`routerlib serve` wrote at .*mien\.db"):
        workspace.open_served("data/mien.db")


def test_no_log_at_all_says_which_notebook_makes_one(workspace: Workspace) -> None:
    with pytest.raises(FileNotFoundError, match=r"but it does not exist yet.*01_collect\.ipynb"):
        workspace.open_log()


def test_router_of_the_sample_never_replaces_one_that_was_learned_elsewhere(
    workspace: Workspace, outcomes: Outcomes
) -> None:
    write_log(workspace.path("data/sample_logs.db"), 60)
    write_log(workspace.path("data/mine.db"), 60)
    own, sampled, later = (BestSingle().fit(outcomes.take(range(n))) for n in (20, 30, 40))
    evaluation = evaluate(own, outcomes.take(range(20, 60)), n_bootstrap=20)
    workspace.open_log().close()
    assert workspace.install_router(None, sampled).startswith("Saved")
    assert workspace.install_router(None, later).startswith("Saved")  # only the sample's is lost
    assert workspace.record_test(None, later, evaluation).startswith("Written to")

    workspace.open_log("data/mine.db").close()
    assert not workspace.is_sample
    assert workspace.install_router(None, own).startswith("Saved")
    workspace.open_log().close()
    refused = workspace.install_router(None, sampled)
    assert isinstance(refused, Caution)
    assert "not learned from the sample log, and stays in use" in refused
    assert load_router(workspace.path(None, "router")).router_hash_ == own.router_hash_
    untold = workspace.record_test(None, own, evaluation)
    assert isinstance(untold, Caution)
    assert '"verdict"' not in workspace.path("data/router_model.json").read_text()


def test_router_that_was_asked_for_is_used_or_refused(
    workspace: Workspace, outcomes: Outcomes
) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a router at data/mien\.pkl, found none"):
        workspace.open_router("data/mien.pkl", outcomes)
    other = Outcomes(["a?", "b?"], ["x", "y"], [[0, 1], [1, 0]], [[1, 2], [1, 2]])
    BestSingle().fit(other).save(workspace.path("data/mine.pkl"))
    with pytest.raises(
        ValueError, match=r"chooses among x, y, the log holds .*; give the log that"
    ):
        workspace.open_router("data/mine.pkl", outcomes)


def test_outcomes_come_from_a_table_of_scores_where_one_is_given(workspace: Workspace) -> None:
    (workspace.root / "scores.csv").write_text(
        "prompt,topic,small,large\nHi,talk,0,1\nHo,talk,1,1\n"
    )
    outcomes = workspace.open_outcomes("data/logs.db", "scores.csv")
    assert sorted(outcomes.models) == ["large", "small"]
    assert outcomes.quality.sum() == 3
    assert outcomes.topics == ("talk", "talk")
    assert workspace.log_origin.startswith("This run reads scores.csv: 4 calls of 2 models")
    with pytest.raises(FileNotFoundError, match=r"no file .*scores\.txt"):
        workspace.open_outcomes("data/logs.db", "scores.txt")


def test_outcomes_come_from_the_log_otherwise(workspace: Workspace) -> None:
    write_log(workspace.path("data/logs.db"), 60)
    assert len(workspace.open_outcomes("data/logs.db")) == 60
    assert workspace.log_origin == "This run reads the live log data/logs.db."


def test_router_file_that_fits_is_loaded(workspace: Workspace, outcomes: Outcomes) -> None:
    saved = BestSingle().fit(outcomes)
    saved.save(workspace.path("data/router_model.pkl"))
    router = workspace.open_router("data/router_model.pkl", outcomes)
    assert router.router_hash_ == saved.router_hash_
    assert workspace.router_origin == "The router was loaded from router_model.pkl."


def test_router_that_is_installed_leaves_the_one_before_in_the_archive(
    workspace: Workspace, outcomes: Outcomes
) -> None:
    path = "data/router_model.pkl"
    first, second = (BestSingle().fit(outcomes.take(range(size))) for size in (20, 30))
    first.save(workspace.path(path))
    assert workspace.install_router(path, second).startswith("Saved and archived, identity b2:")
    assert load_router(workspace.path(path)).router_hash_ == second.router_hash_
    assert rollback(workspace.path(path)).metadata["router_hash"] == first.router_hash_


def test_router_of_other_candidates_is_not_used_and_not_overwritten(
    workspace: Workspace, outcomes: Outcomes
) -> None:
    other = Outcomes(["a?", "b?"], ["x", "y"], [[0, 1], [1, 0]], [[1, 2], [1, 2]])
    BestSingle().fit(other).save(workspace.path("data/router_model.pkl"))
    before = workspace.path("data/router_model.pkl").read_bytes()
    router = workspace.open_router(None, outcomes)
    assert set(router.models_) == set(outcomes.models)
    assert "chooses among x, y, the log holds" in workspace.router_origin
    assert workspace.path("data/router_model.pkl").read_bytes() == before


def test_prompts_seen_in_training_and_their_near_duplicates_are_not_for_judging() -> None:
    texts = ["Name the capital of France.", "Name the capital of France!", "Sort these numbers."]
    outcomes = Outcomes(texts, ["small", "large"], [[0, 1]] * 3, [[1, 2]] * 3)
    router = BestSingle().fit(outcomes.take([0]))
    train, test = split_as_trained(outcomes, router)
    assert list(train.prompts) == texts[:1]
    assert list(test.prompts) == texts[2:]


def test_router_that_has_seen_everything_can_not_be_judged(outcomes: Outcomes) -> None:
    with pytest.raises(ValueError, match="expected prompts that the router has not seen, got 60"):
        split_as_trained(outcomes, BestSingle().fit(outcomes))


def test_verdict_is_written_into_the_description_of_this_router_only(
    workspace: Workspace, outcomes: Outcomes
) -> None:
    train, test = outcomes.split()
    router = LGBMRouter().fit(train)
    evaluation = evaluate(router, test, n_bootstrap=20)
    path = "data/router_model.pkl"
    assert workspace.record_test(path, router, evaluation).startswith("Nothing was written")
    BestSingle().fit(train).save(workspace.path(path))
    assert workspace.record_test(path, router, evaluation).startswith("Nothing was written")
    router.save(workspace.path(path))
    assert workspace.record_test(path, router, evaluation).startswith(
        "Written to router_model.json"
    )
    assert '"verdict"' in workspace.path("data/router_model.json").read_text()
    artifact.update_metadata(workspace.path(path), router_hash="b2:as an older version made it")
    assert workspace.record_test(path, router, evaluation).startswith("Written")
    router.stand_at(router.cost_weight_ + 1)
    assert workspace.record_test(path, router, evaluation).startswith("Nothing was written")
    router.stand_at(router.cost_weight_ - 1)
    assert load_router(workspace.path(path)).router_hash_ == router.router_hash_


def test_candidates_come_from_the_pool_or_from_a_file_of_the_checkout(workspace: Workspace) -> None:
    assert len(workspace.candidates("local")) == len(workspace.candidates()) == 3
    assert [each.name for each in workspace.candidates(names=None)] == ["smollm2-135m"]
    workspace.path("mine.yaml").write_text(
        "- {name: a, model: a-1, base_url: 'http://127.0.0.1:9/v1',"
        " price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}\n"
    )
    assert [each.name for each in workspace.candidates("mine.yaml", None)] == ["a"]
    with pytest.raises(ValueError, match="unknown candidate 'gpt'"):
        workspace.candidates("local", ["gpt"])


def test_failures_count_as_wrong_on_the_very_prompts_that_are_judged(log: CallLog) -> None:
    texts = ["Name the capital of France.", "Name the capital of France!", "Sort these numbers."]
    for text in texts:
        prompt = Prompt.from_text(text)
        log.add_prompts([prompt])
        call = Call(prompt.prompt_id, "small", "h", "ok", response="1")
        log.add_call(call, scores=[Score("exact", 1.0)])
        log.add_call(Call(prompt.prompt_id, "large", "h", "timeout", error_type="timeout"))
    scored = Call(prompt.prompt_id, "large", "h", "ok", response="1", repeat=1)
    outcomes = Outcomes.from_log(log, models=["small"])
    router = BestSingle().fit(outcomes.take([0]))
    test = split_as_trained(outcomes, router).test
    wrong = failures_as_wrong(log, test)
    assert list(wrong.prompts) == texts[2:]
    log.add_call(scored, scores=[Score("exact", 0.5)])
    both = Outcomes.from_log(log).take([2, 1])
    wrong = failures_as_wrong(log, both)
    assert wrong.prompt_ids == both.prompt_ids
    assert wrong.models == both.models
    assert wrong.quality[:, wrong.models.index("large")].tolist() == [0.5, 0.0]


@pytest.mark.parametrize("judge", [None, "person"])
def test_failures_are_looked_up_and_not_all_of_the_log_read_again(
    log: CallLog, monkeypatch: pytest.MonkeyPatch, judge: str | None
) -> None:
    rng = np.random.default_rng(2)
    prompts = [Prompt.from_text(f"What is {number} times {number}?") for number in range(40)]
    log.add_prompts(prompts)
    for _ in range(300):
        status = str(rng.choice(["ok", "ok", "timeout", "truncated"]))
        name, way = str(rng.choice(["small", "large", "odd"])), str(rng.choice(["h", "other"]))
        call = Call(prompts[rng.integers(40)].prompt_id, name, way, status, response="1")
        said = [
            Score(by, 1.0) for by in ("exact", "person") if status == "ok" and rng.random() < 0.5
        ]
        log.add_call(call, scores=said)
    test = Outcomes.from_log(log, judge=judge).take(range(0, 24, 2)).of_models(["odd", "small"])
    again = Outcomes.from_log(log, failures="wrong", judge=judge, models=test.models)
    right = dict(zip(again.prompt_ids, again.quality.tolist(), strict=True))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it is all there but for how the missing calls ended")

    monkeypatch.setattr(Outcomes, "from_log", never)
    found = failures_as_wrong(log, test, judge)
    assert 0 < len(found) <= len(test)
    assert list(found.prompt_ids) == [key for key in test.prompt_ids if key in right]
    np.testing.assert_array_equal(found.quality, [right[key] for key in found.prompt_ids])
    assert (found.quality == 0).any()
    assert np.isnan(found.quality).any()
