"""Say what a target policy would choose on logged decisions, and refuse where no log can tell."""

from __future__ import annotations

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

    `router`: whose estimates a policy sees; None = those that were logged.
    """
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
    estimates = logged.estimates if router is None else _estimates(policy, logged, router)
    if estimates is None:
        raise ValueError(
            "these decisions were logged without estimates of quality (rules decided), so a policy "
            "has nothing to weigh; give router=, or value a router"
        )
    return policy.probabilities(estimates)


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


def check_support(target: Floats, weights: Floats, logged: LoggedChoices) -> None:
    """Raise ThinOverlap where the log never tried, or hardly ever, what the target would choose.

    `target` (n, n_models): the target's probability of each candidate model.
    `weights` (n,): importance weights of the logged choices.
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
    problem = why_too_thin(weights)
    if problem:
        raise ThinOverlap(problem)
