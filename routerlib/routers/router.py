"""The contract of a router: fit, predict, route, save."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Self, overload

import numpy as np

from routerlib.features.inputs import texts_of, topics_of
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.policies import Policy
from routerlib.policies.utility import (
    NO_HASTE,
    Haste,
    by_model,
    choose_arm,
    names_in_time,
    reason_of,
    told_drawn,
    told_of_cap,
)
from routerlib.records.decision import Decision, Estimates, Latencies
from routerlib.routers.checks import check_observed, check_possible
from routerlib.routers.estimator import Estimator
from routerlib.routers.fitted import Fitted
from routerlib.routers.in_parts import expect_in_parts
from routerlib.routers.topic_table import TopicMeans
from routerlib.routers.usual_latencies import UsualLatencies

# Level of the interval of quality from which a standard deviation is taken, and its half width.
_SPREAD_LEVEL, _SPREAD_Z = 0.9, 1.6448536269514722


class Router(Fitted, Estimator):
    """Estimate, for each prompt, the quality and the cost of every candidate model.

    A router only estimates; a policy decides. `route` joins the two for a single prompt: by
    default it chooses the candidate with the largest ``quality - cost_weight * cost_usd``.

    Attributes
    ----------
    models_ : tuple of str
        Candidate names, in column order.
    best_single_ : str
        Candidate with the highest mean quality on the training prompts.
    mean_quality_, mean_cost_usd_ : ndarray of shape (n_models,)
        Means on the training prompts, quality and US dollars, over prompts that all candidates
        answered where there are enough (`Outcomes.compared`); NaN where unknown.
    topic_means_ : TopicMeans or None
        The same per topic of the training prompts; None where topics weren't known.
    train_prompt_ids_ : tuple of str
        Prompts seen in training, so that evaluation can leave them out.
    data_hash_ : str
        Identity of the training outcomes.
    cost_weight_ : float
        Operating point: quality given up per US dollar saved, used by `route` unless another is
        given; 0 until one is chosen.
    fallback_ : str or None
        Why `route` keeps to the best single model, in words; None = it doesn't.
    training_ : dict
        How the operating point was chosen, as JSON values; empty when it wasn't.
    held_out_errors_ : HeldOutErrors or None
        How wrong the estimates were on prompts not learnt from, by which `measure_drift` tells
        change from chance; None where training measured none, as after a plain `fit`.
    out_of_fold_ : OutOfFold or None
        What routers gave that were trained alike on a part of the prompts, for those of the other
        part, by which this one may be judged on its own training prompts; None where there are
        none.
    latencies_ : UsualLatencies or None
        Seconds that each candidate usually takes, on all training prompts together; None where
        the outcomes tell no times.
    """

    def fit(self, outcomes: Outcomes) -> Self:
        """Learn from outcomes.

        Parameters
        ----------
        outcomes : Outcomes
            Training prompts; cells may be missing, but each candidate needs an observed one.

        Returns
        -------
        Router
            This object.

        Raises
        ------
        ValueError
            If there is no prompt, or a candidate was never observed.
        """
        check_observed(outcomes)
        self.__dict__.pop("_learnt_hash", None)
        self.models_ = tuple(outcomes.models)
        self.best_single_ = outcomes.best_single
        self.mean_quality_, self.mean_cost_usd_ = outcomes.compared()
        self.topic_means_ = TopicMeans.of(outcomes)
        self.latencies_ = UsualLatencies.of(outcomes)
        self.train_prompt_ids_ = tuple(outcomes.prompt_ids)
        self.data_hash_ = outcomes.data_hash
        self.held_out_errors_ = None
        self.out_of_fold_ = None
        self.stand_at(0.0)
        self._learn(outcomes)
        return self

    def predict(self, prompts: Sequence[str], topics: Sequence[str] | None = None) -> Estimates:
        """Estimate quality and cost of every candidate on every prompt.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Known task labels, length n_prompts; a label not seen in training changes nothing.

        Returns
        -------
        Estimates
            ``quality`` in [0, 1] and ``cost_usd``, both of shape (n_prompts, n_models); cost is
            NaN where no cost was seen in training. ``latency`` where training saw times.

        Raises
        ------
        ValueError
            If the router isn't fitted, a prompt isn't text, lengths differ, or what was learnt is
            damaged so that an estimate is impossible.
        """
        self._check_fitted()
        texts = texts_of(prompts)
        topics = topics_of(topics, len(texts))
        if not texts:
            empty = np.zeros((0, len(self.models_)))
            return Estimates(self.models_, empty, empty.copy())
        estimates = expect_in_parts(self._expect, texts, topics)
        check_possible(estimates, len(texts))
        return estimates

    def quality_interval(
        self, prompts: Sequence[str], topics: Sequence[str] | None = None, level: float = 0.9
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return an interval of expected quality; NaN where a router gives none, as this one.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Known topics.
        level : float, default=0.9
            Wanted coverage, in (0, 1).

        Returns
        -------
        tuple (low, high) of ndarray of shape (n_prompts, n_models)
            In [0, 1].
        """
        self._check_fitted()
        unknown = np.full((len(prompts), len(self.models_)), np.nan)
        return unknown, unknown.copy()

    def predict_with_spread(
        self, prompts: Sequence[str], topics: Sequence[str] | None = None
    ) -> Estimates:
        """Estimate as `predict` does, with the standard deviation of expected quality.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.
        topics : sequence of str or None, default=None
            Known task labels, length n_prompts.

        Returns
        -------
        Estimates
            ``quality_sd`` is half the 90 % interval of `quality_interval` in units of a normal
            distribution; NaN where the router gives no interval.
        """
        estimates = self.predict(prompts, topics)
        low, high = self.quality_interval(prompts, topics, level=_SPREAD_LEVEL)
        sd = (np.asarray(high) - np.asarray(low)) / (2 * _SPREAD_Z)
        return replace(estimates, quality_sd=sd)

    @overload
    def route(  # type: ignore[overload-overlap]  # a text is an iterable of texts too
        self,
        prompt: str,
        *,
        cost_weight: float | None = None,
        policy: Policy | None = None,
        task: str | None = None,
        among: Collection[str] | None = None,
        haste: Haste = NO_HASTE,
    ) -> Decision: ...

    @overload
    def route(
        self,
        prompt: Iterable[str],
        *,
        cost_weight: float | None = None,
        policy: Policy | None = None,
        task: str | None = None,
        among: Collection[str] | None = None,
        haste: Haste = NO_HASTE,
    ) -> list[Decision]: ...

    def route(
        self,
        prompt: str | Iterable[str],
        *,
        cost_weight: float | None = None,
        policy: Policy | None = None,
        task: str | None = None,
        among: Collection[str] | None = None,
        haste: Haste = NO_HASTE,
    ) -> Decision | list[Decision]:
        """Choose the candidate model for one prompt, or for each of several.

        Parameters
        ----------
        prompt : str, or iterable of str
            The text; a list, a Series and the like give a list of decisions.
        cost_weight : float or None, default=None
            Quality given up per US dollar saved, at least 0; None = the operating point.
        policy : policy or None, default=None
            Another rule, such as `QualityFloor`; not with `cost_weight`.
        task : str or None, default=None
            Known task label.
        among : collection of str or None, default=None
            Candidate models that can answer; the propensity is that among them, and the decision
            keeps the estimates of these alone. None = all.
        haste : Haste, default=Haste()
            Quality given up per second saved, and a cap on seconds: the decision is then among
            those that are in time. A `policy` has a weight of its own.

        Returns
        -------
        Decision, or list of Decision
            Choice, estimates, propensity and the reason in words.

        Raises
        ------
        ValueError
            If both `cost_weight` and `policy` are given, cost or latency is weighed but unknown,
            or none of `among` is known.
        """
        if cost_weight is not None and policy is not None:
            raise ValueError("give cost_weight or policy, not both")
        if not isinstance(prompt, str):
            texts = texts_of(prompt)
            return [self._route(text, cost_weight, policy, task, among, haste) for text in texts]
        return self._route(prompt, cost_weight, policy, task, among, haste)

    def _route(
        self,
        prompt: str,
        cost_weight: float | None,
        policy: Policy | None,
        task: str | None,
        among: Collection[str] | None,
        haste: Haste = NO_HASTE,
    ) -> Decision:
        topics = None if task is None else [task]
        needs_spread = policy is not None and policy.needs_spread
        predict = self.predict_with_spread if needs_spread else self.predict
        known = predict([prompt], topics).among(among)
        estimates = known.among(names_in_time(known, haste))
        arm, propensity, reason = self._decide(estimates, cost_weight, policy, haste)
        if haste.max_latency_s is not None:
            reason += told_of_cap(known, estimates.models[arm], haste.max_latency_s)
        return Decision(
            model=estimates.models[arm],
            expected_quality=float(estimates.quality[0, arm]),
            expected_cost_usd=float(estimates.cost_usd[0, arm]),
            propensity=propensity,
            reason=reason,
            cost_weight=self._weight_of(cost_weight, policy),
            estimates=by_model(estimates),
            router_hash=self.router_hash_,
        )

    def _weight_of(self, cost_weight: float | None, policy: Policy | None) -> float:
        """Return the cost weight to log: the one given, the policy's own, or the router's."""
        if cost_weight is None and policy is not None:
            cost_weight = policy.present_cost_weight
        return self.cost_weight_ if cost_weight is None else float(cost_weight)

    def _decide(
        self,
        estimates: Estimates,
        cost_weight: float | None,
        policy: Policy | None,
        haste: Haste,
    ) -> tuple[int, float, str]:
        """Return arm, propensity and reason for the only prompt."""
        if policy is not None:
            choices = policy.choose(estimates)
            arm, propensity = int(choices.arms[0]), float(choices.propensities[0])
        elif cost_weight is None and self.fallback_ is not None and not haste.latency_weight:
            best = self._best_of(estimates.models)
            of_those = (
                ""
                if best == self.best_single_
                else (f", the best single model of those left, as it would to {self.best_single_}")
            )
            return estimates.models.index(best), 1.0, f"keeps to {best}{of_those}: {self.fallback_}"
        else:
            weight = self.cost_weight_ if cost_weight is None else cost_weight
            arm, propensity = choose_arm(estimates, weight, haste), 1.0
        usual = arm
        if policy is not None and propensity < 1:
            usual = int(policy.without_draw(estimates)[0])
        reason = reason_of(estimates, usual, haste.latency_weight)
        if usual == arm:
            return arm, propensity, reason + told_drawn(propensity)
        return arm, propensity, told_drawn(propensity, f"{estimates.models[usual]}: {reason}")

    def _best_of(self, models: Sequence[str]) -> str:
        """Return which of some models has the highest mean quality on train."""
        if self.best_single_ in models:
            return self.best_single_
        means = dict(zip(self.models_, self.mean_quality_, strict=True))
        return max(models, key=lambda name: -1.0 if np.isnan(means[name]) else means[name])

    def nearest(self, prompts: Sequence[str], k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest training prompts; this router keeps none.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Any texts.
        k : int, default=5
            How many for each.

        Returns
        -------
        tuple of ndarray, both of shape (n_prompts, n_found)
            Indices into ``train_prompt_ids_``, the nearest first, and cosine similarities.
        """
        self._check_fitted()
        return np.zeros((len(prompts), 0), dtype=int), np.zeros((len(prompts), 0))

    @property
    def chooses_by_estimates(self) -> bool:
        """Whether `route` weighs its own estimates; False when it keeps to the best single."""
        return self.fallback_ is None

    @abstractmethod
    def _learn(self, outcomes: Outcomes) -> None:
        """Learn; the attributes common to all routers are set already."""

    @abstractmethod
    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return quality and cost_usd, each of shape (n_prompts, n_models)."""

    def _expect(self, texts: list[str], topics: Sequence[str] | None) -> Estimates:
        """Return quality, cost and seconds of each candidate model on each prompt."""
        quality, cost_usd = self._estimate(texts, topics)
        return Estimates(self.models_, quality, cost_usd, latency=self._latency(texts))

    def _latency(self, texts: list[str]) -> Latencies | None:
        """Return the seconds expected on each prompt: what is usual, unless a router knows more."""
        return None if self.latencies_ is None else self.latencies_.expected(len(texts))
