"""The notebook playground: a widget over a plain controller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.log.judging import SOURCE
from routerlib.records.call import CandidateModel
from routerlib.records.prompt import TASKS
from routerlib.routers.loading import load_router
from routerlib.routers.router import Router
from routerlib.show.widget.controller import (
    DEFAULT_BUDGET_USD,
    DEFAULT_PROMPT,
    PlaygroundController,
)

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.show.widget.view import PlaygroundView

_FIRST_OF_TASKS = f"""
with numbered as (
    select prompt_id, task, (created_at, row_number() over ()) as place
    from prompts where source not like '{SOURCE}%'
)
select arg_min(prompt_id, place) as prompt_id from numbered group by task order by min(place)
"""


def playground(
    router: Router | str | Path,
    log: CallLog | None = None,
    candidates: Sequence[CandidateModel] | None = None,
    examples: Sequence[str] = (),
    outcomes: Outcomes | None = None,
    budget_usd: float | None = DEFAULT_BUDGET_USD,
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
    outcomes : Outcomes or None, default=None
        What is known of earlier prompts, shown as evidence; a mean budget is held over them. None =
        what the log holds.
    budget_usd : float or None, default=1.0
        Cap on what asking may cost in this session, US dollars; None = no cap.

    Returns
    -------
    PlaygroundView
        A widget; its ``controller`` and ``decision`` are reachable from code. Where no kernel
        runs, such as in an HTML report, a table of the example prompts shows instead.
    """
    from routerlib.show.widget.view import PlaygroundView

    loaded = load_router(router) if isinstance(router, str | Path) else router
    controller = PlaygroundController(loaded, candidates, log, outcomes, budget_usd)
    return PlaygroundView(controller, list(examples) or _examples(log))


def _examples(log: CallLog | None) -> list[str]:
    """Pick the first logged prompt of each task."""
    if log is None:
        return [DEFAULT_PROMPT]
    found = log.sql(_FIRST_OF_TASKS).prompt_id.tolist()[: len(TASKS)]
    known = log.known_prompts(found)
    return [known[prompt_id].text for prompt_id in found] or [DEFAULT_PROMPT]
