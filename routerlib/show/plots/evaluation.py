"""Draw what an evaluation found: one message each, the finding as the title."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from routerlib.show.plots.drawing import (
    COST_LABEL,
    MOVABLE,
    Row,
    cost_dot,
    curve_band,
    curve_line,
    diagonal,
    finish_reliability,
    interval_rows,
    mixing_line,
    operating_dot,
    place_names,
    reliability_line,
    whiskers,
)
from routerlib.show.plots.style import (
    BASELINE_GREY,
    QUALITY_LABEL,
    ROUTER_BLACK,
    axes_or_new,
    candidate_styles,
    escape_math,
    finish,
)
from routerlib.show.words.numbers import percent, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.evaluation.learning_curve import LearningCurve, Metric
    from routerlib.evaluation.noise import NoiseCeiling

_MAX_MODELS_BELOW = 4
_BELOW_THE_X_LABEL = -0.18
# What these begin with stands beside its dot, unless there are too many.
_NAMED_BESIDE = ("always ", "oracle")


def cost_quality(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Draw what a router offers between cost and quality, with the baselines.

    Parameters
    ----------
    evaluation : Evaluation
        Of a router; without costs the y axis alone is drawn.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        Router's curve and operating point with intervals, single candidate models, zero router,
        best single, oracle.

    Examples
    --------
    >>> import routerlib as rl
    >>> from routerlib.outcomes.worlds import make_world
    >>> train, test = make_world(n_prompts=90, n_models=2).outcomes.split(random_state=0)
    >>> evaluation = rl.evaluate(rl.BestSingle().fit(train), test, n_bootstrap=20)
    >>> cost_quality(evaluation).get_xlabel()
    'cost (US dollars per 1000 prompts)'
    """
    is_crowded, is_new = len(evaluation.models) > _MAX_MODELS_BELOW, ax is None
    ax = axes_or_new(ax, (9.4, 4.8) if is_crowded else (7.2, 5.8))
    if np.isnan(evaluation.operating["cost_usd"].value):
        return _quality_only(evaluation, ax)
    curve, singles = evaluation.curve, evaluation.singles
    right = max(float(np.nanmax(singles.cost_usd)), float(np.nanmax(curve.cost_usd)))
    mixing_line(ax, singles.cost_usd, singles.quality, right, "zero router (random mixing)")
    band = evaluation.band
    curve_band(ax, band.cost_usd, band.quality_low, band.quality_high)
    label = f"{evaluation.name}, all cost weights (95 % band for all at once)"
    curve_line(ax, curve.cost_usd, curve.quality, label)
    _draw_singles(evaluation, ax)
    _draw_baseline(evaluation, ax, "oracle", "oracle (upper bound)", "*", 13)
    if "oracle" in evaluation.baselines and not is_crowded:
        _name_dot(ax, "oracle (upper bound)")
    # Its arms stand out from under an operating point in the same place.
    _draw_baseline(evaluation, ax, "topic table", "topic table, same cost weight", "x", 16, 2.5)
    point = evaluation.operating
    label = f"{evaluation.name}, operating point (95 %)"
    operating_dot(ax, point["cost_usd"], point["quality"], label)
    ax.set_xlim(left=0)
    finish(ax, evaluation.verdict.headline, COST_LABEL, f"mean {QUALITY_LABEL}", _n(evaluation))
    # Inside the axes the legend would cover the curve's end or a candidate model.
    side = (1.02, 1.0) if is_crowded else (0.0, _BELOW_THE_X_LABEL)
    told = [
        (handle, label)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        if is_crowded or not label.startswith(_NAMED_BESIDE)
    ]
    handles, labels = zip(*told, strict=True)
    columns = 1 if is_crowded else 2
    ax.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=side,
        ncols=columns,
        fontsize="small",
        frameon=False,
    )
    if is_new:  # else only the caller knows when all has its place
        place_names(ax)
    return ax


