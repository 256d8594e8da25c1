"""A verdict says how its prompts hang together, and where new topics disagree."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routerlib.cli import main
from routerlib.evaluation.clauses import with_groups, with_topics_held_out
from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.verdict import Verdict
from routerlib.log.call_log import CallLog
from routerlib.metrics.clusters import clustering
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.rivals import KNNRouter


def grouped(n_groups: int, n_each: int, share_own: float, seed: int = 0) -> Outcomes:
    """Draw prompts whose answers are those of their group, but for a share."""
    rng = np.random.default_rng(seed)
    n = n_groups * n_each
    group_of = np.repeat(np.arange(n_groups), n_each)
    of_group, own = rng.random((n_groups, 2)) < 0.6, rng.random((n, 2)) < 0.6
    quality = np.where(rng.random((n, 2)) < share_own, own, of_group[group_of])
    return Outcomes(
        make_world(n, seed=seed).outcomes.prompts,
        ("small", "large"),
        quality.astype(float),
        np.tile([0.001, 0.01], (n, 1)),
        group_ids=[f"g{group}" for group in group_of],
    )


@pytest.mark.parametrize(("share_own", "expected"), [(0.0, 1.0), (0.5, 0.25), (1.0, 0.0)])
def test_the_correlation_within_groups_is_that_of_the_world(
    share_own: float, expected: float
) -> None:
    outcomes = grouped(400, 5, share_own)
    found = clustering(outcomes.quality[:, 0], outcomes.groups)
    assert found.correlation == pytest.approx(expected, abs=0.05)
    assert found.design_effect == pytest.approx(1 + 4 * expected, abs=0.2)


def test_the_design_effect_is_what_a_bootstrap_of_groups_sees() -> None:
    outcomes = grouped(200, 6, 0.3)
    found = clustering(outcomes.quality[:, 0], outcomes.groups)
    values, groups = outcomes.quality[:, 0], outcomes.groups
    sums = np.bincount(groups, weights=values - values.mean())
    clustered, alone = (sums**2).sum(), ((values - values.mean()) ** 2).sum()
    assert found.design_effect == pytest.approx(clustered / alone, rel=0.05)


def test_nothing_is_said_of_groups_where_each_prompt_stands_alone() -> None:
    found = clustering([0.0, 1.0, 1.0], [0, 1, 2])
    assert np.isnan([found.correlation, found.design_effect]).all()
    assert np.isnan(clustering([1.0, 1.0], [0, 0]).correlation)
    assert clustering([], []).n_groups == 0


def test_the_verdict_tells_groups_correlation_and_design_effect() -> None:
    outcomes = grouped(100, 4, 0.1)
    train, test = outcomes.split(0.3, random_state=0)
    found = evaluate(KNNRouter().fit(train), test, n_bootstrap=50)
    assert "stand in 30 groups (the largest of 4)" in found.verdict.sentence
    assert "correlation within a group: quality 0." in found.verdict.sentence
    assert found.clustering["quality"].n_groups == 30
    assert found.verdict.numbers["quality_design_effect"] > 2
    alone = make_world(200).outcomes
    train, test = alone.split(0.3, random_state=0)
    told = evaluate(KNNRouter().fit(train), test, n_bootstrap=50).verdict
    assert "groups" not in told.sentence
    assert told.numbers["quality_correlation"] is None


def test_a_handful_of_joined_prompts_tell_no_correlation() -> None:
    outcomes = make_world(300, seed=3).outcomes
    groups = np.arange(300)
    groups[[1, 3]] = groups[[0, 2]]  # four prompts in two pairs
    few = clustering(outcomes.quality[:, 0], groups)
    assert (few.n_groups, few.n_shared, few.is_told) == (298, 4, False)
    found = {"quality": few, "quality_difference": few}
    verdict = with_groups(Verdict("pays", "Routing pays.", {}), found)
    assert verdict.sentence == (
        "Routing pays. The 300 measured prompts stand in 298 groups (the largest of 2)."
    )
    assert verdict.numbers["quality_correlation"] is None


def test_fewer_than_thirty_groups_tell_nothing_and_their_intervals_are_wide() -> None:
    outcomes = grouped(30, 20, 0.0)
    train, test = outcomes.split(0.3, random_state=0)
    found = evaluate(KNNRouter().fit(train), test, n_bootstrap=200)
    assert found.n_groups == 9
    assert found.verdict.kind in ("not_measurable", "does_not_pay")
    quality = found.operating["quality"]
    # Nine groups, each right or wrong as a whole: half a width of .33 by Student's law alone.
    assert quality.high - quality.low > 0.6


def test_the_sample_log_stands_in_the_30_templates_of_its_workload(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    shutil.copy(Path(__file__).parents[2] / "data" / "sample_logs.db", path)
    with CallLog(path) as log:
        outcomes = log.outcomes()
    assert len(set(outcomes.groups.tolist())) == 30
    complete = outcomes.complete()
    small, _, large = complete.quality.T
    alone, paired = (clustering(each, complete.groups) for each in (large, large - small))
    assert 0.1 < alone.correlation < 0.25
    assert 1.5 < paired.design_effect < 2.2 < alone.design_effect


def splits(at_random: tuple[float, ...], by_topic: tuple[float, ...]) -> pd.DataFrame:
    names = ["quality_difference", "quality_difference_low", "quality_difference_high"]
    return pd.DataFrame([at_random, by_topic], index=["random", "leave topics out"], columns=names)


PAYS = Verdict("pays", "Routing pays: +5 points.", {"margin": 0.03})


def test_topics_held_out_that_disagree_are_a_clause() -> None:
    told = with_topics_held_out(PAYS, splits((0.05, 0.02, 0.08), (-0.04, -0.07, -0.01)))
    assert told.sentence.startswith("Routing pays: +5 points. That is about topics it was trained")
    assert "-4.0 points [-7.0, -1.0], against 5.0 points." in told.sentence
    assert told.numbers["topics_held_out_disagree"] == 1
    assert told.kind == "pays"


def test_topics_held_out_that_agree_are_only_numbers() -> None:
    told = with_topics_held_out(PAYS, splits((0.05, 0.02, 0.08), (0.04, 0.01, 0.07)))
    assert told.sentence == PAYS.sentence
    assert told.numbers["topics_held_out_disagree"] == 0
    assert with_topics_held_out(PAYS, splits((0.0,) * 3, (0.0,) * 3).iloc[:1]) == PAYS


def test_without_a_random_split_topics_held_out_stand_beside_the_verdict_itself() -> None:
    numbers = {"margin": 0.03, "quality_difference": 0.05, "quality_difference_low": 0.02}
    pays = Verdict("pays", "Routing pays: +5 points.", numbers)
    told = with_topics_held_out(pays, splits((0.0,) * 3, (-0.04, -0.07, -0.01)).iloc[1:])
    assert "-4.0 points [-7.0, -1.0], against 5.0 points." in told.sentence
    assert told.numbers["topics_held_out_disagree"] == 1


def test_train_says_where_a_gain_is_none_on_topics_it_has_not_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each topic has a best model of its own, and a topic's words say nothing of another's.
    drawn = make_world(n_prompts=360, n_models=2, seed=4).outcomes
    names = sorted(set(drawn.topics or ()))
    small = np.array([names.index(topic) % 2 == 0 for topic in drawn.topics or ()])
    rng = np.random.default_rng(0)
    chance = np.where(np.column_stack([small, ~small]), 0.95, 0.35)
    table = pd.DataFrame({"prompt": drawn.prompts, "topic": drawn.topics})
    right = rng.random(chance.shape) < chance
    for arm, name in enumerate(("small", "large")):
        table[name], table[f"{name}_cost"] = right[:, arm].astype(float), 0.001
    table.to_csv(tmp_path / "scores.csv", index=False)
    log, model = str(tmp_path / "logs.db"), str(tmp_path / "router.pkl")
    assert main(["import", "table", str(tmp_path / "scores.csv"), "--log", log]) == 0
    train = ["train", "--log", log, "--model", model, "--test-size", "0.3"]
    assert main(train) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "Routing pays" in told
    assert "where the same training holds whole topics out, quality differs" in told
    capsys.readouterr()
    page = tmp_path / "report" / "index.html"
    assert main(["report", "--log", log, "--model", model, "--out", str(page)]) == 0
    assert "where the same training holds whole topics out, quality differs" in page.read_text()
    headline, opened = capsys.readouterr().out.splitlines()
    assert headline.startswith("Routing pays: ")
    assert headline.removesuffix(".") in page.read_text()
    assert opened == f"next: open {page} in a browser"
