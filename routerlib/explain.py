"""Explain what drives a router's estimates, and why one candidate model beat another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from routerlib.lightgbm_router import LGBMRouter
from routerlib.pairs import Floats
from routerlib.readable import (
    ANY_PROMPT,
    FOLDED,
    KNOWN_TASK,
    MEANING,
    NETWORK,
    SIMILAR,
    TOPIC,
    WORDING,
    number_text,
    readable_name,
)
from routerlib.router import choose_arms
from routerlib.types import Estimates

if TYPE_CHECKING:
    import shap

Target = Literal["quality", "cost"]

# What the values of `explain` are measured in; stands in ``Explanation.output_names``.
SCALES: Mapping[str, str] = {
    "quality": "log-odds of a right answer, before calibration",
    "cost": "log of the cost in US dollars, before calibration",
}
_N_REASONS = 3
_SMALLEST_REASON = 0.005


@dataclass(frozen=True)
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
    runner_up: str | None
    sentence: str

    @property
    def cost_part(self) -> float:
        """What the cost difference adds to the margin, in quality; 0 when it isn't weighed."""
        return -self.cost_weight * self.cost_margin_usd if self.cost_weight else 0.0

    @property
    def utility_margin(self) -> float:
        """Quality margin plus cost part: above 0, ``chosen`` is preferred."""
        return self.quality_margin + self.cost_part


def explain(
    router: LGBMRouter,
    prompts: Sequence[str],
    *,
    model: str | None = None,
    target: Target = "quality",
) -> shap.Explanation:
    """Attribute a candidate model's estimates to readable features of the prompts.

    Exact TreeSHAP by LightGBM itself. Columns that mean nothing alone are folded: the embedding
    into "meaning of the prompt", the regression on words into "what its wording suggests", the
    nearest-neighbour estimates into "what similar prompts did". Sums of SHAP values stay exact.

    Parameters
    ----------
    router : LGBMRouter
        Fitted.
    prompts : sequence of str, length n_prompts
        Best held-out ones.
    model : str, optional
        Candidate model whose estimate is explained; default the best single one.
    target : {"quality", "cost"}, default="quality"
        Which estimate.

    Returns
    -------
    shap.Explanation
        ``values`` of shape (n_prompts, n_features) and ``base_values``, which add up to the raw
        estimate of the scale named in ``output_names``: log-odds for quality, log US dollars for
        cost. ``data`` holds the features' own values (for
        folded columns the estimate that they give for this model; NaN for the meaning).

    Raises
    ------
    ValueError
        If the router isn't an `LGBMRouter`, there is no prompt, or the model is unknown.

    Examples
    --------
    >>> from routerlib.simulate import make_world
    >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
    >>> router = LGBMRouter(random_state=0).fit(outcomes)
    >>> explanation = explain(router, outcomes.prompts[:5], model="m1")
    >>> explanation.values.shape[0], explanation.output_names
    (5, 'log-odds of a right answer, before calibration')
    """
    _check(router, prompts)
    with warnings.catch_warnings():
        # shap's own import still calls a matplotlib function that will be renamed.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap
    model = router.best_single_ if model is None else model
    values, base, data, names = _contributions(router, prompts, model, target)
    return shap.Explanation(
        values=values,
        base_values=base,
        data=data,
        feature_names=names,
        output_names=SCALES[target],
    )


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
    contributions of the two models are subtracted.

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
        Contributions, flip point, runner-up and a sentence.

    Raises
    ------
    ValueError
        If the router isn't an `LGBMRouter`, or a model is unknown.

    Examples
    --------
    >>> from routerlib.simulate import make_world
    >>> outcomes = make_world(n_prompts=60, n_models=2).outcomes
    >>> router = LGBMRouter(random_state=0).fit(outcomes)
    >>> margin = explain_margin(router, outcomes.prompts[0], "m1", "m0", cost_weight=10)
    >>> bool(np.isclose(sum(margin.contributions.values()), margin.quality_margin))
    True
    """
    _check(router, [prompt])
    weight = router.cost_weight_ if cost_weight is None else cost_weight
    estimates = router.predict([prompt], None if task is None else [task])
    keeps = chosen is None and cost_weight is None and router.fallback_ is not None
    chosen = chosen or router.route(prompt, cost_weight=cost_weight, task=task).model
    ranked = [name for name in _ranked(estimates, weight) if name != chosen]
    runner_up = ranked[0] if ranked else None
    other = other or runner_up or chosen
    left, values = _quality_parts(router, prompt, chosen)
    right, _ = _quality_parts(router, prompt, other)
    parts = {name: left[name] - right[name] for name in left}
    first, second = router.models_.index(chosen), router.models_.index(other)
    margin = float(estimates.quality[0, first] - estimates.quality[0, second])
    # What the task label shifts after the boosters (0 without one, or rounding noise).
    shift = margin - sum(parts.values())
    if task is not None:
        parts[KNOWN_TASK] = shift
    cost_margin = float(estimates.cost_usd[0, first] - estimates.cost_usd[0, second])
    flip = margin / cost_margin if cost_margin and margin / cost_margin > 0 else None
    return MarginExplanation(
        prompt=prompt,
        models=tuple(router.models_),
        chosen=chosen,
        other=other,
        cost_weight=float(weight),
        contributions=dict(sorted(parts.items(), key=lambda part: -abs(part[1]))),
        values=values,
        quality_margin=margin,
        cost_margin_usd=cost_margin,
        flip_cost_weight=flip,
        runner_up=runner_up,
        sentence=_sentence(parts, values, chosen, other, margin, cost_margin, float(weight), flip)
        + (f" The router keeps to {chosen}: {router.fallback_}." if keeps else ""),
    )


def _check(router: LGBMRouter, prompts: Sequence[str]) -> None:
    if not isinstance(router, LGBMRouter):
        raise ValueError(
            f"only an LGBMRouter can be explained by SHAP, got {type(router).__name__}; "
            "its decisions carry their reason in words (Decision.reason)"
        )
    if isinstance(prompts, str) or len(prompts) == 0:
        raise ValueError(f"prompts must be a list with at least one text, got {prompts!r}")


def _contributions(
    router: LGBMRouter, prompts: Sequence[str], model: str, target: Target
) -> tuple[Floats, Floats, Floats, list[str]]:
    """Return folded SHAP values, base values, data and readable names."""
    columns = router.features(prompts)
    raw = router.contributions(columns, model, target)
    readable = [readable_name(name) for name in router.feature_names_]
    names = list(dict.fromkeys(readable))
    belongs = np.array([[name == group for group in names] for name in readable], dtype=float)
    shown = _shown_columns(router.feature_names_, names, model, target)
    data = np.full((len(columns), len(names)), np.nan)
    for position, column in enumerate(shown):
        if column is not None:
            data[:, position] = columns[:, column]
    return raw[:, :-1] @ belongs, raw[:, -1], data, names


def _shown_columns(
    columns: Sequence[str], names: Sequence[str], model: str, target: Target
) -> list[int | None]:
    """Choose the column whose value stands for each readable feature."""
    stands_for = {
        MEANING: None,
        WORDING: f"words_{target}_{model}",
        SIMILAR: f"neighbours_quality_{model}",
        TOPIC: f"topic_quality_{model}",
        NETWORK: f"network_quality_{model}",
    }
    first = {readable_name(column): column for column in reversed(columns)}
    wanted = [stands_for.get(name, first[name]) for name in names]
    return [columns.index(column) if column in columns else None for column in wanted]


def _quality_parts(
    router: LGBMRouter, prompt: str, model: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Split a model's expected quality into parts per feature; they add up exactly."""
    values, base, data, names = _contributions(router, [prompt], model, "quality")
    scale = router.quality_scale(model)
    start, end = (float(scale.quality(np.array(raw))) for raw in (base[0], base[0] + values.sum()))
    total = float(values.sum())
    slope = (end - start) / total if abs(total) > 1e-9 else 0.0
    parts = dict(zip(names, (float(value) for value in values[0] * slope), strict=True))
    parts[ANY_PROMPT] = end - sum(parts.values())
    return parts, dict(zip(names, (float(value) for value in data[0]), strict=True))


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


