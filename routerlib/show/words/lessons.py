"""Sentences that notebooks and reports compute instead of typing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.routing import route_unseen
from routerlib.show.words.numbers import percent
from routerlib.show.words.prose import Prose, explain_words
from routerlib.show.words.sentences import (
    describe_router,
    describe_trade,
)

if TYPE_CHECKING:
    import shap

    from routerlib.gather.collection.result import Collection
    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router

_N_TOP_FEATURES = 3


def collect_lessons(collection: Collection, log: CallLog) -> Prose:
    """Say what the collection has taught.

    Parameters
    ----------
    collection : Collection
        What this run did.
    log : CallLog
        The log it wrote to.

    Returns
    -------
    Prose
    """
    summary = log.summary()
    failed = int(summary.calls.sum() - summary.ok.sum())
    scored = summary[summary.scored > 0]
    bullets = [
        f"This run: {collection}.",
        f"The log now holds {int(summary.calls.sum())} calls of {len(summary)} candidate "
        f"models; {failed} gave no complete answer and are kept apart with their reason.",
    ]
    if len(scored):
        best = str(scored.quality.idxmax())
        bullets.append(
            f"On average {best} answers best so far: quality {scored.quality[best]:.2f} over "
            f"{int(scored.scored[best])} scored answers."
        )
    return Prose((), tuple(bullets))


def telling_prompt(router: Router, prompts: Sequence[str]) -> str:
    """Pick a prompt whose decision is worth explaining.

    Parameters
    ----------
    router : Router
        Who decides.
    prompts : Sequence of str
        At least one.

    Returns
    -------
    str
        The first that doesn't go to the best single model; the first of all if none does.
    """
    chosen = (prompt for prompt in prompts if router.route(prompt).model != router.best_single_)
    return next(chosen, prompts[0])


def examples_by_task(outcomes: Outcomes) -> list[str]:
    """Pick the first prompt of each task.

    Parameters
    ----------
    outcomes : Outcomes
        Any outcomes.

    Returns
    -------
    list of str
        One per task, in the order of tasks; the first prompt of all without tasks.

    Examples
    --------
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> examples_by_task(Outcomes(["Hi", "Bye"], ["small"], [[1], [1]], topics=["chat", "chat"]))
    ['Hi']
    """
    first: dict[str, str] = {}
    for task, prompt in zip(outcomes.topics or [""] * len(outcomes), outcomes.prompts, strict=True):
        first.setdefault(task, prompt)
    return [first[task] for task in sorted(first)]


def describe_features(explanations: Mapping[str, shap.Explanation]) -> Prose:
    """Say what those features mean that sum up a whole view of the prompt.

    Parameters
    ----------
    explanations : Mapping of str to shap.Explanation
        By candidate model.

    Returns
    -------
    Prose
        Nothing where every feature says by its name what it is.
    """
    names = [name for each in explanations.values() for name in each.feature_names]
    return Prose((), explain_words(*names))


def explain_lessons(router: Router, explanations: Mapping[str, shap.Explanation]) -> Prose:
    """Say which features matter most for each candidate model.

    Parameters
    ----------
    router : Router
        Whose estimates were explained.
    explanations : Mapping of str to shap.Explanation
        By candidate model.

    Returns
    -------
    Prose
    """
    bullets = []
    for model, explanation in explanations.items():
        sizes = np.abs(explanation.values).mean(axis=0)
        top = [explanation.feature_names[column] for column in np.argsort(-sizes)[:_N_TOP_FEATURES]]
        bullets.append(f"The estimated quality of {model} is moved most by: {', '.join(top)}.")
    bullets.append(describe_router(router))
    return Prose((), tuple(bullets))


def playground_lessons(router: Router, test: Outcomes) -> Prose:
    """Say how the choices for held-out prompts change with the cost weight.

    Parameters
    ----------
    router : Router
        Who decides.
    test : Outcomes
        Held-out prompts.

    Returns
    -------
    Prose
    """
    best, own = test.models.index(router.best_single_), router.cost_weight_

    def best_share(cost_weight: float | None) -> str:
        arms = route_unseen(router, [test], cost_weight=cost_weight)[0].arms
        return percent(float(np.mean(arms == best)))

    if router.fallback_ is not None:
        as_it_stands = f"As it stands, it sends {best_share(None)} there: {router.fallback_}."
    elif own:
        as_it_stands = (
            f"At the router's own operating point {describe_trade(own)}: then {best_share(None)} "
            f"go there. If a tenth of that saving were enough, it would be {best_share(10 * own)}."
        )
    else:
        as_it_stands = "That is where the router stands: 0 is its own cost weight."
    return Prose(
        (),
        (
            f"When cost plays no part, {best_share(0.0)} of {len(test)} held-out prompts "
            f"go to {router.best_single_}.",
            as_it_stands,
            "What is asked and judged here teaches the next router: run 02_train again.",
        ),
    )
