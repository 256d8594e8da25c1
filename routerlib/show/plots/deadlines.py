"""Draw what deadlines cost: quality against the seconds that nine of ten calls keep to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerlib.show.plots.drawing import whiskers
from routerlib.show.plots.style import (
    QUALITY_LABEL,
    ROUTER_BLACK,
    axes_or_new,
    candidate_styles,
    finish,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_CAP = 3
_ALONE = " alone"


def quality_by_latency(measured: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw quality against latency: the router under deadlines, and each candidate alone.

    Parameters
    ----------
    measured : DataFrame
        As of `measure_deadlines`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.2, 4.2))
    is_alone = measured.index.str.endswith(_ALONE)
    names = [str(each).removesuffix(_ALONE) for each in measured.index[is_alone]]
    styles = candidate_styles(names)
    router = measured[~is_alone].sort_values("latency_p90_s")
    middle = measured.latency_p90_s.max() / 2
    ax.plot(router.latency_p90_s, router.quality, color=ROUTER_BLACK, linewidth=1)
    for name, row in [*router.iterrows(), *measured[is_alone].iterrows()]:
        style = styles.get(str(name).removesuffix(_ALONE))
        ax.errorbar(
            row.latency_p90_s,
            row.quality,
            xerr=whiskers(row.latency_p90_s, row.latency_p90_s_low, row.latency_p90_s_high),
            yerr=whiskers(row.quality, row.quality_low, row.quality_high),
            fmt=style.marker if style else "o",
            color=style.color if style else ROUTER_BLACK,
            capsize=_CAP,
        )
        # Candidates above and inwards, the router below: where it keeps to one, both can be read.
        is_right = row.latency_p90_s > middle
        ax.annotate(
            str(name),
            (row.latency_p90_s, row.quality),
            (-6 if is_right else 6, 6 if style else -14),
            textcoords="offset points",
            ha="right" if is_right else "left",
        )
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1)
    note = "line: the router under deadlines; 95 % intervals"
    finish(ax, "What deadlines cost", "seconds that 9 of 10 calls keep to", QUALITY_LABEL, note)
    return ax