def _sentence(
    parts: Mapping[str, float],
    values: Mapping[str, float],
    chosen: str,
    other: str,
    quality_margin: float,
    cost_margin_usd: float,
    cost_weight: float,
    flip: float | None,
) -> str:
    more = "more" if quality_margin >= 0 else "less"
    text = f"{chosen} is expected to give {abs(100 * quality_margin):.1f} points {more} quality"
    text += f" than {other}"
    largest = sorted(parts.items(), key=lambda part: -abs(part[1]))[:_N_REASONS]
    reasons = [
        f"{_with_value(name, values)} {100 * part:+.1f}"
        for name, part in largest
        if abs(part) >= _SMALLEST_REASON
    ]
    if reasons:
        text += f" ({', '.join(reasons)})"
    if not np.isfinite(cost_margin_usd):
        return f"{text}; costs are unknown."
    dearer = "more" if cost_margin_usd >= 0 else "less"
    text += f"; it costs {abs(1000 * cost_margin_usd):.3g} US dollars {dearer} per 1000 prompts"
    if cost_weight:
        text += f", which weighs {-100 * cost_weight * cost_margin_usd:+.1f} points"
    if flip is None:
        return f"{text}. No cost weight makes the two change places."
    return f"{text}. They change places at a cost weight of {number_text(flip)}."


def _with_value(name: str, values: Mapping[str, float]) -> str:
    value = values.get(name, float("nan"))
    if name in (*FOLDED, ANY_PROMPT, KNOWN_TASK) or np.isnan(value):
        return name
    return f"{name} = {value:.3g}"
