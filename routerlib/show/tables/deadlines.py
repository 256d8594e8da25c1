"""Show what keeping to a deadline gives and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerlib.evaluation.deadlines import NoTimes, measure_deadlines
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.prose import Prose, say

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router


def deadlines_table(
    router: Router, test: Outcomes, *, n_bootstrap: int = 1000, random_state: int = 0
) -> Table | Prose:
    """Show quality, cost and latency of a router's choices under caps, or say why not.

    Parameters
    ----------
    router : Router
        It was trained on outcomes with times, and on none of the test prompts.
    test : Outcomes
        Held-out prompts.
    n_bootstrap : int, default=1000
        Resamples behind each interval.
    random_state : int, default=0
        Seed of the intervals.

    Returns
    -------
    Table or Prose
        A row for each cap, which leaves out who isn't expected in time in nine of ten calls, and
        for each candidate alone; or why there is nothing to show.
    """
    try:
        return shown(
            measure_deadlines(router, test, n_bootstrap=n_bootstrap, random_state=random_state)
        )
    except NoTimes as error:
        return say(str(error))


def shown(measured: pd.DataFrame) -> Table:
    """Show what `measure_deadlines` found."""
    count, groups = measured.attrs["n"], measured.attrs["n_groups"]
    caption = f"Choices under deadlines, on {count} held-out prompts in {groups} groups, "
    caption += "with 95 % intervals"
    columns = ("quality", "cost_usd", "latency_p90_s", "in_time")
    return table(measured, caption, columns=columns)
