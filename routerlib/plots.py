"""Draw evaluations, outcomes and explanations: one message each, the finding as the title."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.explanation_plots import margin, waterfall
from routerlib.features import detect_task
from routerlib.importance_plots import (
    beeswarm,
    dependence,
    feature_importance,
    importance_by_model,
)
from routerlib.metrics import hull
from routerlib.plot_style import (
    BASELINE_GREY,
    ROUTER_BLACK,
    axes_or_new,
    candidate_styles,
    finish,
    percent_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from routerlib.evaluation import Evaluation
    from routerlib.outcomes import Outcomes

__all__ = [
    "beeswarm",
    "candidate_styles",
    "cost_quality",
    "dependence",
    "feature_importance",
    "importance_by_model",
    "margin",
    "quality_by_model",
    "reliability",
    "routed_shares",
    "task_heatmap",
    "waterfall",
]

_PROMPTS_PER_UNIT = 1000
_COST_LABEL = "cost (US dollars per 1000 prompts)"
_QUALITY_LABEL = "quality (0-1)"
_MAX_TASKS = 24
_Z95 = 1.96
_LEGEND_GAP_BARS = 1.35
_MAX_LEGEND_INSIDE = 4
_SHORT_NAME = 20


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
    """
    is_crowded = len(evaluation.models) > _MAX_LEGEND_INSIDE
    ax = axes_or_new(ax, (9.4 if is_crowded else 7.2, 4.8))
    if np.isnan(evaluation.operating["cost_usd"].value):
        return _quality_only(evaluation, ax)
    curve, singles = evaluation.curve, evaluation.singles
    corners = hull(singles.cost_usd, singles.quality)
    right = max(float(np.nanmax(singles.cost_usd)), float(np.nanmax(curve.cost_usd)))
    ax.plot(
        *_extended(*corners, right),
        color=BASELINE_GREY,
        linestyle="--",
        label="zero router (random mixing)",
    )
    ax.plot(
        curve.cost_usd * _PROMPTS_PER_UNIT,
        curve.quality,
        color=ROUTER_BLACK,
        linewidth=1.6,
        label=f"{evaluation.name}, all cost weights",
    )
    styles = candidate_styles(evaluation.models)
    points = zip(evaluation.models, singles.cost_usd, singles.quality, strict=True)
    for name, cost, quality in points:
        label = f"always {name}" + (" (best single)" if name == evaluation.strong else "")
        ax.plot(
            cost * _PROMPTS_PER_UNIT,
            quality,
            linestyle="none",
            color=styles[name].color,
            marker=styles[name].marker,
            markersize=10 if name == evaluation.strong else 8,
            markeredgecolor="black" if name == evaluation.strong else "none",
            label=label,
        )
    oracle = evaluation.baselines["oracle"]
    ax.plot(
        oracle["cost_usd"].value * _PROMPTS_PER_UNIT,
        oracle["quality"].value,
        linestyle="none",
        marker="*",
        markersize=13,
        color=BASELINE_GREY,
        label="oracle (upper bound)",
    )
    _operating_point(evaluation, ax)
    ax.set_xlim(left=0)
    finish(ax, evaluation.verdict.headline, _COST_LABEL, f"mean {_QUALITY_LABEL}", _n(evaluation))
    if is_crowded:
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize="small", frameon=False)
    else:
        ax.legend(loc="lower right", fontsize="small")
    return ax


