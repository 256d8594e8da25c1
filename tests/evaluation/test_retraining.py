"""A router is replaced only for good reason, and a replacement can be undone."""

from __future__ import annotations

import json
import threading
import time
import weakref
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logged_worlds import make_log

import routerlib as rl
from routerlib.cli import main
from routerlib.cli.schedule import run_every, seconds_of
from routerlib.evaluation import drift, duel
from routerlib.evaluation.drift import measure_drift
from routerlib.evaluation.duel import compare_observed
from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import estimate_difference
from routerlib.evaluation.retraining import retrain
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.worlds import make_world
from routerlib.policies.exploration import EpsilonGreedy
from routerlib.records.call import Call, Score, Usage
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt
from routerlib.routers import archive, artifact
from routerlib.routers.baselines import BestSingle
from routerlib.routers.loading import load_router
from routerlib.routers.rivals import KNNRouter
from routerlib.show.pages.retraining import write_retraining_report
from routerlib.show.tables.retraining import models_table

TOKENS = Usage(1000, 1000)


def fill(log: rl.CallLog, outcomes: rl.Outcomes) -> None:
    """Log every known cell of some outcomes, at the price of its cost."""
    prices = [
        rl.CandidateModel(name, name, "custom", None, None, rl.Price(usd * 500, usd * 500))
        for name, usd in zip(outcomes.models, outcomes.mean_cost_usd, strict=True)
    ]
    log.add_prices(prices)
    log.add_prompts(Prompt.from_text(text) for text in outcomes.prompts)
    for row, prompt_id in enumerate(outcomes.prompt_ids):
        for arm, name in enumerate(outcomes.models):
            quality = outcomes.quality[row, arm]
            if np.isfinite(quality):
                call = Call(prompt_id, name, "h", "ok", "x", TOKENS)
                log.add_call(call, scores=[Score("exact", float(quality))])


@pytest.fixture
def world() -> rl.Outcomes:
    return make_world(n_prompts=320, n_models=2, seed=4).outcomes


# -- the comparison ---


def test_a_better_router_is_seen_to_be_better_and_itself_to_be_equal(world: rl.Outcomes) -> None:
    train, test = world.split(test_size=0.5, random_state=0)
    knowing, plain = KNNRouter().fit(train), BestSingle().fit(train)
    better = compare_observed(knowing, plain, test)
    assert better.utility.low > 0
    assert compare_observed(plain, knowing, test).utility.high < 0
    same = compare_observed(knowing, knowing, test)
    assert same.utility.value == 0
    assert same.utility.low < 0, "a sample can't show that nothing differs"


def test_intervals_of_a_gain_cover_the_true_gain() -> None:
    covered = []
    for seed in range(40):
        big = make_world(n_prompts=200, n_models=2, seed=seed)
        taught = make_world(n_prompts=60, n_models=2, seed=1000 + seed).outcomes
        new, old = KNNRouter().fit(taught), BestSingle().fit(taught)
        rows = np.arange(200)
        arms = [
            router.predict(big.outcomes.prompts).quality.argmax(axis=1) for router in (new, old)
        ]
        truth = big.expected_quality[rows, arms[0]] - big.expected_quality[rows, arms[1]]
        found = compare_observed(new, old, big.outcomes).utility
        covered.append(found.low <= truth.mean() <= found.high)
    assert np.mean(covered) >= 0.93


def test_too_few_complete_prompts_are_refused(world: rl.Outcomes) -> None:
    router = BestSingle().fit(world.take(range(200)))
    with pytest.raises(ThinOverlap, match="observed on 30 of the prompts"):
        compare_observed(router, router, world.take(range(200, 230)))


def test_a_difference_is_found_on_logged_choices_and_is_narrower_than_the_values() -> None:
    taught = make_world(n_prompts=300, seed=11).outcomes
    new, old = KNNRouter().fit(taught), BestSingle().fit(taught)
    logged = make_log(n_prompts=900, epsilon=0.6, seed=12)
    assert logged.estimates is not None
    rows = np.arange(900)
    arms = [router.predict(logged.prompts).quality.argmax(axis=1) for router in (new, old)]
    truth = logged.estimates.quality[rows, arms[0]] - logged.estimates.quality[rows, arms[1]]
    found = estimate_difference(new, old, logged)
    assert found.low <= truth.mean() <= found.high
    assert found.low > 0
    assert estimate_difference(old, old, logged).value == 0


