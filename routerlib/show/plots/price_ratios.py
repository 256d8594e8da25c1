"""Draw, and say, from which ratio of prices on it pays to look at a cheap answer first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.price_ratios import PairRatios, PriceRatios
from routerlib.show.plots.style import (
    BASELINE_GREY,
    ROUTER_BLACK,
    axes_or_new,
    candidate_styles,
    finish,
)
from routerlib.show.words.numbers import points, significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ratios_drawn(pair: PairRatios, models: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw the gain of routing and of looking first, by the ratio of prices.

    Parameters
    ----------
    pair : PairRatios
        Of two candidate models.
    models : sequence of str
        All of them; they decide the colours.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax, (7.4, 4.4))
    found, color = pair.found, candidate_styles(models)[pair.cheap].color
    ax.plot(found.ratios, 100 * found.router, color=ROUTER_BLACK, label="router: the prompt alone")
    ax.plot(found.ratios, 100 * found.cascade, color=color, label="cascade: looks first")
    ax.fill_between(
        found.ratios,
        100 * (found.router + found.low),
        100 * (found.router + found.high),
        color=color,
        alpha=0.15,
    )
    if math.isfinite(pair.own):
        ax.axvline(pair.own, color=BASELINE_GREY, linestyle="--", label="prices of this log")
    ax.set_xscale("log")
    ax.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    ax.legend(fontsize="small")
    finish(
        ax,
        ratio_sentence(found),
        f"price of a {pair.dear} call over one of {pair.cheap}",
        "points of quality above mixing",
        "Every call paid; band: 95 % interval of the difference, by group",
    )
    return ax


def ratio_sentence(found: PriceRatios) -> str:
    """Say from which price ratio on looking first beats routing.

    Parameters
    ----------
    found : PriceRatios
        At many ratios.

    Returns
    -------
    str
        One sentence.

    Examples
    --------
    >>> found = PriceRatios(*np.array([[2, 8], [0, 0], [-0.1, 0.1], [-0.2, 0], [0, 0.2]]))
    >>> ratio_sentence(found)
    'Looking first beats routing from a price ratio of about 8 on'
    """
    if np.isnan(found.breaks_even_at):
        return "Looking first beats routing at no price ratio here"
    return f"Looking first beats routing from a price ratio of about {found.breaks_even_at:.0f} on"


def told_of_ratios(pair: PairRatios) -> str:
    """Say from which price ratio on looking first beats routing, and what it is worth here.

    Parameters
    ----------
    pair : PairRatios
        Of two candidate models.

    Returns
    -------
    str
        One sentence, without its full stop.

    Examples
    --------
    >>> found = PriceRatios(*np.array([[2, 8], [0, 0], [-0.1, 0.1], [-0.2, 0], [0, 0.2]]))
    >>> told_of_ratios(PairRatios("small", "large", 2.0, found))
    'Looking first beats routing from a price ratio of about 8 on (no ratio up to 8 does it by an
     interval that excludes zero); here a call of large costs 2 times one of small, where looking
     first is worth -10.0 points against routing'
    """
    found = pair.found
    shown = found.is_shown_from
    told = (
        f"no ratio up to {found.ratios[-1]:.0f} does it by an interval that excludes zero"
        if np.isnan(shown)
        else f"by an interval that excludes zero from {shown:.0f} on"
    )
    return f"{ratio_sentence(found)} ({told}){_told_of_own(pair)}"


def _told_of_own(pair: PairRatios) -> str:
    """Say what looking first is worth at the log's own prices, or as near to them as was tried."""
    if math.isnan(pair.own):
        return ""
    ratios = pair.found.ratios
    nearest = float(np.clip(pair.own, ratios[0], ratios[-1]))
    worth = points(float(np.interp(nearest, ratios, pair.found.cascade - pair.found.router)))
    here = (
        f"; here a call of {pair.dear} costs {significant(pair.own)} times one of {pair.cheap}"
        if math.isfinite(pair.own)
        else f"; here a call of {pair.cheap} costs nothing"
    )
    if nearest == pair.own:
        return f"{here}, where looking first is worth {worth} points against routing"
    way = "largest" if pair.own > nearest else "smallest"
    return (
        f"{here}; at {significant(nearest)}, the {way} ratio tried, looking first is worth "
        f"{worth} points against routing"
    )
