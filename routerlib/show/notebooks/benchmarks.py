"""Figures, tables and sentences of the notebook that compares all routers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from routerlib.evaluation.routing import route_all
from routerlib.metrics.calibration import reliability
from routerlib.metrics.curves import CostQualityCurve, cost_quality_curve, hull, oracle
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.show.plots.drawing import (
    COST_LABEL,
    MOVABLE,
    Row,
    cost_dot,
    curve_line,
    diagonal,
    finish_reliability,
    interval_rows,
    mixing_line,
    place_names,
    reliability_line,
)
from routerlib.show.plots.style import (
    QUALITY_LABEL,
    ROUTER_BLACK,
    axes_or_new,
    candidate_styles,
    escape_math,
    finish,
)
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.prose import Prose

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes

    from routerlib.evaluation.benchmark import Benchmark
    from routerlib.evaluation.benchmark_fits import MakeRouter
    from routerlib.evaluation.learning_curve import LearningCurve
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.outcomes.splits import Parts
    from routerlib.routers.router import Router

_SHOWN = ("quality", "gap_closed", "AIQ", "cost_at_equal_quality", "APGR", "Brier")
_LEADS = ("quality", "AIQ", "APGR", "Brier")


def memory_table(makes: Mapping[str, MakeRouter], outcomes: Outcomes, parts: Parts) -> Table:
    """Show how good routers look on the prompts that they were trained on, and are on others.

    Parameters
    ----------
    makes : mapping of str to callable
        Makers of unfitted routers by name.
    outcomes : Outcomes
        All prompts.
    parts : Parts
        Rows to train and to test on.

    Returns
    -------
    Table
        Mean quality at cost weight 0; the first column is no evidence.
    """
    import pandas as pd

    train, test = outcomes.take(parts.train).complete(), outcomes.take(parts.test).complete()
    rows = {}
    for name, make in makes.items():
        router = make().fit(outcomes.take(parts.train))
        rows[name] = {
            "quality on training prompts": _quality(router, train),
            "quality on held-out prompts": _quality(router, test),
        }
    caption = f"{len(train)} training prompts, {len(test)} held out"
    return table(pd.DataFrame(rows).T.rename_axis("router"), caption)


def _quality(router: Router, outcomes: Outcomes) -> float:
    arms = route_all(router, outcomes, cost_weight=0.0).arms
    return float(outcomes.quality[np.arange(len(arms)), arms].mean())


def benchmark_table(benchmark: Benchmark) -> Table:
    """Show how all routers and baselines compare, with intervals.

    Parameters
    ----------
    benchmark : Benchmark
        Of any routers.

    Returns
    -------
    Table
        Means over the parts; the intervals hold the draw of prompts.
    """
    caption = f"Means over {len(benchmark.divided)} parts, {benchmark.n_measured} held-out "
    caption += "prompts, with 95 % intervals; at cost weight 0"
    return table(benchmark.table(), caption, columns=_SHOWN)


def main_metric(benchmark: Benchmark) -> Literal["AIQ", "quality"]:
    """Return the metric to compare by: AIQ, or quality where costs are unknown.

    Parameters
    ----------
    benchmark : Benchmark
        Of any routers.

    Returns
    -------
    str
    """
    return "AIQ" if benchmark.table()["AIQ"].notna().any() else "quality"


def leads_table(benchmark: Benchmark, ours: str) -> Table:
    """Show what one router is ahead of every other row, on the same prompts.

    Parameters
    ----------
    benchmark : Benchmark
        Of several routers.
    ours : str
        The router that the others are taken from.

    Returns
    -------
    Table
        Differences in points with 95 % intervals; fewer Brier points are better.
    """
    found = _as_differences(benchmark.differences(ours))
    return table(found, f"{ours} minus each row, paired, with 95 % intervals")


def curves_plot(benchmark: Benchmark, ax: Axes | None = None) -> Axes:
    """Draw what every router offers between cost and quality, all prompts held out once.

    Parameters
    ----------
    benchmark : Benchmark
        Of routers that estimate quality; without costs, quality alone is drawn.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        Hulls of the routers' curves, the single candidate models, random mixing, the oracle.
    """
    is_new = ax is None
    ax = axes_or_new(ax, (8.6, 5.4))
    if main_metric(benchmark) == "quality":
        return _qualities(benchmark, ax)
    styles = candidate_styles(list(benchmark.fits))
    for number, name in enumerate(benchmark.fits):
        rows, curve = _curve(benchmark, name)
        color = styles[name].color if number else ROUTER_BLACK
        points = hull(curve.cost_usd, curve.quality)
        curve_line(ax, *points, name, color, line=styles[name].line)
    tested = benchmark.outcomes.take(rows).complete()
    costs, heights = tested.mean_cost_usd, tested.mean_quality
    mixing_line(ax, costs, heights, float(costs.max()), "random mixing")
    for name, cost, height in zip(tested.models, costs, heights, strict=True):
        cost_dot(ax, cost, height, "s", size=6)
        _name_last(ax, name)
    best = np.arange(len(tested)), oracle(tested.quality, tested.cost_usd)
    cost_dot(ax, tested.cost_usd[best].mean(), tested.quality[best].mean(), "*", "oracle", size=11)
    ax.legend(fontsize="small", loc="lower right")
    note = f"{len(tested)} prompts, each by a fit that hasn't seen it; upper hulls"
    finish(ax, _leader(benchmark, "AIQ"), COST_LABEL, f"mean {QUALITY_LABEL}", note)
    if is_new:  # else only the caller knows when all has its place
        place_names(ax)
    return ax


def _curve(benchmark: Benchmark, name: str) -> tuple[np.ndarray, CostQualityCurve]:
    """Return the rows that a router was measured on, and its curve over all cost weights."""
    rows, expected = benchmark.held_out(name)
    weights = sweep_cost_weights(expected)
    choices = [choose_arms(expected, weight) for weight in weights]
    observed = benchmark.outcomes
    return rows, cost_quality_curve(
        observed.quality[rows], observed.cost_usd[rows], choices, weights
    )


def _name_last(ax: Axes, name: str) -> None:
    """Write a name beside the dot that was drawn last."""
    ax.annotate(
        escape_math(name),
        np.asarray(ax.lines[-1].get_xydata())[0],
        xytext=(8, -13),
        textcoords="offset points",
        fontsize="small",
        va="center",
        label=MOVABLE,
        in_layout=False,  # its place follows from the layout
    )


def _qualities(benchmark: Benchmark, ax: Axes) -> Axes:
    """Draw mean quality with intervals, row by row."""
    found = benchmark.table()[["quality", "quality_low", "quality_high"]]
    interval_rows(ax, [Row(str(name), *ends) for name, *ends in found.itertuples()])
    note = f"{benchmark.n_measured} held-out prompts; 95 % intervals; costs are unknown"
    finish(ax, _leader(benchmark, "quality"), f"mean {QUALITY_LABEL}", "", note)
    return ax


def reliability_plot(benchmark: Benchmark, ax: Axes | None = None) -> Axes:
    """Draw expected against observed quality of every router that expects any.

    Parameters
    ----------
    benchmark : Benchmark
        Of any routers.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        One line per router, held-out prompts and candidate models together.
    """
    ax = axes_or_new(ax, (8.6, 5.2))
    diagonal(ax)
    means = benchmark.table()
    eces, briers = means["ECE"].to_dict(), means["Brier"].to_dict()
    honest = [name for name in benchmark.fits if np.isfinite(briers[name])]
    styles = candidate_styles(list(benchmark.fits))
    for name in honest:
        rows, expected = benchmark.held_out(name)
        bins = reliability(expected.quality, benchmark.outcomes.quality[rows], n_bins=8)
        color = ROUTER_BLACK if name == next(iter(benchmark.fits)) else styles[name].color
        label = f"{name}: ECE {eces[name]:.3f}, Brier {briers[name]:.3f}"
        reliability_line(ax, bins, label, color, styles[name].marker, styles[name].line)
    note = "8 bins; few prompts scatter honest estimates too"
    finish_reliability(ax, _leader(benchmark, "Brier"), note)
    return ax


def costs_table(benchmark: Benchmark) -> Table:
    """Show what training and one decision of each router take.

    Parameters
    ----------
    benchmark : Benchmark
        Of any routers.

    Returns
    -------
    Table
        Processor time on this machine; the brackets are quartiles of single decisions.
    """
    shown = benchmark.costs().rename(
        columns={
            "fit_s": "training (processor seconds)",
            "decision_ms": "one decision (processor ms)",
            "decision_ms_low": "one decision (processor ms)_low",
            "decision_ms_high": "one decision (processor ms)_high",
        }
    )
    return table(shown, "What it takes here: median of single decisions, with quartiles")


def groups_table(ablation: Benchmark) -> Table:
    """Show what each group of columns buys, and what it takes.

    Parameters
    ----------
    ablation : Benchmark
        Of `routerlib.evaluation.benchmark_fits.without_each_group`: the whole router first.

    Returns
    -------
    Table
        The whole router minus it without the group: better is positive, but for Brier.
    """
    whole, *without = ablation.fits
    bought = _as_differences(ablation.differences(whole).loc[without])
    for column, unit in (("decision_ms", "decision, ms"), ("fit_s", "training, s")):
        taken = ablation.costs()[column].to_dict()
        bought[f"{unit} more"] = [taken[whole] - taken[name] for name in without]
    bought.index = [name.removeprefix("without ") for name in without]
    caption = "What each group of columns adds to the whole router, with 95 % intervals, paired"
    return table(bought.rename_axis("group"), caption)


def benchmark_lessons(benchmark: Benchmark, ablation: Benchmark, curve: LearningCurve) -> Prose:
    """Say what the comparison of all routers has taught, and what it can't tell.

    Parameters
    ----------
    benchmark : Benchmark
        Of all routers, ours first.
    ablation : Benchmark
        Of groups of columns.
    curve : LearningCurve
        Of the default router.

    Returns
    -------
    Prose
    """
    ours, *rivals = benchmark.fits
    metric = main_metric(benchmark)
    heights = benchmark.table()[metric].to_dict()
    rival = max(rivals, key=heights.__getitem__)
    whole, *without = ablation.fits
    bought = ablation.differences(whole)
    telling = [name.removeprefix("without ") for name in without if _is_told(bought, name, metric)]
    return Prose(
        (),
        (
            f"Against {rival}, its strongest rival here by {metric}, {ours} has "
            f"{_words(benchmark.differences(ours), rival, metric)}, "
            f"on {benchmark.n_measured} held-out prompts.",
            f"Groups of columns whose gain in {metric} can be told from chance: "
            f"{', '.join(telling) or 'none, on so few prompts'}.",
            curve.sentence(metric),
        ),
    )


def _as_differences(found: pd.DataFrame) -> pd.DataFrame:
    """Keep the metrics that matter most, under the names by which tables show differences."""
    columns = {
        f"{metric}{end}": f"{metric}_vs_first{end}"
        for metric in _LEADS
        for end in ("", "_low", "_high")
    }
    return found[list(columns)].rename(columns=columns)


def _ends(differences: pd.DataFrame, row: str, metric: str) -> tuple[float, float, float]:
    """Return a difference with the ends of its interval, in points of 100."""
    columns = [f"{metric}{end}" for end in ("", "_low", "_high")]
    value, low, high = 100 * differences.loc[[row], columns].to_numpy(dtype=float)[0]
    return float(value), float(low), float(high)


def _is_told(differences: pd.DataFrame, row: str, metric: str) -> bool:
    _, low, high = _ends(differences, row, metric)
    return low > 0 or high < 0


def _words(differences: pd.DataFrame, row: str, metric: str) -> str:
    value, low, high = _ends(differences, row, metric)
    told = "" if _is_told(differences, row, metric) else ", which isn't told from 0"
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}] points of {metric}{told}"


def _leader(benchmark: Benchmark, metric: str) -> str:
    """Say which router leads by a metric, and how many others aren't told from it."""
    values = benchmark.table()[metric].to_dict()
    known = [name for name in benchmark.fits if np.isfinite(values[name])]
    best = (min if metric == "Brier" else max)(known, key=values.__getitem__)
    gaps, others = benchmark.differences(best), [name for name in known if name != best]
    alike = [name for name in others if not _is_told(gaps, name, metric)]
    return f"{best} leads by {metric}; {len(alike)} of {len(others)} others aren't told from it"
