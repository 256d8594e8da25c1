"""What a cascade decides step by step: whom to ask, whom to ask next, whose answer to give back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.outcomes.answers import Logprobs
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import Explorer
from routerlib.policies.policies import MeanBudget, Policy, QualityFloor
from routerlib.policies.utility import (
    NO_HASTE,
    Haste,
    by_model,
    check_costs_known,
    check_haste,
    choose_arms,
)
from routerlib.records.amounts import check_amount
from routerlib.records.arrays import Floats
from routerlib.records.decision import Decision, Estimates
from routerlib.routers.cascades.boldness import Boldness
from routerlib.routers.cascades.evidence import Evidence
from routerlib.routers.cascades.floors import NOBODY, cheapest_way
from routerlib.routers.cascades.judgement import AnswerJudgement
from routerlib.routers.cascades.limits import Room, Terms, in_time, latencies_of, seconds_of
from routerlib.routers.cascades.lookahead import Ahead, Situation
from routerlib.routers.router import Router


@dataclass(frozen=True, repr=False)
class Step(Decision):
    """A step of a cascade: whom to ask next, or which answer to give back.

    Parameters
    ----------
    stop : bool, default=False
        Whether `model` names the answer to give back; else it is to be asked next.
    asked : tuple of str, default=()
        Candidate models whose answers are at hand.
    judged : mapping of str to float, default={}
        Expected quality of each answer at hand.
    """

    stop: bool = False
    asked: tuple[str, ...] = ()
    judged: Mapping[str, float] = field(default_factory=dict)


class Stepping(Router):
    """Decide with the answers at hand; `Cascade` learns and keeps what this needs."""

    router: Router
    most_calls: int
    judgement_: AnswerJudgement
    evidence_: Evidence
    boldness_: Boldness

    def start(
        self,
        prompt: str,
        *,
        cost_weight: float | None = None,
        policy: Policy | None = None,
        task: str | None = None,
        among: Collection[str] | None = None,
        latency_s: Mapping[str, float] | None = None,
        max_latency_s: float | None = None,
        haste: Haste = NO_HASTE,
    ) -> Step:
        """Choose the first candidate model to ask.

        Parameters
        ----------
        prompt : str
            The text.
        cost_weight : float or None, default=None
            Quality given up per US dollar saved, at least 0; None = the operating point.
        policy : policy or None, default=None
            Another rule, not with `cost_weight`. `MeanBudget`: all calls of this prompt together
            are expected to cost no more. `QualityFloor`: the answer given back is believed good
            enough by it, at the least expected cost. One that draws by chance draws the first
            call as the router would; after it its cost weight, if it has one, decides. After any
            other rule nothing is asked.
        task : str or None, default=None
            Known task label.
        among : collection of str or None, default=None
            Candidate models that can answer; None = all.
        latency_s : mapping of str to float, or None, default=None
            Seconds that a call of a candidate takes, nine times out of ten; one that isn't there is
            believed to be in time. None = as the router expects of this prompt, where it does.
        max_latency_s : float or None, default=None
            Seconds, above 0, that all calls of this prompt may take together; None = the cap of
            `haste`.
        haste : Haste, default=Haste()
            Its weight counts where nothing is asked after the first call.

        Returns
        -------
        Step
            A `Decision` with ``stop`` False.

        Raises
        ------
        ValueError
            If both `cost_weight` and `policy` are given, cost is weighed but unknown, or nobody
            fits the budget. Where nobody fits the time, the quickest is asked, as by `route`.
        """
        self._check_learnt()
        check_haste(haste)
        max_latency_s = haste.max_latency_s if max_latency_s is None else max_latency_s
        if max_latency_s is not None and latency_s is None:
            latency_s = self._expected_s(prompt)
        most_s = seconds_of(max_latency_s)
        seconds = latencies_of(self.models_, latency_s)
        among, most_s, late = in_time(self.models_, among, seconds, most_s)
        terms = self._terms(cost_weight, policy)
        weighed = Haste(haste.latency_weight)
        if terms is None:
            alone = super()._route(prompt, cost_weight, policy, task, among, weighed)
            return _as_step(alone, late)
        if isinstance(policy, Explorer):
            drawn = super()._route(prompt, cost_weight, policy, task, among, weighed)
            if drawn.propensity < 1:
                return _as_step(drawn, late)
        estimates = self._expected(prompt, task, terms)
        shown, barred = estimates.among(among), self._barred(among)
        if isinstance(policy, MeanBudget):
            policy.cost_weight(shown)  # refuses a budget that nobody fits
        room = Room.of(estimates.cost_usd, terms.most_usd, seconds, most_s)
        further = self.most_calls - 1
        arm = self._next(estimates, None, (), terms, further, room, barred)[0]
        # What it would be if there were no further answers to look forward to.
        once = int(choose_arms(shown, terms.cost_weight)[0])
        if policy is not None:
            once = int(policy.choose(shown).arms[0])
        reason = _reason_to_start(estimates, arm, self.models_.index(shown.models[once])) + late
        step = self._step(estimates, arm, terms.cost_weight, reason)
        return replace(step, estimates=by_model(shown))

    def after(
        self,
        prompt: str,
        answers: Mapping[str, str | None],
        *,
        cost_weight: float | None = None,
        policy: Policy | None = None,
        task: str | None = None,
        logprobs: Mapping[str, Logprobs] | None = None,
        among: Collection[str] | None = None,
        latency_s: Mapping[str, float] | None = None,
        max_latency_s: float | None = None,
        spent_usd: float | None = None,
        spent_s: float | None = None,
    ) -> Step:
        """Choose how to go on with some answers at hand.

        Parameters
        ----------
        prompt : str
            The text.
        answers : mapping of str to (str or None)
            What each candidate model that was asked has said, in the order of asking; None = it
            gave no answer.
        cost_weight : float or None, default=None
            As of `start`.
        policy : policy or None, default=None
            As of `start`.
        task : str or None, default=None
            Known task label.
        logprobs : mapping of str to mapping of str to float, or None, default=None
            By candidate model, the numbers of its answer's log-probabilities.
        among : collection of str or None, default=None
            Candidate models that can answer further; None = all.
        latency_s : mapping of str to float, or None, default=None
            As of `start`.
        max_latency_s : float or None, default=None
            As of `start`: from the first call on.
        spent_usd : float or None, default=None
            US dollars that the answers at hand have cost; None = what was expected of them.
        spent_s : float or None, default=None
            Seconds that have gone since the first call; None = what `latency_s` says of them.

        Returns
        -------
        Step
            With ``stop``: `model` is the answer to give back, the one believed best. Else it is
            the candidate model to ask next.

        Raises
        ------
        ValueError
            If no answer is given, or a candidate is unknown.
        """
        self._check_learnt()
        said = self.judgement_.said_by(answers, logprobs)
        terms = self._terms(cost_weight, policy)
        estimates = self._expected(prompt, task, terms or Terms(0.0))
        held = tuple(sorted(self.models_.index(name) for name in answers))
        odds = self.judgement_.judged([prompt], [said], estimates.quality).odds(held)
        judged = {name: float(sigmoid(odds[0, self.models_.index(name)])) for name in answers}
        best = self.models_.index(max(judged, key=lambda name: judged[name]))
        own = self._weight_of(cost_weight, policy)
        if terms is None or len(held) >= min(self.most_calls, len(self.models_)):
            reason = "nobody else is asked: " + (
                self._why_alone(policy) if terms is None else "enough were asked"
            )
            return self._step(estimates, best, own, reason, judged, stop=True)
        if max_latency_s is not None and latency_s is None:
            latency_s = self._expected_s(prompt)
        seconds, most_s = latencies_of(self.models_, latency_s), seconds_of(max_latency_s)
        if spent_usd is None:
            spent_usd = float(estimates.cost_usd[0, list(held)].sum())
        else:
            check_amount("spent_usd", spent_usd)
        if spent_s is None:
            spent_s = float(np.nansum(seconds[list(held)]))
        else:
            check_amount("spent_s", spent_s)
        left = Room.of(estimates.cost_usd, terms.most_usd - spent_usd, seconds, most_s - spent_s)
        further = self.most_calls - len(held) - 1
        barred = self._barred(among)
        arm, gain = self._next(estimates, odds, held, terms, further, left, barred)
        sure = f"{100 * max(judged.values()):.0f} %"
        stands = f"the answer of {self.models_[best]} is believed good by {sure}"
        if arm == NOBODY:
            fits = None if left is None else left.fits()[0]
            reason = f"{stands}; {self._why_enough(fits, held, barred, terms)}"
            return self._step(estimates, best, terms.cost_weight, reason, judged, stop=True)
        reason = f"{stands}; {self.models_[arm]} is expected to add {100 * gain:.0f} points"
        return self._step(estimates, arm, terms.cost_weight, reason, judged)

    def _next(
        self,
        estimates: Estimates,
        odds: Floats | None,
        held: tuple[int, ...],
        terms: Terms,
        further: int,
        room: Room | None,
        barred: list[int],
    ) -> tuple[int, float]:
        """Return the column of whom to ask next, -1 = nobody, and the quality that it may add."""
        cost_usd = estimates.cost_usd
        situation = Situation.of(estimates.quality, odds, held, self.evidence_)
        if terms.floor is None:
            share, weight = self.boldness_.share, terms.cost_weight
            arms, _ = situation.choose(cost_usd, weight, share, further, barred, room)
        else:
            ahead = Ahead.of(estimates.quality, odds, held, self.evidence_)
            arms = cheapest_way(ahead, cost_usd, terms.floor, self.models_, further, room, barred)
        return int(arms[0]), float(situation.gain[0, arms[0]])

    def _why_alone(self, policy: Policy | None) -> str:
        if self.boldness_.share > 0 and policy is not None:
            return "this rule has no cost weight to weigh further answers by"
        return "no gain over the router was shown"

    def _why_enough(
        self, fits: np.ndarray | None, held: tuple[int, ...], barred: list[int], terms: Terms
    ) -> str:
        """Say why nobody else is asked, in the light of who could have been."""
        left = [arm for arm in range(len(self.models_)) if arm not in (*held, *barred)]
        if left and fits is not None and not fits[left].any():
            return "nobody else fits what is left of the budget or of the time"
        if terms.floor is not None:
            return "that is good enough" if left else "nobody else can be asked"
        return "nobody else is worth the price"

    def _route(
        self,
        prompt: str,
        cost_weight: float | None,
        policy: Policy | None,
        task: str | None,
        among: Collection[str] | None,
        haste: Haste = NO_HASTE,
    ) -> Decision:
        """Choose the first candidate model to ask, as `start` does."""
        return self.start(
            prompt, cost_weight=cost_weight, policy=policy, task=task, among=among, haste=haste
        )

    def score(self, outcomes: Outcomes, y: None = None) -> float:
        """Refuse: what a cascade is worth depends on what it goes on to ask.

        Parameters
        ----------
        outcomes : Outcomes
            Any.
        y : None
            Nothing.

        Raises
        ------
        ValueError
            Always, with what to do instead.
        """
        raise ValueError(
            "a cascade has no score by its first choice; `compare` follows it over its calls"
        )

    def _barred(self, among: Collection[str] | None) -> list[int]:
        """Return the columns of candidates that can't be asked."""
        if among is None:
            return []
        return [arm for arm, name in enumerate(self.models_) if name not in among]

    def _expected_s(self, prompt: str) -> dict[str, float]:
        """Return what nine of ten calls are expected to take at most, where that is known."""
        known = self._latency([prompt])
        p90_s = [] if known is None else known.p90_s[0].tolist()
        return dict(zip(self.models_, p90_s, strict=False))

    def _terms(self, cost_weight: float | None, policy: Policy | None) -> Terms | None:
        """Return by what further answers are weighed; None = none are asked for."""
        if cost_weight is not None and policy is not None:
            raise ValueError("give cost_weight or policy, not both")
        if cost_weight is not None:
            check_amount("cost_weight", cost_weight)
        if self.boldness_.share == 0 or self.most_calls == 1:
            return None
        if isinstance(policy, MeanBudget):
            return Terms(0.0, most_usd=policy.budget_usd)
        if isinstance(policy, QualityFloor):
            return Terms(0.0, floor=policy)
        if policy is not None:
            weight = policy.present_cost_weight
            return None if weight is None else Terms(weight)
        if cost_weight is None and self.fallback_ is not None:
            return None
        return Terms(self.cost_weight_ if cost_weight is None else float(cost_weight))

    def _expected(self, prompt: str, task: str | None, terms: Terms) -> Estimates:
        estimates = self.router.predict([prompt], None if task is None else [task])
        if terms != Terms(0.0):
            check_costs_known(estimates)
        return estimates

    def _step(
        self,
        estimates: Estimates,
        arm: int,
        weight: float,
        reason: str,
        judged: Mapping[str, float] | None = None,
        *,
        stop: bool = False,
    ) -> Step:
        known = judged or {}
        name = self.models_[arm]
        return Step(
            model=name,
            expected_quality=known.get(name, float(estimates.quality[0, arm])),
            expected_cost_usd=0.0 if stop else float(estimates.cost_usd[0, arm]),
            propensity=1.0,
            reason=reason,
            cost_weight=weight,
            estimates=by_model(estimates),
            router_hash=self.router_hash_,
            stop=stop,
            asked=tuple(known),
            judged=dict(known),
        )

    def _check_learnt(self) -> None:
        if not hasattr(self, "judgement_"):
            raise ValueError("this Cascade isn't fitted; call fit(outcomes) first")


def _as_step(decision: Decision, further: str) -> Step:
    known = {name: getattr(decision, name) for name in decision.__dataclass_fields__}
    return Step(**{**known, "reason": decision.reason + further})


def _reason_to_start(estimates: Estimates, arm: int, alone: int) -> str:
    quality: Floats = estimates.quality[0]
    told = f"expected quality {quality[arm]:.2f}"
    if arm == alone:
        return f"{told}, the best first call"
    return (
        f"{told} against {quality[alone]:.2f} of {estimates.models[alone]}, who can still be asked "
        "once this answer was looked at"
    )
