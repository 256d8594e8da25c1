"""Sentences about what training and evaluation found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.headlines import percent_of, points_of, signed_points_of
from routerlib.evaluation.routing import route_all
from routerlib.features.names import number_text
from routerlib.records.brief import n_of
from routerlib.show.words.numbers import percent, points
from routerlib.show.words.prose import Prose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.evaluation.learning_curve import LearningCurve
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router


FAILED_CALLS = (
    "a failed call is never learnt as a wrong answer; in a test it counts as one, which is the "
    "worst case for whoever failed"
)


def describe_outcomes(outcomes: Outcomes) -> str:
    """Say in one sentence how much was observed.

    Parameters
    ----------
    outcomes : Outcomes
        Any outcomes.

    Returns
    -------
    str

    Examples
    --------
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> describe_outcomes(Outcomes(["Hi"], ["small", "large"], [[1, float("nan")]]))
    'It holds 1 prompt with scores for 2 candidate models (small, large);
     1 of 2 cells is observed.'
    """
    n_cells = outcomes.quality.size
    n_observed = int(np.isfinite(outcomes.quality).sum())
    return (
        f"It holds {n_of(len(outcomes), 'prompts')} with scores for "
        f"{n_of(len(outcomes.models), 'candidate models')} ({', '.join(outcomes.models)}); "
        f"{n_observed} of {n_of(n_cells, 'cells')} {'is' if n_observed == 1 else 'are'} observed."
    )


def describe_split(train: Outcomes, test: Outcomes) -> str:
    """Say how prompts were divided, and which topics stand in one part only.

    Parameters
    ----------
    train, test : Outcomes
        The two parts.

    Returns
    -------
    str
        A sentence, one more for each part that lacks a topic of the other, and one where labels
        were bought.

    Examples
    --------
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> both = Outcomes(["Add 2 and 3", "Add 2 and 3!", "Hi there"], ["m"], [[1]] * 3,
    ...                 topics=["math", "math", "chat"])
    >>> describe_split(both.take([0, 1]), both.take([2]))
    '2 prompts (1 group, 1 topic) are for training and 1 prompt (1 group, 1 topic) is held
     out; those of one group (nearly the same, or of one make) are on the same side. Nothing is
     learnt about chat, which stands among the held-out prompts only. Nothing is measured on math,
     which stands among the training prompts only.'
    >>> describe_split(both, both)
    '3 prompts (2 groups, 2 topics) are for training; each is tested by a router that was trained
     in the same way on others, and has seen none of its group.'
    """
    if set(test.prompt_ids) & set(train.prompt_ids):
        n_more = len(set(test.prompt_ids) - set(train.prompt_ids))
        more = f" {_counted(n_more, 'more prompt')} came in since." if n_more else ""
        return (
            f"{_extent(train)} for training; each is tested by a router that was trained in the "
            f"same way on others, and has seen none of its group.{more}{_in_common(train, test)}"
        )
    told = [
        f"{_extent(train)} for training and {_extent(test)} held out; those of one group "
        f"(nearly the same, or of one make) are on the same side.{_in_common(train, test)}"
    ]
    known, measured = set(train.topics or ()), set(test.topics or ())
    if unknown := sorted(measured - known):
        told.append(
            f"Nothing is learnt about {', '.join(unknown)}, which {_stand(unknown)} among the "
            "held-out prompts only."
        )
    if unmeasured := sorted(known - measured):
        told.append(
            f"Nothing is measured on {', '.join(unmeasured)}, which {_stand(unmeasured)} among the "
            "training prompts only."
        )
    if _was_bought(train) or _was_bought(test):
        kept = (
            "" if _was_bought(test) else "the held-out prompts are those that buying left alone; "
        )
        told.append(f"Labels were bought: {kept}each counts by the chance that it had.")
    return " ".join(told)


def _in_common(*parts: Outcomes) -> str:
    """Say how many prompts follow a pattern that joins none, unless a name says what they are."""
    found = {
        prompt_id
        for part in parts
        for row, prompt_id in enumerate(part.prompt_ids)
        if part.is_in_common[row] and not (part.group_ids and part.group_ids[row])
    }
    if not found:
        return ""
    return (
        f" {len(found)} follow patterns that more than a fifth of all share: that is what these "
        "prompts are about, and makes no group of them (a field `group` would)."
    )


def _was_bought(part: Outcomes) -> bool:
    return part.inclusion is not None and bool((part.inclusion < 1).any())


def _extent(part: Outcomes) -> str:
    groups = _counted(len(np.unique(part.groups)), "group")
    topics = "" if part.topics is None else f", {_counted(len(set(part.topics)), 'topic')}"
    verb = "is" if len(part) == 1 else "are"
    return f"{_counted(len(part), 'prompt')} ({groups}{topics}) {verb}"


def _stand(topics: Sequence[str]) -> str:
    return "stands" if len(topics) == 1 else "stand"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe_router(router: Router) -> str:
    """Say in one sentence what was trained and where it operates.

    Parameters
    ----------
    router : Router
        A fitted router.

    Returns
    -------
    str

    Examples
    --------
    >>> import routerlib as rl
    >>> outcomes = rl.Outcomes(["Hi", "Add 2 and 3"], ["small", "large"], [[1, 1], [0, 1]])
    >>> describe_router(rl.BestSingle().fit(outcomes))
    'A best_single router, trained on 2 prompts, operates at cost weight 0: cost plays no part
     but among equals.'
    """
    weight = router.cost_weight_
    fallback = (
        f" It keeps to {router.best_single_}: {router.fallback_}." if router.fallback_ else ""
    )
    return (
        f"A {router.name} router, trained on {len(router.train_prompt_ids_)} prompts, operates at "
        f"cost weight {number_text(weight)}: {describe_trade(weight)}.{fallback}"
    )


def describe_trade(cost_weight: float) -> str:
    """Say what a cost weight means in money.

    `cost_weight`: quality given up per US dollar saved, at least 0.

    >>> describe_trade(5000)
    'it gives up a point of quality where that saves 0.002 US dollars or more per 1000 prompts'
    """
    if not cost_weight:
        return "cost plays no part but among equals"
    return (
        f"it gives up a point of quality where that saves {number_text(10 / cost_weight)} "
        "US dollars or more per 1000 prompts"
    )


def describe_certificate(router: Router, saved: Router | None = None) -> str:
    """Say what is promised of a router's operating point.

    Parameters
    ----------
    router : Router
        A fitted router.
    saved : Router or None, default=None
        The one in use, where `router` may be another that is not kept; its own place is told then.

    Returns
    -------
    str
        That nothing is, where no certificate was asked for.
    """
    if "certificate" not in router.training_:
        return "Nothing is promised of this operating point: no certificate was asked for."
    observed = router.training_["quality_difference"]
    seen = "" if observed is None else f" Observed there: {100 * observed:+.1f} points"
    told = router.training_["certificate"] + (f"{seen} against {router.best_single_}." * bool(seen))
    if saved is None or saved.training_.get("certificate") == router.training_["certificate"]:
        return str(told)
    stands = (
        f"keeps to {saved.best_single_}"
        if saved.fallback_
        else f"stands at cost weight {number_text(saved.cost_weight_)}"
    )
    return (
        f"Of another router, fitted for this promise and not saved: {told} The saved router "
        f"{stands}, of which nothing is promised."
    )


def train_lessons(router: Router, train: Outcomes, curve: LearningCurve | None = None) -> Prose:
    """Say what the training has taught.

    Parameters
    ----------
    router : Router
        Fitted on `train`.
    train : Outcomes
        What it was fitted on.
    curve : LearningCurve or None, default=None
        What more prompts would bring.

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
            "What that is worth only held-out prompts can tell."
            + ("" if curve is None else f" {curve.sentence('AIQ')}"),
        ),
    )


