"""Say what a target policy would choose on logged decisions, and refuse where no log can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from routerlib.evaluation.off_policy.estimators import why_too_thin
from routerlib.evaluation.routing import route_all
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.policies import Policy, one_hot
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates
from routerlib.records.errors import RouterlibError
from routerlib.routers.router import Router

# Share of the target's choices that may fall where the log has nothing.
_MAX_UNSUPPORTED = 0.01


class ThinOverlap(RouterlibError, ValueError):
    """The log can't tell what the target policy is worth; the message says why."""


def unseen(logged: LoggedChoices, router: Router | None) -> LoggedChoices:
    """Leave out prompts that the router was trained on: it would look better than it is."""
    seen = set(getattr(router, "train_prompt_ids_", ()))
    is_seen = np.array([prompt_id in seen for prompt_id in logged.prompt_ids], dtype=bool)
    if not is_seen.any():
        return logged
    if logged.conversations is not None:  # one turn of a conversation spoils all of it
        is_seen = np.isin(logged.conversations, logged.conversations[is_seen])
    if is_seen.all():
        raise ThinOverlap(
            f"the router was trained on all {len(logged)} logged prompts, so they can't value it; "
            "log new ones, or train on a part"
        )
    return logged.take(~is_seen, left_out={"the router was trained on the prompt": is_seen.sum()})


def target_probabilities(
    policy: Router | Policy, logged: LoggedChoices, router: Router | None
) -> Floats:
    """Return the probability with which a target would choose each candidate model.

    Where a decision was between some of them only, so is the target's choice.

    `router`: whose estimates a policy sees; None = those that were logged.
    """
    if logged.is_able is None or logged.is_able.all():
        return _probabilities(policy, logged, router)
    found = np.zeros((len(logged), len(logged.models)))
    patterns, pattern_of = np.unique(logged.is_able, axis=0, return_inverse=True)
    for number, is_able in enumerate(patterns):
        rows = np.flatnonzero(pattern_of.ravel() == number)
        part = replace(logged.take(rows), is_able=None)
        if is_able.all():
            found[rows] = _probabilities(policy, part, router)
        else:
            names = [name for name, can in zip(logged.models, is_able, strict=True) if can]
            found[np.ix_(rows, is_able)] = _among(policy, part, router, names)
    return found


def _among(
    policy: Router | Policy, logged: LoggedChoices, router: Router | None, names: list[str]
) -> Floats:
    """Return the probabilities of those candidates alone that the decisions were between."""
    if not isinstance(policy, Router):
        return policy.probabilities(_seen(policy, logged, router).among(names))
    if not set(names).intersection(policy.models_):  # then nobody weighs: the same for any router
        chosen = [logged.models[arm] for arm in logged.arms]
    else:
        chosen = [policy.route(prompt, among=names).model for prompt in logged.prompts]
    return one_hot(np.array([names.index(name) for name in chosen]), len(names))


def _probabilities(policy: Router | Policy, logged: LoggedChoices, router: Router | None) -> Floats:
    if isinstance(policy, Router):
        outcomes = Outcomes(
            prompts=logged.prompts,
            models=logged.models,
            quality=np.full((len(logged), len(logged.models)), np.nan),
            prompt_ids=logged.prompt_ids,
        )
        unknown = [name for name in policy.models_ if name not in logged.models]
        if unknown:
            raise ThinOverlap(
                f"the log never chose {unknown[0]!r}, which the router may; explore it first"
            )
        return one_hot(route_all(policy, outcomes).arms, len(logged.models))
    return policy.probabilities(_seen(policy, logged, router))


def _seen(policy: Policy, logged: LoggedChoices, router: Router | None) -> Estimates:
    """Return the estimates that a policy weighs."""
    estimates = logged.estimates if router is None else _estimates(policy, logged, router)
    if estimates is None:
        raise ValueError(
            "these decisions were logged without estimates of quality (rules decided), so a policy "
            "has nothing to weigh; give router=, or value a router"
        )
    return estimates


def _estimates(policy: Policy, logged: LoggedChoices, router: Router) -> Estimates:
    if set(router.models_) != set(logged.models):
        raise ThinOverlap(
            f"the router knows {', '.join(router.models_)}, the log chose among "
            f"{', '.join(logged.models)}; value it on a log of the same candidates"
        )
    predict = router.predict_with_spread if policy.needs_spread else router.predict
    own = predict(logged.prompts)
    order = [router.models_.index(name) for name in logged.models]
    sd = None if own.quality_sd is None else own.quality_sd[:, order]
    return Estimates(logged.models, own.quality[:, order], own.cost_usd[:, order], sd)


def check_chance(logged: LoggedChoices) -> None:
    """Raise ThinOverlap where the logging policy left nothing to chance."""
    if (logged.propensities >= 1).all():
        raise ThinOverlap(
            f"the logging policy left nothing to chance: propensity 1 in all {len(logged)} "
            "decisions, so what another choice is worth was never seen; log with a policy that "
            "explores, such as EpsilonGreedy"
        )


def check_overlap(weights: Floats, n_decisions: int) -> None:
    """Raise ThinOverlap where too few logged conversations went as the target would have had them.

    `weights` (n,): importance weights of conversations, or of decisions that stand alone.
    `n_decisions`: in all of them.
    """
    problem = why_too_thin(weights)
    if problem and n_decisions > len(weights):
        problem += (
            f"; these are {len(weights)} conversations of {n_decisions} drawn decisions, and a "
            "target has to agree with all of one: conversations that stay with their model overlap "
            "more"
        )
    if problem:
        raise ThinOverlap(problem)


def check_support(target: Floats, logged: LoggedChoices) -> None:
    """Raise ThinOverlap where the log never tried what the target would choose.

    `target` (n, n_models): the target's probability of each candidate model.
    """
    counts = np.bincount(logged.arms, minlength=len(logged.models))
    wanted = target.mean(axis=0)
    unsupported = (counts == 0) & (wanted > _MAX_UNSUPPORTED)
    if unsupported.any():
        name = logged.models[int(np.argmax(unsupported))]
        share = wanted[int(np.argmax(unsupported))]
        raise ThinOverlap(
            f"the target would choose {name!r} on {100 * share:.0f} % of prompts, and the log "
            "never did; explore it first"
        )
    # Where the logged choice was certain, every other choice has probability 0.
    certain = logged.propensities >= 1
    elsewhere = float(
        (1 - target[np.arange(len(logged)), logged.arms])[certain].sum() / len(logged)
    )
    if elsewhere > _MAX_UNSUPPORTED:
        raise ThinOverlap(
            f"on {100 * elsewhere:.0f} % of prompts the target would choose what the logging "
            "policy could not (its own choice had propensity 1); log with a policy that explores "
            "on every prompt"
        )