def _extended(
    costs: np.ndarray, qualities: np.ndarray, right: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the hull on to the right: nobody has to spend more."""
    return (
        np.append(costs, max(right, costs[-1])) * _PROMPTS_PER_UNIT,
        np.append(qualities, qualities[-1]),
    )


def _operating_point(evaluation: Evaluation, ax: Axes) -> None:
    cost, quality = evaluation.operating["cost_usd"], evaluation.operating["quality"]
    ax.errorbar(
        cost.value * _PROMPTS_PER_UNIT,
        quality.value,
        xerr=_whiskers(cost.value, cost.low, cost.high, _PROMPTS_PER_UNIT),
        yerr=_whiskers(quality.value, quality.low, quality.high),
        fmt="o",
        markersize=9,
        color=ROUTER_BLACK,
        markerfacecolor="white",
        markeredgewidth=2,
        capsize=3,
        zorder=5,
        label=f"{evaluation.name}, operating point (95 %)",
    )


def _whiskers(value: float, low: float, high: float, unit: float = 1.0) -> np.ndarray | None:
    if np.isnan([value, low, high]).any():
        return None
    return np.array([[max(value - low, 0.0)], [max(high - value, 0.0)]]) * unit


def _n(evaluation: Evaluation) -> str:
    skipped = f", {evaluation.n_skipped} skipped" if evaluation.n_skipped else ""
    return f"n = {evaluation.n} held-out prompts{skipped}"


def _quality_only(evaluation: Evaluation, ax: Axes) -> Axes:
    rows = {
        "oracle (upper bound)": evaluation.baselines["oracle"],
        evaluation.name: evaluation.operating,
        f"best single ({evaluation.strong})": evaluation.baselines["best single"],
        "random": evaluation.baselines["random"],
    }
    for position, (name, measured) in enumerate(reversed(rows.items())):
        quality = measured["quality"]
        is_router = name == evaluation.name
        ax.errorbar(
            quality.value,
            position,
            xerr=_whiskers(quality.value, quality.low, quality.high),
            fmt="o" if is_router else "s",
            color=ROUTER_BLACK if is_router else BASELINE_GREY,
            capsize=3,
        )
    ax.set_yticks(range(len(rows)), list(reversed(rows)))
    ax.set_ylim(-0.6, len(rows) - 0.4)
    finish(ax, evaluation.verdict.headline, f"mean {_QUALITY_LABEL}", "", _n(evaluation))
    return ax


def quality_by_model(outcomes: Outcomes, ax: Axes | None = None) -> Axes:
    """Draw each candidate model's mean quality with its 95 % Wilson interval.

    Parameters
    ----------
    outcomes : Outcomes
        NaN cells are left out of a model's mean; its n stands beside it.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        One row per candidate model, the best on top.
    """
    n_models = len(outcomes.models)
    ax = axes_or_new(ax, (7.2, 1.4 + 0.42 * n_models))
    styles = candidate_styles(outcomes.models)
    order = np.argsort(np.nan_to_num(outcomes.mean_quality, nan=-1.0), kind="stable")
    counts = (~np.isnan(outcomes.quality)).sum(axis=0)
    for position, arm in enumerate(order):
        name, mean = outcomes.models[arm], outcomes.mean_quality[arm]
        low, high = _wilson(mean, int(counts[arm]))
        ax.errorbar(
            mean,
            position,
            xerr=_whiskers(mean, low, high),
            fmt=styles[name].marker,
            color=styles[name].color,
            markersize=9,
            capsize=3,
        )
        ax.annotate(
            f"{mean:.2f}", (mean, position), (0, 8), textcoords="offset points", ha="center"
        )
    labels = [f"{outcomes.models[arm]}\n(n = {counts[arm]})" for arm in order]
    ax.set_yticks(range(n_models), labels)
    ax.set_ylim(-0.6, n_models - 0.2)
    ax.set_xlim(0, 1)
    best = outcomes.models[order[-1]]
    title = f"{best} gives the best answers on average"
    finish(ax, title, f"mean {_QUALITY_LABEL}, 95 % interval", "")
    return ax


def _wilson(mean: float, n: int) -> tuple[float, float]:
    if n == 0:
        return float("nan"), float("nan")
    centre = (mean + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    spread = _Z95 / (1 + _Z95**2 / n) * np.sqrt(mean * (1 - mean) / n + _Z95**2 / (4 * n**2))
    return float(centre - spread), float(centre + spread)


class _Tasks(NamedTuple):
    names: list[str]
    counts: np.ndarray
    quality: np.ndarray


def task_heatmap(outcomes: Outcomes, ax: Axes | None = None) -> Axes:
    """Draw mean quality per task and candidate model, with the best of each task framed.

    Parameters
    ----------
    outcomes : Outcomes
        Without topics the tasks are detected from the prompts; at most the 24 most frequent are
        drawn.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        Rows are tasks (most frequent on top) with their number of prompts.
    """
    from matplotlib.patches import Rectangle

    tasks = _by_task(outcomes)
    n_tasks, n_models = tasks.quality.shape
    ax = axes_or_new(ax, (3.6 + 1.25 * n_models, 1.8 + 0.36 * n_tasks))
    image = ax.imshow(tasks.quality, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    ax.figure.colorbar(image, ax=ax, label=f"mean {_QUALITY_LABEL}", shrink=0.9)
    for row, column in np.argwhere(~np.isnan(tasks.quality)):
        value = tasks.quality[row, column]
        color = "black" if value > 0.55 else "white"
        ax.text(
            column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize="small"
        )
    known = np.flatnonzero(~np.isnan(tasks.quality).all(axis=1))
    best = np.nanargmax(tasks.quality[known], axis=1)
    for row, column in zip(known, best, strict=True):
        frame = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=2)
        ax.add_patch(frame)
    ax.set_xticks(range(n_models), outcomes.models, rotation=20, ha="right")
    labels = [f"{name} (n = {n})" for name, n in zip(tasks.names, tasks.counts, strict=True)]
    ax.set_yticks(range(n_tasks), labels)
    wins = np.bincount(best, minlength=n_models)
    winner = int(wins.argmax())
    title = f"{outcomes.models[winner]} is best on {wins[winner]} of {n_tasks} tasks (red frames)"
    finish(ax, title, "candidate model", "task", grid=False)
    return ax


def _by_task(outcomes: Outcomes) -> _Tasks:
    labels = np.array(outcomes.topics or [detect_task(prompt) for prompt in outcomes.prompts])
    names, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MAX_TASKS]
    rows = [outcomes.take(labels == name).mean_quality for name in names[order]]
    quality = np.array(rows).reshape(len(order), len(outcomes.models))
    return _Tasks([str(name) for name in names[order]], counts[order], quality)


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
    ax.plot([0, 1], [0, 1], linestyle="--", color=BASELINE_GREY, label="as expected")
    ax.plot(bins.expected, bins.observed, color=ROUTER_BLACK, linewidth=1)
    area = 20 + 280 * bins.counts / max(bins.counts.max(initial=1), 1)
    ax.scatter(
        bins.expected, bins.observed, s=area, color=ROUTER_BLACK, alpha=0.75, label="estimates"
    )
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    ax.set_aspect("equal")
    off = 100 * calibration.mean_ece
    title = f"Estimates are {off:.1f} points off on average"
    note = f"ECE {calibration.mean_ece:.3f}, Brier {calibration.mean_brier:.3f}; "
    note += f"{int(bins.counts.sum())} estimates, larger dot = more"
    finish(ax, title, f"expected {_QUALITY_LABEL}", f"observed {_QUALITY_LABEL}", note)
    ax.legend(loc="upper left", fontsize="small")
    return ax


def routed_shares(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Draw which share of the prompts goes to which candidate model, in all and per task.

    Parameters
    ----------
    evaluation : Evaluation
        Of any router.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        One stacked bar per task, all tasks on top.
    """
    tasks = sorted(evaluation.routed_by_task.items(), key=lambda task: -task[1]["n"])[:_MAX_TASKS]
    bars = [("all prompts", evaluation.n, evaluation.routed_shares)]
    bars += [(name, int(shares["n"]), shares) for name, shares in tasks]
    ax = axes_or_new(ax, (7.6, 1.7 + 0.36 * len(bars)))
    styles = candidate_styles(evaluation.models)
    left = np.zeros(len(bars))
    rows = np.arange(len(bars))[::-1]
    for name in evaluation.models:
        widths = np.array([shares.get(name, 0.0) for _, _, shares in bars])
        ax.barh(
            rows,
            widths,
            left=left,
            color=styles[name].color,
            hatch=styles[name].hatch,
            edgecolor="white",
            linewidth=0.6,
            label=name,
        )
        _write_shares(ax, rows, left, widths)
        left += widths
    ax.set_yticks(rows, [f"{name} (n = {n})" for name, n, _ in bars])
    ax.set_xlim(0, 1)
    ax.set_xticks(np.linspace(0, 1, 5), ["0 %", "25 %", "50 %", "75 %", "100 %"])
    most = max(evaluation.routed_shares, key=lambda name: evaluation.routed_shares[name])
    title = f"{percent_text(evaluation.routed_shares[most])} of the prompts go to {most}"
    finish(ax, title, "share of prompts", "", grid=False)
    # Below the axis label, whose distance in inches doesn't depend on the number of bars.
    anchor = (0.5, -_LEGEND_GAP_BARS / len(bars))
    columns = 3 if max(map(len, evaluation.models)) <= _SHORT_NAME else 2
    ax.legend(
        loc="upper center", bbox_to_anchor=anchor, ncols=columns, fontsize="small", frameon=False
    )
    return ax


def _write_shares(ax: Axes, rows: np.ndarray, left: np.ndarray, widths: np.ndarray) -> None:
    for row, start, width in zip(rows, left, widths, strict=True):
        if width >= 0.09:
            ax.text(
                start + width / 2,
                row,
                percent_text(width),
                ha="center",
                va="center",
                fontsize="small",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
            )
