"""A benchmark's numbers are those of plain functions on the prompts that were drawn."""

from __future__ import annotations

from dataclasses import replace

import joblib
import numpy as np
import pytest

from routerlib.evaluation.benchmark import benchmark, difference, measure_fits
from routerlib.evaluation.benchmark_fits import (
    BASELINES,
    BENCHMARKED,
    fit_parts,
    usual_routers,
)
from routerlib.evaluation.curve_metrics import CURVE_METRICS
from routerlib.metrics.calibration import brier, ece
from routerlib.metrics.intervals import cluster_weights
from routerlib.metrics.pairs import apgr, cpt
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, folds
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import choose_arms
from routerlib.routers.baselines import BestSingle, RandomRouter, TopicTable
from routerlib.routers.rivals import KNNRouter, LinearRouter

MAKES = {"knn": KNNRouter, "linear": LinearRouter}
N_BOOTSTRAP = 25
# Those of a curve are recomputed in test_curve_metrics.py.
PLAIN = tuple(metric for metric in BENCHMARKED if metric not in CURVE_METRICS)


@pytest.fixture(scope="module")
def outcomes():
    made = make_world(n_prompts=150, n_models=3, seed=2, kind="price").outcomes
    quality = made.quality.copy()
    quality[::9, 2] = 0  # else the dearest were best everywhere, and nothing left to gain
    copies = [*range(150), *range(12)]  # a dozen prompts stand twice, and are drawn together
    return Outcomes(
        [made.prompts[row] + " " * (at >= 150) for at, row in enumerate(copies)],
        made.models,
        quality[copies],
        made.cost_usd[copies],
        [made.topics[row] for row in copies],
    )


@pytest.fixture(scope="module")
def parts(outcomes):
    # Prompts are tested by two parts at once, as in repeated random splits.
    orders = [np.random.default_rng(seed).permutation(len(outcomes)) for seed in (0, 1)]
    return [Parts(order[:60], order[60:]) for order in orders]


@pytest.fixture(scope="module")
def fits(outcomes, parts):
    return fit_parts(MAKES, outcomes, parts, tell_topics=True)


def plainly(fit, outcomes, part, drawn):
    """Measure one router on repeated rows of its test prompts, one plain call after the other."""
    train, test = outcomes.take(part.train), outcomes.take(part.test)
    quality = test.quality[drawn]
    expected = fit.detected.quality
    strong = test.models.index(train.best_single)
    weak = test.models.index(train.cheapest)
    rows = np.arange(len(drawn))
    arms = choose_arms(fit.detected, 0.0)[drawn]
    means = quality.mean(axis=0)
    chosen = quality[rows, arms].mean()
    best = means[strong]
    gain = (expected[:, strong] - expected[:, weak])[drawn]
    pair = (quality[:, weak], quality[:, strong], gain)
    columns = list(zip(expected[drawn].T, quality.T, strict=True))
    return {
        "quality": chosen,
        "gap_closed": (chosen - best) / (quality.max(axis=1).mean() - best),
        "APGR": apgr(*pair, n_bins=10)[0],
        "CPT50": cpt(0.5, *pair)[0],
        "CPT80": cpt(0.8, *pair)[0],
        "ECE": np.mean([ece(*each) for each in columns]),
        "Brier": np.mean([brier(*each) for each in columns]),
    }


def over_parts(fits, outcomes, parts, weights):
    """Return the means over parts of each metric, a prompt drawn for all parts at once."""
    rows = [
        plainly(fit, outcomes, part, np.repeat(np.arange(len(part.test)), weights[part.test]))
        for fit, part in zip(fits, parts, strict=True)
    ]
    return {metric: np.mean([row[metric] for row in rows]) for metric in PLAIN}


