"""Value a policy on logged choices before it goes live, or say why the log can't tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from routerlib.evaluation.off_policy import estimators
from routerlib.evaluation.off_policy.estimators import Method
from routerlib.evaluation.off_policy.posterior import Design, Posterior
from routerlib.evaluation.off_policy.targets import (
    ThinOverlap,
    check_chance,
    check_support,
    target_probabilities,
    unseen,
)
from routerlib.evaluation.pseudo_outcomes import effective_sample_size, interval
from routerlib.log.choices import LoggedChoices
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.policies.policies import Policy
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats
from routerlib.routers.router import Router

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

_MIN_KNOWN = 50
_N_FOLDS = 5


@dataclass(frozen=True)
class OffPolicyValue:
    """What a policy would have been worth on the logged prompts.

    Parameters
    ----------
    method : str
        ``dr``, ``snips`` or ``ips``.
    quality, cost_usd, utility : Interval
        Mean per prompt with 95 % intervals: quality in [0, 1], US dollars, and
        ``quality - cost_weight * cost_usd``; NaN where costs are unknown.
    logged_quality, logged_cost_usd : float
        What the logging policy had on the same prompts.
    cost_weight : float
        Of the utility.
    n, n_groups : int
        Decisions used, and different prompts among them.
    n_effective : float
        Effective sample size of the importance weights.
    max_weight : float
        The largest importance weight.
    left_out : dict of str to int
        Decisions not used, by reason.
    """

    method: str
    quality: Interval
    cost_usd: Interval
    utility: Interval
    logged_quality: float
    logged_cost_usd: float
    cost_weight: float
    n: int
    n_groups: int
    n_effective: float
    max_weight: float
    left_out: dict[str, int]

    @property
    def sentence(self) -> str:
        """The value in words, with interval, n and effective sample size."""
        low, high = self.quality.low, self.quality.high
        cost = ""
        if np.isfinite(self.cost_usd.value):
            cost = (
                f" at ${1000 * self.cost_usd.value:.3g} per 1000 prompts "
                f"[{1000 * self.cost_usd.low:.3g}, {1000 * self.cost_usd.high:.3g}]"
            )
        return (
            f"Expected quality {self.quality.value:.3f} [{low:.3f}, {high:.3f}]{cost}; the logging "
            f"policy had {self.logged_quality:.3f}. {self.method}, {self.n} decisions on "
            f"{self.n_groups} prompts, effective sample size {self.n_effective:.0f}."
        )


def estimate_value(
    policy: Router | Policy,
    log: CallLog | LoggedChoices,
    method: Method = "dr",
    *,
    router: Router | None = None,
    cost_weight: float | None = None,
    level: float = 0.95,
    random_state: int = 0,
) -> OffPolicyValue:
    """Estimate what a policy would be worth, from decisions that another policy logged.

    Parameters
    ----------
    policy : Router or policy
        The target. A router is valued at its operating point, on prompts that it was not trained
        on. A policy (`CostWeight`, `EpsilonGreedy`, ...) is valued on the estimates that were
        logged with each decision, or on those of `router`.
    log : CallLog or LoggedChoices
        Decisions with their propensities, and outcomes of what was chosen. A person's overrides
        and turns that stay with a conversation's model are left out: nobody drew those.
    method : {"dr", "snips", "ips"}, default="dr"
        Doubly robust with a cross-fitted quality model; self-normalised; plain inverse
        propensity. See `routerlib.evaluation.off_policy.estimators`.
    router : Router or None, default=None
        Whose estimates the policy sees.
    cost_weight : float or None, default=None
        Of the utility; None = the policy's own.
    level : float, default=0.95
        Confidence of the intervals.
    random_state : int, default=0
        Seed of the cross-fitting.

    Returns
    -------
    OffPolicyValue
        Quality, cost and utility with intervals.

    Raises
    ------
    ThinOverlap
        If the log leaves nothing to chance, never tried what the target would choose, or weighs
        too few decisions too much.
    ValueError
        If the method is unknown or there are no scored decisions.

    Notes
    -----
    It holds for prompts like the logged ones, and where a missing verdict has nothing to do with
    how good the answer was.

    Examples
    --------
    >>> from routerlib.outcomes.worlds import make_world
    >>> from routerlib.policies.exploration import Greedy
    >>> from routerlib.records.decision import Estimates
    >>> outcomes, expected = make_world(400, 2, seed=1)
    >>> arms, rows = np.random.default_rng(1).integers(2, size=400), np.arange(400)
    >>> logged = LoggedChoices(
    ...     outcomes.prompts, outcomes.prompt_ids, tuple(outcomes.models), arms, np.full(400, 0.5),
    ...     outcomes.quality[rows, arms], outcomes.cost_usd[rows, arms],
    ...     Estimates(tuple(outcomes.models), expected, outcomes.cost_usd),
    ... )  # a coin chose
    >>> value = estimate_value(Greedy(), logged)
    >>> value.method, value.n, value.quality.low < 0.9 < value.quality.high
    ('dr', 400, True)
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}")
    logged = log if isinstance(log, LoggedChoices) else LoggedChoices.from_log(log)
    known_router = policy if isinstance(policy, Router) else router
    logged = unseen(logged, known_router)
    check_chance(logged)
    target = target_probabilities(policy, logged, router)
    target_of_logged = target[np.arange(len(logged)), logged.arms]
    weights = target_of_logged / logged.propensities
    check_support(target, weights, logged)
    weight = _own_cost_weight(policy) if cost_weight is None else cost_weight
    outcomes = {
        "quality": logged.quality,
        "cost_usd": logged.cost_usd,
        "utility": utility(logged.quality, logged.cost_usd, weight),
    }
    bench = _Bench.of(logged, method, random_state)
    found = {name: bench.value(values, weights, target, level) for name, values in outcomes.items()}
    return OffPolicyValue(
        method=method,
        **found,
        logged_quality=float(logged.quality.mean()),
        logged_cost_usd=_mean_known(logged.cost_usd),
        cost_weight=float(weight),
        n=len(logged),
        n_groups=len(set(logged.prompt_ids)),
        n_effective=effective_sample_size(weights),
        max_weight=float(weights.max()),
        left_out=dict(logged.left_out),
    )


