"""The notebook's tables, figures and sentences say what the benchmark found, and no more."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from routerlib.evaluation.benchmark import benchmark
from routerlib.evaluation.benchmark_fits import without_each_group
from routerlib.evaluation.learning_curve import LearningCurve
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import folds
from routerlib.outcomes.worlds import make_world
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter, LinearRouter
from routerlib.show.notebooks import benchmarks


@pytest.fixture(scope="module")
def outcomes():
    return make_world(n_prompts=120, seed=4).outcomes


@pytest.fixture(scope="module")
def found(outcomes):
    makes = {"knn": KNNRouter, "linear": LinearRouter, "flat": BestSingle}
    return benchmark(makes, outcomes, folds(outcomes.groups, 2), n_bootstrap=200)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_every_row_stands_in_the_table_with_its_interval(found):
    shown = benchmarks.benchmark_table(found)
    assert [row[0] for row in shown.rows] == list(found.values)
    assert "2 parts, 120 held-out prompts" in shown.caption
    aiq = found.table().loc["knn"]
    cell = f"{aiq.AIQ:.3f} [{aiq.AIQ_low:.3f}, {aiq.AIQ_high:.3f}]"
    assert cell in shown.rows[0]


def test_leads_are_points_of_ours_minus_each(found):
    shown = benchmarks.leads_table(found, "knn")
    row = next(row for row in shown.rows if row[0] == "flat")
    gap = 100 * found.differences("knn").loc["flat", "AIQ"]
    at = shown.heads.index("AIQ, difference (points)")
    assert row[at].startswith(f"{gap:+.1f} [")
    assert "knn" not in [row[0] for row in shown.rows]


def test_each_router_has_a_curve_and_a_line_of_its_own(found):
    curves = benchmarks.curves_plot(found)
    labels = curves.get_legend_handles_labels()[1]
    assert labels == ["knn", "linear", "flat", "random mixing", "oracle"]
    honest = benchmarks.reliability_plot(found)
    text = " ".join(honest.get_legend_handles_labels()[1])
    assert all(f"{name}: ECE" in text for name in found.fits)


def test_twelve_routers_are_drawn_in_twelve_ways(outcomes):
    makes = {f"flat {number}": BestSingle for number in range(12)}
    found = benchmark(makes, outcomes, folds(outcomes.groups, 2), n_bootstrap=20)
    curves = benchmarks.curves_plot(found)
    honest = benchmarks.reliability_plot(found)
    honest.figure.draw_without_rendering()
    assert honest.get_legend().get_window_extent().x0 >= honest.get_window_extent().x1
    looks = {(line.get_color(), line.get_linestyle()) for line in curves.lines[:12]}
    assert len(looks) == 12


def test_the_title_says_how_many_are_not_told_from_the_leader(found):
    title = benchmarks.curves_plot(found).get_title(loc="left")
    best = found.table().AIQ[list(found.fits)].idxmax()
    gaps = found.differences(best).loc[[name for name in found.fits if name != best]]
    n_alike = int(((gaps.AIQ_low <= 0) & (gaps.AIQ_high >= 0)).sum())
    assert title == f"{best} leads by AIQ; {n_alike} of 2 others aren't told from it"


def test_without_costs_quality_is_compared_instead(outcomes):
    unpriced = Outcomes(outcomes.prompts, outcomes.models, outcomes.quality)
    found = benchmark({"knn": KNNRouter, "flat": BestSingle}, unpriced, n_bootstrap=50)
    assert benchmarks.main_metric(found) == "quality"
    ax = benchmarks.curves_plot(found)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(found.values)[::-1]
    assert ax.get_title(loc="left").startswith("knn leads by quality; 0 of 1 others")
    shown = benchmarks.leads_table(found, "knn")
    assert {row[shown.heads.index("AIQ, difference (points)")] for row in shown.rows} == {"–"}


def test_training_prompts_are_shown_as_the_misleading_view(outcomes, found):
    makes = {"knn": lambda: KNNRouter(n_neighbors=1)}
    shown = benchmarks.memory_table(makes, outcomes, found.divided[0])
    (row,) = shown.rows
    assert float(row[1]) > float(row[2])
    assert "60 training prompts, 60 held out" in shown.caption


def test_costs_are_shown_with_quartiles(found):
    shown = benchmarks.costs_table(found)
    assert [row[0] for row in shown.rows] == ["knn", "linear", "flat"]
    assert all("[" in row[2] for row in shown.rows)


def test_what_a_group_buys_is_whole_minus_without(outcomes):
    makes = dict(list(without_each_group().items())[:2])
    ablation = benchmark(makes, outcomes, folds(outcomes.groups, 2), n_bootstrap=50)
    (row,) = benchmarks.groups_table(ablation).rows
    assert row[0] == "surface"
    gap = ablation.differences("lightgbm").loc["without surface", "AIQ"]
    assert row[2].startswith(f"{100 * gap:+.1f}")
    points = [{"seed": 0, "n_train": size, "AIQ": 0.5} for size in (20, 40)]
    said = benchmarks.benchmark_lessons(
        ablation, ablation, LearningCurve(pd.DataFrame(points), is_stopped=False)
    )
    assert "without surface, its strongest rival" in said.bullets[0]
    assert "on 120 held-out prompts" in said.bullets[0]
    is_told = ablation.differences("lightgbm").loc["without surface", "AIQ_low"] > 0
    assert ("none, on so few prompts" in said.bullets[1]) != is_told