def test_each_metric_and_each_draw_equals_a_plain_recomputation(outcomes, parts, fits):
    found = measure_fits(fits, outcomes, parts, n_bootstrap=N_BOOTSTRAP, random_state=7)
    every = np.ones(len(outcomes), dtype=int)
    draws = np.vstack(list(cluster_weights(outcomes.groups, N_BOOTSTRAP, 7))).astype(int)
    plain = {
        name: [over_parts(fits[name], outcomes, parts, weights) for weights in (every, *draws)]
        for name in MAKES
    }
    for name, (value, *replicates) in plain.items():
        for metric in PLAIN:
            assert found.values[name][metric].mean() == pytest.approx(value[metric], abs=1e-9)
            drawn = [each[metric] for each in replicates]
            assert found.replicates[name][metric][0] == pytest.approx(np.array(drawn), abs=1e-9)
    gaps = found.differences("linear").loc["knn"]
    pairs = list(zip(plain["linear"][1:], plain["knn"][1:], strict=True))
    for metric in PLAIN[1:]:  # that of quality is a little wider, for unseen losses
        drawn = [mine[metric] - other[metric] for mine, other in pairs]
        ends = np.quantile(drawn, [0.025, 0.975])
        assert gaps[[f"{metric}_low", f"{metric}_high"]].tolist() == pytest.approx(ends, abs=1e-9)


def test_told_topics_are_a_table_of_their_own(outcomes, parts):
    fits = fit_parts({"topic table": TopicTable}, outcomes, parts, tell_topics=True)
    detected, told = (
        measure_fits(fits, outcomes, parts, is_told=is_told, n_bootstrap=0).table()
        for is_told in (False, True)
    )
    assert told.loc["topic table", "Brier"] < detected.loc["topic table", "Brier"]
    assert told.loc["oracle"].equals(detected.loc["oracle"])
    untold = fit_parts({"topic table": TopicTable}, outcomes, parts)
    with pytest.raises(ValueError, match="topics weren't told to 'topic table'"):
        measure_fits(untold, outcomes, parts, is_told=True)


def test_what_a_metric_of_two_parts_is(outcomes, parts, fits):
    table = measure_fits(fits, outcomes, parts, n_bootstrap=0).table()
    alone = [
        measure_fits({"knn": [fits["knn"][at]]}, outcomes, [parts[at]], n_bootstrap=0).table()
        for at in (0, 1)
    ]
    values = [each.loc["knn", "AIQ"] for each in alone]
    assert table.loc["knn", "AIQ"] == pytest.approx(np.mean(values))
    assert table.loc["knn", "AIQ_sd"] == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(alone[0].loc["knn", "AIQ_sd"])


def test_baselines_are_what_they_must_be(outcomes, parts, fits):
    table = measure_fits(fits, outcomes, parts, n_bootstrap=20).table()
    assert table.index.tolist() == [*MAKES, *BASELINES]
    assert table.loc["oracle", "gap_closed"] == 1
    assert table.loc[
        "best single", ["gap_closed", "cost_at_equal_quality"]
    ].tolist() == pytest.approx([0, 1])
    assert table.loc[["best single", "random"], "APGR"].tolist() == pytest.approx([0.5, 0.5])
    assert table.loc[["random", "zero router", "oracle"], ["ECE", "Brier"]].isna().all(axis=None)
    assert (table.AIQ.drop("oracle") < table.loc["oracle", "AIQ"]).all()


def test_the_same_choices_differ_by_nothing(outcomes, parts, fits):
    twice = {"a": fits["knn"], "b": fits["knn"]}
    gaps = measure_fits(twice, outcomes, parts, n_bootstrap=20).differences("a").loc["b"]
    assert (gaps == 0).all()


def test_prompts_that_somebody_did_not_answer_are_trained_on_and_not_tested(outcomes):
    quality = outcomes.quality.copy()
    quality[::5, 1] = np.nan
    holey = replace(outcomes, quality=quality)
    found = benchmark(MAKES, holey, folds(outcomes.groups, 3), n_bootstrap=0)
    complete = [part.test[part.test % 5 > 0] for part in found.divided]
    singles = [
        holey.quality[rows, holey.models.index(holey.take(part.train).best_single)].mean()
        for part, rows in zip(found.divided, complete, strict=True)
    ]
    assert found.values["best single"]["quality"] == pytest.approx(np.array(singles))


