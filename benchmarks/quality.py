"""Print how good the routers are on two tables of real outcomes.

Run ``python benchmarks/quality.py [table ...] [--quick] [--routers a,b] [--parts 0,1]
[--cache FOLDER]``; without a table, all. Protocol: results/quality.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Memory
from outcome_tables import read_nine, read_pair
from parts import random_parts, smaller_train
from source_hash import source_hash

from routerlib.evaluation.benchmark import Benchmark, difference, measure_fits
from routerlib.evaluation.benchmark_fits import (
    MakeRouter,
    fit_parts,
    usual_routers,
    without_each_group,
)
from routerlib.features.encoders import resolve_encoder
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, folds
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.weights.cache import WeightsError

SEEDS = (0, 1, 2, 3, 4)
N_FOLDS = 5
N_LABELS = 1500
N_BOOTSTRAP = 1000
PAIR_METRICS = ("APGR", "CPT50", "CPT80", "ECE", "Brier")
NINE_METRICS = ("quality", "gap_closed", "AIQ", "cost_at_equal_quality", "ECE", "Brier")
PAIR_SIZES = (350, 700, 1500, 3000, 6000)
NINE_SIZES = (500, 1000, 2000, 4400)
CURVE_ROUTERS = ("lightgbm", "mlp", "linear", "knn", "topic table")


class Choice(NamedTuple):
    """What of a table is wanted.

    Attributes
    ----------
    routers : sequence of str
        Rows; none = all.
    parts : sequence of int
        Seeds or folds by number; none = all.
    memory : Memory
        Where finished fits are kept.
    code : str
        Hash of the code that fits.
    """

    routers: Sequence[str]
    parts: Sequence[int]
    memory: Memory
    code: str


def main() -> None:
    """Print the wanted tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; all if none")
    parser.add_argument("--quick", action="store_true", help="the first part of each table only")
    parser.add_argument("--routers", type=names_of, default=[], help="rows, such as lightgbm,knn")
    parser.add_argument("--parts", type=names_of, default=[], help="seeds or folds, such as 0,1")
    parser.add_argument("--cache", help="folder of finished fits; a second run goes on from them")
    options = parser.parse_args()
    wanted = options.tables or list(TABLES)
    unknown = [name for name in wanted if name not in TABLES]
    if unknown:
        parser.error(f"expected tables among {', '.join(TABLES)}, got {unknown[0]!r}")
    numbers = [int(part) for part in options.parts] or ([0] if options.quick else [])
    memory = Memory(options.cache, verbose=0)
    code = (
        source_hash("routerlib.evaluation.benchmark_fits", "routerlib.routers.loading")
        if options.cache
        else ""
    )
    choice = Choice(options.routers, numbers, memory, code)
    for name in wanted:
        TABLES[name](choice)


def names_of(text: str) -> list[str]:
    """Split a list at its commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def pair(choice: Choice) -> None:
    """Train on 1,500 random labels, test on the rest."""
    outcomes = read_pair()
    if outcomes is not None:
        parts = random_parts(outcomes, N_LABELS, SEEDS)
        makes = usual_routers(all_families=True)
        report("pair, 1,500 labels", outcomes, parts, makes, PAIR_METRICS, choice)


def pair5(choice: Choice) -> None:
    """Cross-validate on the pair, near-duplicates grouped."""
    outcomes = read_pair()
    if outcomes is not None:
        parts = folds(outcomes.groups, N_FOLDS)
        makes = usual_routers(all_families=True)
        report("pair, folds", outcomes, parts, makes, PAIR_METRICS, choice)


def nine(choice: Choice) -> None:
    """Cross-validate on nine models, near-duplicates grouped, task unknown and task told."""
    outcomes = read_nine()
    if outcomes is not None:
        parts = folds(outcomes.groups, N_FOLDS)
        makes = usual_routers(all_families=True)
        report("nine", outcomes, parts, makes, NINE_METRICS, choice, tell_topics=True)


def ablation_pair(choice: Choice) -> None:
    """Switch groups of columns off, and encoders on, on the pair."""
    outcomes = read_pair()
    if outcomes is not None:
        parts = random_parts(outcomes, N_LABELS, SEEDS)
        report("ablation, pair, 1,500 labels", outcomes, parts, ablations(), PAIR_METRICS, choice)


def ablation_nine(choice: Choice) -> None:
    """Switch groups of columns off, and encoders on, on nine models."""
    outcomes = read_nine()
    if outcomes is not None:
        parts = folds(outcomes.groups, N_FOLDS)
        report("ablation, nine", outcomes, parts, ablations(), NINE_METRICS, choice)


def ablations() -> dict[str, MakeRouter]:
    """Return the default router, it without each group, and it with an encoder more."""
    makes: dict[str, MakeRouter] = {
        **without_each_group(),
        "with character n-grams": partial(LGBMRouter, encoder=character_ngrams),
    }
    try:
        resolve_encoder("minilm")
    except (ModuleNotFoundError, WeightsError) as error:
        print(f"left out: with minilm: {error}")
    else:
        makes["with minilm"] = partial(LGBMRouter, encoder="minilm")
    return makes


def character_ngrams(texts: Sequence[str]) -> np.ndarray:
    """Encode texts by hashed character n-grams: another static encoder to compare with."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=1024)
    return np.asarray(vectorizer.transform([text[:4000] for text in texts]).toarray())


