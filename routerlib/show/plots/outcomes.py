"""Draw outcomes, evaluations and explanations: one message each, the finding as the title."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.features.tasks import detect_task
from routerlib.metrics.clusters import share_ends
from routerlib.show.plots.drawing import Row, interval_rows
from routerlib.show.plots.style import (
    ON_DEEP,
    ON_PALE,
    QUALITY_LABEL,
    axes_or_new,
    candidate_styles,
    finish,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from routerlib.outcomes.outcomes import Outcomes

_MAX_TASKS = 24


def quality_by_model(outcomes: Outcomes, ax: Axes | None = None) -> Axes:
    """Draw each candidate model's mean quality with its 95 % interval, by group.

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

    Examples
    --------
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> outcomes = Outcomes(["Add 2 and 3", "Hi"], ["small", "large"], [[0, 1], [1, 1]])
    >>> quality_by_model(outcomes).get_title(loc="left")
    'large gives the best answers on average'
    """
    n_models = len(outcomes.models)
    ax = axes_or_new(ax, (7.2, 1.4 + 0.42 * n_models))
    styles = candidate_styles(outcomes.models)
    order = np.argsort(np.nan_to_num(outcomes.mean_quality, nan=-1.0), kind="stable")
    counts = (~np.isnan(outcomes.quality)).sum(axis=0)
    ends = quality_intervals(outcomes)
    rows = []
    for position, arm in enumerate(order):
        name, mean = outcomes.models[arm], float(outcomes.mean_quality[arm])
        label = f"{name}\n(n = {counts[arm]})"
        low, high = ends[arm]
        rows.append(Row(label, mean, low, high, *styles[name][:2]))
        ax.annotate(
            f"{mean:.2f}", (mean, position), (0, 8), textcoords="offset points", ha="center"
        )
    interval_rows(ax, rows[::-1], size=9)
    ax.set_ylim(-0.6, n_models - 0.2)
    ax.set_xlim(0, 1)
    best = outcomes.models[order[-1]]
    title = f"{best} gives the best answers on average"
    finish(ax, title, f"mean {QUALITY_LABEL}, 95 % interval", "")
    return ax


def quality_intervals(outcomes: Outcomes) -> list[tuple[float, float]]:
    """Return the ends of the 95 % interval of each candidate model's mean; NaN where it has none.

    Prompts of one group count as their design effect says.
    """
    known = ~np.isnan(outcomes.quality)
    return [
        share_ends(outcomes.quality[at, arm], outcomes.groups[at]) for arm, at in enumerate(known.T)
    ]


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
        Rows are tasks (most frequent on top) with their number of prompts; the best candidate
        model of each is framed, all of them where several tie.

    Examples
    --------
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> outcomes = Outcomes(["Add 2 and 3", "Hi"], ["small", "large"], [[0, 1], [1, 0]],
    ...                     topics=["math", "chat"])
    >>> task_heatmap(outcomes).get_title(loc="left")
    'small is best on 1 of 2 tasks (red frames)'
    """
    from matplotlib.patches import Rectangle

    tasks = _by_task(outcomes)
    n_tasks, n_models = tasks.quality.shape
    ax = axes_or_new(ax, (3.6 + 1.25 * n_models, 1.8 + 0.36 * n_tasks))
    image = ax.imshow(tasks.quality, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    ax.figure.colorbar(image, ax=ax, label=f"mean {QUALITY_LABEL}", shrink=0.9)
    for row, column in np.argwhere(~np.isnan(tasks.quality)):
        value = tasks.quality[row, column]
        color = ON_PALE if value > 0.55 else ON_DEEP
        ax.text(
            column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize="small"
        )
    is_best = tasks.quality == np.fmax.reduce(tasks.quality, axis=1, keepdims=True)
    for row, column in np.argwhere(is_best):
        frame = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=2)
        ax.add_patch(frame)
    ax.set_xticks(range(n_models), outcomes.models, rotation=20, ha="right")
    labels = [f"{name} (n = {n})" for name, n in zip(tasks.names, tasks.counts, strict=True)]
    ax.set_yticks(range(n_tasks), labels)
    wins = is_best.sum(axis=0)
    winner = int(wins.argmax())
    how = "best or tied" if (is_best.sum(axis=1) > 1).any() else "best"
    title = f"{outcomes.models[winner]} is {how} on {wins[winner]} of {n_tasks} tasks (red frames)"
    finish(ax, title, "candidate model", "task", grid=False)
    return ax


def _by_task(outcomes: Outcomes) -> _Tasks:
    labels = np.array(outcomes.topics or [detect_task(prompt) for prompt in outcomes.prompts])
    names, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MAX_TASKS]
    rows = [outcomes.take(labels == name).mean_quality for name in names[order]]
    quality = np.array(rows).reshape(len(order), len(outcomes.models))
    return _Tasks([str(name) for name in names[order]], counts[order], quality)
