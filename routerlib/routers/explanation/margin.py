"""Explain why one candidate model is preferred to another on one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from routerlib.features.names import ANY_PROMPT, FOLDED, KNOWN_TASK, number_text
from routerlib.policies.utility import choose_arms
from routerlib.records.canonical import finite_or_none, plain_json
from routerlib.records.decision import Estimates
from routerlib.records.shown import shown_html
from routerlib.routers.explanation.attribution import check_explainable, quality_parts
from routerlib.routers.lightgbm.router import LGBMRouter

DecidedBy = Literal["quality", "cost", "both", "neither"]

_N_REASONS = 3
_SMALLEST_REASON = 0.005
_SMALLEST_SHOWN = 0.0005  # of what is written with one digit of a point
_ROUNDING = 1e-12
# Which part of the margin decided, said to people.
DECIDED: Mapping[DecidedBy, str] = {
    "quality": "Quality decides",
    "cost": "Cost decides",
    "both": "Quality and cost agree",
    "neither": "Nothing tells them apart",
}


class Change(NamedTuple):
    """Where the router's choice becomes another one."""

    cost_weight: float
    model: str


@dataclass(frozen=True, repr=False)
class MarginExplanation:
    """Why one candidate model is preferred to another on one prompt.

    Parameters
    ----------
    prompt : str
        The prompt.
    models : tuple of str
        All candidate models of the router.
    chosen, other : str
        The two that are compared.
    cost_weight : float
        Quality given up per US dollar saved.
    contributions : dict of str to float
        What each readable feature adds to the expected quality of ``chosen`` over ``other``, in
        quality (0.01 = one point of a hundred). They add up to ``quality_margin``; ``on any
        prompt`` is what is expected before the prompt is read.
    values : dict of str to float
        Value of each feature on this prompt; NaN where it has no single one.
    quality_margin : float
        Expected quality of ``chosen`` minus that of ``other``.
    cost_margin_usd : float
        Expected US dollars of ``chosen`` minus those of ``other``.
    flip_cost_weight : float or None
        Cost weight at which the two change places; None = none does.
    flip_price_factors : dict of str to float
        By model, how many times as much it would have to cost, all else equal, for the two to
        change places; a model that no price would do it for is left out.
    changes : tuple of Change
        Where the choice among *all* candidate models changes as the cost weight falls or rises
        from here, and to which; empty when ``chosen`` is not the choice at this cost weight.
    runner_up : str or None
        Best of the other candidate models at this cost weight; None = there is no other.
    sentence : str
        The explanation in words.
    """

    prompt: str
    models: tuple[str, ...]
    chosen: str
    other: str
    cost_weight: float
    contributions: Mapping[str, float]
    values: Mapping[str, float]
    quality_margin: float
    cost_margin_usd: float
    flip_cost_weight: float | None
    flip_price_factors: Mapping[str, float]
    changes: tuple[Change, ...]
    runner_up: str | None
    sentence: str

    def __repr__(self) -> str:
        return f"MarginExplanation({self.chosen!r} over {self.other!r}: {self.sentence})"

    def _repr_html_(self) -> str:
        parts = sorted(self.contributions.items(), key=lambda part: -abs(part[1]))
        rows: list[dict[str, object]] = [
            {
                "part": name,
                "value here": self.values.get(name),
                f"quality of {self.chosen} over {self.other}": part,
            }
            for name, part in parts
        ]
        return shown_html(self.sentence, rows)

    @property
    def cost_part(self) -> float:
        """What the cost difference adds to the margin, in quality; 0 when it isn't weighed."""
        return -self.cost_weight * self.cost_margin_usd if self.cost_weight else 0.0

    @property
    def utility_margin(self) -> float:
        """Quality margin plus cost part: above 0, ``chosen`` is preferred."""
        return self.quality_margin + self.cost_part

    @property
    def decided_by(self) -> DecidedBy:
        """Which of the two parts speaks for the one that is ahead."""
        return _decided_by(self.quality_margin, self.cost_part)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain builtins for JSON; NaN becomes None."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        return known | {
            "models": list(self.models),
            "contributions": dict(self.contributions),
            "values": plain_json(self.values),
            "cost_margin_usd": finite_or_none(self.cost_margin_usd),
            "flip_price_factors": dict(self.flip_price_factors),
            "changes": [change._asdict() for change in self.changes],
            "cost_part": finite_or_none(self.cost_part),
            "utility_margin": finite_or_none(self.utility_margin),
            "decided_by": self.decided_by,
        }


