"""Measure a contender along its curve by mixtures that were fixed on other prompts."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from routerlib.evaluation.contenders import Contender, TestedPrompts
from routerlib.metrics.curves import heights_at, mean_heights
from routerlib.metrics.mixtures import (
    Mixtures,
    deal,
    first_costs_at,
    fixed_mixtures,
    last_costs_at,
    lines,
)
from routerlib.records.arrays import Arms, Floats

CURVE_METRICS = ("AIQ", "cost_at_equal_quality", "quality_at_equal_cost")
# Sums in another order differ by about this much.
_SAME_QUALITY = 1e-12
_EXACT_DIGITS = 12
# Its multiples fill [0, 1) evenly, however many there are.
_GOLDEN = (5**0.5 - 1) / 2


class Between(NamedTuple):
    """A number that lies between one that is too low and one that is too high.

    `low, high` (n_replicates,): on the same resampled prompts.
    """

    low: Floats
    high: Floats


def folds_of(tested: TestedPrompts) -> Arms:
    """Deal tested prompts into the folds that choose mixtures for each other."""
    return deal(tested.outcomes.groups, tested.outcomes.prompt_ids)


def mixtures_of(tested: TestedPrompts, contender: Contender, folds: Arms) -> Mixtures | None:
    """Fix a contender's mixtures; None where costs are unknown or nothing was tested or known."""
    if not tested.has_costs or not len(tested) or np.isnan(contender.curve_quality).any():
        return None
    points = (contender.curve_quality, contender.curve_cost_usd)
    return fixed_mixtures(points, (tested.quality, tested.cost_usd), folds)


def along_the_curve(
    mixtures: Mixtures | None,
    mean: Floats,
    model_cost_usd: Floats,
    best_single: tuple[Floats, Floats],
    n_groups: int,
) -> dict[str, Between]:
    """Measure each of the metrics of a curve.

    The fixed mixtures are worth no more than the hull of the population, for they are what some
    prompts chose; the hull of the prompts themselves is worth more, for it fits their luck. A
    mixture that differs from best single on a handful of prompts, and there lost nothing, is no
    proof of equal quality: what it has to reach varies by what the sample can't show.

    `mean` (n_replicates, n_prompts): share of each prompt in the means.
    `model_cost_usd` (n_replicates, n_models): mean costs of the candidate models.
    `best_single`: mean quality and mean cost of the best single model, each (n_replicates,).
    """
    if mixtures is None:
        unknown = np.full(len(mean), np.nan)
        return dict.fromkeys(CURVE_METRICS, Between(unknown, unknown))
    fixed, fitted = lines(mixtures, mean)
    ends = model_cost_usd.min(axis=1), model_cost_usd.max(axis=1)
    best_usd, best = best_single[1], best_single[0] - _SAME_QUALITY
    wanted = best + _unseen(len(mean), n_groups)
    costs = first_costs_at(fitted, best, best_usd), last_costs_at(fixed, wanted, best_usd)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [np.round(each / best_usd, _EXACT_DIGITS) + 0.0 for each in costs]
    return {
        "AIQ": Between(*(mean_heights(line, *ends) for line in (fixed, fitted))),
        "cost_at_equal_quality": Between(*(np.where(best_usd > 0, each, 1.0) for each in shares)),
        "quality_at_equal_cost": Between(*(heights_at(line, best_usd) for line in (fixed, fitted))),
    }


def _unseen(n_replicates: int, n_groups: int) -> Floats:
    """Spread losses that no replicate can draw as `widen_for_unseen` does; the first is 0."""
    places = (0.5 + np.arange(n_replicates) * _GOLDEN) % 1
    normal = NormalDist(0.0, 1 / (n_groups + 2))
    return np.array([normal.inv_cdf(place) for place in np.clip(places, 1e-9, 1 - 1e-9)])


def careful(name: str, between: Between) -> Floats:
    """Return the end that doesn't flatter: the low quality, the high cost."""
    return between.high if name == "cost_at_equal_quality" else between.low
