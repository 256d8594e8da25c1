"""Replay a year of traffic from a table of all outcomes.

Nobody sees all outcomes of live traffic, so regret can't be measured there. A replay can: prompts
of a full table arrive again in random order, busy on weekdays and quiet at the weekend; one
candidate's quality drops in the middle, another candidate arrives late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routerlib.evaluation.off_policy.posterior import Design
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import Explorer
from routerlib.policies.utility import utility
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates
from routerlib.routers.router import Router

DAYS = 364
WEEK = 7
# Share of a full day's prompts, Monday to Sunday.
_WEEKLY = np.array([1.0, 1.05, 1.05, 1.0, 0.9, 0.4, 0.35])
# Utility of candidates that aren't there yet.
_ABSENT = -1e9


@dataclass(frozen=True, eq=False)
class Year:
    """Prompts as they arrive, with the outcome that each candidate would have.

    Parameters
    ----------
    prompts : tuple of str, length n
        Texts, in the order of arrival.
    models : tuple of str
        Candidate models.
    days : ndarray of int, shape (n,)
        Day of arrival, from 0 to 363.
    quality, cost_usd : ndarray of shape (n, n_models)
        Outcome of each candidate on that day.
    arrival_days : ndarray of int, shape (n_models,)
        First day on which each candidate can be chosen.
    columns : ndarray of shape (n, n_columns)
        Prompts as a linear model sees them.
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    days: np.ndarray
    quality: Floats
    cost_usd: Floats
    arrival_days: np.ndarray
    columns: Floats

    def __len__(self) -> int:
        return len(self.prompts)

    def is_open(self, day: int) -> np.ndarray:
        """Return which candidates can be chosen on a day, shape (n_models,)."""
        return np.asarray(self.arrival_days <= day)


def make_year(
    outcomes: Outcomes,
    *,
    prompts_per_day: float = 16,
    drops: str | None = None,
    drop_day: int = 182,
    kept_quality: float = 0.4,
    arrives: str | None = None,
    arrival_day: int = 91,
    random_state: int = 0,
) -> Year:
    """Let the prompts of a full table arrive again through a year.

    Parameters
    ----------
    outcomes : Outcomes
        Every candidate's quality and cost on every prompt; incomplete prompts are left out.
    prompts_per_day : float, default=16
        Mean on a full working day; weekends have about a third.
    drops : str or None, default=None
        Candidate whose quality falls; None = nobody's.
    drop_day : int, default=182
        From this day on ...
    kept_quality : float, default=0.4
        ... an answer of it keeps its quality with this probability, and is worth 0 else.
    arrives : str or None, default=None
        Candidate that is there only from `arrival_day` on; None = all from the start.
    arrival_day : int, default=91
        Day from 0 to 363.
    random_state : int, default=0
        Seed of order, volume and drop.

    Returns
    -------
    Year

    Raises
    ------
    ValueError
        If no prompt is complete, or a candidate is unknown.

    Examples
    --------
    >>> from routerlib.outcomes.worlds import make_world
    >>> year = make_year(make_world(60).outcomes, prompts_per_day=2, arrives="m2")
    >>> year.models, year.is_open(90).tolist(), year.is_open(91).tolist()
    (('m0', 'm1', 'm2'), [True, True, False], [True, True, True])
    """
    full = outcomes.complete()
    full = full.take(np.isfinite(full.cost_usd).all(axis=1))
    if not len(full):
        raise ValueError("a replay needs prompts on which every candidate has quality and cost")
    for name in (drops, arrives):
        if name is not None and name not in full.models:
            raise ValueError(f"candidate must be one of {', '.join(full.models)}, got {name!r}")
    rng = np.random.default_rng(random_state)
    volume = rng.poisson(prompts_per_day * _WEEKLY[np.arange(DAYS) % WEEK])
    days = np.repeat(np.arange(DAYS), volume)
    rows = rng.integers(len(full), size=len(days))
    quality = full.quality[rows].copy()
    if drops is not None:
        arm = full.models.index(drops)
        is_lost = (days >= drop_day) & (rng.random(len(days)) >= kept_quality)
        quality[is_lost, arm] = 0.0
    arrival_days = np.zeros(len(full.models), dtype=int)
    if arrives is not None:
        arrival_days[full.models.index(arrives)] = arrival_day
    _, columns = Design.fit_columns(full.prompts)
    return Year(
        prompts=tuple(full.prompts[row] for row in rows),
        models=tuple(full.models),
        days=days,
        quality=quality,
        cost_usd=full.cost_usd[rows],
        arrival_days=arrival_days,
        columns=columns[rows],
    )


def explore(year: Year, router: Router, policy: Explorer) -> LoggedChoices:
    """Let a router with an exploring policy answer the year, and keep the log.

    Parameters
    ----------
    year : Year
        The traffic; every candidate is there all the time.
    router : Router
        Its estimates are what the policy sees.
    policy : policy
        With ``choose(estimates)``.

    Returns
    -------
    LoggedChoices
        One decision per prompt that arrives; a prompt that comes again keeps its identifier.
    """
    distinct = sorted(set(year.prompts))
    own = router.predict(distinct)
    row_of = {text: row for row, text in enumerate(distinct)}
    rows = [row_of[text] for text in year.prompts]
    order = [router.models_.index(name) for name in year.models]
    estimates = Estimates(
        year.models, own.quality[np.ix_(rows, order)], own.cost_usd[np.ix_(rows, order)]
    )
    choices = policy.choose(estimates)
    every = np.arange(len(year))
    return LoggedChoices(
        prompts=year.prompts,
        prompt_ids=year.prompts,
        models=year.models,
        arms=choices.arms,
        propensities=choices.propensities,
        quality=year.quality[every, choices.arms],
        cost_usd=year.cost_usd[every, choices.arms],
        estimates=estimates,
    )


def best_arms(year: Year, cost_weight: float) -> Arms:
    """Return the oracle's choices: the best utility among the candidates that are there."""
    weighed = utility(year.quality, year.cost_usd, cost_weight)
    for arm, day in enumerate(year.arrival_days):
        weighed[year.days < day, arm] = _ABSENT
    return np.asarray(weighed.argmax(axis=1))


def single_arms(year: Year, labelled: np.ndarray, cost_weight: float) -> Arms:
    """Return the candidate with the best mean utility on the first training set, always."""
    weighed = utility(year.quality[labelled], year.cost_usd[labelled], cost_weight)
    means = np.where(year.is_open(0), weighed.mean(axis=0), _ABSENT)
    return np.full(len(year), int(means.argmax()))


def first_labels(year: Year, n_labelled: int) -> tuple[np.ndarray, int]:
    """Return the rows of the first training set, and the first day after it."""
    rows = np.arange(min(n_labelled, len(year)))
    return rows, int(year.days[rows[-1]]) + 1