# -- the gate ---


def test_relatives_of_training_prompts_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    log = rl.CallLog(tmp_path / "logs.db")
    known = [f"Please sort the {word} by their weight and tell me" for word in ("cups", "ships")]
    new = [*(f"{text} now" for text in known), "Name a river in Peru, and a lake"]
    fill(log, rl.Outcomes(known + new, ["small", "large"], [[0, 1]] * 5, [[0.1, 1]] * 5))
    path = tmp_path / "router_model.pkl"
    BestSingle().fit(log.outcomes().take([0, 1])).save(path)
    done = retrain(log, path)
    assert (done.n_new, done.n_related) == (1, 2)
    assert done.left_out.startswith("2 more prompts are new but of one family")


def test_the_first_router_is_installed_with_prompts_left_for_the_next_comparison(
    log: rl.CallLog, world: rl.Outcomes, tmp_path: Path
) -> None:
    fill(log, world.take(range(120)))
    path = tmp_path / "data" / "router_model.pkl"
    done = retrain(log, path)
    assert done.verdict == "installed"
    assert len(load_router(path).train_prompt_ids_) == done.n_train < 120
    (kept,) = archive.kept_models(path)
    assert kept.is_in_use


def test_nothing_happens_before_there_are_enough_new_prompts(
    log: rl.CallLog, world: rl.Outcomes, tmp_path: Path
) -> None:
    path = tmp_path / "router_model.pkl"
    fill(log, world.take(range(30)))
    assert retrain(log, path).verdict == "not yet"
    assert not path.exists()
    KNNRouter().fit(world.take(range(100))).save(path)
    before = path.read_bytes()
    fill(log, world.take(range(30, 130)))
    few = retrain(log, path, if_new=200)
    assert few.sentence == "Not yet: 30 new scored prompts, 200 are needed."
    too_few = retrain(log, path)
    assert too_few.verdict == "kept"
    assert "30 new scored prompts, 40 that neither router has seen are needed" in too_few.sentence
    assert path.read_bytes() == before


