"""Replay the buying of labels on a full table: what each strategy reaches with what money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from routerlib.evaluation.off_policy.posterior import Design, Posterior
from routerlib.gather.labels.strategies import Buyer, Strategy
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats

if TYPE_CHECKING:
    import pandas as pd


def replay_purchases(
    pool: Outcomes,
    test: Outcomes,
    strategies: Sequence[str],
    shares: Sequence[float],
    *,
    n_first: int = 20,
    cost_weight: float = 0.0,
    random_state: int = 0,
) -> pd.DataFrame:
    """Buy labels of a pool with several strategies from the same first prompts.

    >>> from routerlib.outcomes.worlds import make_world
    >>> pool, test = make_world(n_prompts=120).outcomes.split(test_size=0.5, random_state=0)
    >>> runs = replay_purchases(pool, test, ["random"], [0.5, 1.0], n_first=10)
    >>> runs.share.tolist(), bool(abs(runs.short.iloc[-1]) < 0.05)
    ([0.5, 1.0], True)
    """
    import pandas as pd

    if n_first > len(pool):
        raise ValueError(
            f"the first {n_first} prompts are bought at random, and there are {len(pool)} to buy; "
            "log more prompts with a score of every candidate, or lower n_first"
        )
    columns = Design.fit(pool.prompts).columns(test.prompts)
    first = np.random.default_rng([random_state, 1]).choice(len(pool), n_first, replace=False)
    usd = np.array(pool.cost_usd)
    all_labels = _utility(Buyer(pool, usd).posterior(), test, columns, cost_weight)
    total = float(usd.sum())
    rows = []
    for strategy in strategies:
        quality = np.full(pool.quality.shape, np.nan)
        quality[first] = pool.quality[first]
        buyer = Buyer(
            Outcomes(pool.prompts, pool.models, quality, usd),
            usd,
            cast("Strategy", strategy),
            cost_weight=cost_weight,
            random_state=random_state,
        )
        spent = float(usd[first].sum())
        for share in shares:
            for cell in buyer.choose(share * total - spent):
                buyer.learn(cell.row, cell.arm, float(pool.quality[cell.row, cell.arm]))
                spent += cell.expected_usd
            short = all_labels - _utility(buyer.posterior(), test, columns, cost_weight)
            rows.append((strategy, random_state, share, short))
    return pd.DataFrame(rows, columns=["strategy", "seed", "share", "short"])


def replay_splits(
    outcomes: Outcomes,
    strategies: Sequence[str],
    shares: Sequence[float],
    *,
    n_seeds: int = 5,
    test_size: float = 0.4,
    n_first: int = 20,
    cost_weight: float = 0.0,
) -> pd.DataFrame:
    """Replay purchases on several random splits of one table.

    Parameters
    ----------
    outcomes : Outcomes
        Incomplete prompts are left out.
    strategies : sequence of str
        As of `replay_purchases`.
    shares : sequence of float
        Budgets, as shares of the cost of all labels, in (0, 1].
    n_seeds : int, default=5
        Splits; the seed of each draws the purchases, too.
    test_size : float, default=0.4
        Share of prompts on which decisions are judged, in (0, 1).
    n_first : int, default=20
        Prompts that are asked of every candidate model first.
    cost_weight : float, default=0.0
        Quality given up per US dollar saved, in the decisions that labels are for.

    Returns
    -------
    DataFrame
        As of `replay_purchases`, for all seeds.
    """
    import pandas as pd

    complete = outcomes.complete()
    runs = []
    for seed in range(n_seeds):
        pool, test = complete.split(test_size, seed)
        settings = {"n_first": n_first, "random_state": seed}
        runs.append(
            replay_purchases(pool, test, strategies, shares, cost_weight=cost_weight, **settings)
        )
    return pd.concat(runs, ignore_index=True)


def _utility(posterior: Posterior, test: Outcomes, columns: Floats, cost_weight: float) -> float:
    """Return the mean utility of choosing by a posterior and the known costs."""
    arms = utility(posterior.means(columns), test.cost_usd, cost_weight).argmax(axis=1)
    rows = np.arange(len(test))
    obtained = utility(test.quality[rows, arms], test.cost_usd[rows, arms], cost_weight)
    return float(obtained.mean())