def test_without_costs_only_quality_and_estimates_are_measured(outcomes):
    unpriced = Outcomes(outcomes.prompts, outcomes.models, outcomes.quality)
    row = benchmark({"knn": KNNRouter}, unpriced, n_bootstrap=0).table().loc["knn"]
    assert row[["AIQ", "cost_at_equal_quality"]].isna().all()
    assert row[["quality", "APGR", "Brier"]].notna().all()


def test_held_out_estimates_come_from_fits_that_have_not_seen_the_prompt(outcomes):
    found = benchmark({"knn": KNNRouter}, outcomes, folds(outcomes.groups, 3), n_bootstrap=0)
    rows, estimates = found.held_out("knn")
    assert sorted(rows) == list(range(len(outcomes)))
    third = found.divided[2]
    router = KNNRouter().fit(outcomes.take(third.train))
    expected = router.predict([outcomes.prompts[row] for row in third.test])
    assert estimates.quality[-len(third.test) :].tolist() == expected.quality.tolist()


def test_a_difference_over_sizes_needs_the_same_test_prompts(outcomes, parts, fits):
    larger = measure_fits(fits, outcomes, parts, n_bootstrap=20)
    fewer = [part._replace(train=part.train[::4]) for part in parts]
    small = measure_fits(
        fit_parts({"knn": KNNRouter}, outcomes, fewer), outcomes, fewer, n_bootstrap=20
    )
    gained = difference(larger, "knn", small, "knn")["quality"]
    values = (larger.values["knn"]["quality"] - small.values["knn"]["quality"]).mean()
    assert gained.value == pytest.approx(values)
    assert gained.low < gained.value < gained.high
    others = [part._replace(test=part.test[1:]) for part in parts]
    with pytest.raises(ValueError, match="same test prompts"):
        difference(larger, "knn", replace(small, divided=others), "knn")


def test_who_estimates_nothing_is_refused_by_name(outcomes, parts):
    fits = fit_parts({"chance": RandomRouter}, outcomes, parts)
    with pytest.raises(ValueError, match="'chance' estimates no quality"):
        measure_fits(fits, outcomes, parts)
    known = measure_fits(fit_parts(MAKES, outcomes, parts), outcomes, parts, n_bootstrap=0)
    with pytest.raises(ValueError, match="'oracle' stands in every table anyway"):
        measure_fits({"oracle": fits["chance"]}, outcomes, parts)
    with pytest.raises(ValueError, match="expected one of knn, linear, best single"):
        known.differences("lightgbm")


def test_a_finished_fit_is_kept_until_its_data_or_its_code_changes(outcomes, parts, tmp_path):
    asked = []

    def make():
        asked.append(1)
        return BestSingle()

    memory = joblib.Memory(tmp_path, verbose=0)

    def fit(name="best", data=outcomes, key="code 1"):
        return fit_parts({name: make}, data, parts, memory=memory, memory_key=key)

    first = fit()["best"]
    again = fit()["best"]
    assert len(asked) == 2
    assert [each.detected.quality.tolist() for each in again] == [
        each.detected.quality.tolist() for each in first
    ]
    fit(key="code 2")
    fit(data=replace(outcomes, topics=None))
    fit(name="another")
    assert len(asked) == 8


def test_costs_are_measured_for_every_router(outcomes, parts, fits):
    costs = measure_fits(fits, outcomes, parts, n_bootstrap=0).costs()
    assert costs.index.tolist() == list(MAKES)
    assert (costs > 0).all(axis=None)
    assert (costs.decision_ms_low <= costs.decision_ms).all()


def test_the_classifier_of_the_best_model_claims_no_quality(outcomes, parts):
    makes = {"classes": usual_routers()["lightgbm best_model"]}
    row = benchmark(makes, outcomes, parts[:1], n_bootstrap=0).table().loc["classes"]
    assert row[["ECE", "Brier"]].isna().all()
    assert 0 <= row["AIQ"] <= 1
