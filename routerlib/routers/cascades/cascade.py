"""Cascade: a router that may look at an answer before it asks anybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Self

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.policies import MeanBudget, Policy
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.decision import Estimates, Latencies
from routerlib.routers.cascades.boldness import Boldness, choose_boldness, complete_prompts
from routerlib.routers.cascades.evidence import Evidence
from routerlib.routers.cascades.judgement import AnswerJudgement, answers_of, of_router
from routerlib.routers.cascades.limits import in_time, latencies_of, seconds_of
from routerlib.routers.cascades.replay import Bench, Followed, Replay, replay_of
from routerlib.routers.cascades.standing import surest_saving
from routerlib.routers.cascades.steps import Stepping
from routerlib.routers.router import Router

MOST_CALLS = 3
_N_BUDGET_WEIGHTS = 64


class Cascade(Stepping):
    """Route, look at the answer, and ask somebody else only where that is worth its price.

    One policy for both: before each call the expected utility ``quality - cost_weight *
    cost_usd`` of every way to go on is compared, looking two answers ahead: what a further answer
    may be judged, what that would tell of the other candidates (an answer that looks wrong makes
    the prompt harder for all), and that the better answer is the one given back. All calls are
    paid. Where no gain over the router was shown out of fold, it *is* the router.

    Parameters
    ----------
    router : Router
        A fitted router.
    most_calls : int, default=3
        Candidate models that may be asked for one prompt, at least 1.
    random_state : int, default=0
        Seed.

    Attributes
    ----------
    judgement_ : AnswerJudgement
        Tells whether an answer is good.
    evidence_ : Evidence
        What one answer tells of the other candidates.
    boldness_ : Boldness
        How much of the expected gain of further answers is believed, and why; a share of 0 means
        that the cascade is the router.

    References
    ----------
    J. Dekoninck, M. Baader, M. Vechev, A unified approach to routing and cascading for LLMs,
    arXiv:2410.10347, prove the optimal strategy for given estimates.

    Examples
    --------
    >>> from routerlib.routers.baselines import BestSingle
    >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]],
    ...                     cost_usd=[[0.001, 0.01]] * 2, answers=[["no", "yes"], ["yes", "yes"]])
    >>> cascade = Cascade(BestSingle().fit(outcomes)).fit(outcomes)
    >>> cascade.start("c", cost_weight=100).model, cascade.boldness_.share
    ('small', 0.0)
    >>> cascade.after("c", {"small": "no"}, cost_weight=100).stop
    True
    """

    name = "cascade"

    def __init__(
        self, router: Router, *, most_calls: int = MOST_CALLS, random_state: int = 0
    ) -> None:
        if not (isinstance(most_calls, int) and most_calls >= 1):
            raise ValueError(f"most_calls must be a whole number from 1 on, got {most_calls!r}")
        if isinstance(router, Cascade):
            raise ValueError(
                "a cascade stands on a router that sees the prompt alone, and this is a cascade "
                "already; give the router inside it: Cascade(cascade.router)"
            )
        self.router = router
        self.most_calls = most_calls
        self.random_state = random_state
        if hasattr(router, "models_"):
            self._take_over(router)

    def _take_over(self, router: Router) -> None:
        """Know what the router knows: its candidates, its means, where it stands."""
        self.models_ = router.models_
        self.best_single_ = router.best_single_
        self.mean_quality_, self.mean_cost_usd_ = router.mean_quality_, router.mean_cost_usd_
        self.topic_means_ = router.topic_means_
        self.latencies_ = router.latencies_
        self.train_prompt_ids_ = router.train_prompt_ids_
        self.data_hash_ = router.data_hash_
        self.held_out_errors_ = router.held_out_errors_
        self.out_of_fold_ = None
        self.stand_at(router.cost_weight_, router.fallback_, router.training_)

    def fit(self, outcomes: Outcomes) -> Self:
        """Learn to judge answers, and what each tells of the others.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`; the router's training prompts, or others.

        Returns
        -------
        Cascade
            This object.

        Raises
        ------
        ValueError
            If the router isn't fitted, no answers were kept or candidates are missing.
        """
        self.router._check_fitted()
        outcomes = of_router(self.router, outcomes)
        answers_of(outcomes)
        self.__dict__.pop("_learnt_hash", None)
        self._take_over(self.router)
        self.train_prompt_ids_ = tuple(
            dict.fromkeys([*self.router.train_prompt_ids_, *outcomes.prompt_ids])
        )
        self._learn(outcomes)
        return self

    def _learn(self, outcomes: Outcomes) -> None:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):  # sums, and so the file, don't depend on threads
            self.judgement_ = AnswerJudgement(self.router, self.random_state)
            judged, held_out = self.judgement_.learn(outcomes)
            estimates = held_out.estimates
            self.evidence_ = Evidence.nothing(len(self.models_))
            nan = float("nan")
            if not self.judgement_.is_learnt_:
                n_labels = self.judgement_.n_answers_
                reason = f"{n_labels} labelled answers are too few to judge others by"
                self.boldness_ = Boldness(0.0, nan, nan, len(outcomes), reason)
                return
            self.evidence_ = Evidence.fit(judged, estimates.quality, outcomes.quality)
            bench = Bench(estimates, judged, self.evidence_)
            complete = complete_prompts(bench, outcomes)
            self.boldness_ = choose_boldness(bench, outcomes, complete, self.most_calls)
            if self.training_.get("cost_weight_is") == "certified":
                # What is promised was shown of the router's own choices, one call each.
                reason = "the router's certificate is a promise about its own choice"
                self.boldness_ = replace(self.boldness_, share=0.0, reason=reason)
            if self._may_choose_a_point():
                self._stand(bench, outcomes, complete)

    def _may_choose_a_point(self) -> bool:
        """Tell whether the router alone found no point, and promised nothing by a certificate."""
        how = str(self.training_.get("cost_weight_is", ""))
        return self.boldness_.share > 0 and self.fallback_ is not None and how != "not certified"

    def _stand(self, bench: Bench, outcomes: Outcomes, complete: np.ndarray) -> None:
        """Take a cost weight of its own, where the cascade is better than the best single model."""
        found = surest_saving(bench, outcomes, complete, self.boldness_.share, self.most_calls)
        if found is not None:
            how = {"cost_weight_is": "chosen out of fold for the cascade", **found._asdict()}
            self.stand_at(found.cost_weight, None, {**self.training_, **how})

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        estimates = self.router.predict(texts, topics)
        return estimates.quality, estimates.cost_usd

    def _expect(self, texts: list[str], topics: Sequence[str] | None) -> Estimates:
        return self.router.predict(texts, topics)

    def _latency(self, texts: list[str]) -> Latencies | None:
        return self.router._latency(texts)

    def quality_interval(
        self, prompts: Sequence[str], topics: Sequence[str] | None = None, level: float = 0.9
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the router's interval of expected quality.

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
        return self.router.quality_interval(prompts, topics, level)

    def replay(
        self,
        outcomes: Outcomes,
        *,
        cost_weight: float | None = None,
        policy: Policy | None = None,
        use_topics: bool = False,
        latency_s: Mapping[str, float] | None = None,
        max_latency_s: float | None = None,
    ) -> Replay:
        """Follow the cascade over prompts whose answers were logged, all calls paid.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`. A candidate without an answer counts as one that answered nothing.
        cost_weight : float or None, default=None
            Quality given up per US dollar saved, at least 0; None = the operating point.
        policy : policy or None, default=None
            As of `start`, not with `cost_weight`; the budget of a `MeanBudget` is the mean of what
            is expected of all calls, over these prompts; one that draws by chance is followed at
            its cost weight.
        use_topics : bool, default=False
            Tell the router the known task labels.
        latency_s, max_latency_s : default=None
            As of `start`.

        Returns
        -------
        Replay
            ``quality``, ``cost_usd``, ``asked`` and ``given`` of each prompt.

        Raises
        ------
        ValueError
            If the outcomes hold no answers, lack a candidate, or the budget can't be held.
        """
        outcomes = of_router(self.router, outcomes)
        bench = self.bench(outcomes, use_topics=use_topics)
        followed = self.follow(
            bench, cost_weight, policy=policy, latency_s=latency_s, max_latency_s=max_latency_s
        )
        return replay_of(followed, outcomes, self._weight_of(cost_weight, policy))

    def bench(self, outcomes: Outcomes, *, use_topics: bool = False) -> Bench:
        """Get ready to follow the cascade over prompts at several cost weights.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`, in the order of `models_`.
        use_topics : bool, default=False
            Tell the router the known task labels.

        Returns
        -------
        Bench
            Estimates and judgements, made once.
        """
        self._check_learnt()
        topics = outcomes.topics if use_topics else None
        estimates = self.router.predict(outcomes.prompts, topics)
        said = answers_of(outcomes).said
        whole = [
            each._replace(answers=tuple(answer or "" for answer in each.answers)) for each in said
        ]
        judged = self.judgement_.judged(outcomes.prompts, whole, estimates.quality)
        return Bench(estimates, judged, self.evidence_)

    def follow(
        self,
        bench: Bench,
        cost_weight: float | None = None,
        *,
        policy: Policy | None = None,
        latency_s: Mapping[str, float] | None = None,
        max_latency_s: float | None = None,
    ) -> Followed:
        """Follow the cascade at a cost weight, or at its operating point.

        Parameters
        ----------
        bench : Bench
            From `bench`.
        cost_weight : float or None, default=None
            Quality given up per US dollar saved, at least 0; None = the operating point.
        policy, latency_s, max_latency_s : default=None
            As of `replay`.

        Returns
        -------
        Followed
            Who was asked, and whose answer was given back.
        """
        terms, estimates = self._terms(cost_weight, policy), bench.estimates
        seconds, most_s = latencies_of(self.models_, latency_s), seconds_of(max_latency_s)
        among, most_s, _ = in_time(self.models_, None, seconds, most_s)
        if terms is None:
            shown = estimates.among(among)
            arms = self._first_of(shown, cost_weight, policy)
            first = np.array([self.models_.index(name) for name in shown.models], np.intp)[arms]
        else:
            first = None
        share = 0.0 if terms is None else self.boldness_.share
        weight = 0.0 if terms is None else terms.cost_weight
        if isinstance(policy, MeanBudget) and terms is not None:
            weight = self._weight_within(bench, policy)
        floor = None if terms is None else terms.floor
        return bench.follow(
            weight, share, self.most_calls, first, floor=floor, latency_s=seconds, most_s=most_s
        )

    def _first_of(
        self, shown: Estimates, cost_weight: float | None, policy: Policy | None
    ) -> np.ndarray:
        """Return whom the router would ask, columns of `shown`."""
        if policy is not None:
            return policy.choose(shown).arms
        if cost_weight is None and self.fallback_ is not None:
            return np.full(len(shown), shown.models.index(self._best_of(shown.models)))
        return choose_arms(shown, self.cost_weight_ if cost_weight is None else cost_weight)

    def _weight_within(self, bench: Bench, policy: MeanBudget) -> float:
        """Return the smallest cost weight tried at which all calls keep to a mean budget."""
        expected = bench.estimates
        policy.cost_weight(expected)  # refuses what nobody could hold
        weights = sweep_cost_weights(expected, _N_BUDGET_WEIGHTS)
        for weight in map(float, weights):
            followed = bench.follow(weight, self.boldness_.share, self.most_calls)
            if followed.cost_usd(expected.cost_usd).mean() <= policy.budget_usd:
                break
        return weight

    def _parameters(self) -> dict[str, Any]:
        return {"most_calls": self.most_calls, "random_state": self.random_state}

    def _learned(self) -> dict[str, Any]:
        self._check_learnt()
        return {
            "router": self.router.to_state(),
            "judgement": self.judgement_.to_state(),
            "evidence": self.evidence_.to_state(),
            "boldness": asdict(self.boldness_),
        }

    @classmethod
    def from_parts(cls, state: Mapping[str, Any], router: Router) -> Self:
        """Rebuild from `to_state`, around a router that was rebuilt already.

        Parameters
        ----------
        state : mapping
            From `to_state`.
        router : Router
            The router inside.

        Returns
        -------
        Cascade
            It decides exactly as the saved one did.
        """
        cascade = cls(router, **state["parameters"])
        cascade.train_prompt_ids_ = tuple(state["train_prompt_ids"])
        cascade.stand_at(state["cost_weight"], state["fallback"], state["training"])
        cascade._restore(state["learned"])
        return cascade

    def _restore(self, learned: Mapping[str, Any]) -> None:
        self.judgement_ = AnswerJudgement.from_state(learned["judgement"], self.router)
        self.evidence_ = Evidence.from_state(learned["evidence"])
        self.boldness_ = Boldness(**learned["boldness"])
