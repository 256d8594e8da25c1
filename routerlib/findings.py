"""Sentences about what training and evaluation found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from routerlib.prose import Prose
from routerlib.routed import route_all
from routerlib.tables import percent
from routerlib.verdict import percent as percent_with_interval
from routerlib.verdict import points

if TYPE_CHECKING:
    from routerlib.evaluation import Evaluation
    from routerlib.outcomes import Outcomes
    from routerlib.routers import Router


def describe_outcomes(outcomes: Outcomes) -> str:
    """Say in one sentence how much was observed.

    Parameters
    ----------
    outcomes : Outcomes
        Any outcomes.

    Returns
    -------
    str
    """
    n_cells = outcomes.quality.size
    n_observed = int(np.isfinite(outcomes.quality).sum())
    return (
        f"It holds {len(outcomes)} prompts with scores for {len(outcomes.models)} candidate "
        f"models ({', '.join(outcomes.models)}); {n_observed} of {n_cells} cells are observed."
    )


def describe_split(train: Outcomes, test: Outcomes) -> str:
    """Say in one sentence how prompts were divided.

    Parameters
    ----------
    train, test : Outcomes
        The two parts.

    Returns
    -------
    str
    """
    return (
        f"{len(train)} prompts are for training and {len(test)} are held out; prompts that are "
        "nearly the same are on the same side."
    )


def describe_router(router: Router) -> str:
    """Say in one sentence what was trained and where it operates.

    Parameters
    ----------
    router : Router
        A fitted router.

    Returns
    -------
    str
    """
    weight = router.cost_weight_
    trade = (
        f"it gives up a point of quality where that saves {10 / weight:.2g} US dollars or more "
        "per 1000 prompts"
        if weight
        else "cost plays no part but among equals"
    )
    fallback = (
        f" It keeps to {router.best_single_}: {router.fallback_}." if router.fallback_ else ""
    )
    return (
        f"A {router.name} router, trained on {len(router.train_prompt_ids_)} prompts, operates at "
        f"cost weight {weight:.4g}: {trade}.{fallback}"
    )


def train_lessons(router: Router, train: Outcomes) -> Prose:
    """Say what the training has taught.

    Parameters
    ----------
    router : Router
        Fitted on `train`.
    train : Outcomes
        What it was fitted on.

    Returns
    -------
    Prose
    """
    best = router.models_.index(router.best_single_)
    arms = route_all(router, train).arms
    shares = np.bincount(arms, minlength=len(router.models_)) / max(len(arms), 1)
    spread = ", ".join(
        f"{percent(share)} to {name}" for name, share in zip(router.models_, shares, strict=True)
    )
    return Prose(
        (),
        (
            f"Best single candidate model on train: {router.best_single_}, mean quality "
            f"{router.mean_quality_[best]:.2f}; always calling it is what routing has to beat.",
            describe_router(router),
            f"At this operating point it would send the training prompts: {spread}. "
            "What that is worth only held-out prompts can tell.",
        ),
    )


def evaluate_lessons(evaluation: Evaluation) -> Prose:
    """Say what the held-out prompts have taught, the verdict first.

    Parameters
    ----------
    evaluation : Evaluation
        Of any router.

    Returns
    -------
    Prose
    """
    operating = evaluation.operating
    sent = max(evaluation.routed_shares, key=lambda name: evaluation.routed_shares[name])
    bullets = [
        evaluation.verdict.sentence,
        f"Most prompts go to {sent}: {percent(evaluation.routed_shares[sent])} of {evaluation.n}; "
        f"{evaluation.n_skipped} prompts were skipped because a candidate model has no score "
        "or cost there.",
    ]
    if evaluation.equal_quality is not None:
        equal = evaluation.equal_quality
        bullets.append(
            "Where the router expects no loss at all it saves "
            f"{percent_with_interval(equal['saving'])}, and the observed difference in quality is "
            f"{points(equal['quality_difference'])}."
        )
    else:
        bullets.append(f"Quality at the operating point: {operating['quality'].value:.3f}.")
    return Prose((), tuple(bullets))
