"""What the commands that decide do where the router is a cascade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from routerlib.cli.options import read_text

if TYPE_CHECKING:
    from routerlib.evaluation.verdict import Verdict
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router


def with_steps(
    router: Router, train: Outcomes, test: Outcomes, routing: Verdict
) -> tuple[Router, dict[str, Any], list[str]]:
    """Return a cascade around a router, what it is worth on held-out prompts, and that in words."""
    from routerlib.evaluation.cascade_verdict import together
    from routerlib.evaluation.cascade_worth import evaluate_cascade
    from routerlib.routers.cascades.cascade import Cascade

    found = evaluate_cascade(built := Cascade(router).fit(train), test)
    finding = together(found, routing)
    lines = [f"{finding.headline}.", finding.sentence, f"Routing alone: {routing.sentence}"]
    return built, found.as_dict(), lines


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
