"""Print what each way to buy labels reaches, replayed on tables of real outcomes.

Run ``python benchmarks/acquisition.py [pair|nine] [n_seeds]``. Protocol: results/acquisition.md.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from outcome_tables import READERS

from routerlib.evaluation.replay.replay import mean_interval
from routerlib.gather.labels.replayed import replay_purchases
from routerlib.gather.labels.strategies import STRATEGIES
from routerlib.outcomes.outcomes import Outcomes

N_POOL, N_TEST, N_FIRST = 1200, 2500, 20
# Shares of what labelling the whole pool costs.
BUDGETS = (0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
# The dearest candidate's mean cost is weighed as this much quality.
COST_IN_QUALITY = 0.1
TOLERANCE = 0.02


def main(which: str, n_seeds: int) -> None:
    """Print both tables."""
    for name, read in READERS.items():
        if which in (name, "both"):
            outcomes = read()
            if outcomes is not None:
                report(name, outcomes, n_seeds)


def report(name: str, outcomes: Outcomes, n_seeds: int) -> None:
    """Print the curves of one table, and the budget that each strategy needs."""
    start = time.perf_counter()
    runs = pd.concat([replay(outcomes, seed) for seed in range(n_seeds)], ignore_index=True)
    print(f"\n{name}: {n_seeds} seeds, {time.perf_counter() - start:.0f} s")
    curve = runs.pivot_table(index="share", columns="strategy", values="short", aggfunc="mean")
    print("utility under that of all labels, mean over seeds")
    print(curve[list(STRATEGIES)].to_string(float_format="{:.4f}".format))
    print(needed_table(runs).to_string(float_format="{:.3f}".format))


def replay(outcomes: Outcomes, seed: int) -> pd.DataFrame:
    """Buy labels of a random pool with every strategy, judged on other prompts."""
    order = np.random.default_rng(seed).permutation(len(outcomes))
    pool, test = outcomes.take(order[:N_POOL]), outcomes.take(order[N_POOL : N_POOL + N_TEST])
    return replay_purchases(
        pool,
        test,
        STRATEGIES,
        BUDGETS,
        n_first=N_FIRST,
        cost_weight=COST_IN_QUALITY / float(pool.mean_cost_usd.max()),
        random_state=seed,
    )


def needed_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the shortfall, the gain over random, and the budget that each strategy needs."""
    later = runs[runs.share.isin(BUDGETS)]
    area = later.groupby(["strategy", "seed"]).short.mean().unstack("strategy")
    curves = later.pivot_table(index="share", columns=["strategy", "seed"], values="short")
    rows = {}
    for strategy in STRATEGIES:
        better = mean_interval(area["random"] - area[strategy])
        low, high = ratio_interval(curves["random"], curves[strategy])
        rows[strategy] = {
            "mean shortfall": area[strategy].mean(),
            "better than random": better.value,
            "low": better.low,
            "high": better.high,
            "share needed": needed(curves[strategy].mean(axis=1)),
            "of random's": needed(curves[strategy].mean(axis=1))
            / needed(curves["random"].mean(axis=1)),
            "ratio low": low,
            "ratio high": high,
        }
    return pd.DataFrame(rows).T


def needed(curve: pd.Series) -> float:
    """Return the share of the label cost from which a mean curve stays within the tolerance."""
    above = np.flatnonzero(curve.to_numpy() > TOLERANCE)
    if not len(above):
        return float(curve.index[0])
    last = int(above[-1])
    if last + 1 == len(curve):
        return 1.0
    step = (curve.iloc[last] - TOLERANCE) / (curve.iloc[last] - curve.iloc[last + 1])
    logs = np.log(curve.index.to_numpy(dtype=float))
    return float(np.exp(logs[last] + step * (logs[last + 1] - logs[last])))


def ratio_interval(random: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float]:
    """Bootstrap the ratio of the two needed budgets over seeds."""
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(1000):
        drawn = rng.integers(random.shape[1], size=random.shape[1])
        ratios.append(
            needed(other.iloc[:, drawn].mean(axis=1)) / needed(random.iloc[:, drawn].mean(axis=1))
        )
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    which_table = sys.argv[1] if len(sys.argv) > 1 else "both"
    main(which_table, int(sys.argv[2]) if len(sys.argv) > 2 else 2)
