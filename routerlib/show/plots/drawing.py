"""Draw what several figures have in common: intervals, costs against quality, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from routerlib.metrics.curves import hull
from routerlib.show.plots.style import BASELINE_GREY, QUALITY_LABEL, ROUTER_BLACK, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from routerlib.metrics.calibration import Reliability

COST_LABEL = "cost (US dollars per 1000 prompts)"
_PROMPTS_PER_UNIT = 1000
_CAP = 3
# Begins the name of a drawn part that says what it is under the pointer, where a page shows it.
TIP = "tip: "
# Labels an annotation that may stand anywhere around its point; legends pass over "_".
MOVABLE = "_movable"


class Row(NamedTuple):
    """One row of a figure of intervals; NaN ends = no interval."""

    name: str
    value: float
    low: float
    high: float
    color: str = ROUTER_BLACK
    marker: str = "o"


# Where a name may stand around its point, in points to the right and up; the first are preferred.
_PLACES = [(x, y) for y in (-13, 13, -28, 28, -46, 46, -64, -82) for x in (8, -8, 30, -30)]
_STEPS_OF_A_PATH = 400
# More entries than that leave a legend no corner of its own.
_MOST_INSIDE = 3


def interval_rows(ax: Axes, rows: Sequence[Row], size: float | None = None) -> None:
    """Draw a value with its interval in each row, the first on top."""
    for place, row in enumerate(reversed(rows)):
        ax.errorbar(
            row.value,
            place,
            xerr=whiskers(row.value, row.low, row.high),
            fmt=row.marker,
            color=row.color,
            markersize=size,
            capsize=_CAP,
        )
    ax.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
    ax.set_ylim(-0.6, len(rows) - 0.4)


def upright_intervals(
    ax: Axes, places: Sequence[float], ends: ArrayLike, color: str, marker: str, label: str
) -> None:
    """Draw values with their intervals beside each other.

    `ends` (n_places, 3): value, lower and upper end; NaN ends = no interval.
    """
    value, low, high = np.asarray(ends, dtype=float).T
    arms = np.clip([value - low, high - value], 0, None)
    ax.errorbar(places, value, yerr=arms, fmt=marker, color=color, label=label, capsize=_CAP)


def whiskers(value: float, low: float, high: float, unit: float = 1.0) -> np.ndarray | None:
    """Return the lengths of an interval's two arms, shape (2, 1); None where it is unknown."""
    if np.isnan([value, low, high]).any():
        return None
    return np.array([[max(value - low, 0.0)], [max(high - value, 0.0)]]) * unit


def mixing_line(
    ax: Axes, cost_usd: np.ndarray, quality: np.ndarray, right_usd: float, label: str
) -> None:
    """Draw what mixing candidate models at random offers, on to the right: nobody has to spend.

    `cost_usd, quality` (n_models,): means a prompt.
    """
    costs, heights = hull(cost_usd, quality)
    ax.plot(
        np.append(costs, max(right_usd, costs[-1])) * _PROMPTS_PER_UNIT,
        np.append(heights, heights[-1]),
        color=BASELINE_GREY,
        linestyle="--",
        label=label,
    )


def curve_line(
    ax: Axes,
    cost_usd: np.ndarray,
    quality: np.ndarray,
    label: str,
    color: str = ROUTER_BLACK,
    width: float = 1.6,
    line: str = "-",
) -> None:
    """Draw what a router offers at all cost weights, US dollars a prompt against quality."""
    ax.plot(cost_usd * _PROMPTS_PER_UNIT, quality, line, color=color, linewidth=width, label=label)


