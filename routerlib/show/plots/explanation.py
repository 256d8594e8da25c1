"""Draw why one estimate or one choice came about: waterfall and routing margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from routerlib.features.names import number_text
from routerlib.routers.explanation.sentences import DECIDED, told
from routerlib.show.plots.style import (
    BASELINE_GREY,
    axes_or_new,
    candidate_styles,
    escape_math,
    finish,
    short_label,
)
from routerlib.show.words.numbers import points

if TYPE_CHECKING:
    import shap
    from matplotlib.axes import Axes

    from routerlib.routers.explanation.margin import MarginExplanation

_FOR = "#0072B2"
_AGAINST = "#D55E00"
_REST = "all other features"


def waterfall(
    explanation: shap.Explanation, i: int = 0, ax: Axes | None = None, *, max_features: int = 9
) -> Axes:
    """Draw how one prompt's estimate builds up from the average, feature by feature.

    Parameters
    ----------
    explanation : shap.Explanation
        From `routerlib.explain`.
    i : int, default=0
        Which of its prompts.
    ax : Axes, optional
        Where to draw; default a new figure.
    max_features : int, default=9
        The largest contributions; the rest is one bar.

    Returns
    -------
    Axes
        One bar per feature, each beginning where the one above ends.

    Examples
    --------
    >>> import routerlib as rl
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
    >>> router = rl.LGBMRouter(random_state=0).fit(outcomes)
    >>> waterfall(rl.explain(router, outcomes.prompts[:1])).get_title(loc="left")
    'The estimate lies 1.54 above the average'
    """
    one = explanation.values[i]
    data = np.asarray(explanation.data, dtype=float)[i]
    order = np.argsort(-np.abs(one), kind="stable")
    steps = [
        (told(str(explanation.feature_names[column]), data[column], {}), float(one[column]))
        for column in order[:max_features]
    ]
    if len(order) > max_features:
        steps.append((_REST, float(one[order[max_features:]].sum())))
    base = float(np.ravel(explanation.base_values)[i])
    end = base + float(one.sum())
    ax = axes_or_new(ax, (7.4, 1.7 + 0.36 * len(steps)))
    _draw_steps(ax, steps[::-1], base)
    ax.axvline(base, color=BASELINE_GREY, linestyle=":", linewidth=1)
    way = "above" if end >= base else "below"
    title = f"The estimate lies {abs(end - base):.2f} {way} the average"
    note = f"from {base:.2f} on average (dotted) to {end:.2f} for this prompt"
    finish(ax, title, str(explanation.output_names), "", note)
    return ax


def margin(
    explanation: MarginExplanation, ax: Axes | None = None, *, max_features: int = 8
) -> Axes:
    """Draw what speaks for one candidate model against another on one prompt.

    Parameters
    ----------
    explanation : MarginExplanation
        From `routerlib.routers.explanation.margin.explain_margin`.
    ax : Axes, optional
        Where to draw; default a new figure.
    max_features : int, default=8
        The largest contributions; the rest is one bar.

    Returns
    -------
    Axes
        Contributions to expected quality, and what the cost difference weighs, in points.
    """
    steps = _margin_steps(explanation, max_features)
    ax = axes_or_new(ax, (7.6, 1.8 + 0.36 * len(steps)))
    rows = np.arange(len(steps))[::-1]
    styles = candidate_styles(explanation.models)
    sizes = np.array([size for _, size in steps])
    for name, side in ((explanation.chosen, sizes >= 0), (explanation.other, sizes < 0)):
        style = styles[name]
        ax.barh(
            rows[side],
            sizes[side],
            color=style.color,
            hatch=style.hatch,
            edgecolor="white",
            label=f"speaks for {name}",
        )
    _write_sizes(ax, rows, sizes)
    ax.axvline(0, color=BASELINE_GREY, linewidth=0.8)
    ax.set_yticks(rows, [short_label(name) for name, _ in steps])
    title, note = _margin_words(explanation)
    label = f"points of expected quality for {explanation.chosen}"
    finish(ax, title, escape_math(label), "", note)
    ax.legend(loc="best", fontsize="small")
    return ax


def _margin_steps(explanation: MarginExplanation, max_features: int) -> list[tuple[str, float]]:
    """Return what speaks for the chosen model, the largest first, in points."""
    named = sorted(explanation.contributions.items(), key=lambda part: -abs(part[1]))
    steps = [
        (told(name, explanation.values.get(name, float("nan")), explanation.details), 100 * part)
        for name, part in named[:max_features]
    ]
    rest = named[max_features:]
    if rest:
        steps.append((_REST, 100 * sum(part for _, part in rest)))
    if explanation.cost_part:
        steps.append(("cost, at this cost weight", 100 * explanation.cost_part))
    return steps


def _margin_words(explanation: MarginExplanation) -> tuple[str, str]:
    """Say who is ahead, and under it at which cost weight they would change places."""
    total = 100 * explanation.utility_margin
    ahead, behind = explanation.chosen, explanation.other
    if total < 0:
        ahead, behind = behind, ahead
    flip = explanation.flip_cost_weight
    note = "no cost weight makes them change places"
    if flip is not None:
        note = f"they change places at {number_text(flip)}"
    decided = DECIDED[explanation.decided_by].lower()
    weight = number_text(explanation.cost_weight)
    return (
        f"{ahead} is ahead of {behind} by {abs(total):.1f} points",
        f"{decided}; cost weight {weight}, {note}",
    )


def _draw_steps(ax: Axes, steps: list[tuple[str, float]], base: float) -> None:
    sizes = np.array([size for _, size in steps])
    starts = base + np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    rows = np.arange(len(steps))
    colors = [_FOR if size >= 0 else _AGAINST for size in sizes]
    hatches = ["" if size >= 0 else "//" for size in sizes]
    ax.barh(rows, sizes, left=starts, color=colors, hatch=hatches, edgecolor="white")
    ends = starts + sizes
    for row, size, place in zip(rows, sizes, np.maximum(starts, ends), strict=True):
        ax.annotate(
            f"{round(size, 2) + 0.0:+.2f}",
            (place, row),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    ax.set_yticks(rows, [short_label(name) for name, _ in steps])
    ax.margins(x=0.14)


def _write_sizes(ax: Axes, rows: np.ndarray, sizes: np.ndarray) -> None:
    for row, size in zip(rows, sizes, strict=True):
        side, alignment = (4, "left") if size >= 0 else (-4, "right")
        ax.annotate(
            points(size / 100),
            (size, row),
            (side, 0),
            textcoords="offset points",
            va="center",
            ha=alignment,
        )
    ax.margins(x=0.16)
