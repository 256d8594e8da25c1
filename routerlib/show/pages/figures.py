"""Draw the figures of a page, each for a wide screen and for a phone."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib.routers.explanation.why import is_explainable
from routerlib.show.plots.evaluation import cost_quality
from routerlib.show.plots.importance import beeswarm, importance_by_model

if TYPE_CHECKING:
    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router

_N_EXPLAINED_PROMPTS = 200
_WIDE_INCHES, _PHONE_INCHES = (7.2, 4.6), (4.2, 5.0)
_INCHES_PER_MODEL = 1.15
_MAX_LEGEND_INSIDE = 7
_N_FEATURES = 8


class Figure(NamedTuple):
    """A figure in the page."""

    source: str
    phone: str
    alt: str


def _figure(
    draw: Callable[..., Any], alt: str, inches: tuple[float, float] = _WIDE_INCHES
) -> Figure:
    return Figure(_drawn(draw, inches), _drawn(draw, _PHONE_INCHES, is_narrow=True), alt)


def _drawn(
    draw: Callable[..., Any], inches: tuple[float, float], *, is_narrow: bool = False
) -> str:
    """Draw without a display, and without a clock or random name in the file."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=inches, layout="constrained")
    ax = draw(ax=canvas.subplots())
    legend = ax.get_legend()
    # Inside it would cover what it explains, beside it would squeeze it.
    if legend is not None and (is_narrow or len(legend.get_texts()) > _MAX_LEGEND_INSIDE):
        legend.remove()
        canvas.legend(
            loc="outside lower left", fontsize="small", frameon=False, ncols=1 if is_narrow else 2
        )
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "routerlib"}):
        canvas.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    code = base64.b64encode(picture.getvalue()).decode()
    return f"data:image/svg+xml;base64,{code}"


def curve_figure(evaluation: Evaluation) -> Figure:
    """Draw quality against cost."""
    return _figure(partial(cost_quality, evaluation), _curve_alt(evaluation))


def _curve_alt(evaluation: Evaluation) -> str:
    quality, cost = evaluation.operating["quality"], evaluation.operating["cost_usd"]
    return (
        "Cost-quality curve of the router beside single candidate models and the oracle; at its "
        f"operating point quality {quality.value:.3f} for {1000 * cost.value:.3g} US dollars "
        "per 1000 prompts."
    )


def importance_figures(router: Router, test: Outcomes) -> list[Figure]:
    """Draw what moves the estimates: by candidate model, and in which direction for the best."""
    from routerlib.routers.explanation.explain import explain

    if not is_explainable(router):
        return []
    prompts = test.prompts[:_N_EXPLAINED_PROMPTS]
    explanations = {model: explain(router, prompts, model=model) for model in router.models_}
    best = router.best_single_
    by_model = partial(importance_by_model, explanations, max_features=_N_FEATURES)
    swarm = partial(beeswarm, explanations[best], max_features=_N_FEATURES)
    width = max(_WIDE_INCHES[0], 3.0 + _INCHES_PER_MODEL * len(explanations))
    return [
        _figure(
            by_model,
            "Features by their mean influence on the estimated quality, for each candidate model.",
            (width, _WIDE_INCHES[1]),
        ),
        _figure(
            swarm,
            f"How each feature raises or lowers the estimated quality of {best}, a dot a prompt.",
        ),
    ]
