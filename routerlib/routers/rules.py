"""Routers that choose without estimating; if-rules on task and length do so before any data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.features.tasks import detect_task
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.policies import Policy
from routerlib.policies.utility import NO_HASTE, Haste, names_in_time
from routerlib.records.call import ROLES, CandidateModel
from routerlib.records.canonical import tagged_hash
from routerlib.records.decision import Decision, Estimates
from routerlib.records.prompt import TASKS
from routerlib.routers.router import Router


class BlindChoice(NamedTuple):
    """What was chosen without estimates.

    `propensity`: probability of this choice, in (0, 1].
    """

    model: str
    propensity: float
    reason: str


class BlindRouter(Router):
    """Choose by something else than expected quality and cost.

    A policy has nothing to weigh here, and is refused.
    """

    def _route(
        self,
        prompt: str,
        cost_weight: float | None,
        policy: Policy | None,
        task: str | None,
        among: Collection[str] | None,
        haste: Haste = NO_HASTE,
    ) -> Decision:
        if policy is not None:
            name = type(self).__name__
            raise ValueError(f"{name} gives no estimates for a policy; leave policy out")
        self._check_fitted()
        models = tuple(name for name in self.models_ if among is None or name in among)
        if not models:
            raise ValueError(f"none of {', '.join(among or ())} is known to {type(self).__name__}")
        unknown = np.full((1, len(self.models_)), np.nan)
        known = Estimates(self.models_, unknown, unknown, latency=self._latency([prompt]))
        models = tuple(names_in_time(known.among(models), haste) or models)
        model, propensity, reason = self._choose(prompt, task, models)
        is_between_all = len(models) == len(self.models_)
        return Decision(
            model=model,
            expected_quality=float("nan"),
            expected_cost_usd=float("nan"),
            propensity=propensity,
            reason=reason,
            cost_weight=self.cost_weight_ if cost_weight is None else cost_weight,
            estimates={} if is_between_all else {name: dict(_NOTHING) for name in models},
            router_hash=self.router_hash_,
        )

    @abstractmethod
    def _choose(self, prompt: str, task: str | None, models: tuple[str, ...]) -> BlindChoice:
        """Choose one of the models for one prompt."""


_NOTHING = {"quality": float("nan"), "cost_usd": float("nan")}


# From this length on a chat or an unknown task is no small matter.
_SHORT_CHARACTERS = 400

# Role for each task: for a short prompt, for a long one.
_ROLE_BY_TASK: dict[str, tuple[str, str]] = {
    "summarize": ("cheap", "cheap"),
    "reasoning": ("strongest", "strongest"),
    "math": ("strongest", "strongest"),
    "code": ("coder", "coder"),
    "chat": ("cheapest", "cheap"),
    "classify": ("cheap", "cheap"),
    "extract": ("cheap", "cheap"),
    "translate": ("cheap", "strongest"),
    "other": ("cheap", "strongest"),
}


class RuleRouter(BlindRouter):
    """Choose by task and length, without any training.

    ========================  =====================  ======================
    task (given or detected)  under 400 characters   400 characters or more
    ========================  =====================  ======================
    summarize                 cheap                  cheap
    reasoning, math           strongest              strongest
    code                      coder                  coder
    chat                      cheapest               cheap
    classify, extract         cheap                  cheap
    translate, other          cheap                  strongest
    ========================  =====================  ======================

    `predict` gives NaN for quality, because a rule estimates nothing, and mean costs where it was
    fitted. A cost weight changes nothing, and decisions carry NaN as estimates.

    Parameters
    ----------
    roles : mapping of str to str
        Candidate name for each of ``cheapest``, ``cheap``, ``coder``, ``strongest``.

    Examples
    --------
    >>> router = RuleRouter({"cheapest": "xs", "cheap": "s", "coder": "c", "strongest": "xl"})
    >>> decision = router.route("Summarise this report in one line: ...")
    >>> decision.model, decision.reason
    ('s', 'rule: summarize goes to the cheap model')
    """

    name = "rules"

    def __init__(self, roles: Mapping[str, str]) -> None:
        missing = [role for role in ROLES if role not in roles]
        unknown = [role for role in roles if role not in ROLES]
        if missing or unknown:
            raise ValueError(
                f"roles must name a candidate for each of {', '.join(ROLES)}, "
                f"got {dict(roles)!r}; write roles in candidates.yaml"
            )
        self.roles = roles if isinstance(roles, dict) else dict(roles)
        self.models_ = tuple(dict.fromkeys(roles[role] for role in ROLES))
        n_models = len(self.models_)
        self.best_single_ = roles["strongest"]
        self.mean_quality_ = np.full(n_models, np.nan)
        self.mean_cost_usd_ = np.full(n_models, np.nan)
        self.train_prompt_ids_: tuple[str, ...] = ()
        self.data_hash_ = tagged_hash([])
        self.stand_at(0.0)

    @classmethod
    def from_candidates(cls, candidates: Sequence[CandidateModel]) -> Self:
        """Take the roles that candidates.yaml gives; prices fill the gaps.

        Without a role of its own, ``cheapest`` is the candidate with the lowest output price,
        ``cheap`` the next one up, ``strongest`` the one with the highest, and ``coder`` the
        dearest one that has "coder" in its name, else the strongest.

        Parameters
        ----------
        candidates : sequence of CandidateModel
            At least one.

        Returns
        -------
        RuleRouter
            Ready to route.

        Raises
        ------
        ValueError
            If there is no candidate.
        """
        if not candidates:
            raise ValueError("rules need at least one candidate, got none")
        by_price = sorted(candidates, key=lambda each: each.price.output_usd_per_mtok)
        coders = [each for each in by_price if "coder" in each.name.lower()] or by_price
        guesses = {
            "cheapest": by_price[0].name,
            "cheap": by_price[min(1, len(by_price) - 1)].name,
            "coder": coders[-1].name,
            "strongest": by_price[-1].name,
        }
        given = {role: each.name for each in reversed(candidates) for role in each.roles}
        router = cls({**guesses, **given})
        router.models_ = tuple(each.name for each in candidates)
        router.mean_quality_ = np.full(len(candidates), np.nan)
        router.mean_cost_usd_ = np.full(len(candidates), np.nan)
        return router

    def _choose(self, prompt: str, task: str | None, models: tuple[str, ...]) -> BlindChoice:
        role, reason = _rule(prompt, task)
        if self.roles[role] in models:
            return BlindChoice(self.roles[role], 1.0, reason)
        # Where it can't answer, the next stronger one that can does, or the next weaker one.
        place = ROLES.index(role)
        order = [self.roles[each] for each in (*ROLES[place:], *reversed(ROLES[:place]))]
        instead = next((name for name in order if name in models), models[0])
        return BlindChoice(instead, 1.0, f"{reason}, which can't answer this; {instead} can")

    @property
    def chooses_by_estimates(self) -> bool:
        """Whether `route` weighs its own estimates: never, there are none."""
        return False

    def _learn(self, outcomes: Outcomes) -> None:
        missing = sorted(set(self.roles.values()) - set(self.models_))
        if missing:
            raise ValueError(
                f"roles name {missing[0]!r}, which isn't among the candidates "
                f"{', '.join(self.models_)}"
            )

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        cost_usd = np.tile(self.mean_cost_usd_, (len(texts), 1))
        return np.full(cost_usd.shape, np.nan), cost_usd

    def _parameters(self) -> dict[str, Any]:
        return {"roles": self.roles}


def _rule(prompt: str, task: str | None) -> tuple[str, str]:
    """Return role and reason."""
    known = task if task in TASKS else detect_task(prompt)
    short_role, long_role = _ROLE_BY_TASK[known]
    is_long = len(prompt) >= _SHORT_CHARACTERS
    role = long_role if is_long else short_role
    subject = known
    if short_role != long_role:
        subject = f"{'long' if is_long else 'short'} {known}"
    return role, f"rule: {subject} goes to the {role} model"