def curve_pair(choice: Choice) -> None:
    """Train on more and more labels of the pair, tested on the same prompts."""
    outcomes = read_pair()
    if outcomes is not None:
        most = max(PAIR_SIZES)
        sized = {
            size: random_parts(outcomes, size, SEEDS, n_left_out=most - size) for size in PAIR_SIZES
        }
        report_curve("pair", outcomes, sized, ("APGR", "Brier"), choice)


def curve_nine(choice: Choice) -> None:
    """Train on more and more prompts of nine models, tested on the same folds."""
    outcomes = read_nine()
    if outcomes is not None:
        whole = folds(outcomes.groups, N_FOLDS)
        sized = {
            size: [smaller_train(parts, size, seed) for seed, parts in enumerate(whole)]
            for size in NINE_SIZES
        }
        report_curve("nine, task unknown", outcomes, sized, ("gap_closed", "AIQ", "Brier"), choice)


TABLES = {
    "pair": pair,
    "pair5": pair5,
    "nine": nine,
    "ablation-pair": ablation_pair,
    "ablation-nine": ablation_nine,
    "curve-pair": curve_pair,
    "curve-nine": curve_nine,
}


def report(
    title: str,
    outcomes: Outcomes,
    parts: Sequence[Parts],
    makes: Mapping[str, MakeRouter],
    metrics: Sequence[str],
    choice: Choice,
    *,
    tell_topics: bool = False,
) -> None:
    """Print means, what each takes, and the differences of the first row from all others."""
    kept = chosen(parts, choice)
    fits = fit(makes, outcomes, kept, choice, tell_topics)
    for is_told in (False, True)[: 1 + tell_topics]:
        found = measure_fits(fits, outcomes, kept, is_told=is_told, n_bootstrap=N_BOOTSTRAP)
        n_test = sum(len(each.test) for each in kept)
        told = ", topics told" if is_told else ", topics detected" if tell_topics else ""
        print(f"\n{title}{told}: mean and sd of {len(kept)} parts, {n_test:,} tests in all")
        show(means(found, metrics))
        ours = next(iter(fits))
        print(f"\n{ours} minus each, 95 % intervals, paired ({N_BOOTSTRAP} draws of prompts)")
        show(gaps(found.differences(ours), metrics))
    print("\nprocessor time")
    show(times(found))


