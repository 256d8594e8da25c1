"""Play years of traffic with several policies, and measure what each had of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from routerlib.evaluation.replay.players import BanditPlayer, LinearPlayer, Player
from routerlib.evaluation.replay.traffic import (
    DAYS,
    WEEK,
    Year,
    best_arms,
    first_labels,
    make_year,
    single_arms,
)
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import (
    EpsilonGreedy,
    Explorer,
    Greedy,
    Thompson,
    UpperConfidence,
)
from routerlib.policies.policies import Choices
from routerlib.policies.utility import utility
from routerlib.policies.vowpal import VowpalBandit
from routerlib.records.arrays import Arms

if TYPE_CHECKING:
    import pandas as pd


def play(year: Year, player: Player, first_day: int = 0) -> Choices:
    """Let one player choose through the year, day by day."""
    arms = np.full(len(year), -1)
    propensities = np.full(len(year), np.nan)
    for day in range(first_day, DAYS):
        rows = np.flatnonzero(year.days == day)
        if not len(rows):
            continue
        choices = player.choose(rows, day)
        arms[rows], propensities[rows] = choices.arms, choices.propensities
        player.learn(rows, choices, day)
    return Choices(arms, propensities)


def replay(
    outcomes: Outcomes,
    players: Mapping[str, Callable[[Year, np.ndarray, int], Player]],
    *,
    cost_weight: float,
    seeds: Sequence[int] = (0, 1, 2),
    n_labelled: int = 120,
    **year_options: object,
) -> pd.DataFrame:
    """Play several years, and measure every player beside oracle and best single.

    Parameters
    ----------
    outcomes : Outcomes
        A full table.
    players : mapping of str to callable
        ``make(year, labelled, seed)`` gives a fresh player.
    cost_weight : float
        Quality given up per US dollar saved: utility is ``quality - cost_weight * cost_usd``.
    seeds : sequence of int, default=(0, 1, 2)
        One year each; all players see the same traffic.
    n_labelled : int, default=120
        Prompts of the first training set, with every candidate's outcome known; not counted.
    **year_options
        As of `make_year`.

    Returns
    -------
    DataFrame
        One row per policy, seed and week: n, quality, cost_usd, regret (sums over the week's
        prompts, regret at the cost weight), week from 0.
    """
    import pandas as pd

    rows = []
    for seed in seeds:
        year = make_year(outcomes, random_state=seed, **year_options)  # type: ignore[arg-type]
        labelled, first_day = first_labels(year, n_labelled)
        oracle = best_arms(year, cost_weight)
        chosen = {"oracle": oracle, "best single": single_arms(year, labelled, cost_weight)}
        for name, make in players.items():
            chosen[name] = play(year, make(year, labelled, seed), first_day).arms
        for name, arms in chosen.items():
            rows.append(_weekly(year, arms, oracle, cost_weight, first_day, name, seed))
    return pd.concat(rows, ignore_index=True)


def standard_players(
    cost_weight: float, policies: Mapping[str, Callable[[int], Explorer]]
) -> dict[str, Callable[[Year, np.ndarray, int], Player]]:
    """Return linear players: one that is never retrained, and one for each policy."""
    made: dict[str, Callable[[Year, np.ndarray, int], Player]] = {
        "never retrained": lambda year, rows, _: LinearPlayer(
            year, Greedy(cost_weight), rows, is_learning=False
        )
    }
    for name, make in policies.items():
        made[name] = _linear(make)
    return made


def usual_players(cost_weight: float) -> dict[str, Callable[[Year, np.ndarray, int], Player]]:
    """Return the ways to choose that are worth comparing, Vowpal Wabbit where it is installed.

    Parameters
    ----------
    cost_weight : float
        Quality given up per US dollar saved.

    Returns
    -------
    dict of str to callable
        For `replay`.

    Examples
    --------
    >>> list(usual_players(0.0))[:3]
    ['never retrained', 'greedy, retrained', 'epsilon 0.05']
    """
    made = standard_players(
        cost_weight,
        {
            "greedy, retrained": lambda seed: Greedy(cost_weight),
            "epsilon 0.05": lambda seed: EpsilonGreedy(
                cost_weight, epsilon=0.05, random_state=seed
            ),
            "Thompson": lambda seed: Thompson(cost_weight, random_state=seed),
            "upper confidence": lambda seed: UpperConfidence(cost_weight, random_state=seed),
        },
    )
    if find_spec("vowpalwabbit") is not None:
        made["Vowpal Wabbit"] = lambda year, rows, seed: BanditPlayer(
            year, VowpalBandit(year.models, cost_weight, random_state=seed), rows
        )
    return made


def _linear(make: Callable[[int], Explorer]) -> Callable[[Year, np.ndarray, int], Player]:
    return lambda year, rows, seed: LinearPlayer(year, make(seed), rows)


def _weekly(
    year: Year,
    arms: Arms,
    oracle: Arms,
    cost_weight: float,
    first_day: int,
    name: str,
    seed: int,
) -> pd.DataFrame:
    import pandas as pd

    played = np.flatnonzero(year.days >= first_day)
    weighed = utility(year.quality, year.cost_usd, cost_weight)
    frame = pd.DataFrame(
        {
            "week": year.days[played] // WEEK,
            "n": 1,
            "quality": year.quality[played, arms[played]],
            "cost_usd": year.cost_usd[played, arms[played]],
            "regret": weighed[played, oracle[played]] - weighed[played, arms[played]],
        }
    )
    sums = frame.groupby("week", as_index=False).sum()
    return sums.assign(policy=name, seed=seed)


def summarise(weeks: pd.DataFrame, reference: str = "never retrained") -> pd.DataFrame:
    """Sum up a replay: what each policy had, and how it differs from a reference.

    Parameters
    ----------
    weeks : DataFrame
        As of `replay`.
    reference : str, default="never retrained"
        The policy that the others are compared with, on the same traffic.

    Returns
    -------
    DataFrame, index policy
        quality and cost_usd (means per prompt), regret (mean per prompt), regret_saved against
        the reference with regret_saved_low and regret_saved_high: the 95 % interval of the mean
        over seeds, Student's t on paired differences.
    """
    import pandas as pd

    sums = weeks.groupby(["policy", "seed"], sort=False)[["n", "quality", "cost_usd", "regret"]]
    per_year = sums.sum()
    means = per_year[["quality", "cost_usd", "regret"]].div(per_year.n, axis=0)
    regrets = means.regret.unstack("policy")
    saved = {name: mean_interval(regrets[reference] - regrets[name]) for name in regrets}
    table = means.groupby("policy", sort=False).mean()
    ends = {name: interval.columns("regret_saved") for name, interval in saved.items()}
    table = table.join(pd.DataFrame.from_dict(ends, orient="index"))
    return pd.DataFrame(table.sort_values("regret"))


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Put Student's t interval round the mean over a few independent repeats.

    `values` (n_repeats,): one number per seed.
    `level`: confidence, in (0, 1).

    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (2.0, -0.48, 4.48)
    """
    from scipy.stats import t

    numbers = np.asarray(values, dtype=float)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return Interval(mean, np.nan, np.nan, np.nan)
    se = float(numbers.std(ddof=1) / np.sqrt(len(numbers)))
    half = float(t.ppf((1 + level) / 2, len(numbers) - 1)) * se
    return Interval(mean, mean - half, mean + half, se)
