"""Figures say their finding, name their units, and draw each candidate model alike."""

import itertools
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy.stats import binomtest

from routerlib.evaluation.evaluate import evaluate
from routerlib.evaluation.learning_curve import learning_curve
from routerlib.evaluation.noise import noise_ceiling
from routerlib.evaluation.repeats import Repeats
from routerlib.metrics.clusters import wilson
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.routers.explanation.explain import explain
from routerlib.routers.explanation.margin import explain_margin
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.rivals import KNNRouter
from routerlib.show import plots
from routerlib.show.plots.outcomes import quality_intervals

plt.switch_backend("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def world():
    return make_world(n_prompts=240, n_models=3, seed=2, kind="price").outcomes.split()


@pytest.fixture(scope="module")
def router(world):
    train, _ = world
    fitted = LGBMRouter(random_state=0).fit(train)
    fitted.stand_at(0.2 / train.mean_cost_usd.max())
    return fitted


@pytest.fixture(scope="module")
def evaluation(router, world):
    return evaluate(router, world[1], n_bootstrap=100)


def title_of(ax):
    return ax.get_title(loc="left")


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_curve_says_the_verdict_and_draws_every_baseline(evaluation):
    ax = plots.cost_quality(evaluation)
    assert title_of(ax) == evaluation.verdict.headline
    assert ax.get_xlabel() == "cost (US dollars per 1000 prompts)"
    assert ax.get_ylabel() == "mean quality (0-1)"
    assert f"n = {evaluation.n} held-out prompts" in [text.get_text() for text in ax.texts]
    labels, beside = legend_of(ax), [text.get_text() for text in ax.texts]
    for wanted in ("zero router", "operating"):
        assert [label for label in labels if wanted in label], wanted
    for wanted in ("always m0", "always m2\n(best single)", "oracle (upper bound)"):
        assert wanted in beside  # told at its dot, and not once more in the legend
        assert wanted not in labels
    sizes = {str(line.get_label()): line.get_markersize() for line in ax.lines}
    assert sizes["topic table, same cost weight"] > sizes["always m2 (best single)"]
    table = next(line for line in ax.lines if "topic table" in str(line.get_label()))
    (ring,) = (each[0] for each in ax.containers if "operating" in str(each.get_label()))
    assert table.get_markersize() > 1.5 * ring.get_markersize(), "its arms stand out around it"
    assert table.get_markeredgewidth() > 2


def test_names_of_dots_lie_inside_and_over_no_curve_or_each_other(evaluation):
    train, test = make_world(n_prompts=240, n_models=3).outcomes.split(random_state=0)
    other = evaluate(KNNRouter().fit(train), test, n_bootstrap=30)
    for each in (evaluation, other):
        ax = plots.cost_quality(each)
        ax.figure.canvas.draw()
        names = [text for text in ax.texts if text.get_text().startswith(("always", "oracle"))]
        boxes = [text.get_window_extent() for text in names]
        assert len(boxes) == 4
        curve = next(line for line in ax.lines if "all cost weights" in str(line.get_label()))
        path = curve.get_path().transformed(ax.transData)
        for number, box in enumerate(boxes):
            assert box.x1 <= ax.bbox.x1 + 1
            assert box.y0 >= ax.bbox.y0 - 1
            assert box.y1 <= ax.bbox.y1 + 1, "under the title"
            assert not path.intersects_bbox(box, filled=False), names[number]
            assert not box.count_overlaps(boxes[:number])


def test_a_learning_curve_is_drawn_on_at_most_to_twice_its_size(world):
    outcomes = make_world(n_prompts=200, seed=4).outcomes
    curve = learning_curve(KNNRouter, outcomes, sizes=[30, 60, 120])
    ax = plots.learning_curve(curve)
    assert title_of(ax).startswith("quality goes from 0.")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["30", "60", "120", "240"]
    assert legend_of(ax) == ["router, mean", "always the best single model", "drawn on"]
    short = learning_curve(KNNRouter, outcomes, sizes=[30], n_seeds=1)
    assert legend_of(plots.learning_curve(short, "AIQ")) == ["router, mean"]


def test_the_noise_ceiling_names_each_yardstick(world):
    train, _ = world
    flips = np.random.default_rng(0).integers(0, 2, (*train.quality.shape, 3)).astype(float)
    repeats = Repeats(tuple(train.prompts), tuple(train.models), flips, tuple(train.topics))
    ax = plots.noise_ceiling(noise_ceiling(repeats, n_bootstrap=50))
    assert title_of(ax).endswith("of the gap to the oracle is luck")
    assert [text.get_text() for text in ax.get_yticklabels()][::-1] == [
        "best single",
        "topic oracle",
        "prompt oracle, at least",
        "prompt oracle, at most",
        "lucky oracle",
    ]


def test_the_curve_shows_dollars_per_thousand_prompts(evaluation):
    ax = plots.cost_quality(evaluation)
    (line,) = [line for line in ax.lines if "all cost weights" in str(line.get_label())]
    np.testing.assert_allclose(line.get_xdata(), 1000 * evaluation.curve.cost_usd)
    np.testing.assert_allclose(line.get_ydata(), evaluation.curve.quality)


def test_without_costs_quality_alone_is_drawn(world):
    train, test = (Outcomes(half.prompts, half.models, half.quality) for half in world)
    ax = plots.cost_quality(evaluate(KNNRouter().fit(train), test, n_bootstrap=50))
    assert ax.get_xlabel() == "mean quality (0-1)"
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert [name.split(" (")[0] for name in names] == ["random", "best single", "knn", "oracle"]


def test_a_candidate_looks_the_same_in_every_figure(evaluation, world):
    color = plots.candidate_styles(evaluation.models)["m1"].color
    curve = plots.cost_quality(evaluation)
    (dot,) = [line for line in curve.lines if line.get_label() == "always m1"]
    bars = plots.routed_shares(evaluation)
    (drawn,) = [bar for bar in bars.containers if bar.get_label() == "m1"]
    rows = plots.quality_by_model(world[1])
    colors = {line.get_color() for line in rows.lines}
    assert dot.get_color() == color
    assert plt.matplotlib.colors.to_hex(drawn.patches[0].get_facecolor()).upper() == color
    assert color in colors


def test_a_candidate_keeps_its_look_whoever_stands_beside_it_and_in_whatever_order():
    """The sample logs hold other candidates in another order; notebook and page look alike."""
    pool = ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]
    known = plots.candidate_styles(pool)
    assert len({style.color for style in known.values()}) == 3
    for order in itertools.chain.from_iterable(map(itertools.permutations, (pool, pool[:2]))):
        for name, style in plots.candidate_styles(order).items():
            assert style == known[name]
    crowd = plots.candidate_styles([f"m{number}" for number in range(9)])
    assert len({style.color for style in crowd.values()}) == 9


