"""Print how good the routers are on two tables of real outcomes.

Run ``python benchmarks/quality.py [pair|pair5|nine|ablation ...] [--quick]``; without a name, all.
Protocol: README.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from routerlib.calibration import brier, ece
from routerlib.features import GROUPS, PLAIN
from routerlib.metrics import aiq, cost_quality_curve, oracle, sweep_cost_weights
from routerlib.outcomes import Outcomes
from routerlib.pairs import apgr
from routerlib.router import Router
from routerlib.routers import (
    BestSingle,
    KNNRouter,
    LGBMRouter,
    LinearRouter,
    MLPRouter,
    RandomRouter,
    TopicTable,
)
from routerlib.splits import grouped_folds
from routerlib.types import Estimates

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS = (0, 1, 2, 3, 4)
N_FOLDS = 5
N_LABELS = 1500
N_BOOTSTRAP = 400
OURS = "lightgbm"
# Input and output price, US dollars per million tokens.
PAIR = {"mixtral-8x7b": (0.24, 0.24), "gpt-4-1106": (10.0, 30.0)}
NINE_USD = {
    "gemma-2-9b-it": 0.1,
    "llama-3.3-nemotron-super-49b-v1": 0.9,
    "llama-3.1-nemotron-51b-instruct": 0.9,
    "llama3-chatqa-1.5-70b": 0.9,
}
OTHER_USD = 0.2
Make = Callable[[], Router]
ROUTERS: dict[str, Make] = {
    "random": RandomRouter,
    "best single": BestSingle,
    "topic table": TopicTable,
    "knn": KNNRouter,
    "linear": LinearRouter,
    "mlp": MLPRouter,
    "lightgbm best_model": lambda: LGBMRouter(objective="best_model"),
    "lightgbm plain": lambda: LGBMRouter(groups=PLAIN),
    OURS: LGBMRouter,
}
RIVALS = ("knn", "linear", "mlp", "lightgbm plain")


class Part(NamedTuple):
    """A split: numbers of training and of test prompts."""

    train: np.ndarray
    test: np.ndarray


class Measured(NamedTuple):
    """One router on one split."""

    router: str
    estimates: Estimates
    test: np.ndarray
    row: dict[str, float]


def main(arguments: Sequence[str]) -> None:
    """Print the wanted tables."""
    is_quick = "--quick" in arguments
    wanted = [name for name in arguments if name != "--quick"] or list(TABLES)
    for name in wanted:
        TABLES[name](is_quick)


def report_pair(is_quick: bool) -> None:
    """Train on 1,500 random labels, test on the rest."""
    outcomes = read_pair()
    if outcomes is not None:
        parts = [random_part(outcomes, seed) for seed in SEEDS[: 1 if is_quick else None]]
        report("pair, 1,500 labels", outcomes, parts, ROUTERS, pair_row)


def report_pair5(is_quick: bool) -> None:
    """Cross-validate on the pair, near-duplicates grouped."""
    outcomes = read_pair()
    if outcomes is not None:
        parts = list(fold_parts(outcomes))[: 1 if is_quick else None]
        report("pair, 5 folds", outcomes, parts, ROUTERS, pair_row)


def report_nine(is_quick: bool) -> None:
    """Cross-validate on nine models, near-duplicates grouped, task unknown and task told."""
    outcomes = read_nine()
    if outcomes is not None:
        parts = list(fold_parts(outcomes))[: 1 if is_quick else None]
        report("nine", outcomes, parts, ROUTERS, nine_row, tells_topics=True)


def report_ablation(is_quick: bool) -> None:
    """Switch off each group of columns in turn, and add encoders."""
    makes: dict[str, Make] = {OURS: LGBMRouter}
    for group in GROUPS:
        rest = tuple(each for each in GROUPS if each != group)
        makes[f"without {group}"] = lambda rest=rest: LGBMRouter(groups=rest)
    makes["with character n-grams"] = lambda: LGBMRouter(encoder=character_ngrams)
    makes["with minilm"] = lambda: LGBMRouter(encoder="minilm")
    n_parts = 1 if is_quick else 3
    pair, nine = read_pair(), read_nine()
    if pair is not None:
        parts = [random_part(pair, seed) for seed in SEEDS[:n_parts]]
        report("ablation, pair, 1,500 labels", pair, parts, makes, pair_row)
    if nine is not None:
        parts = list(fold_parts(nine))[:n_parts]
        report("ablation, nine", nine, parts, makes, nine_row)


TABLES = {
    "pair": report_pair,
    "pair5": report_pair5,
    "nine": report_nine,
    "ablation": report_ablation,
}


def random_part(outcomes: Outcomes, seed: int) -> Part:
    """Return 1,500 random prompts to train, the rest to test."""
    order = np.random.default_rng(seed).permutation(len(outcomes))
    return Part(order[:N_LABELS], order[N_LABELS:])


def fold_parts(outcomes: Outcomes) -> Iterator[Part]:
    """Yield the folds, near-duplicates in the same one."""
    folds = grouped_folds(outcomes.groups, N_FOLDS, random_state=0)
    for fold in range(N_FOLDS):
        yield Part(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))


def report(
    title: str,
    outcomes: Outcomes,
    parts: Sequence[Part],
    makes: dict[str, Make],
    measure: Callable[[Estimates, Outcomes, int], dict[str, float]],
    *,
    tells_topics: bool = False,
) -> None:
    """Fit each router on each part; print the means, and ours against the best rival."""
    unknown, told = [], []
    for part in parts:
        train, test = outcomes.take(part.train), outcomes.take(part.test)
        best = test.models.index(train.best_single)
        for name, make in makes.items():
            start = time.process_time()
            router = make().fit(train)
            fit_s = time.process_time() - start
            for topics, into in ((None, unknown), (test.topics, told)):
                if topics is not None and not tells_topics:
                    continue
                estimates = estimates_of(router, test.prompts, topics)
                row = {**measure(estimates, test, best), "fit CPU s": fit_s}
                into.append(Measured(name, estimates, part.test, row))
    print_table(f"{title}, task unknown", outcomes, unknown)
    if tells_topics:
        print_table(f"{title}, task told", outcomes, told)


def print_table(title: str, outcomes: Outcomes, measured: Sequence[Measured]) -> None:
    """Print means and standard deviations, and the differences from rivals with intervals."""
    rows = pd.DataFrame([{"router": each.router, **each.row} for each in measured])
    table = rows.groupby("router", sort=False)
    means = table.mean()
    means.insert(1, f"{means.columns[0]} sd", table[means.columns[0]].std())
    print(f"\n{title}, mean of {len(rows) // len(means)}")
    print(means.to_string(float_format="{:.4f}".format))
    rivals = [name for name in (*RIVALS, "topic table") if name in means.index]
    for rival in rivals:
        low, high = difference(outcomes, measured, rival)
        gain = means.loc[OURS].iloc[0] - means.loc[rival].iloc[0]
        name = means.columns[0]
        print(f"{name}, {OURS} - {rival}: {gain:+.4f} (95 % interval {low:+.4f} to {high:+.4f})")
    sys.stdout.flush()


def difference(outcomes: Outcomes, measured: Sequence[Measured], rival: str) -> tuple[float, float]:
    """Return a 95 % interval of ours minus a rival's first measure.

    A paired bootstrap over prompts, near-duplicates together: a prompt is drawn for all splits.
    """
    is_pair = len(outcomes.models) == 2
    ours = [each for each in measured if each.router == OURS]
    theirs = [each for each in measured if each.router == rival]
    rng = np.random.default_rng(0)
    n_groups = int(outcomes.groups.max()) + 1
    gains = []
    for _ in range(N_BOOTSTRAP):
        drawn = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        times = drawn[outcomes.groups]
        gains.append(
            np.mean(
                [
                    _first(is_pair, outcomes, mine, times) - _first(is_pair, outcomes, other, times)
                    for mine, other in zip(ours, theirs, strict=True)
                ]
            )
        )
    low, high = np.percentile(gains, [2.5, 97.5])
    return float(low), float(high)


def _first(is_pair: bool, outcomes: Outcomes, one: Measured, times: np.ndarray) -> float:
    rows = np.repeat(np.arange(len(one.test)), times[one.test])
    quality = outcomes.quality[one.test[rows]]
    expected = one.estimates.quality[rows]
    if is_pair:
        gain = expected[:, 1] - expected[:, 0]
        return float(apgr(quality[:, 0], quality[:, 1], gain, n_bins=10)[0])
    return float(quality[np.arange(len(rows)), expected.argmax(axis=1)].mean())


def read_pair() -> Outcomes | None:
    """Return the pair of models, or None where the table isn't there."""
    frame = read("routellm_mmlu.parquet")
    return None if frame is None else with_costs(frame, PAIR, n_output=100)


