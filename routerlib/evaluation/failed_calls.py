"""Count failed calls in a test: as wrong answers, at what a call of theirs usually costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.parts import grouped_as


def failures_counted(test: Outcomes, wrong: Outcomes | None) -> Outcomes:
    """Give failed calls quality 0, so that every number of a test is of the same prompts.

    What a failed call cost is often unknown: then it is the mean of its candidate model.

    Parameters
    ----------
    test : Outcomes
        Failed calls have no quality there.
    wrong : Outcomes or None
        The same prompts, and maybe others, with quality 0 where a call is known to have failed,
        such as `routerlib.show.held_out.failures_as_wrong` gives; None = nobody knows of any.

    Returns
    -------
    Outcomes
        Of the prompts of `test`; what has no quality for another reason stays without.

    Examples
    --------
    >>> nan = float("nan")
    >>> cost_usd = [[0.1, 1.0], [0.3, 1.0], [nan, 1.0]]
    >>> test = Outcomes(["a", "b", "c"], ["m", "n"], [[1, 1], [nan, 1], [nan, 1]], cost_usd)
    >>> wrong = Outcomes(["a", "b", "c"], ["m", "n"], [[1, 1], [nan, 1], [0, 1]], cost_usd)
    >>> counted = failures_counted(test, wrong)
    >>> counted.quality.tolist(), counted.cost_usd[2].tolist()
    ([[1.0, 1.0], [nan, 1.0], [0.0, 1.0]], [0.2, 1.0])
    """
    if wrong is None:
        return test
    row_of = {prompt_id: row for row, prompt_id in enumerate(wrong.prompt_ids)}
    rows = np.array([row_of.get(prompt_id, -1) for prompt_id in test.prompt_ids], dtype=np.intp)
    is_told = (rows >= 0)[:, None] & ~np.isnan(wrong.quality[rows])
    has_failed = np.isnan(test.quality) & is_told
    is_unpriced = has_failed & np.isnan(test.cost_usd)
    counted = replace(
        test,
        quality=np.where(has_failed, wrong.quality[rows], test.quality),
        cost_usd=np.where(is_unpriced, test.mean_cost_usd, test.cost_usd),
    )
    return grouped_as(counted, test)
