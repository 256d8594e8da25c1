"""Print how good the routers are on two tables of real outcomes.

Run ``python benchmarks/quality.py [pair|nine]``; without an argument both. Protocol: README.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from routerlib.calibration import brier, ece
from routerlib.metrics import aiq, cost_quality_curve, oracle, sweep_cost_weights
from routerlib.outcomes import Outcomes
from routerlib.pairs import apgr
from routerlib.router import Router
from routerlib.routers import BestSingle, KNNRouter, LGBMRouter, RandomRouter
from routerlib.splits import grouped_folds
from routerlib.types import Estimates

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS = (0, 1, 2)
N_LABELS = 1500
# Input and output price, US dollars per million tokens.
PAIR = {"mixtral-8x7b": (0.24, 0.24), "gpt-4-1106": (10.0, 30.0)}
NINE_USD = {
    "gemma-2-9b-it": 0.1,
    "llama-3.3-nemotron-super-49b-v1": 0.9,
    "llama-3.1-nemotron-51b-instruct": 0.9,
    "llama3-chatqa-1.5-70b": 0.9,
}
OTHER_USD = 0.2
ROUTERS: dict[str, Callable[[], Router]] = {
    "random": RandomRouter,
    "best single": BestSingle,
    "knn": KNNRouter,
    "lightgbm best_model": lambda: LGBMRouter(objective="best_model"),
    "lightgbm, not stacked": lambda: LGBMRouter(is_stacked=False),
    "lightgbm": LGBMRouter,
}


def main(which: str) -> None:
    """Print the wanted tables."""
    if which in ("pair", "both"):
        report("routellm_mmlu.parquet", pair_table)
    if which in ("nine", "both"):
        report("llmrouter_9models.parquet", nine_table)


def report(file_name: str, make_table: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Print one table, or why it is skipped."""
    path = FOLDER / file_name
    if not path.is_file():
        print(f"skipped: no {file_name} in {FOLDER.name}/ beside the checkout")
        return
    print(f"\n{file_name}")
    print(make_table(pd.read_parquet(path)).to_string(float_format="{:.4f}".format))


def with_costs(
    frame: pd.DataFrame, prices: dict[str, tuple[float, float]], n_output: int
) -> Outcomes:
    """Return outcomes that cost price x (characters / 4 input + n_output output tokens)."""
    n_input = frame["prompt"].str.len().to_numpy() / 4
    cost_usd = np.column_stack(
        [
            (n_input * price_in + n_output * price_out) / 1e6
            for price_in, price_out in prices.values()
        ]
    )
    return Outcomes(
        prompts=frame["prompt"].tolist(),
        models=list(prices),
        quality=frame[list(prices)].to_numpy(float),
        cost_usd=cost_usd,
        topics=frame["topic"].tolist(),
    )


def pair_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Train on 1,500 labels and test on the rest: APGR, calibration, seconds."""
    outcomes = with_costs(frame, PAIR, n_output=100)
    rows = []
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(outcomes))
        train, test = outcomes.take(order[:N_LABELS]), outcomes.take(order[N_LABELS:])
        for name, make in ROUTERS.items():
            start = time.perf_counter()
            router = make().fit(train)
            fit_s = time.perf_counter() - start
            rows.append(
                {"router": name, **pair_row(estimates_of(router, test.prompts), test)}
                | {"fit_s": fit_s}
            )
    return summary(rows)


def estimates_of(router: Router, prompts: Sequence[str]) -> Estimates:
    """Estimate by the router; chance, which estimates nothing, is measured by what it draws."""
    estimates = router.predict(prompts)
    if isinstance(router, RandomRouter):
        return Estimates(estimates.models, router.draws(prompts), estimates.cost_usd)
    return estimates


def pair_row(estimates: Estimates, test: Outcomes) -> dict[str, float]:
    """Measure one router on the pair."""
    weak, strong = test.quality.T
    gain = estimates.quality[:, 1] - estimates.quality[:, 0]
    pairs = [(estimates.quality[:, arm], test.quality[:, arm]) for arm in (0, 1)]
    return {
        "APGR": float(apgr(weak, strong, gain, n_bins=10)[0]),
        "ECE": float(np.mean([ece(*pair) for pair in pairs])),
        "Brier": float(np.mean([brier(*pair) for pair in pairs])),
    }


def nine_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Run 5-fold cross-validation with near-duplicates grouped, task unknown."""
    names = [name for name in frame.columns if name not in ("prompt", "topic", "metric")]
    prices = {name: (NINE_USD.get(name, OTHER_USD),) * 2 for name in names}
    outcomes = with_costs(frame, prices, n_output=200)
    folds = grouped_folds(outcomes.groups, 5, random_state=0)
    rows = []
    for fold in range(5):
        train, test = outcomes.take(folds != fold), outcomes.take(folds == fold)
        for name, make in ROUTERS.items():
            start = time.perf_counter()
            router = make().fit(train)
            fit_s = time.perf_counter() - start
            estimates = estimates_of(router, test.prompts)
            best = test.models.index(train.best_single)
            rows.append({"router": name, **nine_row(estimates, test, best), "fit_s": fit_s})
    return summary(rows)


def nine_row(estimates: Estimates, test: Outcomes, best: int) -> dict[str, float]:
    """Measure one router on nine models."""
    prompts = np.arange(len(test))
    chosen = test.quality[prompts, estimates.quality.argmax(axis=1)].mean()
    ceiling = test.quality[prompts, oracle(test.quality, test.cost_usd)].mean()
    single = test.quality[:, best].mean()
    weights = sweep_cost_weights(estimates.quality, estimates.cost_usd, n_points=200)
    curve = cost_quality_curve(
        test.quality, test.cost_usd, estimates.quality, estimates.cost_usd, weights
    )
    means_usd = test.mean_cost_usd
    enough = curve.cost_usd[curve.quality >= single]
    return {
        "quality": float(chosen),
        "gap closed": float((chosen - single) / (ceiling - single)),
        "AIQ": aiq(curve.cost_usd, curve.quality, (means_usd.min(), means_usd.max())),
        "cost at equal quality": float(min(enough, default=means_usd[best]) / means_usd[best]),
        "Brier": brier(estimates.quality.ravel(), test.quality.ravel()),
    }


def summary(rows: list[dict[str, float | str]]) -> pd.DataFrame:
    """Return mean and standard deviation over seeds or folds."""
    table = pd.DataFrame(rows).groupby("router", sort=False)
    means = table.mean()
    means.insert(1, f"{means.columns[0]} sd", table[means.columns[0]].std())
    return means


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "both")