def read_nine() -> Outcomes | None:
    """Return the nine models, or None where the table isn't there."""
    frame = read("llmrouter_9models.parquet")
    if frame is None:
        return None
    names = [name for name in frame.columns if name not in ("prompt", "topic", "metric")]
    prices = {name: (NINE_USD.get(name, OTHER_USD),) * 2 for name in names}
    return with_costs(frame, prices, n_output=200)


def read(file_name: str) -> pd.DataFrame | None:
    """Return a table, or say why it is skipped."""
    path = FOLDER / file_name
    if path.is_file():
        return pd.read_parquet(path)
    print(f"skipped: no {file_name} in {FOLDER.name}/ beside the checkout")
    return None


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


def estimates_of(router: Router, prompts: Sequence[str], topics: Sequence[str] | None) -> Estimates:
    """Estimate by the router; chance, which estimates nothing, is measured by what it draws."""
    estimates = router.predict(prompts, topics)
    if isinstance(router, RandomRouter):
        return Estimates(estimates.models, router.draws(prompts), estimates.cost_usd)
    return estimates


def pair_row(estimates: Estimates, test: Outcomes, best: int) -> dict[str, float]:
    """Measure one router on the pair."""
    weak, strong = test.quality.T
    gain = estimates.quality[:, 1] - estimates.quality[:, 0]
    return {
        "APGR": float(apgr(weak, strong, gain, n_bins=10)[0]),
        **calibration(estimates, test),
    }


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
        **calibration(estimates, test),
    }


def calibration(estimates: Estimates, test: Outcomes) -> dict[str, float]:
    """Return ECE and Brier score, means over the candidates."""
    pairs = list(zip(estimates.quality.T, test.quality.T, strict=True))
    return {
        "ECE": float(np.mean([ece(*pair) for pair in pairs])),
        "Brier": float(np.mean([brier(*pair) for pair in pairs])),
    }


def character_ngrams(texts: Sequence[str]) -> np.ndarray:
    """Encode texts by hashed character n-grams: another static encoder to compare with."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=1024)
    return np.asarray(vectorizer.transform([text[:4000] for text in texts]).toarray())


if __name__ == "__main__":
    main(sys.argv[1:])