def report_curve(
    title: str,
    outcomes: Outcomes,
    sized: Mapping[int, Sequence[Parts]],
    metrics: Sequence[str],
    choice: Choice,
) -> None:
    """Print each router by training size, the lead of ours, and what doubling brings it."""
    makes = {name: make for name, make in usual_routers().items() if name in CURVE_ROUTERS}
    found: dict[int, Benchmark] = {}
    for size, parts in sized.items():
        kept = chosen(parts, choice)
        fits = fit(makes, outcomes, kept, choice, False)
        found[size] = measure_fits(fits, outcomes, kept, n_bootstrap=N_BOOTSTRAP)
    for metric in metrics:
        print(f"\n{title}, {metric} by training prompts: mean and sd of {len(kept)} parts")
        columns = {f"{size:,}": means(each, [metric])[metric] for size, each in found.items()}
        show(pd.DataFrame(columns).loc[[*fits, "oracle"]])
        ours = next(iter(fits))
        print(f"\n{ours} minus each, {metric}, 95 % intervals, paired")
        leads = {
            f"{size:,}": gaps(each.differences(ours), [metric])[metric]
            for size, each in found.items()
        }
        rivals = [name for name in fits if name != ours]
        show(pd.DataFrame(leads).loc[rivals])
        print(f"\nmore training prompts, {metric}, 95 % intervals, paired")
        show(pd.DataFrame({name: growth(found, name, metric) for name in fits}).T)


def growth(found: Mapping[int, Benchmark], router: str, metric: str) -> dict[str, str]:
    """Say what each further size of training brought one router."""
    return {
        f"{small:,} to {large:,}": with_ends(
            *difference(found[large], router, found[small], router)[metric][:3]
        )
        for small, large in pairwise(found)
    }


def chosen(parts: Sequence[Parts], choice: Choice) -> list[Parts]:
    """Return the wanted parts of a table."""
    return [parts[number] for number in choice.parts] if choice.parts else list(parts)


def fit(
    makes: Mapping[str, MakeRouter],
    outcomes: Outcomes,
    parts: Sequence[Parts],
    choice: Choice,
    tell_topics: bool,
) -> dict:
    """Fit the wanted routers, or take finished fits from the cache."""
    kept = {name: make for name, make in makes.items() if name in (choice.routers or makes)}
    if not kept:
        sys.exit(f"expected routers among {', '.join(makes)}, got {', '.join(choice.routers)}")
    return fit_parts(
        kept,
        outcomes,
        parts,
        tell_topics=tell_topics,
        memory=choice.memory,
        memory_key=choice.code,
        progress=True,
    )


def means(found: Benchmark, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a mean with its standard deviation in each cell."""
    table = found.table()
    return pd.DataFrame(
        {
            metric: [
                with_sd(value, sd)
                for value, sd in zip(table[metric], table[f"{metric}_sd"], strict=True)
            ]
            for metric in metrics
        },
        index=table.index,
    )


def gaps(differences: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a difference with its interval in each cell."""
    ends = ("", "_low", "_high")
    return pd.DataFrame(
        {
            metric: [with_ends(*row) for row in differences[[metric + end for end in ends]].values]
            for metric in metrics
        },
        index=differences.index,
    )


def times(found: Benchmark) -> pd.DataFrame:
    """Return what training and one decision take, with quartiles."""
    costs = found.costs()
    columns = costs[["decision_ms", "decision_ms_low", "decision_ms_high"]].to_numpy()
    return pd.DataFrame(
        {
            "training, s": [f"{value:.1f}" for value in costs.fit_s],
            "decision, ms (quartiles)": [
                f"{value:.2f} ({low:.2f} to {high:.2f})" for value, low, high in columns
            ],
        },
        index=costs.index,
    )


def with_sd(value: float, sd: float) -> str:
    """Write a mean with its standard deviation."""
    if np.isnan(value):
        return "-"
    return f"{value:.4f}" if np.isnan(sd) else f"{value:.4f} ± {sd:.4f}"


def with_ends(value: float, low: float, high: float) -> str:
    """Write a difference with its interval; a star where that excludes zero."""
    if np.isnan(value):
        return "-"
    star = "*" if low > 0 or high < 0 else ""
    return f"{value:+.4f}{star} [{low:+.4f}, {high:+.4f}]"


def show(table: pd.DataFrame) -> None:
    """Print a table of texts as Markdown."""
    heads = [table.index.name or "router", *table.columns]
    print(f"| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
    for name, row in table.iterrows():
        print(f"| {' | '.join([str(name), *row])} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