def test_fifty_candidates_all_look_different():
    styles = plots.candidate_styles([f"m{number}" for number in range(50)])
    assert len({(style.color, style.marker) for style in styles.values()}) == 50


def test_quality_by_model_puts_the_best_on_top_with_its_n(world):
    ax = plots.quality_by_model(world[1])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[-1] == f"m2\n(n = {len(world[1])})"
    assert title_of(ax) == "m2 gives the best answers on average"
    assert ax.get_xlim() == (0, 1)


def test_intervals_of_models_are_as_wide_as_so_many_groups_allow():
    quality = np.tile([1.0, 0.0], 40)[:, None]
    words = np.random.default_rng(0).integers(10**9, size=(80, 6)).astype(str)
    prompts = [" ".join(each) for each in words]
    order = np.argsort(-quality[:, 0], kind="stable")  # whole families are right, or wrong
    named = [f"family {row // 8}" for row in range(80)]
    apart, alike = (
        quality_intervals(Outcomes(prompts, ["m"], quality[rows], group_ids=groups))
        for rows, groups in ((np.arange(80), None), (order, named))
    )
    by_scipy = binomtest(40, 80).proportion_ci(method="wilson")
    assert apart[0] == pytest.approx((by_scipy.low, by_scipy.high))
    assert alike[0] == pytest.approx(wilson(0.5, 10, 2.262), abs=1e-3)  # Student's, 9 free


