"""Value a policy on logged choices before it goes live, or say why the log can't tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from routerlib.evaluation.off_policy import estimators
from routerlib.evaluation.off_policy.bench import Bench, Bounded
from routerlib.evaluation.off_policy.estimators import Method
from routerlib.evaluation.off_policy.feedback import (
    Feedback,
    Silent,
    ends_of,
    ripe,
)
from routerlib.evaluation.off_policy.halves import Halves
from routerlib.evaluation.off_policy.paid import paid
from routerlib.evaluation.off_policy.targets import (
    ThinOverlap,
    check_chance,
    check_overlap,
    check_support,
    target_probabilities,
    unseen,
)
from routerlib.evaluation.off_policy.units import by_conversation, whole
from routerlib.evaluation.pseudo_outcomes import (
    effective_sample_size,
    interval,
)
from routerlib.log.choices import LoggedChoices
from routerlib.metrics.intervals import Interval, within_possible
from routerlib.policies.policies import Policy
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats
from routerlib.routers.router import Router

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# What is unknown may move a value by this much; with more there is nothing to be told.
_MAX_UNKNOWN = 0.2
_SILENT = {
    "worst": "; without one an answer counts as wrong at the low end, as right at the high end",
    "like others": ", taken as like others of their candidate and estimate, as you said",
}


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
        Decisions with a verdict, a conversation counted once, and different prompts among them.
    n_effective : float
        Effective sample size of the importance weights.
    max_weight : float
        The largest importance weight.
    left_out : dict of str to int
        Decisions not used, by reason.
    n_decisions : int
        Decisions drawn; more than the conversations where later turns were drawn too.
    feedback : Feedback or None
        How many decisions have a verdict, by arm and by estimate.
    silent : str
        How those without one are taken: ``worst`` or ``like others``.
    halves : Halves or None
        The same quality on the earlier and later half of the log.
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
    n_decisions: int = 0
    feedback: Feedback | None = None
    silent: str = "worst"
    halves: Halves | None = None

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
            f"{self._checked}"
        )

    @property
    def _checked(self) -> str:
        """What conversations, feedback and time say of it, in words."""
        told = ""
        if self.feedback is not None and self.n_decisions > self.feedback.n:
            told += f" These are conversations of {self.n_decisions} drawn decisions in all, each "
            told += "weighed by the product over its decisions."
        if self.feedback is not None:
            how = _SILENT[self.silent] if self.feedback.rate < 1 else ""
            told += f" {self.feedback.told()}{how}."
        if self.halves is not None:
            told += f" Over time: {self.halves.told()}."
        return told


def estimate_value(
    policy: Router | Policy,
    log: CallLog | LoggedChoices,
    method: Method = "dr",
    *,
    router: Router | None = None,
    cost_weight: float | None = None,
    silent: Silent = "worst",
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
        are left out: nobody drew those.
    method : {"dr", "snips", "ips"}, default="dr"
        Doubly robust with a cross-fitted quality model; self-normalised; plain inverse
        propensity. See `routerlib.evaluation.off_policy.estimators`.
    router : Router or None, default=None
        Whose estimates the policy sees.
    cost_weight : float or None, default=None
        Of the utility; None = the policy's own.
    silent : {"worst", "like others"}, default="worst"
        Decisions without a verdict: the interval reaches from all of them wrong to all right; or
        they are weighed like others of their candidate and estimate, which is right only where a
        verdict has nothing further to do with how good the answer was.
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
        If the log leaves nothing to chance, never tried what the target would choose, weighs too
        few decisions too much, has so few verdicts that those missing may move the value by more
        than 0.2, or says something else in its later half than in its earlier one.
    ValueError
        If the method is unknown or there are no scored decisions.

    Notes
    -----
    It holds for prompts like the logged ones. A conversation is one decision, with all its turns:
    the mean of their quality, the sum of their costs. Where later turns were drawn too, its weight
    is the product over them, and the prompts of later turns count as they came; long conversations
    so soon overlap too little. The latest decisions are left out where verdicts are still
    coming in. The intervals reach over those of the later half of the log, so that they hold for
    what it has come to.

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
    if silent not in get_args(Silent):
        raise ValueError(f"silent must be one of {', '.join(get_args(Silent))}, got {silent!r}")
    logged = log if isinstance(log, LoggedChoices) else LoggedChoices.from_log(log)
    known_router = policy if isinstance(policy, Router) else router
    logged = unseen(logged.everything, known_router)
    blank = np.zeros((len(logged), len(logged.models)))
    logged = whole(logged, ripe(by_conversation(logged, blank).logged))
    check_chance(logged)
    chosen = target_probabilities(policy, logged, router)
    check_support(chosen, logged)
    logged, target, weights, n_decisions = by_conversation(logged, chosen)
    check_overlap(weights, n_decisions)
    feedback, has_verdict = Feedback.of(logged), ~np.isnan(logged.quality)
    weight = _own_cost_weight(policy) if cost_weight is None else cost_weight
    bench = Bench.of(logged, method, random_state)
    free = np.zeros(len(logged))
    quality = bench.quality(weights, target, silent, free, level)
    _check_known(quality, feedback, silent)
    if quality.halves is not None:
        _check_halves(quality.halves)
    priced = weight * logged.cost_usd if weight else free
    return OffPolicyValue(
        method=method,
        quality=within_possible("quality", quality.interval),
        cost_usd=within_possible("cost_usd", bench.value(logged.cost_usd, weights, target, level)),
        utility=within_possible(
            "utility", bench.quality(weights, target, silent, priced, level).interval
        ),
        logged_quality=_mean_known(logged.quality),
        logged_cost_usd=_mean_known(logged.cost_usd),
        cost_weight=float(weight),
        n=int(has_verdict.sum()),
        n_groups=len(
            {key for key, is_in in zip(logged.prompt_ids, has_verdict, strict=True) if is_in}
        ),
        n_effective=effective_sample_size(weights[has_verdict]),
        max_weight=float(weights.max()),
        left_out=dict(logged.left_out),
        n_decisions=n_decisions,
        feedback=feedback,
        silent=silent,
        halves=quality.halves and quality.halves.possible,
    )


def _check_known(quality: Bounded, feedback: Feedback, silent: Silent) -> None:
    """Raise ThinOverlap where missing verdicts may move a value too far."""
    low, high = quality.lowest, quality.highest
    if silent == "worst" and high - low > _MAX_UNKNOWN:
        raise ThinOverlap(
            f"{feedback.told()}: without the others the value may be anything from {low:.2f} to "
            f"{high:.2f}; have more answers judged, such as by `routerlib judge`, or say "
            'silent="like others" if you know that a verdict has nothing to do with how good the '
            "answer was"
        )


def _check_halves(halves: Halves) -> None:
    """Raise ThinOverlap where the log says something else later than earlier."""
    if not halves.agree:
        raise ThinOverlap(
            f"the world has changed within the log, quality would have been {halves.told()}; an "
            "average over both tells neither what is nor what comes: value the policy on later "
            "decisions alone, such as logged.take(range(len(logged) // 2, len(logged)))"
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
    difference is narrower than the two values suggest. Decisions without a verdict, or a cost, are
    at the low end as bad for the challenger as they can be, at the high end as good.
    """
    turns = logged.everything
    chosen = [target_probabilities(router, turns, None) for router in (challenger, champion)]
    check_chance(turns)
    for target in chosen:
        check_support(target, turns)
    ours, theirs = (by_conversation(turns, target) for target in chosen)
    for units in (ours, theirs):
        check_overlap(units.weights, units.n_decisions)
    logged, rows = ours.logged, np.arange(len(ours.logged))
    costs = paid(logged) if cost_weight else None
    usual = logged.cost_usd if costs is None else costs.usual
    outcomes = utility(logged.quality, usual, cost_weight)
    has_verdict = ~np.isnan(logged.quality)
    difference, weights = ours.target - theirs.target, ours.weights - theirs.weights
    expected = Bench.of(logged, "dr", random_state).cross_fitted(outcomes, has_verdict)
    ends = ends_of(logged)

    def worth(is_bad: np.ndarray) -> Floats:
        """Return the utility of decisions, what is unknown as bad or as good as it can be."""
        quality = np.where(is_bad, ends.lowest, ends.highest)
        if costs is None:
            return quality
        return utility(quality, np.where(is_bad, costs.most, costs.least), cost_weight)

    lower, upper = (
        interval(
            estimators.doubly_robust(
                worth(weights * sign < 0),
                weights,
                expected[rows, logged.arms],
                (difference * expected).sum(axis=1),
            ),
            np.abs(weights),
            logged.prompt_ids,
            scale=float(np.ptp(outcomes[has_verdict])),
            level=level,
        )
        for sign in (-1, 1)
    )
    return Interval((lower.value + upper.value) / 2, lower.low, upper.high, upper.se)


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


def _own_cost_weight(policy: Router | Policy) -> float:
    if isinstance(policy, Router):
        return policy.cost_weight_
    return policy.present_cost_weight or 0.0


def _mean_known(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