def counted_apart(evaluation: Evaluation) -> str:
    """Say how the headline counts prompts that lack something, where other numbers leave them out.

    Parameters
    ----------
    evaluation : Evaluation
        Of any router.

    Returns
    -------
    str
        Both contrasts' prompts, and that of the complete ones; "" where all are of the same.
    """
    numbers, operating = evaluation.verdict.numbers, evaluation.operating
    n = numbers.get("n") or 0
    if evaluation.verdict.fallback is not None or n == evaluation.n:
        return ""
    saving, difference = operating["saving"], numbers.get("quality_difference")
    cheaper = f" at a saving of {percent_of(saving)}" if np.isfinite(saving.value) else ""
    whole = "" if difference is None else f" ({points(difference)} points)"
    return (
        f"The headline counts all {n:.0f} held-out prompts{whole}, what is unknown within its "
        f"bounds. What is told of {evaluation.n} leaves out the {n - evaluation.n:.0f} on which "
        f"something is: there quality against always {evaluation.strong} is "
        f"{signed_points_of(operating['quality_difference'])}{cheaper}."
    )


def has_failed(evaluation: Evaluation) -> bool:
    """Tell whether some tested prompts are complete only with failed calls as wrong answers."""
    return bool(evaluation.verdict.numbers.get("n_failed"))


