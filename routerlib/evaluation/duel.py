"""Compare a challenger with a champion, and weigh what was seen against "it is worse"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import estimate_difference
from routerlib.evaluation.routing import route_all
from routerlib.log.choices import LoggedChoices
from routerlib.metrics.intervals import Interval, paired_bootstrap, widen_for_unseen
from routerlib.metrics.sequences import log_e_values
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats
from routerlib.routers.router import Router

# With fewer prompts that neither router saw the comparison says nothing.
MIN_COMPARED = 40


@dataclass(frozen=True)
class Comparison:
    """How a challenger did beside the champion, on prompts that neither was trained on.

    Parameters
    ----------
    how : str
        ``observed`` (every candidate's outcome is known there) or ``off-policy`` (only what was
        chosen is known, with its propensity).
    utility : Interval
        Challenger minus champion, mean per prompt, 95 %.
    quality, cost_usd : Interval
        The same for quality and US dollars; NaN where only utility was estimated.
    n, n_groups : int
        Prompts, and groups of near-duplicates.
    cost_weight : float
        Of the utility.
    """

    how: str
    utility: Interval
    quality: Interval
    cost_usd: Interval
    n: int
    n_groups: int
    cost_weight: float


def compare_observed(
    challenger: Router,
    champion: Router,
    test: Outcomes,
    *,
    cost_weight: float = 0.0,
    random_state: int = 0,
) -> Comparison:
    """Compare two routers on prompts where every candidate was observed, in pairs.

    Parameters
    ----------
    challenger, champion : Router
        Fitted; at their operating points.
    test : Outcomes
        Prompts that neither was trained on; incomplete ones are left out.
    cost_weight : float, default=0
        Of the utility of both.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Comparison
        Intervals of challenger minus champion; groups of near-duplicates are drawn together.

    Raises
    ------
    ThinOverlap
        If there are fewer than 40 such prompts.

    Examples
    --------
    >>> from routerlib.routers.baselines import BestSingle
    >>> from routerlib.routers.rivals import KNNRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> train, test = make_world(n_prompts=400).outcomes.split(random_state=0)
    >>> found = compare_observed(KNNRouter().fit(train), BestSingle().fit(train), test)
    >>> found.how, found.utility.low > 0
    ('observed', True)
    """
    complete = _complete(test, cost_weight)
    if len(complete) < MIN_COMPARED:
        raise ThinOverlap(
            f"every candidate was observed on {len(complete)} of the prompts that neither router "
            f"has seen, {MIN_COMPARED} are needed"
        )
    differences = _differences(challenger, champion, complete, cost_weight)._asdict()
    del differences["is_same"]
    measured = paired_bootstrap(
        lambda drawn: {
            name: drawn @ values / drawn.sum(axis=1) for name, values in differences.items()
        },
        complete.groups,
        random_state=random_state,
    )
    n_groups = len(np.unique(complete.groups))
    for name in ("quality", "utility"):
        measured[name] = widen_for_unseen(measured[name], n_groups)
    return Comparison(
        "observed", n=len(complete), n_groups=n_groups, cost_weight=cost_weight, **measured
    )


def compare_logged(
    challenger: Router,
    champion: Router,
    logged: LoggedChoices,
    prompt_ids: Sequence[str],
    *,
    cost_weight: float,
    level: float,
    random_state: int,
) -> Comparison:
    """Compare two routers on logged decisions, by their propensities.

    `prompt_ids`: prompts whose decisions count.
    `level`: confidence of the interval, in (0, 1).
    Raises ThinOverlap where the log can't tell.
    """
    logged = logged.of_prompts(prompt_ids)
    if len(logged) < MIN_COMPARED:
        raise ThinOverlap(
            f"{len(logged)} decisions were logged on the prompts that neither router has seen, "
            f"{MIN_COMPARED} are needed"
        )
    gained = estimate_difference(
        challenger,
        champion,
        logged,
        cost_weight=cost_weight,
        level=level,
        random_state=random_state,
    )
    unknown = Interval(np.nan, np.nan, np.nan, np.nan)
    n_groups = len(set(logged.prompt_ids))
    return Comparison("off-policy", gained, unknown, unknown, len(logged), n_groups, cost_weight)


class Weighed(NamedTuple):
    """Evidence that a router is not worse than another by more than a margin.

    `e_value`: what a coin bet on it has grown to; it ever reaches x, if the router is worse by
        more, with a probability of at most 1 / x.
    `is_same`: whether both chose the same on every prompt.
    `variance`: of the differences in utility, one a prompt; NaN without prompts.
    `lowest`: the least that a prompt can add to the margin.
    """

    e_value: float
    is_same: bool
    variance: float
    lowest: float


def weigh(
    challenger: Router,
    other: Router,
    batches: Sequence[Outcomes],
    *,
    margin: float,
    cost_weight: float,
    largest_cost_usd: float,
) -> Weighed:
    """Bet on the challenger, batch after batch of prompts that neither router has learnt from.

    A group of near-duplicates is one draw. Differences in quality lie in [-1, 1]; costs count as
    far as the largest that was seen.

    `margin`: utility that may be lost, at least 0.
    `largest_cost_usd`: of one call, US dollars.
    """
    lowest = margin + utility(-1.0, largest_cost_usd, cost_weight)
    draws, differences, same = [], [], True
    for batch in batches:
        complete = _complete(batch, cost_weight)
        if not len(complete):
            continue
        found = _differences(challenger, other, complete, cost_weight)
        same &= bool(found.is_same.all())
        differences.append(found.utility)
        _, group_of = np.unique(complete.groups, return_inverse=True)
        sums = np.bincount(group_of, weights=np.maximum(found.utility + margin, lowest))
        draws.append(sums / np.bincount(group_of).max())
    if not draws:
        return Weighed(1.0, True, np.nan, lowest)
    grown = log_e_values(np.concatenate(draws), lowest)
    variance = float(np.concatenate(differences).var())
    return Weighed(float(np.exp(grown[-1])), same, variance, lowest)


class _Differences(NamedTuple):
    """What one router gains over another, prompt by prompt."""

    quality: Floats
    cost_usd: Floats
    utility: Floats
    is_same: np.ndarray


def _differences(
    challenger: Router, champion: Router, complete: Outcomes, cost_weight: float
) -> _Differences:
    rows = np.arange(len(complete))
    new, old = (route_all(router, complete).arms for router in (challenger, champion))
    quality = complete.quality[rows, new] - complete.quality[rows, old]
    cost_usd = complete.cost_usd[rows, new] - complete.cost_usd[rows, old]
    return _Differences(quality, cost_usd, utility(quality, cost_usd, cost_weight), new == old)


def _complete(test: Outcomes, cost_weight: float) -> Outcomes:
    """Return the prompts where every candidate was observed, cost too where it is weighed."""
    complete = test.complete()
    if cost_weight:
        complete = complete.take(np.isfinite(complete.cost_usd).all(axis=1))
    return complete
