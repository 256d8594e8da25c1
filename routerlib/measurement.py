"""Measure several ways of choosing on the same prompts, replicate by replicate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routerlib.intervals import Interval, paired_bootstrap, widen_for_unseen
from routerlib.metrics import aiq, choose_arms, oracle, sweep_cost_weights, zero_router_quality
from routerlib.outcomes import Outcomes
from routerlib.pairs import Floats, apgr, cpt, is_complete, pgr
from routerlib.types import Estimates

_EXACT_DIGITS = 12


@dataclass(frozen=True)
class Field:
    """What every way of choosing is measured on: prompts that all candidate models answered.

    Parameters
    ----------
    outcomes : Outcomes
        Complete prompts only.
    n_skipped : int
        Prompts left out because some candidate model has no quality (or cost) there.
    has_costs : bool
        Whether every candidate model's cost is known; otherwise only quality is measured.
    strong, weak : int
        Columns of the pair: best single and cheapest candidate model on train.
    """

    outcomes: Outcomes
    n_skipped: int
    has_costs: bool
    strong: int
    weak: int

    @classmethod
    def of(cls, test: Outcomes, strong: str, weak: str) -> Field:
        """Keep the prompts of `test` that can be measured."""
        has_costs = bool((~np.isnan(test.cost_usd)).any(axis=0).all())
        needed = (test.quality, test.cost_usd) if has_costs else (test.quality,)
        keep = np.flatnonzero(is_complete(*needed))
        return cls(
            outcomes=test.take(keep),
            n_skipped=len(test) - len(keep),
            has_costs=has_costs,
            strong=test.models.index(strong),
            weak=test.models.index(weak),
        )

    @property
    def quality(self) -> Floats:
        """Observed quality, shape (n_prompts, n_models)."""
        return self.outcomes.quality

    @property
    def cost_usd(self) -> Floats:
        """Observed US dollars, shape (n_prompts, n_models); NaN when costs aren't known."""
        if self.has_costs:
            return self.outcomes.cost_usd
        return np.full(self.quality.shape, np.nan)

    def __len__(self) -> int:
        return len(self.quality)


@dataclass(frozen=True)
class Line:
    """One way of choosing, as what it obtains on each prompt of a field.

    Parameters
    ----------
    quality, cost_usd : ndarray of shape (n_prompts,)
        Obtained at the operating point.
    curve_quality, curve_cost_usd : ndarray of shape (n_prompts, n_points)
        Obtained at each cost weight of a sweep.
    score : ndarray of shape (n_prompts,)
        How much the strong model is wanted; NaN = this way estimates nothing.
    is_zero_router : bool, default=False
        Replace quality by what random mixing reaches at the same mean cost.
    """

    quality: Floats
    cost_usd: Floats
    curve_quality: Floats
    curve_cost_usd: Floats
    score: Floats
    is_zero_router: bool = False


def take_arms(values: Floats, arms: NDArray[np.intp]) -> Floats:
    """Pick one column per row.

    Parameters
    ----------
    values : ndarray of shape (n_prompts, n_models)
        Observed.
    arms : ndarray of shape (n_prompts,) or (n_prompts, n_points)
        Columns.

    Returns
    -------
    ndarray
        Shape of `arms`.

    Examples
    --------
    >>> take_arms(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0])).tolist()
    [2.0, 3.0]
    """
    columns = arms if arms.ndim == 2 else arms[:, None]
    return np.take_along_axis(values, columns, axis=1).reshape(arms.shape)


def estimates_line(field: Field, estimates: Estimates, arms: NDArray[np.intp]) -> Line:
    """Follow a router's estimates along its cost weights.

    Parameters
    ----------
    field : Field
        What is measured on.
    estimates : Estimates
        Of the router, on the prompts of the field; columns are the field's candidate models.
    arms : ndarray of shape (n_prompts,)
        Column chosen at the operating point.

    Returns
    -------
    Line
        A router without estimates (NaN) is measured at its operating point only.
    """
    swept = _sweep(estimates.quality, estimates.cost_usd, arms)
    with np.errstate(invalid="ignore"):
        score = estimates.quality[:, field.strong] - estimates.quality[:, field.weak]
    return Line(
        quality=take_arms(field.quality, arms),
        cost_usd=take_arms(field.cost_usd, arms),
        curve_quality=take_arms(field.quality, swept),
        curve_cost_usd=take_arms(field.cost_usd, swept),
        score=np.where(np.isfinite(score), score, np.nan),
    )


def _sweep(quality: Floats, cost: Floats, arms: NDArray[np.intp]) -> NDArray[np.intp]:
    if not is_complete(quality).all():
        return arms[:, None]
    if not is_complete(cost).all():
        return choose_arms(quality, cost, 0.0)[:, None]
    weights = sweep_cost_weights(quality, cost)
    return np.stack([choose_arms(quality, cost, weight) for weight in weights], axis=1)


def arms_line(field: Field, arms: NDArray[np.intp]) -> Line:
    """Measure one fixed choice per prompt, without a curve.

    Parameters
    ----------
    field : Field
        What is measured on.
    arms : ndarray of shape (n_prompts,)
        Column of each choice.

    Returns
    -------
    Line
        Its curve is the operating point alone.
    """
    quality, cost = take_arms(field.quality, arms), take_arms(field.cost_usd, arms)
    return Line(quality, cost, quality[:, None], cost[:, None], np.full(len(field), np.nan))