def _draw_singles(evaluation: Evaluation, ax: Axes) -> None:
    """Draw each candidate model at its mean cost and quality, the best single one larger."""
    styles, singles = candidate_styles(evaluation.models), evaluation.singles
    points = zip(evaluation.models, singles.cost_usd, singles.quality, strict=True)
    is_crowded = len(evaluation.models) > _MAX_MODELS_BELOW
    for name, cost, quality in points:
        is_best = name == evaluation.strong
        label = f"always {name}" + (" (best single)" if is_best else "")
        cost_dot(
            ax,
            cost,
            quality,
            styles[name].marker,
            label,
            size=10 if is_best else 8,
            color=styles[name].color,
            edge="black" if is_best else "none",
        )
        if not is_crowded:
            _name_dot(ax, label.replace(" (", "\n("))


def _name_dot(ax: Axes, label: str) -> None:
    """Write beside the dot that was drawn last what it is, instead of in a legend."""
    ax.annotate(
        escape_math(label),
        np.asarray(ax.lines[-1].get_xydata())[0],
        xytext=(8, -13),
        textcoords="offset points",
        fontsize="small",
        va="center",
        label=MOVABLE,
        in_layout=False,  # its place follows from the layout
    )


def _draw_baseline(
    evaluation: Evaluation,
    ax: Axes,
    name: str,
    label: str,
    marker: str,
    size: float,
    edge_width: float | None = None,
) -> None:
    if name in evaluation.baselines:
        measured = evaluation.baselines[name]
        cost, quality = measured["cost_usd"].value, measured["quality"].value
        cost_dot(ax, cost, quality, marker, label, size=size, edge_width=edge_width)


def _n(evaluation: Evaluation) -> str:
    skipped = f", {evaluation.n_skipped} skipped" if evaluation.n_skipped else ""
    numbers = evaluation.verdict.numbers
    n, difference = numbers.get("n"), numbers.get("quality_difference")
    if skipped and n != evaluation.n and difference is not None and not evaluation.verdict.fallback:
        here = points(evaluation.operating["quality_difference"].value)
        skipped = f": {here} points; headline, n = {n:.0f}: {points(difference)}"
    return f"n = {evaluation.n} held-out prompts{skipped}"


def _quality_only(evaluation: Evaluation, ax: Axes) -> Axes:
    rows = {
        "oracle (upper bound)": evaluation.baselines["oracle"],
        evaluation.name: evaluation.operating,
        f"best single ({evaluation.strong})": evaluation.baselines["best single"],
        "random": evaluation.baselines["random"],
    }
    looks = dict.fromkeys(rows, (BASELINE_GREY, "s")) | {evaluation.name: (ROUTER_BLACK, "o")}
    interval_rows(
        ax, [Row(name, *each["quality"][:3], *looks[name]) for name, each in rows.items()]
    )
    finish(ax, evaluation.verdict.headline, f"mean {QUALITY_LABEL}", "", _n(evaluation))
    return ax


