"""Give every candidate model the same look in every figure."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which people who are blind to a colour can tell apart, without black
# (the router's) and yellow (too pale on white), and three darker ones behind it.
_COLORS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#8C6D31",
    "#882255",
    "#332288",
)
# Too deep to be seen in the dark, where pages and figures draw them paler: by what they are called.
DEEP = {"#882255": "plum", "#332288": "indigo"}
# Where the colours begin anew, lines are drawn otherwise; dashes are the baselines'.
_LINES = ("-", "-.", ":")
# One marker fewer than colours: all pairs differ for the first 72 candidate models.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_HATCHES = ("", "//", "..", "xx", "\\\\", "--", "++", "oo")

QUALITY_LABEL = "quality (0-1)"
ROUTER_BLACK = "#000000"
BASELINE_GREY = "#6b6b6b"
# Letters on a cell that has a colour of its own. Not quite black or white: these change where a
# page is dark, and the cell doesn't.
ON_PALE, ON_DEEP = "#010101", "#fefefe"


class Style(NamedTuple):
    """How a candidate model is drawn."""

    color: str
    marker: str
    hatch: str
    line: str

    @property
    def css(self) -> str:
        """Colour for a page, which calls those by name that it draws paler in the dark."""
        name = DEEP.get(self.color)
        return f"var(--{name}, {self.color})" if name else self.color


def candidate_styles(models: Sequence[str]) -> dict[str, Style]:
    """Return colour, marker, hatch and kind of line of each candidate model.

    A name has a place of its own in the palette, so that a candidate looks the same in every
    figure, page and notebook, whoever stands beside it and in whatever order. Only where two want
    one place does the second in the alphabet take the next that is free.

    Parameters
    ----------
    models : sequence of str
        Names of candidate models.

    Returns
    -------
    dict of str to Style
        By candidate model.

    Examples
    --------
    >>> both, alone = candidate_styles(["small", "large"]), candidate_styles(["large"])
    >>> both["large"] == alone["large"], both["large"] == both["small"]
    (True, False)
    """
    numbers = _places(models)
    return {name: _style(numbers[name]) for name in models}


def _places(models: Sequence[str]) -> dict[str, int]:
    """Return a number of each name, the palette taken once before it begins anew."""
    taken: dict[str, int] = {}
    for name in sorted(set(models)):
        wanted = int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:8], "big")
        begun = len(taken) // len(_COLORS) * len(_COLORS)
        tried = [begun + (wanted + step) % len(_COLORS) for step in range(len(_COLORS))]
        taken[name] = next(number for number in tried if number not in taken.values())
    return taken


def _style(number: int) -> Style:
    return Style(
        _COLORS[number % len(_COLORS)],
        _MARKERS[number % len(_MARKERS)],
        _HATCHES[number % len(_HATCHES)],
        _LINES[number // len(_COLORS) % len(_LINES)],
    )


def axes_or_new(ax: Axes | None, size_inches: tuple[float, float]) -> Axes:
    """Return the Axes given, or those of a new figure.

    The figure is pyplot's, so that notebooks show it by themselves; close it where many are made.
    """
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    from routerlib.show.plots.themed import ThemedFigure

    _, new = plt.subplots(FigureClass=ThemedFigure, figsize=size_inches, layout="constrained")
    return new


def finish(
    ax: Axes, title: str, x_label: str, y_label: str, note: str = "", *, grid: bool = True
) -> None:
    """Put the finding above the figure and the units beside its axes."""
    pad = 8 + 14 * len(note.splitlines())
    ax.set_title(escape_math(title), loc="left", fontweight="bold", pad=pad, wrap=True)
    if note:
        ax.text(0, 1.015, escape_math(note), transform=ax.transAxes, fontsize="small", va="bottom")
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    if grid:
        ax.grid(color="#e4e4e4", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def escape_math(text: str) -> str:
    r"""Keep matplotlib from reading dollars in names as mathematics.

    >>> print(escape_math("costs $5"))
    costs \$5
    """
    return text.replace("$", r"\$")


def short_label(name: str, n_characters: int = 34) -> str:
    """Break a name into lines that fit beside an axis, with no mathematics in it.

    >>> short_label("what its wording suggests", 12).splitlines()
    ['what its', 'wording', 'suggests']
    """
    return escape_math("\n".join(textwrap.wrap(name, n_characters)))
