"""Count failed calls in a test: as wrong answers, at what a call of theirs usually costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from routerlib.outcomes.outcomes import Outcomes


def failures_counted(test: Outcomes, wrong: Outcomes | None) -> Outcomes:
    """Give failed calls quality 0, so that every number of a test is of the same prompts.

    What a failed call cost is often unknown: then it is the mean of its candidate model.

    Parameters
    ----------
    test : Outcomes
        Failed calls have no quality there.
    wrong : Outcomes or None
        The same prompts with quality 0 where a call is known to have failed, such as
        `routerlib.show.held_out.failures_as_wrong` gives; None = nobody knows of any.

    Returns
    -------
    Outcomes
        What has no quality for another reason stays without.

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
    has_failed = np.isnan(test.quality) & ~np.isnan(wrong.quality)
    is_unpriced = has_failed & np.isnan(wrong.cost_usd)
    usual = np.broadcast_to(test.mean_cost_usd, wrong.cost_usd.shape)
    return replace(wrong, cost_usd=np.where(is_unpriced, usual, wrong.cost_usd))
