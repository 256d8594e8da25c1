"""Judge a router that is trained on all prompts, on all prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from routerlib.evaluation.evaluate import Evaluation, evaluate
from routerlib.outcomes.audit import Audit
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.router import Router
from routerlib.routers.training.cross_trained import N_FOLDS, cross_trained
from routerlib.routers.training.train import train_router


class CrossEvaluation(NamedTuple):
    """A router, and what routers like it are worth.

    `router`: trained on all prompts.
    `evaluation`: of each prompt by a router that hasn't seen it.
    """

    router: Router
    evaluation: Evaluation


def cross_evaluate(
    outcomes: Outcomes,
    failures_wrong: Outcomes | None = None,
    *,
    fit_router: Callable[[Outcomes], Router] = train_router,
    audit: Audit | None = None,
    n_folds: int = N_FOLDS,
    n_bootstrap: int = 1000,
    random_state: int = 0,
    name: str | None = None,
) -> CrossEvaluation:
    """Train a router on all prompts, and test every prompt once by one that hasn't seen it.

    For logs of a few hundred prompts: a part held out would say little, and what is held out
    teaches nothing. Prompts are dealt into folds, whole groups at a time; for each fold a router is
    trained on the others in the very same way, operating point included, and tested on it. The
    difference to the best single model is that to the one which the same prompts chose. It takes
    `n_folds` more trainings.

    The routers of the folds are trained on fewer prompts than the one that comes back and share
    most of them: ``docs/reports.md`` says what the intervals hold.

    Parameters
    ----------
    outcomes : Outcomes
        All prompts.
    failures_wrong : Outcomes, optional
        The same prompts with failed calls counted as quality 0.
    fit_router : callable, default=train_router
        Takes outcomes, returns a router that was trained on them, with estimates.
    audit : Audit, optional
        A person's scores of answers to prompts that were drawn at random.
    n_folds : int, default=5
        Folds, at least 2.
    n_bootstrap : int, default=1000
        Replicates of the bootstrap, whole groups at a time.
    random_state : int, default=0
        Seed of folds and bootstrap.
    name : str, optional
        How tables and figures call the router; default its own name.

    Returns
    -------
    CrossEvaluation
        The router trained on all prompts, and the evaluation, as of
        `routerlib.evaluation.evaluate.evaluate`.

    Raises
    ------
    ValueError
        If there are fewer groups than folds, or a candidate was never observed in some part.

    References
    ----------
    Bates, Hastie and Tibshirani (2023), Cross-validation: what does it estimate and how well does
    it do it?, JASA 119. Nadeau and Bengio (2003), Inference for the generalization error, Machine
    Learning 52.

    Examples
    --------
    >>> from routerlib.outcomes.worlds import make_world
    >>> from routerlib.routers.rivals import KNNRouter
    >>> outcomes = make_world(n_prompts=90, n_models=2).outcomes
    >>> router, evaluation = cross_evaluate(outcomes, fit_router=KNNRouter().fit, n_bootstrap=50)
    >>> evaluation.n, len(router.train_prompt_ids_)
    (90, 90)
    """
    router = cross_trained(outcomes, fit_router, n_folds=n_folds, random_state=random_state)
    evaluation = evaluate(
        router,
        outcomes,
        failures_wrong,
        audit=audit,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
        name=name,
    )
    return CrossEvaluation(router, evaluation)
