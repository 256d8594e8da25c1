"""Say in one finding what a cascade is worth where routing alone pays, or doesn't."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from routerlib.evaluation.cascade_worth import CascadeEvaluation
from routerlib.evaluation.headlines import VerdictKind, percent_of, plain, points_of
from routerlib.evaluation.verdict import Verdict
from routerlib.metrics.intervals import Interval
from routerlib.routers.training.operating_points import QUALITY_MARGIN


class Finding(NamedTuple):
    """What is said of a cascade and of its router together.

    Parameters
    ----------
    kind : str
        As of a verdict: of the cascade where it pays, else of routing alone.
    headline : str
        At most twelve words.
    sentence : str
        The finding, with intervals and n.
    is_of_cascade : bool
        Whether the headline speaks of the cascade.
    """

    kind: VerdictKind
    headline: str
    sentence: str
    is_of_cascade: bool = False


def together(found: CascadeEvaluation, routing: Verdict) -> Finding:
    """Put what a cascade is worth beside the verdict on routing alone.

    A cascade *pays* where its utility is above the router's by an interval that excludes zero, and
    where it is better than the best single model too: cheaper at a loss of quality that is
    excluded to be above three points, or better and not surely dearer.

    Parameters
    ----------
    found : CascadeEvaluation
        What the cascade is worth, on held-out prompts.
    routing : Verdict
        On the router inside it.

    Returns
    -------
    Finding
        One headline and one sentence or two.
    """
    pays_alone = routing.kind == "pays"
    if found.kind == "pays" and beats_best(found.measured):
        start = "The cascade pays, routing alone doesn't"
        if pays_alone:
            start = "Routing pays, and the cascade pays beyond it"
        best = routing.best_single or "the best single model"
        gained = _against_best(found.measured)
        sentence = f"{start}: against always {best} {gained}. {found.sentence}"
        return Finding("pays", f"{start}: {_short(found.measured)}", sentence, True)
    if found.kind == "costs":
        start = "The cascade loses against its router"
        also = "routing alone pays" if pays_alone else "routing alone doesn't pay either"
        kind: VerdictKind = routing.kind if pays_alone else "does_not_pay"
        return Finding(kind, f"{start}; {also}", found.sentence, True)
    return Finding(routing.kind, routing.headline, found.sentence)


def beats_best(measured: Mapping[str, Interval]) -> bool:
    """Tell whether it is cheaper than the best single with no loss to speak of, or better."""
    difference, saving = measured["quality_difference"], measured["saving"]
    is_cheaper = saving.low > 0 and difference.low > -QUALITY_MARGIN
    return is_cheaper or (difference.low > 0 and saving.high > 0)


def _short(measured: Mapping[str, Interval]) -> str:
    saving, difference = measured["saving"].value, measured["quality_difference"].value
    cheaper = f"{plain(100 * abs(saving), 0)} % {'cheaper' if saving >= 0 else 'dearer'}"
    if measured["quality_difference"].low > 0:
        return f"{plain(100 * difference, 1)} points better, {cheaper}"
    return cheaper


def _against_best(measured: Mapping[str, Interval]) -> str:
    saving, difference = measured["saving"], measured["quality_difference"]
    return f"it saves {percent_of(saving)} of the cost, for {points_of(difference)} of quality"