def explain_margin(
    router: LGBMRouter,
    prompt: str,
    chosen: str | None = None,
    other: str | None = None,
    *,
    cost_weight: float | None = None,
    task: str | None = None,
) -> MarginExplanation:
    """Explain why one candidate model is preferred to another on one prompt.

    SHAP values of each model's log-odds are rescaled so that they add up to its expected quality
    exactly (each is multiplied by the mean slope between the average prompt and this one); the
    contributions of the two models are subtracted. The margin of utility is

        margin = (quality - quality') - cost_weight * (cost - cost')

    so the two change places at cost weight ``(quality - quality') / (cost - cost')``, or when one
    of them costs so many times as much that the margin becomes 0.

    Parameters
    ----------
    router : LGBMRouter
        Fitted.
    prompt : str
        The text.
    chosen, other : str, optional
        Candidate models; default what ``router.route`` chooses, and the runner-up.
    cost_weight : float, optional
        Quality given up per US dollar saved; default the router's operating point.
    task : str, optional
        Known task label.

    Returns
    -------
    MarginExplanation
        Contributions, what decided, flip points, runner-up and a sentence.

    Raises
    ------
    ValueError
        If the router isn't an `LGBMRouter`, or a model is unknown.

    Examples
    --------
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
    >>> router = LGBMRouter(random_state=0).fit(outcomes)
    >>> margin = explain_margin(router, outcomes.prompts[0], "m1", "m0", cost_weight=10)
    >>> bool(np.isclose(sum(margin.contributions.values()), margin.quality_margin))
    True
    """
    check_explainable(router, [prompt])
    weight = float(router.cost_weight_ if cost_weight is None else cost_weight)
    estimates = router.predict([prompt], None if task is None else [task])
    keeps = chosen is None and cost_weight is None and router.fallback_ is not None
    chosen = chosen or router.route(prompt, cost_weight=cost_weight, task=task).model
    ranked = _ranked(estimates, weight)
    runner_up = next((name for name in ranked if name != chosen), None)
    other = other or runner_up or chosen
    parts, values = _margin_parts(router, prompt, chosen, other, task)
    arms = [router.models_.index(name) for name in (chosen, other)]
    margin = float(np.subtract(*estimates.quality[0, arms]))
    # What a known task shifts beyond the features; rounding noise without one.
    rest = KNOWN_TASK if task is not None else ANY_PROMPT
    parts[rest] = parts.get(rest, 0.0) + margin - sum(parts.values())
    cost_margin = float(np.subtract(*estimates.cost_usd[0, arms]))
    flip = _flip_cost_weight(margin, cost_margin)
    factors = _flip_price_factors((chosen, other), estimates.cost_usd[0, arms], margin, weight)
    return MarginExplanation(
        prompt=prompt,
        models=tuple(router.models_),
        chosen=chosen,
        other=other,
        cost_weight=weight,
        contributions=dict(sorted(parts.items(), key=lambda part: -abs(part[1]))),
        values=values,
        quality_margin=margin,
        cost_margin_usd=cost_margin,
        flip_cost_weight=flip,
        flip_price_factors=factors,
        changes=_changes(estimates, weight) if ranked[0] == chosen else (),
        runner_up=runner_up,
        sentence=" ".join(
            [
                _quality_sentence(parts, values, chosen, other, margin),
                *_cost_sentences(chosen, other, margin, cost_margin, weight),
                *_flip_sentences(chosen, other, cost_margin, flip, factors, weight),
                *([f"The router keeps to {chosen}: {router.fallback_}."] if keeps else []),
            ]
        ),
    )


def _margin_parts(
    router: LGBMRouter, prompt: str, chosen: str, other: str, task: str | None
) -> tuple[dict[str, float], dict[str, float]]:
    columns = router.features([prompt], None if task is None else [task])
    (left, values), (right, _) = quality_parts(router, columns, (chosen, other))
    return {name: left[name] - right[name] for name in left}, values


def _ranked(estimates: Estimates, cost_weight: float) -> list[str]:
    """Order the candidate models from the router's choice downwards."""
    left = list(range(len(estimates.models)))
    ranked = []
    while left:
        part = Estimates(
            tuple(estimates.models[arm] for arm in left),
            estimates.quality[:, left],
            estimates.cost_usd[:, left],
        )
        ranked.append(part.models[left_arm := int(choose_arms(part, cost_weight)[0])])
        left.pop(left_arm)
    return ranked


