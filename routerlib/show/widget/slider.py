"""One slider for three policies, each in units that people know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from routerlib.policies.policies import CostWeight, MeanBudget, QualityFloor
from routerlib.records.decision import Estimates
from routerlib.routers.baselines import RandomRouter
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter

Kind = Literal["cost_weight", "budget_usd", "max_loss"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_N_STOPS = 31
# The slider begins where the dearest candidate's whole cost weighs one point of quality ...
_LEAST_WEIGHED = 0.01
# ... and ends where the smallest difference in cost weighs more than any difference in quality,
# or a thousandfold of the dearest cost does.
_MOST_WEIGHED, _MOST_WEIGHED_OF_DEAREST = 2.0, 1000.0
# Beyond that loss of quality the cheapest candidate wins nearly everywhere.
_LARGEST_LOSS = 0.3
_PROMPTS = 1000
_BISECTIONS = 40


@dataclass(frozen=True)
class Setting:
    """A policy at one place of the slider.

    `value`: its parameter, at least 0: quality given up per US dollar saved; US dollars a
        prompt on average; quality that may be lost on a prompt.
    """

    kind: Kind
    value: float
    policy: CostWeight | QualityFloor
    label: str
    meaning: str


class Stretch(NamedTuple):
    """Neighbouring places of the slider at which the same candidate model is chosen."""

    model: str
    first: int
    last: int


class Flip(NamedTuple):
    """Where the choice changes when the slider moves one way."""

    model: str
    label: str
    is_cheaper: bool


def usd_text(amount: float, digits: int = 2) -> str:
    """Write US dollars for people: a few digits that count, and no exponent.

    `amount`: US dollars; NaN = unknown.

    >>> usd_text(0.0000431), usd_text(1.4512), usd_text(1234.5), usd_text(0)
    ('$0.000043', '$1.5', '$1,234', '$0')
    """
    if not np.isfinite(amount):
        return "unknown"
    if amount >= 100:
        return f"${amount:,.0f}"
    return "$" + np.format_float_positional(amount, digits, fractional=False, trim="-")


def kinds_for(router: Router, reference: Estimates) -> list[Kind]:
    """Return the policies that a router's estimates are enough for."""
    if not (has_costs(router) and _estimates_quality(router)):
        return ["cost_weight"]
    return [kind for kind in KINDS if kind != "budget_usd" or len(reference)]


def settings_for(kind: Kind, router: Router, reference: Estimates) -> list[Setting]:
    """Return the places of the slider, from the best answers to the cheapest."""
    if kind == "cost_weight":
        values = _cost_weights(router)
    elif kind == "budget_usd":
        values = _budgets_usd(reference)
    else:
        values = [float(value) for value in np.linspace(0, _LARGEST_LOSS, _N_STOPS).round(3)]
    return [setting_for(kind, value, router, reference) for value in values]


def setting_for(kind: Kind, value: float, router: Router, reference: Estimates) -> Setting:
    """Return a policy with one value of its parameter, and what that means.

    `value`: its parameter, at least 0.
    """
    if kind == "cost_weight":
        return _price_of_a_point(value, router)
    if kind == "budget_usd":
        return _mean_budget(value, reference)
    points = label_of("max_loss", value)
    meaning = (
        f"The cheapest candidate wins whose expected quality is within {points} of the best "
        "one's on this prompt (100 points are full quality)."
        if value
        else "The best expected answer wins; cost decides only among equals."
    )
    return Setting("max_loss", value, QualityFloor(value), points, meaning)


def stretches(settings: Sequence[Setting], estimates: Estimates) -> list[Stretch]:
    """Say who is chosen for one prompt all along the slider."""
    found: list[Stretch] = []
    for place, setting in enumerate(settings):
        model = _chosen(setting.policy, estimates)
        if found and found[-1].model == model:
            found[-1] = found[-1]._replace(last=place)
        else:
            found.append(Stretch(model, place, place))
    return found


def flips(
    settings: Sequence[Setting],
    setting: Setting,
    estimates: Estimates,
) -> list[Flip]:
    """Find where the choice for one prompt changes next, each way along the slider.

    For the cost weight and the quality floor the place is exact, by bisection between two
    places of the slider; for the mean budget it is the nearest place beyond.
    """
    now = _chosen(setting.policy, estimates)
    sign = -1 if setting.kind == "budget_usd" else 1
    found = []
    for is_cheaper in (False, True):
        way = sign * (1 if is_cheaper else -1)
        ahead = sorted(
            (each for each in settings if way * (each.value - setting.value) > 0),
            key=lambda each: abs(each.value - setting.value),
        )
        inside = setting.value
        for each in ahead:
            model = _chosen(each.policy, estimates)
            if model != now:
                value, model = _turning_point(setting.kind, inside, each, now, estimates)
                found.append(Flip(model, label_of(setting.kind, value), is_cheaper))
                break
            inside = each.value
    return found


