"""Draw the figures of a page, each for a wide screen and for a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib.routers.explanation.why import is_explainable
from routerlib.show.plots.deadlines import quality_by_latency
from routerlib.show.plots.drawing import TIP, place_names
from routerlib.show.plots.evaluation import cost_quality
from routerlib.show.plots.importance import beeswarm, importance_by_model
from routerlib.show.plots.price_ratios import ratios_drawn, told_of_ratios

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.evaluation.price_ratios import PairRatios
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router

_N_EXPLAINED_PROMPTS = 200
_WIDE_INCHES, _PHONE_INCHES = (7.2, 4.6), (4.2, 5.0)
_INCHES_PER_MODEL = 1.15
_N_FEATURES = 8


# Letters in points, so that the smallest have 11 pixels or more in the page.
_POINTS, _LARGE_POINTS = 10.0, 12.0
_PX_PER_INCH = 96
_SIZE = re.compile(r'(<svg [^>]*?)\bwidth="[^"]*"|\bheight="[^"]*pt"')
_ID = re.compile(r'(\bid="|href="#|url\(#)')
_TIP = re.compile(rf'<g id="{TIP}([^"]*)">')


class Figure(NamedTuple):
    """A figure in the page, as SVG to stand in it: for a wide screen and for a phone.

    `phone`: "" = a phone scrolls the wide one. `alt`: what it shows, for those who don't see it.
    """

    wide: str
    phone: str
    alt: str


def _scrolled(draw: Callable[..., Any], name: str, alt: str, inches: tuple[float, float]) -> Figure:
    """Draw what a narrow screen scrolls, so that its letters keep their size."""
    drawn = _inlined(_drawn(draw, inches), f"{name}-wide", alt)
    width = f"{_PX_PER_INCH * inches[0]:.0f}px"
    style = f'style="min-width:{width};max-width:max({width},46rem)"'
    return Figure(drawn.replace("<svg ", f"<svg {style} ", 1), "", alt)


def _drawn(draw: Callable[..., Any], inches: tuple[float, float], points: float = _POINTS) -> str:
    """Draw without a display, and without a clock or random name in the file."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    from routerlib.show.plots.themed import as_svg

    with matplotlib.rc_context({"font.size": points}):
        canvas = Canvas(figsize=inches, layout="constrained")
        ax = draw(ax=canvas.subplots())
        legend = ax.get_legend()
        if legend is not None:  # inside it would cover what it explains, beside it squeeze it
            legend.remove()
            shown = [text.get_text() for text in legend.get_texts()]
            known = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
            canvas.legend(
                [known[label] for label in shown],
                shown,
                loc="outside lower left",
                fontsize="small",
                frameon=False,
            )
        place_names(ax)
        return as_svg(canvas, transparent=True)


def _inlined(svg: str, name: str, alt: str) -> str:
    """Make a drawing part of a page: with its colours, names of its own, and words to hover."""
    svg = _SIZE.sub(lambda found: found[1] or "", svg, count=2)
    svg = _TIP.sub(r"<g><title>\1</title>", svg)
    svg = _ID.sub(rf"\g<1>{name}-", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt, quote=True)}" ', 1)


def curve_figure(evaluation: Evaluation) -> Figure:
    """Draw quality against cost."""
    draw, alt = partial(cost_quality, evaluation), _curve_alt(evaluation)
    phone = _drawn(draw, _PHONE_INCHES, _LARGE_POINTS)
    wide = _drawn(draw, _WIDE_INCHES, _LARGE_POINTS)
    return Figure(_inlined(wide, "curve-wide", alt), _inlined(phone, "curve-phone", alt), alt)


def _curve_alt(evaluation: Evaluation) -> str:
    quality, cost = evaluation.operating["quality"], evaluation.operating["cost_usd"]
    single = zip(
        evaluation.models, evaluation.singles.quality, evaluation.singles.cost_usd, strict=True
    )
    singles = "; ".join(f"always {name}: {q:.3f} for {1000 * usd:.3g}" for name, q, usd in single)
    return (
        "Cost-quality curve of the router beside single candidate models and the oracle; at its "
        f"operating point quality {quality.value:.3f} for {1000 * cost.value:.3g} US dollars "
        f"per 1000 prompts. {singles}."
    )


def deadlines_figure(measured: pd.DataFrame) -> Figure:
    """Draw quality against latency under deadlines."""
    told = zip(measured.index, measured.quality, measured.latency_p90_s, strict=True)
    ways = "; ".join(f"{name}: {quality:.3f} in {s:.3g} s" for name, quality, s in told)
    alt = f"Quality against the seconds that nine of ten calls keep to. {ways}."
    return _scrolled(partial(quality_by_latency, measured), "deadlines", alt, _WIDE_INCHES)


def ratios_figure(pair: PairRatios, models: Sequence[str]) -> Figure:
    """Draw what looking at a cheap answer first is worth, by the ratio of prices."""
    draw = partial(ratios_drawn, pair, models)
    return _scrolled(draw, "ratios", f"{told_of_ratios(pair)}.", _WIDE_INCHES)


def importance_figures(router: Router, test: Outcomes) -> list[Figure]:
    """Draw what moves the estimates: by candidate model, and in which direction for the best."""
    from routerlib.routers.explanation.explain import explain_all

    if not is_explainable(router):
        return []
    prompts = test.prompts[:_N_EXPLAINED_PROMPTS]
    explanations = explain_all(router, prompts)
    best = router.best_single_
    by_model = partial(importance_by_model, explanations, max_features=_N_FEATURES)
    swarm = partial(beeswarm, explanations[best], max_features=_N_FEATURES)
    width = max(_WIDE_INCHES[0], 3.0 + _INCHES_PER_MODEL * len(explanations))
    return [
        _scrolled(
            by_model,
            "features",
            "Features by their mean influence on the estimated quality, for each candidate model.",
            (width, _WIDE_INCHES[1]),
        ),
        _scrolled(
            swarm,
            "directions",
            f"How each feature raises or lowers the estimated quality of {best}, a dot a prompt.",
            _WIDE_INCHES,
        ),
    ]
