"""Draw which share of the prompts goes to which candidate model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from routerlib.show.plots.style import axes_or_new, candidate_styles, finish
from routerlib.show.words.numbers import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from routerlib.evaluation.evaluate import Evaluation

_MAX_TASKS = 24
_LEGEND_GAP_BARS = 1.35
_SHORT_NAME = 20


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

    Examples
    --------
    >>> import routerlib as rl
    >>> from routerlib.outcomes.worlds import make_world
    >>> train, test = make_world(n_prompts=90, n_models=2).outcomes.split(random_state=0)
    >>> evaluation = rl.evaluate(rl.BestSingle().fit(train), test, n_bootstrap=20)
    >>> routed_shares(evaluation).get_title(loc="left")
    '100 % of the prompts go to m0'
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
    title = f"{percent(evaluation.routed_shares[most])} of the prompts go to {most}"
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
                percent(width),
                ha="center",
                va="center",
                fontsize="small",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
            )