def curve_band(ax: Axes, cost_usd: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Shade the band round a curve, US dollars a prompt against quality."""
    ax.fill_between(cost_usd * _PROMPTS_PER_UNIT, low, high, color=ROUTER_BLACK, alpha=0.12, lw=0)


def cost_dot(
    ax: Axes,
    cost_usd: float,
    quality: float,
    marker: str,
    label: str | None = None,
    *,
    size: float = 8,
    color: str = BASELINE_GREY,
    edge: str | None = None,
    edge_width: float | None = None,
) -> None:
    """Draw one way to choose at its mean US dollars a prompt and mean quality."""
    (dot,) = ax.plot(
        cost_usd * _PROMPTS_PER_UNIT,
        quality,
        linestyle="none",
        marker=marker,
        markersize=size,
        color=color,
        markeredgecolor=edge,
        markeredgewidth=edge_width,
        label=label,
    )
    told = f"quality {quality:.3f} for {_PROMPTS_PER_UNIT * cost_usd:.3g} dollars per 1000 prompts"
    dot.set_gid(f"{TIP}{label}: {told}" if label else f"{TIP}{told}")


def operating_dot(ax: Axes, cost: Sequence[float], quality: Sequence[float], label: str) -> None:
    """Draw an operating point with both intervals.

    `cost, quality`: value, lower and upper end; US dollars a prompt.
    """
    ax.errorbar(
        cost[0] * _PROMPTS_PER_UNIT,
        quality[0],
        xerr=whiskers(cost[0], cost[1], cost[2], _PROMPTS_PER_UNIT),
        yerr=whiskers(quality[0], quality[1], quality[2]),
        fmt="o",
        markersize=9,
        color=ROUTER_BLACK,
        markerfacecolor="white",
        markeredgewidth=2,
        capsize=_CAP,
        zorder=5,
        label=label,
    )


def diagonal(ax: Axes) -> None:
    """Draw where estimates mean what they say."""
    ax.plot([0, 1], [0, 1], linestyle="--", color=BASELINE_GREY, label="as expected")


def reliability_line(
    ax: Axes,
    bins: Reliability,
    label: str | None = None,
    color: str = ROUTER_BLACK,
    marker: str | None = None,
    line: str = "-",
) -> None:
    """Draw observed against expected quality, bin by bin."""
    ax.plot(
        bins.expected, bins.observed, line, color=color, linewidth=1, marker=marker, label=label
    )


def finish_reliability(ax: Axes, title: str, note: str) -> None:
    """Give both axes of a reliability figure the same scale, and name them."""
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    ax.set_aspect("equal")
    finish(ax, title, f"expected {QUALITY_LABEL}", f"observed {QUALITY_LABEL}", note)
    if len(ax.get_legend_handles_labels()[1]) <= _MOST_INSIDE:
        ax.legend(loc="upper left", fontsize="small")
    else:  # inside it would cover what it explains
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize="small", frameon=False)


def place_names(ax: Axes) -> None:
    """Move the names of points to where, around them, they cover the least of what is drawn.

    Those are the annotations that are labelled `MOVABLE`; call it once nothing else will move.
    """
    from matplotlib.transforms import Bbox

    names = [text for text in ax.texts if text.get_label() == MOVABLE]
    if not names:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # only now it is known where things stand
    drawn, taken = _drawn_pixels(ax), list[Bbox]()
    for name in names:
        found = []
        for place, (x, y) in enumerate(_PLACES):
            name.set(position=(x, y), horizontalalignment="left" if x >= 0 else "right")
            box = name.get_window_extent().padded(2)
            n_covered = int(
                ((drawn > (box.x0, box.y0)) & (drawn < (box.x1, box.y1))).all(axis=1).sum()
            )
            is_inside = ax.bbox.containsx(box.x0) and ax.bbox.containsx(box.x1)
            is_inside &= ax.bbox.containsy(box.y0) and ax.bbox.containsy(box.y1)  # under the title
            found.append((not is_inside, box.count_overlaps(taken), n_covered, place, box))
        *_, place, box = min(found, key=lambda tried: tried[:4])
        x, y = _PLACES[place]
        name.set(position=(x, y), horizontalalignment="left" if x >= 0 else "right")
        taken.append(box)


def _drawn_pixels(ax: Axes) -> np.ndarray:
    """Return points along every line and whisker of a figure, in pixels."""
    from matplotlib.collections import LineCollection

    paths = [np.asarray(line.get_xydata(), dtype=float) for line in ax.lines]
    for drawn in ax.collections:
        if isinstance(drawn, LineCollection):
            paths += [np.asarray(segment, dtype=float) for segment in drawn.get_segments()]
    pixels = []
    for path in paths:
        seen = ax.transData.transform(path[np.isfinite(path).all(axis=1)])
        rows = np.arange(len(seen))
        steps = np.linspace(0, max(len(seen) - 1, 0), _STEPS_OF_A_PATH)
        if len(seen):
            pixels.append(np.column_stack([np.interp(steps, rows, part) for part in seen.T]))
    return np.concatenate(pixels) if pixels else np.empty((0, 2))