def reliability(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Draw expected against observed quality: on the diagonal estimates mean what they say.

    Parameters
    ----------
    evaluation : Evaluation
        Of a router that estimates quality.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        One dot per bin, its area by the number of estimates.

    Raises
    ------
    ValueError
        If the router estimates nothing.
    """
    calibration = evaluation.calibration
    if calibration is None:
        raise ValueError(f"{evaluation.name!r} estimates no quality, so there is nothing to draw")
    ax = axes_or_new(ax, (5.2, 5.0))
    bins = calibration.reliability
    diagonal(ax)
    reliability_line(ax, bins)
    area = 20 + 280 * bins.counts / max(bins.counts.max(initial=1), 1)
    ax.scatter(
        bins.expected, bins.observed, s=area, color=ROUTER_BLACK, alpha=0.75, label="estimates"
    )
    off, by_luck = (100 * x for x in (calibration.mean_ece, calibration.mean_ece_by_chance))
    title = f"Estimates are {off:.1f} points off on average (ECE), {by_luck:.1f} by luck alone"
    squared = calibration.mean_brier
    note = f"mean squared error (Brier) {squared.value:.3f} "
    note += f"[{squared.low:.3f}, {squared.high:.3f}];\n"
    note += f"{int(bins.counts.sum())} estimates, larger dot = more"
    finish_reliability(ax, title, note)
    return ax


def learning_curve(
    curve: LearningCurve, metric: Metric = "quality", ax: Axes | None = None
) -> Axes:
    """Draw what more training prompts bring, and how far that can be drawn on.

    Parameters
    ----------
    curve : LearningCurve
        At least one size.
    metric : str, default="quality"
        What is drawn.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        A line per split, their mean, always calling the best single model, and, where it can be
        told, the interval at twice the largest size.
    """
    ax = axes_or_new(ax, (6.4, 4.2))
    points = curve.points
    for _, each in points.groupby("seed"):
        ax.plot(each["n_train"], each[metric], color=BASELINE_GREY, linewidth=0.8)
    means = points.groupby("n_train")[[metric, "best_single"]].mean()
    ax.plot(means.index, means[metric], color=ROUTER_BLACK, marker="o", label="router, mean")
    if metric == "quality":
        ax.plot(
            means.index,
            means["best_single"],
            color=BASELINE_GREY,
            linestyle="--",
            label="always the best single model",
        )
    largest = int(points["n_train"].max())
    title = f"{metric} goes from {means[metric].iloc[0]:.3f} to {means[metric].iloc[-1]:.3f}"
    try:
        value, low, high = curve.extrapolate(2 * largest, metric)
    except ValueError:
        note = "too few sizes or splits to draw it on"
    else:
        note = "drawn on: 95 % interval of what the further prompts add"
        ax.errorbar(
            2 * largest,
            value,
            yerr=whiskers(value, low, high),
            fmt="o",
            color=ROUTER_BLACK,
            markerfacecolor="white",
            capsize=3,
            label="drawn on",
        )
    ax.set_xscale("log", base=2)
    ticks = [*means.index, 2 * largest]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    finish(ax, title, "training prompts, logarithmic", f"{metric} on held-out prompts", note)
    ax.legend(loc="best", fontsize="small")
    return ax


def noise_ceiling(ceiling: NoiseCeiling, ax: Axes | None = None) -> Axes:
    """Draw the gap between best single and oracle, taken apart.

    Parameters
    ----------
    ceiling : NoiseCeiling
        From `routerlib.noise_ceiling`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        One row per yardstick with its 95 % interval; shaded is what any router could reach.

    Examples
    --------
    >>> import routerlib as rl
    >>> from routerlib.evaluation.repeats import Repeats
    >>> tosses = np.random.default_rng(0).integers(0, 2, (30, 2, 4)).astype(float)
    >>> prompts = tuple(f"toss {number}" for number in range(30))
    >>> repeats = Repeats(prompts, ("heads", "tails"), tosses, ("toss",) * 30)
    >>> ax = noise_ceiling(rl.noise_ceiling(repeats, n_bootstrap=10))
    >>> ax.get_title(loc="left")
    '50 % to 100 % of the gap to the oracle is luck'
    """
    ax = axes_or_new(ax, (7.2, 3.4))
    interval_rows(ax, [Row(name, *each[:3]) for name, each in ceiling.values.items()])
    ends = [ceiling.values[f"prompt oracle, at {end}"].value for end in ("least", "most")]
    ax.axvspan(min(ends), max(ends), color=BASELINE_GREY, alpha=0.2, linewidth=0)
    low, high = ceiling.parts["noise"]
    title = "There is no gap between best single and oracle"
    if not np.isnan(low.value):
        shares = f"{percent(low.value)} to {percent(high.value)}"
        title = f"{shares} of the gap to the oracle is luck"
    note = f"{ceiling.n_prompts} prompts, each asked {ceiling.n_repeats} times; shaded: the best"
    finish(ax, title, f"mean {QUALITY_LABEL}", "", f"{note} that any router could reach")
    return ax
