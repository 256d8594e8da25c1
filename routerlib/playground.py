"""The notebook playground: a widget over a plain controller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.playground_controller import DEFAULT_PROMPT, PlaygroundController
from routerlib.routers import Router, load_router
from routerlib.types import TASKS, CandidateModel

if TYPE_CHECKING:
    from routerlib.log import CallLog
    from routerlib.playground_view import PlaygroundView

__all__ = ["PlaygroundController", "playground"]


def playground(
    router: Router | str | Path,
    log: CallLog | None = None,
    candidates: Sequence[CandidateModel] | None = None,
    examples: Sequence[str] = (),
) -> PlaygroundView:
    """Show the playground: type a prompt, move the cost weight, ask for real.

    Parameters
    ----------
    router : Router, str or Path
        A fitted router, or the file of one.
    log : CallLog or None, default=None
        Where calls, decisions and ratings are written.
    candidates : Sequence of CandidateModel or None, default=None
        How to call the candidate models; None = the embedded pool.
    examples : Sequence of str, default=()
        Prompts to pick from; the default are a few of the log's.

    Returns
    -------
    PlaygroundView
        A widget; its ``controller`` and ``decision`` are reachable from code. Where no kernel
        runs, such as in an HTML report, a table of the example prompts shows instead.
    """
    from routerlib.playground_view import PlaygroundView

    loaded = load_router(router) if isinstance(router, str | Path) else router
    controller = PlaygroundController(loaded, candidates, log)
    return PlaygroundView(controller, list(examples) or _examples(log))


def _examples(log: CallLog | None) -> list[str]:
    """Pick the first logged prompt of each task."""
    first: dict[str | None, str] = {}
    for prompt in log.prompts() if log else ():
        first.setdefault(prompt.task, prompt.text)
    return list(first.values())[: len(TASKS)] or [DEFAULT_PROMPT]
