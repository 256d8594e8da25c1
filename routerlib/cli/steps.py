"""What the commands that decide do where the router is a cascade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import typer

from routerlib.cli.options import read_text

if TYPE_CHECKING:
    from routerlib.evaluation.verdict import Verdict
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.cascades.cascade import Cascade
    from routerlib.routers.router import Router
    from routerlib.routers.training.cross_trained import Division


def with_steps(
    router: Router,
    division: Division,
    routing: Verdict,
    how: Mapping[str, Any],
    failures_wrong: Outcomes | None = None,
) -> tuple[Router, dict[str, Any], list[str]]:
    """Return a cascade around a router, what it is worth on held-out prompts, and that in words.

    `how`: the router was trained; with `certify` the cascade's own choices are promised something.
    `failures_wrong`: the held-out prompts with failed calls as wrong answers.
    """
    from routerlib.evaluation.cascade_verdict import together
    from routerlib.evaluation.cascade_worth import evaluate_cascade
    from routerlib.routers.cascades.cascade import Cascade

    if how["certify"] is None:
        built = Cascade(router).fit(division.train)
    else:
        built = _certified(router, division.train, how["certify"], how["random_state"])
    found = evaluate_cascade(built, division.test, failures_wrong)
    finding = together(found, routing)
    lines = [f"{finding.headline}.", finding.sentence, f"Routing alone: {routing.finding}"]
    notes = [f"- {note}" for note in (routing.tried, *routing.notes) if note]
    return built, found.as_dict(), [*lines, *notes]


def _certified(
    router: Router, train: Outcomes, certify: tuple[float, float], random_state: int
) -> Cascade:
    """Return a certified cascade, around a router that stands where the given one does."""
    from routerlib.routers.cascades.cascade import Cascade
    from routerlib.routers.training.train import at_certified_point

    epsilon, delta = certify
    built = at_certified_point(
        Cascade(copy(router)), train, epsilon=epsilon, delta=delta, random_state=random_state
    )
    chosen_on = built.train_prompt_ids_[len(built.router.train_prompt_ids_) :]
    where = router.cost_weight_, router.fallback_, router.training_
    built.router.stand_at(*where, chosen_on=chosen_on)
    return built


def answers_of(given: Sequence[str]) -> dict[str, str | None]:
    """Read what ``--answer`` says: a candidate, =, and its answer, or - for standard input."""
    told: dict[str, str | None] = {}
    for each in given:
        name, found, text = each.partition("=")
        if not found or not name:
            raise ValueError(
                f"--answer must be MODEL=TEXT, such as small='It is 391.', got {each!r}"
            )
        told[name] = read_text(text) if text == "-" else text
    return told


def tell_step(
    router: Router,
    text: str,
    answers: dict[str, str | None],
    cost_weight: float | None,
    task: str | None,
) -> None:
    """Say whether a cascade gives an answer back, or whom it asks next, and why."""
    from routerlib.routers.cascades.cascade import Cascade

    if not isinstance(router, Cascade):
        raise ValueError(
            f"--answer is about a cascade, and this router is {router.name!r}; train one with "
            "routerlib train --cascade"
        )
    step = router.after(text, answers, cost_weight=cost_weight, task=task)
    typer.echo(f"{'give back' if step.stop else 'ask'} {step.model}")
    for name, judged in step.judged.items():
        typer.echo(f"   {name}: its answer is believed good by {100 * judged:.0f} %")
    typer.echo(f"reason: {step.reason}")