def test_the_heatmap_counts_wins():
    quality = [[1, 0], [1, 0], [0, 1]]
    outcomes = Outcomes(["a", "b", "c"], ["small", "large"], quality, None, ["x", "y", "z"])
    ax = plots.task_heatmap(outcomes)
    assert title_of(ax) == "small is best on 2 of 3 tasks (red frames)"
    assert len(ax.patches) == 3
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "x (n = 1)",
        "y (n = 1)",
        "z (n = 1)",
    ]


def test_the_heatmap_frames_all_that_tie():
    quality = [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    models = ["small", "large", "other"]
    outcomes = Outcomes(["a", "b", "c"], models, quality, None, ["x", "y", "z"])
    ax = plots.task_heatmap(outcomes)
    assert title_of(ax) == "small is best or tied on 2 of 3 tasks (red frames)"
    framed = {(frame.get_y() + 0.5, frame.get_x() + 0.5) for frame in ax.patches}
    assert framed == {(0, 0), (0, 1), (1, 0), (2, 2)}


def test_reliability_draws_each_bin_and_says_how_far_off(evaluation):
    ax = plots.reliability(evaluation)
    bins = evaluation.calibration.reliability
    np.testing.assert_allclose(
        ax.collections[0].get_offsets(), np.column_stack([bins.expected, bins.observed])
    )
    assert title_of(ax).startswith("Estimates are ")
    with pytest.raises(ValueError, match="estimates no quality"):
        plots.reliability(replace(evaluation, calibration=None))


def test_shares_add_up_to_all_prompts(evaluation):
    ax = plots.routed_shares(evaluation)
    widths = np.array([[bar.get_width() for bar in bars] for bars in ax.containers])
    np.testing.assert_allclose(widths.sum(axis=0), 1)
    assert ax.get_yticklabels()[0].get_text() == f"all prompts (n = {evaluation.n})"


def test_importance_and_beeswarm_are_ordered_by_mean_absolute_value(router, world):
    explanation = explain(router, world[1].prompts[:30], model="m1")
    sizes = np.abs(explanation.values).mean(axis=0)
    ax = plots.feature_importance(explanation, max_features=5)
    *widths, rest = (bar.get_width() for bar in ax.patches)
    np.testing.assert_allclose(widths, np.sort(sizes)[::-1][:5])
    assert rest == pytest.approx(np.sort(sizes)[:-5].sum())
    assert ax.get_yticklabels()[-1].get_text() == f"Sum of {len(sizes) - 5} other features"
    units = ax.get_xlabel().replace("\n", " ")
    assert "log-odds of a right answer, before the pull to its mean" in units
    first = explanation.feature_names[int(sizes.argmax())]
    swarm = plots.beeswarm(explanation, max_features=5)
    assert swarm.get_yticklabels()[-1].get_text().replace("\n", " ") == first
    assert title_of(swarm).lower().startswith(first)


def test_a_swarm_is_the_same_each_time_and_leaves_the_draws_of_others_alone(router, world):
    explanation = explain(router, world[1].prompts[:30], model="m1")
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, second = (plots.beeswarm(explanation, max_features=3) for _ in range(2))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    for one, other in zip(first.collections, second.collections, strict=True):
        np.testing.assert_array_equal(one.get_offsets(), other.get_offsets())


def test_dependence_shows_each_prompt_and_the_mean_of_each_fifth(router, world):
    explanation = explain(router, world[1].prompts[:40], model="m1")
    ax = plots.dependence(explanation, "length in characters")
    column = explanation.feature_names.index("length in characters")
    shown = np.asarray(ax.collections[0].get_offsets())
    each = np.column_stack([explanation.data[:, column], explanation.values[:, column]])
    np.testing.assert_allclose(sorted(shown.tolist()), sorted(each.tolist()))
    assert len(ax.lines[0].get_xdata()) == 5
    assert np.mean(ax.lines[0].get_ydata()) == pytest.approx(shown[:, 1].mean())
    with pytest.raises(ValueError, match="'the prompt as a whole' has no value of its own"):
        plots.dependence(explanation, "the prompt as a whole")
    with pytest.raises(ValueError, match=r"feature must be one of .*, got 'nope'"):
        plots.dependence(explanation, "nope")


def test_importances_of_candidates_stand_side_by_side(router, world):
    explanations = {
        model: explain(router, world[1].prompts[:30], model=model) for model in router.models_
    }
    ax = plots.importance_by_model(explanations, max_features=4)
    assert [label.get_text() for label in ax.get_xticklabels()] == list(router.models_)
    names = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
    shown = np.asarray(ax.images[0].get_array())
    assert shown.shape == (4, 3)
    first = explanations["m1"]
    sizes = np.abs(first.values).mean(axis=0)
    np.testing.assert_allclose(shown[:, 1], [sizes[first.feature_names.index(n)] for n in names])
    assert [text.get_text() for text in ax.texts if text.get_text() == f"{shown[0, 0]:.3f}"]
    cells = ax.images[0].to_rgba(shown)[..., :3].reshape(-1, 3)
    written = ax.texts[: len(cells)]
    for cell, text in zip(cells, written, strict=True):
        assert contrast(cell, to_rgb(text.get_color())) >= 4.4, text.get_text()


def test_the_waterfall_leads_from_the_base_to_the_estimate(router, world):
    explanation = explain(router, world[1].prompts[:3], model="m1")
    ax = plots.waterfall(explanation, 2)
    bars = ax.patches
    base = float(explanation.base_values[2])
    assert bars[0].get_x() == pytest.approx(base)
    total = sum(bar.get_width() for bar in bars)
    assert total == pytest.approx(float(explanation.values[2].sum()))


def test_a_reliability_figure_fills_its_width(evaluation):
    ax = plots.reliability(evaluation)
    ax.figure.canvas.draw()
    whole, drawn = ax.figure.bbox, ax.get_window_extent()
    assert drawn.width > 0.6 * whole.width
    (note,) = (text for text in ax.texts if "Brier" in text.get_text())
    assert note.get_window_extent().x1 <= whole.x1


def contrast(one, other):
    """Return the ratio of two colours' luminance, as WCAG defines it."""
    channels = np.array([one, other])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


def test_the_margin_names_who_is_ahead(router, world):
    explanation = explain_margin(router, world[1].prompts[0])
    ax = plots.margin(explanation)
    assert title_of(ax).startswith(f"{explanation.chosen} is ahead of {explanation.other} by ")
    total = sum(bar.get_width() for bar in ax.patches)
    assert total == pytest.approx(100 * explanation.utility_margin)


def test_next_to_nothing_has_no_minus_sign(router, world):
    explanation = explain_margin(router, world[1].prompts[0])
    tiny = replace(explanation, contributions={"n_words": 0.2, "n_lines": -0.0001})
    written = [text.get_text() for text in plots.margin(tiny).texts]
    assert "+20.0" in written
    assert "+0.0" in written
    assert "-0.0" not in written


def test_names_with_dollars_are_no_mathematics():
    outcomes = Outcomes(["a"], ["$x^2$", "<b>"], [[1, 0]])
    ax = plots.quality_by_model(outcomes)
    ax.figure.canvas.draw()
    assert title_of(ax).startswith(r"\$x^2\$")


@pytest.mark.parametrize("name", ["cost_quality", "routed_shares", "reliability"])
def test_a_figure_is_drawn_where_one_wants(evaluation, name):
    _, ax = plt.subplots()
    assert getattr(plots, name)(evaluation, ax=ax) is ax


def test_a_legend_of_few_candidates_stands_below_the_figure(evaluation):
    ax = plots.cost_quality(evaluation)
    ax.figure.canvas.draw()
    label = ax.xaxis.label.get_window_extent()
    legend = ax.get_legend().get_window_extent()
    assert 0 <= legend.y0 < legend.y1 < label.y0


def test_a_legend_of_many_candidates_stands_beside_the_figure(evaluation):
    many = tuple(f"m{number}" for number in range(9))
    singles = evaluation.singles._replace(
        cost_usd=np.linspace(1e-4, 1e-3, 9), quality=np.linspace(0.2, 0.9, 9)
    )
    crowded = plots.cost_quality(replace(evaluation, models=many, singles=singles))
    crowded.figure.canvas.draw()
    legend, axes = (part.get_window_extent() for part in (crowded.get_legend(), crowded))
    assert legend.x0 > axes.x1
