"""The playground for readers without a kernel: a table of what is chosen for some prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from routerlib.show.tables.table import Table
from routerlib.show.words.numbers import short

if TYPE_CHECKING:
    from routerlib.show.widget.controller import PlaygroundController


def examples_table(controller: PlaygroundController, prompts: Sequence[str]) -> Table:
    """Show the choices for some prompts at both ends of the slider and at the router's place."""
    router = controller.router
    weights = [0.0, float(router.cost_weight_), max(controller.cost_weights)]
    heads = ["the best answer, at any price", "at the router's own setting", "cost above all"]
    choices = [
        [router.route(prompt, cost_weight=weight).model for weight in weights] for prompt in prompts
    ]
    rows = [(short(prompt), *chosen) for prompt, chosen in zip(prompts, choices, strict=True)]
    caption = "Who is chosen for some prompts as the slider moves from better answers to cheaper"
    return Table(("prompt", *heads), tuple(rows), (False,) * 4, caption)