def _changes(estimates: Estimates, cost_weight: float) -> tuple[Change, ...]:
    """Find the nearest cost weights, below and above, at which another model is chosen."""
    quality, cost_usd = estimates.quality[0], estimates.cost_usd[0]
    arm = int(choose_arms(estimates, cost_weight)[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (quality[arm] - quality) / (cost_usd[arm] - cost_usd)
    dearer = np.flatnonzero((cost_usd > cost_usd[arm]) & (crossing > 0))
    cheaper = np.flatnonzero((cost_usd < cost_usd[arm]) & np.isfinite(crossing))
    found = []
    if dearer.size:  # a dearer model wins once cost weighs less
        nearest = dearer[int(np.argmax(crossing[dearer]))]
        found.append(Change(float(crossing[nearest]), estimates.models[nearest]))
    if cheaper.size:
        nearest = cheaper[int(np.argmin(crossing[cheaper]))]
        found.append(Change(float(crossing[nearest]), estimates.models[nearest]))
    return tuple(found)


def _flip_cost_weight(quality_margin: float, cost_margin_usd: float) -> float | None:
    """Solve margin = 0 for the cost weight; None = none above 0 does it."""
    if not cost_margin_usd or not quality_margin / cost_margin_usd > 0:
        return None
    return quality_margin / cost_margin_usd


def _flip_price_factors(
    models: tuple[str, str], costs_usd: np.ndarray, quality_margin: float, cost_weight: float
) -> dict[str, float]:
    """Solve margin = 0 for the price of each of the two, the other's staying as it is."""
    chosen, other = (cost_weight * float(cost) for cost in costs_usd)
    wanted = (quality_margin + other, chosen - quality_margin)
    return {
        model: utility / weighed
        for model, utility, weighed in zip(models, wanted, (chosen, other), strict=True)
        if weighed > 0 and utility > 0 and models[0] != models[1]
    }


def _decided_by(quality_margin: float, cost_part: float) -> DecidedBy:
    ahead = quality_margin + cost_part
    sides = [part if ahead > 0 else -part for part in (quality_margin, cost_part)]
    speaks = [side > _ROUNDING for side in sides]
    if all(speaks):
        return "both"
    if not any(speaks):
        return "neither"
    return "quality" if speaks[0] else "cost"


def _quality_sentence(
    parts: Mapping[str, float],
    values: Mapping[str, float],
    chosen: str,
    other: str,
    margin: float,
) -> str:
    """Tell what is so on any prompt apart from what is due to this one: that is no reason."""
    more = "more" if margin >= 0 else "less"
    text = (
        f"{chosen} is expected to give {abs(100 * margin):.1f} points {more} quality than {other}"
    )
    base = parts.get(ANY_PROMPT, 0.0)
    of_prompt = {name: part for name, part in parts.items() if name != ANY_PROMPT}
    largest = sorted(of_prompt.items(), key=lambda part: -abs(part[1]))[:_N_REASONS]
    reasons = [
        f"{with_value(name, values.get(name, float('nan')))} {100 * part:+.1f}"
        for name, part in largest
        if abs(part) >= _SMALLEST_REASON
    ]
    n_others = sum(abs(part) > _ROUNDING for part in of_prompt.values()) - len(reasons)
    rest = margin - base - sum(part for _, part in largest[: len(reasons)])
    if reasons and n_others > 0 and abs(rest) >= _SMALLEST_SHOWN:
        reasons.append(f"{n_others} others {100 * rest:+.1f}")
    if abs(base) >= _SMALLEST_SHOWN:
        text += f": {100 * base:+.1f} on any prompt, and {100 * (margin - base):+.1f} for this one"
    return text + (f" ({', '.join(reasons)})." if reasons else ".")


def _cost_sentences(
    chosen: str, other: str, margin: float, cost_margin_usd: float, cost_weight: float
) -> Sequence[str]:
    if not np.isfinite(cost_margin_usd):
        return ("Costs are unknown.",)
    dearer = "more" if cost_margin_usd >= 0 else "less"
    text = (
        f"It costs {number_text(abs(1000 * cost_margin_usd))} US dollars {dearer} per 1000 prompts"
    )
    if not cost_weight:
        return (f"{text}, and cost has no weight here.",)
    weighed = -cost_weight * cost_margin_usd
    ahead = chosen if margin + weighed > 0 else other
    decided = DECIDED[_decided_by(margin, weighed)]
    total = abs(100 * (margin + weighed))
    return (
        f"{text}, which weighs {100 * weighed:+.1f} points.",
        f"{decided}: {ahead} is ahead by {total:.1f} points.",
    )


def _flip_sentences(
    chosen: str,
    other: str,
    cost_margin_usd: float,
    flip: float | None,
    factors: Mapping[str, float],
    cost_weight: float,
) -> Sequence[str]:
    if not np.isfinite(cost_margin_usd):
        return ()
    if flip is None:
        at = "No cost weight makes the two change places"
    else:
        at = f"They change places at a cost weight of {number_text(flip)}"
        at += f" instead of {number_text(cost_weight)}" if cost_weight else ""
    prices = [
        f"if {model} cost {number_text(factors[model])} times as much"
        for model in (other, chosen)
        if model in factors
    ]
    joined = (", or " if flip is not None else ", but they would ").join([at, *prices[:1]])
    return (f"{joined}.",)


def with_value(name: str, value: float) -> str:
    """Name a feature with its value, where it has one that tells something.

    `value`: NaN = none.

    >>> with_value("number of commas", 2.0), with_value("on any prompt", float("nan"))
    ('number of commas = 2', 'on any prompt')
    """
    if name in (*FOLDED, ANY_PROMPT, KNOWN_TASK) or np.isnan(value):
        return name
    return f"{name} = {value:.3g}"
