"""Explain why one candidate model is preferred to another on one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeVar

import numpy as np

from routerlib.features.names import ANY_PROMPT, KNOWN_TASK
from routerlib.policies.utility import choose_arms
from routerlib.records.canonical import finite_or_none, plain_json
from routerlib.records.decision import Estimates
from routerlib.records.shown import shown_html
from routerlib.routers.explanation.attribution import Attribution, check_explainable, quality_parts
from routerlib.routers.explanation.sentences import (
    DecidedBy,
    cost_sentences,
    decided_by,
    described,
    flip_sentences,
    quality_sentence,
    told,
)
from routerlib.routers.lightgbm.router import LGBMRouter

_Key = TypeVar("_Key")


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
    words : dict of str to float
        The contribution of ``its words``, word by word, the strongest first.
    similar : dict of str to float
        The contribution of ``what similar prompts did``, by their prompt ids, the strongest first.
    topic : str or None
        The log's topic that the prompt is estimated by; None = its topics have no names.
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
    words: Mapping[str, float]
    similar: Mapping[str, float]
    topic: str | None
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
                "part": told(name, float("nan"), self.details),
                "value here": self.values.get(name),
                f"quality of {self.chosen} over {self.other}": part,
            }
            for name, part in parts
        ]
        return shown_html(self.sentence, rows)

    @property
    def details(self) -> dict[str, str]:
        """What of the prompt a feature that has no value of its own consists of, in words."""
        return described(self.contributions, self.words, self.topic)

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
        return decided_by(self.quality_margin, self.cost_part)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain builtins for JSON; NaN becomes None."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        return known | {
            "models": list(self.models),
            "contributions": dict(self.contributions),
            "values": plain_json(self.values),
            "words": dict(self.words),
            "similar": dict(self.similar),
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

    What `explain` finds of each model's log-odds is rescaled so that it adds up to expected quality
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
    between = _between(router, prompt, chosen, other, task)
    parts = between.parts
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
        values=between.values,
        words=between.words,
        similar={router.train_prompt_ids_[row]: part for row, part in between.similar.items()},
        topic=between.topic,
        quality_margin=margin,
        cost_margin_usd=cost_margin,
        flip_cost_weight=flip,
        flip_price_factors=factors,
        changes=_changes(estimates, weight) if ranked[0] == chosen else (),
        runner_up=runner_up,
        sentence=" ".join(
            [
                quality_sentence(between, chosen, other, margin),
                *cost_sentences(chosen, other, margin, cost_margin, weight),
                *flip_sentences(chosen, other, cost_margin, flip, factors, weight),
                *([f"The router keeps to {chosen}: {router.fallback_}."] if keeps else []),
            ]
        ),
    )


def _between(
    router: LGBMRouter, prompt: str, chosen: str, other: str, task: str | None
) -> Attribution:
    """Return what each feature adds to the expected quality of one model over another's."""
    left, right = quality_parts(router, prompt, task, (chosen, other))
    return Attribution(
        _difference(left.parts, right.parts),
        left.values,
        _difference(left.words, right.words),
        _difference(left.similar, right.similar),
        left.topic,
    )


def _difference(left: Mapping[_Key, float], right: Mapping[_Key, float]) -> dict[_Key, float]:
    """Subtract part by part, the largest differences first."""
    parts = {name: left[name] - right[name] for name in left}
    return dict(sorted(parts.items(), key=lambda part: -abs(part[1])))


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