def baseline_lines(
    field: Field, train_quality: Floats, train_cost_usd: Floats, at_cost_usd: Floats
) -> dict[str, Line]:
    """Lay the baselines that stand in every table.

    Parameters
    ----------
    field : Field
        What is measured on.
    train_quality, train_cost_usd : ndarray of shape (n_models,)
        Means on train, all that the best single model is chosen by.
    at_cost_usd : ndarray of shape (n_prompts,)
        Costs whose mean the zero router is to match.

    Returns
    -------
    dict of str to Line
        Best single, random (each candidate model equally often), zero router, oracle.
    """
    n, shape = len(field), field.quality.shape
    singles = np.full(n, field.strong)
    means = Estimates(
        tuple(field.outcomes.models),
        np.broadcast_to(train_quality, shape),
        np.broadcast_to(train_cost_usd, shape),
    )
    even_quality, even_cost = field.quality.mean(axis=1), field.cost_usd.mean(axis=1)
    no_score = np.zeros(n)
    truth = Estimates(tuple(field.outcomes.models), field.quality, field.cost_usd)
    return {
        "best single": estimates_line(field, means, singles),
        "random": Line(
            even_quality, even_cost, even_quality[:, None], even_cost[:, None], no_score
        ),
        "zero router": Line(
            at_cost_usd, at_cost_usd, field.quality, field.cost_usd, no_score, is_zero_router=True
        ),
        "oracle": estimates_line(field, truth, oracle(field.quality, field.cost_usd)),
    }


def measure(
    field: Field, lines: Mapping[str, Line], *, n_bootstrap: int, random_state: int
) -> dict[str, dict[str, Interval]]:
    """Measure each line with intervals; the same seed resamples the same prompts for all.

    Parameters
    ----------
    field : Field
        What is measured on.
    lines : mapping of str to Line
        Ways of choosing by name.
    n_bootstrap : int
        Bootstrap replicates.
    random_state : int
        Seed.

    Returns
    -------
    dict of str to dict of str to Interval
        Per line: ``quality``, ``cost_usd``, ``cost_share`` of best single, ``saving`` (one minus
        that), ``quality_difference`` to best single, ``zero_difference`` (what random mixing at
        the same cost does against best single), ``gain_over_zero``, ``AIQ`` between the mean
        costs of the cheapest and the dearest candidate model, ``PGR``, ``APGR``, ``CPT50``,
        ``CPT80`` of the pair best single - cheapest. Undefined = NaN.
    """

    def of(line: Line) -> dict[str, Interval]:
        groups = field.outcomes.groups if len(field) else np.zeros(0)
        measured = paired_bootstrap(
            lambda weights: _statistics(field, line, weights),
            groups,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        )
        if not _is_single(field, line):
            for name in ("quality_difference", "gain_over_zero"):
                measured[name] = widen_for_unseen(measured[name], len(np.unique(groups)))
        return measured

    return {name: of(line) for name, line in lines.items()}


_NAMES = (
    "quality",
    "cost_usd",
    "cost_share",
    "saving",
    "quality_difference",
    "zero_difference",
    "gain_over_zero",
    "AIQ",
    "PGR",
    "APGR",
    "CPT50",
    "CPT80",
)


def _statistics(field: Field, line: Line, weights: Floats) -> dict[str, Floats]:
    if not len(field):  # a sum over no prompts is 0, but nothing was measured
        return dict.fromkeys(_NAMES, np.full(len(weights), np.nan))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = weights / weights.sum(axis=1, keepdims=True)
        model_quality, model_cost = mean @ field.quality, mean @ field.cost_usd
        best, best_cost = model_quality[:, field.strong], model_cost[:, field.strong]
        quality, cost = mean @ line.quality, mean @ line.cost_usd
        rows = range(len(mean))
        zero = np.array(
            [float(zero_router_quality(cost[r], model_cost[r], model_quality[r])) for r in rows]
        )
        if line.is_zero_router:
            quality = zero
        curve_quality, curve_cost = mean @ line.curve_quality, mean @ line.curve_cost_usd
        pair = (field.quality[:, field.weak], field.quality[:, field.strong], line.score)
        return {
            "quality": quality,
            "cost_usd": cost,
            "cost_share": _exact(cost / best_cost),
            "saving": _exact(1 - cost / best_cost),
            "quality_difference": _exact(quality - best),
            "zero_difference": _exact(zero - best),
            "gain_over_zero": _exact(quality - zero),
            "AIQ": np.array(
                [
                    _aiq(curve_cost[r], curve_quality[r], model_cost[r], model_quality[r])
                    for r in rows
                ]
            ),
            "PGR": pgr(quality, model_quality[:, field.weak], best),
            "APGR": apgr(*pair, weights=weights),
            "CPT50": cpt(0.5, *pair, weights=weights),
            "CPT80": cpt(0.8, *pair, weights=weights),
        }


def _is_single(field: Field, line: Line) -> bool:
    """Tell whether a line calls one model on every prompt, or mixes at random by definition."""
    return line.is_zero_router or any(
        np.array_equal(line.quality, field.quality[:, column])
        and np.array_equal(line.cost_usd, field.cost_usd[:, column], equal_nan=True)
        for column in range(field.quality.shape[1])
    )


def _exact(values: Floats) -> Floats:
    """Drop rounding noise, so that the same choices differ by 0 and not by 1e-16."""
    return np.round(values, _EXACT_DIGITS) + 0.0


def _aiq(cost: Floats, quality: Floats, model_cost: Floats, model_quality: Floats) -> float:
    """Measure from the cheapest to the dearest model; anybody can always call the cheapest."""
    if np.isnan(model_cost).any():
        return float("nan")
    cheapest = int(model_cost.argmin())
    return aiq(
        np.append(cost, model_cost[cheapest]),
        np.append(quality, model_quality[cheapest]),
        (float(model_cost[cheapest]), float(model_cost.max())),
    )
