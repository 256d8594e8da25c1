"""Choose a policy for a wish: a budget, a floor under quality, a share of strong calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from routerlib.metrics import sweep_cost_weights
from routerlib.outcomes import Outcomes
from routerlib.pairs import Floats, is_complete, share_quality_curve
from routerlib.policies import CostWeight, QualityFloor, Threshold
from routerlib.types import Estimates

Policy = CostWeight | QualityFloor | Threshold

_N_POINTS = 64
_SLACK = 1e-12


@dataclass(frozen=True)
class ChosenPolicy:
    """A policy chosen on training prompts, with what it gave there out of fold.

    Parameters
    ----------
    policy : CostWeight, QualityFloor or Threshold
        For ``router.route(prompt, policy=...)``.
    is_met : bool
        Whether the wish was met on the training prompts; if not, this comes nearest to it.
    quality, cost_usd : float
        Mean quality and US dollars of its choices; cost is NaN where unknown.
    best_single : str
        Best single candidate model of the training prompts.
    best_single_quality, best_single_cost_usd : float
        The same of always calling it.
    n_prompts : int
        Prompts on which every candidate was observed.
    """

    policy: Policy
    is_met: bool
    quality: float
    cost_usd: float
    best_single: str
    best_single_quality: float
    best_single_cost_usd: float
    n_prompts: int


def choose_for_budget(estimates: Estimates, outcomes: Outcomes, budget_usd: float) -> ChosenPolicy:
    """Choose the smallest cost weight whose mean cost stays within a budget.

    `routerlib.policies.MeanBudget` needs all prompts that share a budget at once; this fixes the
    cost weight beforehand, for prompts that arrive one by one.

    Parameters
    ----------
    estimates : Estimates
        Out of fold, such as `routerlib.training.cross_fit` gives.
    outcomes : Outcomes
        The same prompts; the cost that counts is the observed one.
    budget_usd : float
        Upper limit on mean cost, US dollars per prompt, at least 0.

    Returns
    -------
    ChosenPolicy
        ``is_met`` is False when even the cheapest choice was dearer.

    Raises
    ------
    ValueError
        If the budget is negative, costs are unknown or no prompt is complete.

    Examples
    --------
    >>> outcomes = Outcomes(["kite", "whale"], ["s", "l"], [[1, 1], [0, 1]], [[1, 3], [1, 3]])
    >>> known = Estimates(("s", "l"), np.array([[0.9, 1.0], [0.1, 1.0]]), outcomes.cost_usd)
    >>> chosen = choose_for_budget(known, outcomes, budget_usd=2.0)
    >>> chosen.is_met, chosen.quality, chosen.cost_usd
    (True, 1.0, 2.0)
    """
    if not budget_usd >= 0:
        raise ValueError(f"budget_usd must be at least 0, got {budget_usd!r}")
    kept = _Kept.of(estimates, outcomes)
    kept.check_costs()
    weights = sweep_cost_weights(kept.estimates.quality, kept.estimates.cost_usd, _N_POINTS)
    tried = [kept.measured(CostWeight(float(weight))) for weight in weights]
    return _first(tried, lambda each: each.cost_usd <= budget_usd * (1 + _SLACK), _cheapest)


def choose_quality_floor(
    estimates: Estimates, outcomes: Outcomes, max_quality_loss: float = 0.0
) -> ChosenPolicy:
    """Choose the floor that is as good as the best single model at the least cost.

    Parameters
    ----------
    estimates : Estimates
        Out of fold.
    outcomes : Outcomes
        The same prompts.
    max_quality_loss : float, default=0.0
        Observed mean quality that may be given up, in [0, 1].

    Returns
    -------
    ChosenPolicy
        A `QualityFloor` under the best single model's expected quality. ``is_met`` is False when
        every floor lost more; then it is the strictest.

    Raises
    ------
    ValueError
        If the loss is out of range, costs are unknown or no prompt is complete.

    Examples
    --------
    >>> outcomes = Outcomes(["kite", "whale"], ["s", "l"], [[1, 1], [0, 1]], [[1, 3], [1, 3]])
    >>> known = Estimates(("s", "l"), np.array([[0.9, 1.0], [0.1, 1.0]]), outcomes.cost_usd)
    >>> chosen = choose_quality_floor(known, outcomes)
    >>> round(chosen.policy.max_loss, 3), chosen.quality, chosen.cost_usd
    (0.1, 1.0, 2.0)
    """
    if not 0 <= max_quality_loss <= 1:
        raise ValueError(f"max_quality_loss must lie in [0, 1], got {max_quality_loss!r}")
    kept = _Kept.of(estimates, outcomes)
    kept.check_costs()
    best = kept.estimates.quality[:, outcomes.models.index(outcomes.best_single)]
    losses = (best[:, None] - kept.estimates.quality).ravel()
    tried = [
        kept.measured(QualityFloor(loss, model=outcomes.best_single)) for loss in _spread(losses)
    ]
    allowed = [
        each
        for each in tried
        if each.quality >= each.best_single_quality - max_quality_loss - _SLACK
    ]
    if not allowed:
        return _unmet(tried[0])
    return min(allowed, key=_cheapest)


def choose_threshold(
    estimates: Estimates,
    outcomes: Outcomes,
    *,
    strong: str,
    weak: str,
    recovered: float = 0.8,
) -> ChosenPolicy:
    """Choose the threshold of a pair that recovers a share of the gap with fewest strong calls.

    Parameters
    ----------
    estimates : Estimates
        Out of fold.
    outcomes : Outcomes
        The same prompts.
    strong, weak : str
        The two candidate models.
    recovered : float, default=0.8
        Performance gap recovered (PGR) that is wanted, in [0, 1]; 0.8 is that of CPT(80 %).

    Returns
    -------
    ChosenPolicy
        ``is_met`` is False when the strong model isn't better; then it is never called.

    Raises
    ------
    ValueError
        If the share is out of range, a name unknown or no prompt is complete.

    Examples
    --------
    >>> outcomes = Outcomes(["kite", "whale"], ["s", "l"], [[1, 1], [0, 1]], [[1, 3], [1, 3]])
    >>> known = Estimates(("s", "l"), np.array([[0.9, 1.0], [0.1, 1.0]]), outcomes.cost_usd)
    >>> chosen = choose_threshold(known, outcomes, strong="l", weak="s")
    >>> round(chosen.policy.threshold, 3), chosen.quality
    (0.9, 1.0)
    """
    if not 0 <= recovered <= 1:
        raise ValueError(f"recovered must lie in [0, 1], got {recovered!r}")
    never = Threshold(strong, weak, np.inf)
    kept = _Kept.of(estimates, outcomes)
    unmet = _unmet(kept.measured(never))
    gain = kept.column(strong, kept.estimates.quality) - kept.column(weak, kept.estimates.quality)
    _, curve = share_quality_curve(
        kept.column(weak, kept.quality), kept.column(strong, kept.quality), gain
    )
    gap = curve[0, -1] - curve[0, 0]
    if not gap > 0:
        return unmet
    reached = (curve[0] - curve[0, 0]) / gap >= recovered - _SLACK
    cuts = [np.inf, *np.unique(gain)[::-1]]
    return kept.measured(Threshold(strong, weak, float(cuts[int(reached.argmax())])))


@dataclass(frozen=True, eq=False)
class _Kept:
    """Estimates and outcomes of the prompts on which every candidate was observed."""

    estimates: Estimates
    quality: Floats
    cost_usd: Floats
    best_single: str

    @classmethod
    def of(cls, estimates: Estimates, outcomes: Outcomes) -> _Kept:
        keep = is_complete(outcomes.quality)
        if not keep.any():
            raise ValueError(
                "a policy is chosen on prompts that every candidate model answered, got none; "
                "collect and judge the missing answers"
            )
        return cls(
            Estimates(estimates.models, estimates.quality[keep], estimates.cost_usd[keep]),
            outcomes.quality[keep],
            outcomes.cost_usd[keep],
            outcomes.best_single,
        )

    def check_costs(self) -> None:
        if not is_complete(self.estimates.cost_usd, self.cost_usd).all():
            raise ValueError(
                "every cost must be known to weigh quality against it; use outcomes with cost_usd"
            )

    def column(self, model: str, values: Floats) -> Floats:
        if model not in self.estimates.models:
            known = ", ".join(self.estimates.models)
            raise ValueError(f"model must be one of {known}, got {model!r}")
        return values[:, self.estimates.models.index(model)]

    def measured(self, policy: Policy) -> ChosenPolicy:
        arms = policy.choose(self.estimates).arms
        rows = np.arange(len(arms))
        return ChosenPolicy(
            policy=policy,
            is_met=True,
            quality=float(self.quality[rows, arms].mean()),
            cost_usd=float(self.cost_usd[rows, arms].mean()),
            best_single=self.best_single,
            best_single_quality=float(self.column(self.best_single, self.quality).mean()),
            best_single_cost_usd=float(self.column(self.best_single, self.cost_usd).mean()),
            n_prompts=len(rows),
        )


def _spread(losses: Floats) -> list[float]:
    """Return losses at which choices change, thinned out evenly, from 0 up."""
    positive = losses[losses > 0]
    if not len(positive):
        return [0.0]
    quantiles = np.quantile(positive, np.linspace(0, 1, _N_POINTS), method="higher")
    return [0.0, *(float(loss) for loss in np.unique(quantiles))]


def _cheapest(chosen: ChosenPolicy) -> float:
    return chosen.cost_usd


def _first(
    tried: Sequence[ChosenPolicy],
    is_met: Callable[[ChosenPolicy], bool],
    rank: Callable[[ChosenPolicy], float],
) -> ChosenPolicy:
    """Return the first that meets the wish, else the lowest in rank, marked as not met."""
    met = next((each for each in tried if is_met(each)), None)
    return met if met is not None else _unmet(min(tried, key=rank))


def _unmet(chosen: ChosenPolicy) -> ChosenPolicy:
    return replace(chosen, is_met=False)
