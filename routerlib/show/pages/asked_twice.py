"""Show on the index what a cascade asked twice, what that brought, and at which prices it would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib.evaluation.price_ratios import ratios_of_cascade
from routerlib.routers.cascades.cascade import Cascade
from routerlib.show.pages.figures import Figure, ratios_figure
from routerlib.show.plots.price_ratios import told_of_ratios
from routerlib.show.tables.cascades import kept_steps, steps_table

if TYPE_CHECKING:
    from routerlib.evaluation.cascade_verdict import Finding
    from routerlib.evaluation.cascade_worth import CascadeEvaluation
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router
    from routerlib.show.tables.rendering import Table


class AskedTwice(NamedTuple):
    """What the index shows of a cascade.

    `ratios`: from which ratio of prices on looking first pays, in words; "" = not known.
    """

    sentence: str
    steps: Table
    ratios: str = ""
    figure: Figure | None = None


def asked_twice(
    measured: CascadeEvaluation | None,
    finding: Finding,
    cascade: Router | None,
    test: Outcomes,
    metadata: Mapping[str, Any],
) -> AskedTwice | None:
    """Return it as measured here, or as the router's file says; None = it is no cascade.

    `finding`: what is said of it first.
    """
    if measured is None or not isinstance(cascade, Cascade):
        kept = kept_steps(metadata)
        return None if kept is None else AskedTwice(*kept)
    sentence, steps = finding.sentence, steps_table(measured)
    pair = ratios_of_cascade(cascade, test)
    if pair is None:
        return AskedTwice(sentence, steps)
    figure = ratios_figure(pair, cascade.models_)
    return AskedTwice(sentence, steps, told_of_ratios(pair), figure)