def test_help_and_readme_say_how_many_prompts_are_needed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["retrain", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    n_held_out = duel.MIN_COMPARED
    assert f"compared on {n_held_out} prompts at least" in told
    share = signature(retrain).parameters["test_size"].default
    assert f"{share:.0%}".replace("%", " %") + " of the new prompts are held out" in told
    assert f"about {n_held_out / share:.0f} new ones" in told
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"fewer than {duel.MIN_COMPARED} such prompts" in readme


def test_a_router_is_judged_by_the_judge_that_it_learned_from(
    log: rl.CallLog, tmp_path: Path, world: rl.Outcomes
) -> None:
    fill(log, world)
    path = tmp_path / "router_model.pkl"
    BestSingle().fit(world.take(range(40))).save(path, {"judge": "a person"})
    with pytest.raises(ValueError, match="a person"):
        retrain(log, path)


def test_a_poor_champion_is_replaced_and_can_be_put_back(log: rl.CallLog, tmp_path: Path) -> None:
    world = make_world(n_prompts=600, n_models=2, seed=4).outcomes
    fill(log, world)
    path = tmp_path / "router_model.pkl"
    poor = BestSingle().fit(world.take(range(40)))
    poor.stand_at(poor.cost_weight_, training={"cost_weight_is": "certified"})
    poor.save(path, {"judge": "exact"})
    champion = path.read_bytes()
    done = retrain(log, path, margin=0.0)
    assert done.verdict == "replaced"
    assert done.comparison is not None
    assert done.comparison.utility.low >= 0
    assert "prompts that neither was trained on the new router gains +0." in done.sentence
    assert "The router before was certified, this one carries no certificate" in done.sentence
    new = load_router(path)
    assert new.router_hash_ == done.challenger != done.champion == poor.router_hash_
    described = json.loads(path.with_suffix(".json").read_text())
    assert described["retraining"]["verdict"] == "replaced"
    assert described["judge"] == "exact"
    assert [kept.is_in_use for kept in archive.kept_models(path)] == [False, True]
    back = archive.rollback(path)
    assert back.name.startswith("0001-")
    assert path.read_bytes() == champion
    assert archive.rollback(path, "0002").is_in_use
    assert load_router(path).router_hash_ == done.challenger


def test_compared_prompts_are_seen_by_neither_router_nor_nearly(
    log: rl.CallLog, world: rl.Outcomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = list(world.prompts)
    texts[100:150] = [text + " " for text in texts[:50]]  # copies of training prompts
    copied = rl.Outcomes(texts, world.models, world.quality, world.cost_usd)
    fill(log, copied)
    path = tmp_path / "router_model.pkl"
    champion = KNNRouter().fit(copied.take(range(100)))
    champion.save(path)
    compared: dict[str, Any] = {}

    def spy(challenger: rl.LGBMRouter, champion: Any, test: rl.Outcomes, **rest: Any) -> Any:
        compared.update(challenger=challenger, test=test)
        return compare_observed(challenger, champion, test, **rest)

    monkeypatch.setattr("routerlib.evaluation.gate.compare_observed", spy)
    done = retrain(log, path)
    assert done.n_new == 170
    tested = set(compared["test"].prompt_ids)
    assert not tested & set(champion.train_prompt_ids_)
    assert not tested & set(compared["challenger"].train_prompt_ids_)
    assert not tested & set(copied.prompt_ids[100:150])
    assert set(copied.prompt_ids[:100]) <= set(compared["challenger"].train_prompt_ids_)


def test_a_challenger_that_is_not_shown_to_be_as_good_does_not_replace(
    log: rl.CallLog, tmp_path: Path
) -> None:
    skill = make_world(n_prompts=200, n_models=2, seed=3).outcomes
    fill(log, skill)
    path = tmp_path / "router_model.pkl"
    KNNRouter().fit(skill.take(range(90))).save(path)
    before = path.read_bytes()
    done = retrain(log, path, margin=0.0)
    assert done.verdict == "kept"
    assert "not shown to be at least -0" in done.sentence
    assert path.read_bytes() == before


def test_where_only_the_chosen_were_observed_propensities_compare(
    log: rl.CallLog, tmp_path: Path
) -> None:
    world = make_world(n_prompts=700, n_models=2, seed=6).outcomes
    path = tmp_path / "router_model.pkl"
    taught = world.take(range(200))
    fill(log, taught)
    BestSingle().fit(taught).save(path)
    policy = EpsilonGreedy(epsilon=1.0, random_state=0)
    estimates = rl.Estimates(tuple(world.models), np.full((500, 2), 0.5), np.zeros((500, 2)))
    choices = policy.choose(estimates)
    known = {name: {"quality": 0.5, "cost_usd": 0.0} for name in world.models}
    log.add_prompts(Prompt.from_text(text) for text in world.prompts)
    for number, row in enumerate(range(200, 700)):
        name, chance = world.models[choices.arms[number]], float(choices.propensities[number])
        decision = Decision(name, 0.5, 0.0, chance, "drawn", 0.0, known, "b2:r")
        decision_id = log.add_decision(world.prompt_ids[row], decision)
        call = Call(world.prompt_ids[row], name, "h", "ok", "x", TOKENS, decision_id=decision_id)
        quality = float(world.quality[row, choices.arms[number]])
        log.add_call(call, scores=[Score("exact", quality)])
    assert len(LoggedChoices.from_log(log)) == 500
    done = retrain(log, path, margin=0.25)
    assert done.comparison is not None
    assert done.comparison.how == "off-policy"
    assert done.comparison.n == 200
    assert done.comparison.utility.value > 0
    assert done.verdict == "replaced", done.sentence
    assert "estimated from logged propensities" in done.sentence


# -- the archive ---


def test_only_the_last_routers_are_kept(world: rl.Outcomes, tmp_path: Path) -> None:
    path = tmp_path / "router_model.pkl"
    for size in range(20, 26):
        archive.install(KNNRouter().fit(world.take(range(size))), path, keep=3)
    names = [kept.name.split("-")[0] for kept in archive.kept_models(path)]
    assert names == ["0004", "0005", "0006"]
    assert len(list((tmp_path / "models").iterdir())) == 6


def test_whoever_reads_while_routers_are_replaced_sees_a_whole_one(
    world: rl.Outcomes, tmp_path: Path
) -> None:
    path = tmp_path / "router_model.pkl"
    routers = [KNNRouter().fit(world.take(range(size))) for size in (20, 30)]
    routers[0].save(path)
    torn: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                load_router(path)
            except artifact.ArtifactError as error:
                # Between the renames of pickle and JSON the digests differ: said, never torn.
                if "don't belong together" not in str(error):
                    torn.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(10):
        archive.install(routers[number % 2], path)
    stop.set()
    reader.join()
    assert not torn
    assert load_router(path).router_hash_ == routers[1].router_hash_


def test_the_same_router_is_kept_once_and_as_the_newest(world: rl.Outcomes, tmp_path: Path) -> None:
    path = tmp_path / "router_model.pkl"
    small, large = (KNNRouter().fit(world.take(range(size))) for size in (20, 30))
    for _ in range(2):
        archive.install(small, path)
    assert [kept.name[:4] for kept in archive.kept_models(path)] == ["0001"]
    archive.install(large, path)
    archive.install(small, path)
    assert [kept.name[:4] for kept in archive.kept_models(path)] == ["0002", "0003"]
    assert load_router(archive.rollback(path).path).router_hash_ == large.router_hash_


def test_going_back_goes_to_what_the_one_in_use_replaced(
    world: rl.Outcomes, tmp_path: Path
) -> None:
    path = tmp_path / "router_model.pkl"
    routers = [KNNRouter().fit(world.take(range(size))) for size in (20, 30, 40, 50, 60)]
    for router in routers[:3]:
        archive.install(router, path)
    archive.rollback(path, "0001")
    archive.install(routers[3], path, keep=3)
    assert [kept.name[:4] for kept in archive.kept_models(path)] == ["0001", "0003", "0004"]
    assert archive.rollback(path).name[:4] == "0001"
    archive.rollback(path, "0004")
    kept = archive.kept_models(path)
    assert archive.replaced_by(kept, kept[-1].name) == kept[0]._replace(is_in_use=False)
    for each in kept:  # files of older versions don't say what they replaced
        artifact.update_metadata(each.path, replaced=None)
    artifact.update_metadata(path, replaced=None)
    assert archive.rollback(path).name[:4] == "0003"
    assert archive.rollback(path).name[:4] == "0001"


def test_what_a_description_learns_later_is_archived_with_it(
    world: rl.Outcomes, tmp_path: Path
) -> None:
    path = tmp_path / "router_model.pkl"
    archive.install(KNNRouter().fit(world.take(range(20))), path)
    artifact.update_metadata(path, test="tested later")
    archive.install(KNNRouter().fit(world.take(range(30))), path)
    assert archive.rollback(path).metadata["test"] == "tested later"


def test_damaged_file_gives_way_to_a_new_router_and_is_not_archived(
    world: rl.Outcomes, tmp_path: Path
) -> None:
    path = tmp_path / "router_model.pkl"
    router = KNNRouter().fit(world.take(range(20)))
    router.save(path)
    path.write_bytes(path.read_bytes()[:-50])
    archive.install(router, path)
    assert [kept.is_in_use for kept in archive.kept_models(path)] == [True]
    artifact.json_path(path).write_text("{")
    archive.install(router, path)
    assert load_router(path).router_hash_ == router.router_hash_


def test_a_router_of_another_format_is_archived_for_the_version_that_wrote_it(
    world: rl.Outcomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "router_model.pkl"
    with monkeypatch.context() as before:
        before.setattr(artifact, "FORMAT", artifact.FORMAT - 1)
        KNNRouter().fit(world.take(range(20))).save(path)
    old = path.read_bytes()
    archive.install(KNNRouter().fit(world.take(range(30))), path)
    kept = archive.kept_models(path)
    assert [each.is_in_use for each in kept] == [False, True]
    assert kept[0].path.read_bytes() == old
    with pytest.raises(artifact.OtherFormatError, match="train the router again"):
        archive.rollback(path)
    assert load_router(path).router_hash_ == kept[1].metadata["router_hash"]


def test_router_files_of_other_names_have_archives_of_their_own(
    world: rl.Outcomes, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.router"
    archive.install(KNNRouter().fit(world.take(range(20))), tmp_path / "router_model.pkl")
    archive.install(KNNRouter().fit(world.take(range(30))), mine)
    assert load_router(mine).name == "knn"
    assert [kept.path.parent.name for kept in archive.kept_models(mine)] == ["mine"]
    with pytest.raises(ValueError, match="there is no router before"):
        archive.rollback(mine)


def test_router_that_training_replaces_can_be_had_back(
    world: rl.Outcomes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with rl.CallLog("data/logs.db") as log:
        fill(log, world.take(range(80)))
    before = BestSingle().fit(world.take(range(40)))
    before.save("data/router_model.pkl")
    assert main(["train"]) == 0
    told = capsys.readouterr().out
    assert "data/router_model.pkl, archived as 0002-" in told
    _, *said = told[told.index(", archived as ") :].splitlines()
    assert len(said[0].split()) <= 12 < len(said[1].split()), "the headline, then the verdict"
    assert main(["models", "list"]) == 0
    assert "0001-" in capsys.readouterr().out
    capsys.readouterr()
    assert main(["models", "rollback"]) == 0
    assert load_router("data/router_model.pkl").router_hash_ == before.router_hash_
    in_use, where_it_was, back, step = capsys.readouterr().out.splitlines()
    first, second = (each.name for each in archive.kept_models("data/router_model.pkl"))
    assert in_use == f"{first} is in use: data/router_model.pkl"
    assert where_it_was == f"it is the one before {second}; there is none before it"
    assert step == "next: routerlib inspect data/router_model.pkl"
    assert main(["models", "rollback"]) == 1, "each time one further back"
    assert main(back.split("routerlib ")[1].split()) == 0
    assert archive.kept_models("data/router_model.pkl")[-1].is_in_use
    capsys.readouterr()
    assert main(["drift"]) == 0, "all of the log was learnt from"
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Nothing with a score has come in since training")


def test_the_list_of_routers_tells_their_operating_points_apart(
    world: rl.Outcomes, tmp_path: Path
) -> None:
    router = KNNRouter().fit(world.take(range(20)))
    path = tmp_path / "router_model.pkl"
    for weight, fallback in ((313.0, None), (10_000.0, None), (0.0, "no gain could be shown")):
        archive.install(router.stand_at(weight, fallback), path)
    kept = archive.kept_models(path)
    assert len({each.name.split("-")[1] for each in kept}) == 3
    shown = models_table(kept)
    column = shown.heads.index("operating point")
    assert [(row[0], row[column]) for row in shown.rows] == [
        (kept[2].name, f"keeps to {router.best_single_}"),
        (kept[1].name, "cost weight 10,000"),
        (kept[0].name, "cost weight 313"),
    ]


def test_a_damaged_archived_router_is_never_put_in_use(world: rl.Outcomes, tmp_path: Path) -> None:
    path = tmp_path / "router_model.pkl"
    for size in (20, 30):
        kept = archive.install(KNNRouter().fit(world.take(range(size))), path)
    good = path.read_bytes()
    first = archive.kept_models(path)[0]
    first.path.write_bytes(first.path.read_bytes()[:-50])
    with pytest.raises(artifact.ArtifactError):
        archive.rollback(path)
    assert path.read_bytes() == good
    assert kept.is_in_use
    with pytest.raises(ValueError, match="no archived router is called 'nope'"):
        archive.rollback(path, "nope")


def test_going_back_with_nothing_before_is_refused(world: rl.Outcomes, tmp_path: Path) -> None:
    path = tmp_path / "router_model.pkl"
    only = archive.install(KNNRouter().fit(world.take(range(20))), path).name
    with pytest.raises(ValueError, match=f"no router before .* {only} is the only one"):
        archive.rollback(path)
    archive.install(KNNRouter().fit(world.take(range(30))), path)
    later = archive.kept_models(path)[1].name
    archive.rollback(path)
    with pytest.raises(ValueError, match=f"the oldest; name a later one to go forward: {later}"):
        archive.rollback(path)


# -- drift ---


def test_drift_of_a_log_says_what_it_needs(world: rl.Outcomes, tmp_path: Path) -> None:
    router = KNNRouter().fit(world.take(range(20)))
    with (
        rl.CallLog(tmp_path / "logs.db") as log,
        pytest.raises(ValueError, match=r"got CallLog; of a log: rl\.Outcomes\.from_log\(log\)"),
    ):
        rl.measure_drift(router, log)  # type: ignore[arg-type]


def test_the_command_holds_no_outcomes_but_those_that_it_compares(
    log: rl.CallLog, world: rl.Outcomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, world)
    path = tmp_path / "router.pkl"
    KNNRouter().fit(rl.Outcomes.from_log(log).take(range(100))).save(path)
    given: list[weakref.ref[np.ndarray]] = []
    are_alive: list[bool] = []
    divide, judge = drift.since_training, drift.judge_estimates

    def since(router: Any, outcomes: rl.Outcomes) -> rl.Outcomes:
        found = divide(router, outcomes)
        given.extend(weakref.ref(each.quality) for each in (outcomes, found))
        return found

    def watched(*arguments: Any) -> Any:
        are_alive.extend(each() is not None for each in given)
        return judge(*arguments)

    monkeypatch.setattr(drift, "since_training", since)
    monkeypatch.setattr(drift, "judge_estimates", watched)
    assert main(["drift", "--log", str(log.path), "--model", str(path)]) == 0
    assert are_alive == [False, False]


def test_a_retraining_finds_the_drift_that_is_found_without_it(tmp_path: Path) -> None:
    # Four templates, each of a fifth of all prompts at most and of more than that of the recent.
    asked = ["How much is", "Please tell me: what is", "I would like to know", "Say: the sum of"]
    learnt = [f"Was ist {number} mal {number + 3}?" for number in range(40)]
    recent = [f"{asked[number % 4]} {number} + {number + 7}?" for number in range(120)]
    outcomes = rl.Outcomes(
        [*learnt, *recent], ["small", "large"], [[0, 1]] * 160, [[1e-6, 2e-6]] * 160
    )
    log = rl.CallLog(tmp_path / "logs.db")
    fill(log, outcomes)
    champion = BestSingle().fit(rl.Outcomes.from_log(log).take(range(40)))
    archive.install(champion, tmp_path / "r.pkl")
    alone = measure_drift(champion, rl.Outcomes.from_log(log))
    assert alone.features.is_shifted.any()
    done = retrain(log, tmp_path / "r.pkl", if_new=1000)
    assert done.verdict == "not yet"
    assert done.drift is not None
    assert done.drift.sentence == alone.sentence


def test_the_index_agrees_with_shares_by_hand() -> None:
    # Half of the prompts before are translations, and a fifth of those now. Two bins of a number
    # that is 0 or 1, and an empty one above; each counts half a prompt more than it holds.
    texts = [f"Translate to French: house {i}" if i % 2 else f"Hello there {i}" for i in range(100)]
    texts += [f"Translate to French: tree {i}" if i < 20 else f"Hello tree {i}" for i in range(100)]
    outcomes = rl.Outcomes(texts, ["m"], [[1.0]] * 200)
    found = measure_drift(rl.BestSingle().fit(outcomes.take(range(100))), outcomes)
    p, q = np.array([50.5, 50.5, 0.5]) / 101.5, np.array([80.5, 20.5, 0.5]) / 101.5
    expected = ((q - p) * np.log(q / p)).sum()
    assert found.features.psi["task: translate"] == pytest.approx(expected)


def test_no_drift_is_seldom_reported_and_real_drift_always() -> None:
    falsely = 0
    for seed in range(20):
        world = make_world(n_prompts=240, seed=seed).outcomes
        router = KNNRouter().fit(world.take(range(140)))
        falsely += bool(measure_drift(router, world).reasons)
    assert falsely <= 3
    longer = [text * 3 for text in world.prompts[140:]]
    changed = rl.Outcomes(
        [*world.prompts[:140], *longer], world.models, world.quality, world.cost_usd
    )
    found = measure_drift(router, changed)
    assert "length in characters" in found.features[found.features.is_shifted].index
    assert found.sentence.startswith("Retrain: prompts have changed in ")


def test_a_candidate_that_became_worse_is_named_with_its_interval() -> None:
    world = make_world(n_prompts=400, n_models=2, seed=1).outcomes
    router = KNNRouter().fit(world.take(range(200)))
    quality = np.array(world.quality)
    quality[200:, 1] *= np.random.default_rng(0).random(200) < 0.5
    found = measure_drift(router, rl.Outcomes(world.prompts, world.models, quality))
    assert not found.calibration.is_misjudged["m0"]
    assert found.calibration.is_misjudged["m1"]
    assert found.calibration.error_high["m1"] < 0
    assert "m1 is worse than estimated by 0." in found.sentence


def test_a_few_prompts_say_nothing(world: rl.Outcomes) -> None:
    router = KNNRouter().fit(world.take(range(100)))
    assert measure_drift(router, world.take(range(110))).sentence.startswith("Too few prompts")


# -- schedule, page and command ---


@pytest.mark.parametrize("every", ["", "6", "h", "0s", "6 weeks", "-1h"])
def test_what_is_no_span_of_time_is_refused(every: str) -> None:
    with pytest.raises(ValueError, match="such as 6h"):
        seconds_of(every)


def test_a_job_runs_now_and_again_and_never_twice_at_once() -> None:
    running, most, starts = 0, 0, []

    def job() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        starts.append(time.monotonic())
        time.sleep(0.15)
        running -= 1

    run_every(job, 0.05, n_runs=3)
    assert len(starts) >= 3
    assert most == 1


def test_a_job_that_fails_ends_the_schedule_with_its_error() -> None:
    def job() -> None:
        raise ValueError("no log")

    with pytest.raises(ValueError, match="no log"):
        run_every(job, 0.05)


def test_the_command_retrains_reports_lists_and_goes_back(
    world: rl.Outcomes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with rl.CallLog("data/logs.db") as log:
        fill(log, world)
    BestSingle().fit(world.take(range(40))).save("data/router_model.pkl")
    assert main(["models", "list"]) == 0
    assert "no router is archived" in capsys.readouterr().out
    assert main(["retrain", "--if-new", "1000"]) == 0
    assert "Not yet: 280 new scored prompts" in capsys.readouterr().out
    assert main(["retrain", "--margin", "0.3"]) == 0
    assert "Replaced: on " in capsys.readouterr().out
    page = Path("reports/retraining.html").read_text()
    for text in ("Replaced by a better or equal router", "Has the traffic changed?", "0002-"):
        assert text in page
    assert "http://" not in page
    assert "https://" not in page
    assert main(["drift"]) == 0
    # What was held out was there when the new router was trained.
    assert "Nothing with a score has come in since training" in capsys.readouterr().out
    assert main(["models", "list"]) == 0
    assert "0002-" in capsys.readouterr().out
    assert main(["models", "rollback"]) == 0
    assert "0001-" in capsys.readouterr().out
    assert load_router("data/router_model.pkl").name == "best_single"
    assert main(["models", "rollback", "--model", "nowhere/m.pkl"]) == 1
    assert main(["retrain", "--every", "soon"]) == 1


def test_the_page_escapes_what_candidates_are_called(
    log: rl.CallLog, world: rl.Outcomes, tmp_path: Path
) -> None:
    named = rl.Outcomes(world.prompts, ["<b>", "large"], world.quality, world.cost_usd)
    fill(log, named.take(range(200)))
    path = tmp_path / "router_model.pkl"
    KNNRouter().fit(named.take(range(100))).save(path)
    page = write_retraining_report(tmp_path / "r.html", retrain(log, path), path)
    assert "<b>" not in page.read_text()
    assert "&lt;b&gt;" in page.read_text()