def estimate_difference(
    challenger: Router,
    champion: Router,
    logged: LoggedChoices,
    *,
    cost_weight: float = 0.0,
    level: float = 0.95,
    random_state: int = 0,
) -> Interval:
    """Estimate how much more utility one router would have had than another, doubly robust.

    Where both choose the same, a row tells nothing and adds no spread: the interval of the
    difference is narrower than the two values suggest.
    """
    targets = [target_probabilities(router, logged, None) for router in (challenger, champion)]
    check_chance(logged)
    rows = np.arange(len(logged))
    for target in targets:
        check_support(target, target[rows, logged.arms] / logged.propensities, logged)
    outcomes = utility(logged.quality, logged.cost_usd, cost_weight)
    if not np.isfinite(outcomes).all():
        raise ThinOverlap("some logged costs are unknown, so utility can't be compared")
    difference = targets[0] - targets[1]
    weights = difference[rows, logged.arms] / logged.propensities
    expected = _Bench.of(logged, "dr", random_state)._cross_fitted(
        outcomes, np.ones(len(logged), dtype=bool)
    )
    estimate = estimators.doubly_robust(
        outcomes, weights, expected[rows, logged.arms], (difference * expected).sum(axis=1)
    )
    scale = float(np.ptp(outcomes))
    return interval(estimate, np.abs(weights), logged.prompt_ids, scale=scale, level=level)


def why_no_value(
    policy: Router | Policy, log: CallLog | LoggedChoices, *, router: Router | None = None
) -> str:
    """Say why a log can't tell what a policy is worth, or nothing where it can.

    Parameters
    ----------
    policy : Policy or Router
        Whose value is asked for.
    log : CallLog or LoggedChoices
        What was decided, with propensities.
    router : Router, optional
        Whose estimates the policy decides by; default those in the log.

    Returns
    -------
    str
        The reason of the refusal; empty where there is none.
    """
    try:
        estimate_value(policy, log, "snips", router=router)
    except ThinOverlap as refusal:
        return str(refusal)
    return ""


@dataclass(frozen=True, eq=False)
class _Bench:
    """What all three means are estimated with."""

    logged: LoggedChoices
    method: Method
    groups: np.ndarray
    folds: np.ndarray
    columns: Floats

    @classmethod
    def of(cls, logged: LoggedChoices, method: Method, random_state: int) -> _Bench:
        _, groups = np.unique(np.array(logged.prompt_ids), return_inverse=True)
        n_folds = min(_N_FOLDS, len(np.unique(groups)))
        if method != "dr" or n_folds < 2:
            return cls(
                logged, method, groups, np.zeros(len(groups), int), np.ones((len(groups), 1))
            )
        folds = grouped_folds(groups, n_folds, random_state)
        _, columns = Design.fit_columns(logged.prompts)
        return cls(logged, method, groups, folds, columns)

    def value(self, values: Floats, weights: Floats, target: Floats, level: float) -> Interval:
        """Estimate one mean; rows whose value is unknown are left out."""
        known = np.isfinite(values)
        if known.sum() < _MIN_KNOWN:
            return Interval(np.nan, np.nan, np.nan, np.nan)
        r, w = values[known], weights[known]
        if self.method == "dr":
            expected = self._cross_fitted(values, known)
            of_logged = expected[np.arange(len(r)), self.logged.arms[known]]
            of_target = (target[known] * expected).sum(axis=1)
            rows = estimators.doubly_robust(r, w, of_logged, of_target)
        else:
            rows = (estimators.snips if self.method == "snips" else estimators.ips)(r, w)
        scale = float(r.max() - r.min())
        return interval(rows, w, self.groups[known], scale=scale, level=level)

    def _cross_fitted(self, values: Floats, known: np.ndarray) -> Floats:
        """Expect each candidate's value on the known rows from the other folds."""
        centre, scale = float(values[known].mean()), float(values[known].std()) or 1.0
        n_models = len(self.logged.models)
        expected = np.zeros((len(values), n_models))
        for fold in np.unique(self.folds):
            held_out = self.folds == fold
            taught = known & ~held_out
            model = Posterior(
                self.columns.shape[1], n_models, prior_mean=0.0, prior_sd=1.0, noise_sd=1.0
            )
            arms, standard = self.logged.arms[taught], (values[taught] - centre) / scale
            model.update(self.columns[taught], arms, standard)
            expected[held_out] = model.means(self.columns[held_out])
        return (centre + scale * expected)[known]


def _own_cost_weight(policy: Router | Policy) -> float:
    if isinstance(policy, Router):
        return policy.cost_weight_
    return policy.present_cost_weight or 0.0


def _mean_known(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