def label_of(kind: Kind, value: float) -> str:
    """Write a policy's parameter in the unit of the slider.

    >>> label_of("cost_weight", 2000), label_of("budget_usd", 2e-6), label_of("max_loss", 0.05)
    ('$0.005 a point', '$0.002 per 1000', '5 points')
    """
    if kind == "cost_weight":
        return f"{usd_text(point_usd(value))} a point" if value else "any price"
    if kind == "budget_usd":
        return f"{usd_text(_PROMPTS * value, 3)} per 1000"
    points = f"{100 * value:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


def point_usd(cost_weight: float) -> float:
    """Return what a point of quality is worth: US dollars per 1000 prompts."""
    return 0.01 / cost_weight * _PROMPTS


def _estimates_quality(router: Router) -> bool:
    return not isinstance(router, RuleRouter | RandomRouter)


def has_costs(router: Router) -> bool:
    """Tell whether every candidate model's mean cost is known, and they differ."""
    return bool(np.isfinite(router.mean_cost_usd_).all() and np.ptp(router.mean_cost_usd_) > 0)


def _cost_weights(router: Router) -> list[float]:
    if not _estimates_quality(router):
        return [float(router.cost_weight_)]
    if not has_costs(router):
        return sorted({0.0, float(router.cost_weight_)})
    costs_usd = np.unique(router.mean_cost_usd_)
    dearest, least_gap = float(costs_usd[-1]), float(np.diff(costs_usd).min())
    most = min(_MOST_WEIGHED / least_gap, _MOST_WEIGHED_OF_DEAREST / dearest)
    steps = np.geomspace(_LEAST_WEIGHED / dearest, most, _N_STOPS)
    rounded = {float(f"{step:.2g}") for step in steps}
    return sorted({0.0, float(router.cost_weight_), *rounded})


def _budgets_usd(reference: Estimates) -> list[float]:
    best = CostWeight(0.0).choose(reference).arms
    ample = float(reference.cost_usd[np.arange(len(reference)), best].mean())
    least = float(reference.cost_usd.min(axis=1).mean())
    if not 0 < least < ample:
        return [ample]
    return [float(value) for value in np.geomspace(ample, least, _N_STOPS)]


def _price_of_a_point(value: float, router: Router) -> Setting:
    policy = CostWeight(value)
    if not _estimates_quality(router):
        meaning = "This router goes by rules or by chance: no setting changes what it chooses."
    elif not value:
        meaning = "Cost plays no part: the best expected answer wins, at any price."
    else:
        meaning = (
            "At this setting you give up 1 point of quality (of 100) wherever that saves "
            f"{usd_text(point_usd(value))} or more per 1000 prompts."
        )
    if value == float(router.cost_weight_) and _estimates_quality(router):
        keeps = f", where it keeps to {router.best_single_}: {router.fallback_}"
        meaning += f" It is the router's own setting{keeps if router.fallback_ else ''}."
    return Setting("cost_weight", value, policy, label_of("cost_weight", value), meaning)


def _mean_budget(value: float, reference: Estimates) -> Setting:
    cost_weight = MeanBudget(value).cost_weight(reference)
    label = label_of("budget_usd", value)
    meaning = (
        f"At most {usd_text(_PROMPTS * value, 3)} per 1000 prompts on average, as expected of "
        f"{len(reference)} known prompts: "
    )
    meaning += (
        f"that is held where a point of quality is worth {usd_text(point_usd(cost_weight))}."
        if cost_weight
        else "enough for the best expected answer everywhere."
    )
    return Setting("budget_usd", value, CostWeight(cost_weight), label, meaning)


def _chosen(policy: CostWeight | QualityFloor, estimates: Estimates) -> str:
    return estimates.models[int(policy.choose(estimates).arms[0])]


def _turning_point(
    kind: Kind, inside: float, beyond: Setting, now: str, estimates: Estimates
) -> tuple[float, str]:
    """Return the parameter at which the choice changes, and who is chosen there."""
    outside, model = beyond.value, _chosen(beyond.policy, estimates)
    if kind == "budget_usd":
        return outside, model
    make = CostWeight if kind == "cost_weight" else QualityFloor
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        met = _chosen(make(middle), estimates)
        inside, outside, model = (middle, outside, model) if met == now else (inside, middle, met)
    return outside, model
