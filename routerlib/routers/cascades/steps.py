"""What a cascade decides step by step: whom to ask, whom to ask next, whose answer to give back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.outcomes.answers import Logprobs
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.policies import Policy
from routerlib.policies.utility import by_model, check_costs_known
from routerlib.records.arrays import Floats
from routerlib.records.decision import Decision, Estimates
from routerlib.routers.cascades.boldness import Boldness
from routerlib.routers.cascades.evidence import Evidence
from routerlib.routers.cascades.judgement import AnswerJudgement
from routerlib.routers.cascades.lookahead import Situation
from routerlib.routers.cascades.replay import NOBODY
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
    ) -> Step:
        """Choose the first candidate model to ask.

        Parameters
        ----------
        prompt : str
            The text.
        cost_weight : float or None, default=None
            Quality given up per US dollar saved, at least 0; None = the operating point.
        policy : policy or None, default=None
            Another rule for the first call; it is then the router's, and nothing is asked after it
            unless the policy has a cost weight.
        task : str or None, default=None
            Known task label.
        among : collection of str or None, default=None
            Candidate models that can answer; None = all.

        Returns
        -------
        Step
            A `Decision` with ``stop`` False.

        Raises
        ------
        ValueError
            If both `cost_weight` and `policy` are given, or cost is weighed but unknown.
        """
        self._check_learnt()
        weight = self._bold_weight(cost_weight, policy)
        if weight is None:
            return _as_step(super()._route(prompt, cost_weight, policy, task, among))
        estimates = self._expected(prompt, task, weight)
        situation = Situation.of(estimates.quality, None, (), self.evidence_)
        shown, barred = estimates.among(among), self._barred(among)
        cost_usd, share = estimates.cost_usd, self.boldness_.share
        arms, _ = situation.choose(cost_usd, weight, share, self.most_calls - 1, barred)
        arm = int(arms[0])
        alone = int(situation.choose(cost_usd, weight, 0.0, 0, barred)[0][0])
        step = self._step(estimates, arm, weight, _reason_to_start(estimates, arm, alone))
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
        weight = self._bold_weight(cost_weight, policy)
        estimates = self._expected(prompt, task, weight or 0.0)
        held = tuple(sorted(self.models_.index(name) for name in answers))
        odds = self.judgement_.judged([prompt], [said], estimates.quality).odds(held)
        judged = {name: float(sigmoid(odds[0, self.models_.index(name)])) for name in answers}
        best = self.models_.index(max(judged, key=lambda name: judged[name]))
        own = self._weight_of(cost_weight, policy)
        if weight is None or len(held) >= min(self.most_calls, len(self.models_)):
            reason = "nobody else is asked: " + (
                "no gain over the router was shown" if weight is None else "enough were asked"
            )
            return self._step(estimates, best, own, reason, judged, stop=True)
        situation = Situation.of(estimates.quality, odds, held, self.evidence_)
        further = self.most_calls - len(held) - 1
        share, barred = self.boldness_.share, self._barred(among)
        arms, _ = situation.choose(estimates.cost_usd, weight, share, further, barred)
        arm = int(arms[0])
        sure = f"{100 * max(judged.values()):.0f} %"
        stands = f"the answer of {self.models_[best]} is believed good by {sure}"
        if arm == NOBODY:
            reason = f"{stands}; nobody else is worth the price"
            return self._step(estimates, best, weight, reason, judged, stop=True)
        gain = 100 * float(situation.gain[0, arm])
        reason = f"{stands}; {self.models_[arm]} is expected to add {gain:.0f} points"
        return self._step(estimates, arm, weight, reason, judged)

    def _route(
        self,
        prompt: str,
        cost_weight: float | None,
        policy: Policy | None,
        task: str | None,
        among: Collection[str] | None,
    ) -> Decision:
        """Choose the first candidate model to ask, as `start` does."""
        return self.start(prompt, cost_weight=cost_weight, policy=policy, task=task, among=among)

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

    def _bold_weight(self, cost_weight: float | None, policy: Policy | None) -> float | None:
        """Return the cost weight by which further answers are weighed; None = none are."""
        if cost_weight is not None and policy is not None:
            raise ValueError("give cost_weight or policy, not both")
        if cost_weight is not None and not (np.isfinite(cost_weight) and cost_weight >= 0):
            raise ValueError(f"cost_weight must be finite and at least 0, got {cost_weight!r}")
        if self.boldness_.share == 0 or self.most_calls == 1:
            return None
        if policy is not None:
            return policy.present_cost_weight
        if cost_weight is None and self.fallback_ is not None:
            return None
        return self.cost_weight_ if cost_weight is None else float(cost_weight)

    def _expected(self, prompt: str, task: str | None, weight: float) -> Estimates:
        estimates = self.router.predict([prompt], None if task is None else [task])
        if weight > 0:
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


def _as_step(decision: Decision) -> Step:
    return Step(**{name: getattr(decision, name) for name in decision.__dataclass_fields__})


def _reason_to_start(estimates: Estimates, arm: int, alone: int) -> str:
    quality: Floats = estimates.quality[0]
    told = f"expected quality {quality[arm]:.2f}"
    if arm == alone:
        return f"{told}, the best first call"
    return (
        f"{told} against {quality[alone]:.2f} of {estimates.models[alone]}, who can still be asked "
        "once this answer was looked at"
    )