def evaluate_lessons(evaluation: Evaluation, *further: str) -> Prose:
    """Say what the held-out prompts have taught, the verdict first.

    Parameters
    ----------
    evaluation : Evaluation
        Of any router.
    *further : str
        Sentences to add to the verdict.

    Returns
    -------
    Prose
    """
    operating = evaluation.operating
    keeps = evaluation.verdict.fallback is not None
    sent = max(evaluation.routed_shares, key=lambda name: evaluation.routed_shares[name])
    n = evaluation.n + (evaluation.n_skipped if keeps else 0)
    lacking = "of these can't compare candidates" if keeps else "were skipped"
    skipped = f"; {evaluation.n_skipped} prompts {lacking} because a candidate model has no score "
    skipped += "or cost there"
    failed = f"; {FAILED_CALLS}" if has_failed(evaluation) else ""
    skipped = skipped if evaluation.n_skipped or not failed else ""
    counted = (
        f"{'All' if keeps else 'Most'} prompts go to {sent}: "
        f"{percent(evaluation.routed_shares[sent])} of {n}{skipped}{failed}."
    )
    if apart := counted_apart(evaluation):
        counted += f" {apart}"
    elif evaluation.failures is not None and not keeps:
        strict, mild = (
            each["quality_difference"] for each in (evaluation.failures, evaluation.scored)
        )
        counted += (
            f" Quality against best single is {signed_points_of(strict)}; were failed calls left "
            f"out, {signed_points_of(mild)}."
        )
    beyond = f"Quality at the operating point: {operating['quality'].value:.3f}."
    equal = evaluation.equal_quality
    # Where the estimates, too, would always call the best single model, 0 % isn't measured.
    if equal is not None and not (keeps and equal["saving"].low == equal["saving"].high == 0):
        start = "Where the router expects no loss at all it saves"
        if keeps:
            start = "If its estimates chose, where they expect no loss at all, it would save"
        beyond = (
            f"{start} {percent_of(equal['saving'])}, and the observed difference in "
            f"quality is {points_of(equal['quality_difference'])}."
        )
    if "topic table" in evaluation.leads and not keeps:
        lead = evaluation.leads["topic table"]["quality"]
        beyond += (
            " Against the topic table at the same cost weight its quality differs by "
            f"{points_of(lead)}: that much it knows beyond the topic."
        )
    verdict = " ".join([evaluation.verdict.sentence, *further])
    return Prose((), (verdict, counted, beyond))
