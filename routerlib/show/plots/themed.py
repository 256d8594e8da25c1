"""Draw figures in the colours of what they stand in, light or dark."""

from __future__ import annotations

import base64
import io
import re
from html import escape
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)


class _Ink(NamedTuple):
    """A colour that is another one in the dark, and how style sheets call it."""

    drawn: str
    name: str
    dark: str


# All other colours stay: they are read on black and on white.
_INKS = (
    _Ink("#000000", "ink", "#e4e8ed"),
    _Ink("#ffffff", "paper", "#111111"),
    _Ink("#6b6b6b", "soft", "#a3adb8"),
    _Ink("#cccccc", "line", "#3a434d"),  # matplotlib's frame round a legend
    _Ink("#e4e4e4", "line", "#3a434d"),
    _Ink("#882255", "plum", "#d0629b"),
    _Ink("#332288", "indigo", "#8b7fe0"),
)


def as_svg(figure: Figure, **settings: Any) -> str:
    """Draw a figure as SVG whose inks are variables, without clock or random name in it.

    A page that inlines it says what they are: `ink`, `paper`, `soft`, `line`, `plum`, `indigo`.

    `settings`: those of `Figure.savefig`.
    """
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "routerlib", "svg.fonttype": "none"}):
        nameless = {"Date": None, "Creator": None}
        figure.savefig(picture, format="svg", metadata=nameless, **settings)
    svg = _METADATA.sub("", _HEAD.sub("", picture.getvalue().decode(), count=1))
    for ink in _INKS:
        svg = svg.replace(f": {ink.drawn}", f": var(--{ink.name})")
        svg = svg.replace(f'fill="{ink.drawn}"', f'style="fill: var(--{ink.name})"')  # of a hatch
    return svg


def as_image(figure: Figure) -> str:
    """Draw a figure as an HTML image that is dark where the page around it is.

    It needs no style of the page, so that it looks alike in every viewer of notebooks; a screen
    that is too narrow scrolls it, rather than make its letters smaller.
    """
    svg = as_svg(figure, bbox_inches="tight")
    svg = svg.replace(">", f"><style>{_styles()}</style>", 1)
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<img src="data:image/svg+xml;base64,{data}" style="max-width:none" '
        f'alt="{escape(_described(figure), quote=True)}">'
    )


def _styles() -> str:
    light = ";".join(f"--{ink.name}:{ink.drawn}" for ink in _INKS)
    dark = ";".join(f"--{ink.name}:{ink.dark}" for ink in _INKS)
    # An image takes the colour scheme of the element that shows it for the preferred one.
    return (
        f"*{{stroke-linejoin:round}}:root{{color-scheme:light dark;fill:var(--ink);{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    )


def _described(figure: Figure) -> str:
    """Say what a figure shows, for those who don't see it."""
    said = []
    for ax in figure.axes:
        title, across, upwards = ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()
        if title:
            axes = "; ".join(f"{way}: {name}" for way, name in _named(across, upwards))
            said.append(f"{title} ({axes})" if axes else title)
    return " ".join(" ".join(said).replace(r"\$", "$").split()) or "Figure"


def _named(across: str, upwards: str) -> list[tuple[str, str]]:
    return [(way, name) for way, name in (("across", across), ("upwards", upwards)) if name]


class ThemedFigure(Figure):
    """A figure that notebooks show in their own colours."""

    def _repr_html_(self) -> str:
        return as_image(self)
