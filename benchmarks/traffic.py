"""Print what each way to explore has of replayed years on a table of real outcomes.

Run ``python benchmarks/traffic.py [n_years] [lightgbm]``. Protocol: results/traffic.md.
"""

from __future__ import annotations

import sys
import time
from functools import partial

from outcome_tables import read_nine

from routerlib.evaluation.replay.players import RouterPlayer
from routerlib.evaluation.replay.replay import replay, summarise, usual_players
from routerlib.features.prompt_columns import PLAIN
from routerlib.policies.exploration import EpsilonGreedy
from routerlib.routers.lightgbm.router import LGBMRouter

# Best in the middle of its class; drops; and a strong one that arrives late.
DROPS, ARRIVES = "llama-3.3-nemotron-super-49b-v1", "llama-3.1-nemotron-51b-instruct"
COST_IN_QUALITY = 0.1


def main(n_years: int, with_lightgbm: bool) -> None:
    """Print the table."""
    outcomes = read_nine()
    if outcomes is None:
        return
    weight = COST_IN_QUALITY / float(outcomes.mean_cost_usd.max())
    players = usual_players(weight)
    if with_lightgbm:
        for name, every in (("lightgbm, monthly, epsilon 0.05", 28), ("lightgbm, once", None)):
            epsilon = 0.05 if every else 0.0
            players[name] = partial(lightgbm_player, weight=weight, epsilon=epsilon, every=every)
    start = time.perf_counter()
    weeks = replay(
        outcomes,
        players,
        cost_weight=weight,
        seeds=range(n_years),
        n_labelled=300,
        drops=DROPS,
        arrives=ARRIVES,
    )
    print(f"\nnine: {n_years} years, {time.perf_counter() - start:.0f} s")
    print(summarise(weeks).to_string(float_format="{:.5f}".format))


def lightgbm_player(year, rows, seed, *, weight, epsilon, every):  # type: ignore[no-untyped-def]
    """Return a LightGBM router with some exploration, retrained on its own log."""
    policy = EpsilonGreedy(weight, epsilon=epsilon, random_state=seed)
    return RouterPlayer(
        year,
        policy,
        rows,
        lambda: LGBMRouter(seed, groups=PLAIN),
        every_days=every,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2, "lightgbm" in sys.argv[2:])
