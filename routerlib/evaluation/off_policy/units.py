"""Value conversations, not turns: what comes later in one rests on what was chosen before."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from routerlib.evaluation.off_policy.feedback import heard_share
from routerlib.log.choices import LoggedChoices
from routerlib.records.arrays import Floats


class Units(NamedTuple):
    """Conversations, each in the place of its first decision.

    `logged`: quality is the mean over its turns with a verdict, cost the sum, and the estimates,
        the candidate and what a target would choose are of its first decision.
    `target` (n, n_models): the target's probabilities there.
    `weights` (n,): importance weights: the product over its decisions.
    `n_decisions`: decisions in all.
    """

    logged: LoggedChoices
    target: Floats
    weights: Floats
    n_decisions: int


def by_conversation(logged: LoggedChoices, target: Floats) -> Units:
    """Join the decisions of each conversation.

    Had the target chosen, a conversation would have gone as it did with the product of the
    probabilities of its choices: what later turns are about, and whether there are any, is decided
    by earlier answers. A turn alone, weighed by its own choice, would be one that the logging
    policy had led to.

    Precup, Sutton and Singh (2000), Eligibility traces for off-policy policy evaluation, ICML.

    `target` (n, n_models): the target's probability of each candidate on each decision.
    """
    weights = target[np.arange(len(logged)), logged.arms] / logged.propensities
    if logged.conversations is None:
        return Units(logged, target, weights, len(logged))
    _, first, unit = np.unique(logged.conversations, return_index=True, return_inverse=True)
    if len(first) == len(logged):
        return Units(logged, target, weights, len(logged))
    unit = unit.ravel()

    def total(values: Floats) -> Floats:
        return np.bincount(unit, weights=values, minlength=len(first)).astype(np.float64)

    product = np.ones(len(first))
    np.multiply.at(product, unit, weights)
    heard = heard_share(logged)
    known = np.where(heard > 0, logged.quality, 0.0) * heard
    n_heard, size = total(heard), total(np.ones(len(logged)))
    with np.errstate(invalid="ignore"):
        quality = np.where(n_heard > 0, total(known) / n_heard, np.nan)
    at = np.sort(first)
    place = unit[at]  # conversations in the order in which they began
    joined = replace(
        logged.take(at),
        quality=np.clip(quality, 0.0, 1.0)[place],
        cost_usd=total(logged.cost_usd)[place],
        unheard=np.where(n_heard > 0, 1 - n_heard / size, 0.0)[place],
    )
    return Units(joined, target[at], product[place], len(logged))


def whole(logged: LoggedChoices, kept: LoggedChoices) -> LoggedChoices:
    """Return all decisions of the conversations that some of them are of."""
    if logged.conversations is None or kept.conversations is None:
        return kept
    is_in = np.isin(logged.conversations, kept.conversations)
    return replace(logged.take(is_in), left_out=kept.left_out)
