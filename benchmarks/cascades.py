"""Print whether looking at the answer before paying for a dearer one pays on real answers.

Run ``python benchmarks/cascades.py [all] [pairs] [rivals] [few] [speed] [--folds 0 1] [--seed 0]
[--cache FOLDER]``. Folds hold groups of near-duplicates together; every call is paid; each prompt
is scored once. Folds 0 and 1 of seed 0 are those on which the recipe was chosen. Protocol:
results/cascades.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from joblib import Memory
from outcome_tables import read_reasoning
from source_hash import source_hash

from routerlib.features.learners.log_odds import sigmoid
from routerlib.metrics.calibration import ece
from routerlib.metrics.curves import costs_at, hulls, mean_heights
from routerlib.metrics.intervals import cluster_weights
from routerlib.metrics.pairs import apgr
from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights, utility
from routerlib.records.arrays import Floats
from routerlib.routers.baselines import BestSingle
from routerlib.routers.cascades.boldness import grouped_error
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.cascades.judgement import AnswerJudgement
from routerlib.routers.cascades.replay import Bench
from routerlib.routers.cascades.rivals import (
    AlwaysDear,
    CheapThenDear,
    LearnedThreshold,
    PlannedCascade,
)
from routerlib.routers.lightgbm.router import LGBMRouter

# Cost weights along which everything is followed, the same in every fold.
WEIGHTS = np.concatenate([[0.0], np.geomspace(3, 3000, 40)])
PAIRS = (
    ("Qwen2-7B-Instruct", "gpt-4o-2024-05-13"),
    ("Meta-Llama-3.1-70B-Instruct", "gpt-4o-2024-05-13"),
    ("claude-3-5-haiku-20241022", "claude-3-5-sonnet-20240620"),
    ("gemini-1.5-pro", "claude-3-5-sonnet-20240620"),
)
N_DRAWS = 500
# Training prompts, and draws of each, of the comparison after few answers.
SIZES, N_SMALL_DRAWS = (17, 50, 100, 200), 10


class Curve(NamedTuple):
    """What a way of choosing gave along `WEIGHTS`; both (n_prompts, n_weights), US dollars."""

    quality: Floats
    cost_usd: Floats


class Fold(NamedTuple):
    """A router and a cascade trained on the other folds, with the prompts of this one."""

    train: Outcomes
    test: Outcomes
    router: LGBMRouter
    cascade: Cascade
    bench: Bench


class Measured(NamedTuple):
    """What was seen on the prompts of one fold; `curves` by the name of the way of choosing.

    `judged, expected` (n_prompts, n_models): of each answer alone, and by the router before it.
    `before, after` (n_prompts,): by how much the dear model is wanted beyond the cheap one, before
        and after the cheap answer was looked at.
    """

    rows: np.ndarray
    curves: dict[str, Curve]
    judged: Floats
    expected: Floats
    before: Floats
    after: Floats


class Division(NamedTuple):
    """Which of five folds are scored, the seed by which groups were dealt, and kept results.

    `cache`: folder of finished folds; None = nothing is kept.
    """

    folds: tuple[int, ...]
    seed: int
    cache: str | None

    def measured(
        self,
        outcomes: Outcomes,
        ways: tuple[str, ...],
        cheap: str | None = None,
        dear: str | None = None,
    ) -> list[Measured]:
        """Train on four folds and follow `ways` over the fifth, for each that is to be scored.

        `cheap, dear`: as of `measured_fold`.
        """
        code = source_hash("routerlib.routers.cascades.rivals") if self.cache else ""
        measure = Memory(self.cache, verbose=0).cache(measured_fold, ignore=["outcomes"])
        key = f"{outcomes.data_hash} {WEIGHTS.sum()} {code}"
        return [measure(outcomes, each, self.seed, ways, cheap, dear, key) for each in self.folds]


# Rules of a cheap model and a dear one that know what the cascade knows.
RULES: dict[str, Callable[[str, str, Fold], CheapThenDear]] = {
    "learned threshold": lambda cheap, dear, fold: LearnedThreshold(
        cheap, dear, AnswerJudgement(fold.router)
    ),
    "answer alone": lambda cheap, dear, fold: LearnedThreshold(
        cheap, dear, AnswerJudgement(BestSingle().fit(fold.train))
    ),
    "always both": lambda cheap, dear, fold: AlwaysDear(cheap, dear),
}
WAYS = ("cascade", "router", "planned sets", *RULES)


def main() -> None:
    """Print the tables that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*")
    parser.add_argument("--folds", type=int, nargs="+", default=range(5), help="which to score")
    parser.add_argument("--seed", type=int, default=0, help="how groups are dealt into folds")
    parser.add_argument("--cache", help="folder of finished folds; a second run goes on from them")
    arguments = parser.parse_args()
    tables = arguments.tables or list(TABLES)
    outcomes = read_reasoning()
    if outcomes is None:
        return
    division = Division(tuple(arguments.folds), arguments.seed, arguments.cache)
    for name in tables:
        print(f"\n## {name}, folds {[*arguments.folds]} of seed {arguments.seed}")
        TABLES[name](outcomes, division)


def compare_all(outcomes: Outcomes, division: Division) -> None:
    """Compare router, cascade and its rivals over all candidate models.

    Rules of two go from the cheapest candidate to the best single one of train.
    """
    found = division.measured(outcomes, WAYS)
    show_curves(outcomes, found)
    show_judgement(outcomes, found)


def compare_pairs(outcomes: Outcomes, division: Division) -> None:
    """Compare rankings of prompts by how much the dear model is wanted, pair by pair."""
    print("\nAPGR by share of strong calls, 95 % interval of the difference")
    for cheap, dear in PAIRS:
        pair = outcomes.of_models([cheap, dear])
        found = division.measured(pair, (), cheap, dear)
        rows = np.concatenate([each.rows for each in found])
        weak, strong = pair.quality[rows].T
        counts = np.rint(weights_of(pair, rows) * len(rows))
        ranks = [
            apgr(weak, strong, np.concatenate(wishes), weights=counts)
            for wishes in zip(*((each.before, each.after) for each in found), strict=True)
        ]
        gain = ranks[1] - ranks[0]
        low, high = np.quantile(gain[1:], [0.025, 0.975])
        print(
            f"{cheap} -> {dear}: router {ranks[0][0]:.3f}, with its answer {ranks[1][0]:.3f}, "
            f"{gain[0]:+.3f} [{low:+.3f}, {high:+.3f}], n = {len(rows)}"
        )


def compare_rivals(outcomes: Outcomes, division: Division) -> None:
    """Compare with rules that go from a cheap model to a dear one, at the same cost weights."""
    for cheap, dear in PAIRS[:2]:
        pair = outcomes.of_models([cheap, dear])
        found = division.measured(pair, WAYS, cheap, dear)
        print(f"\n{cheap} -> {dear}")
        show_curves(pair, found)


def compare_few(outcomes: Outcomes, division: Division) -> None:
    """Compare with the router after few labelled answers, at the cost weights of the prompts."""
    code = source_hash("routerlib.routers.cascades.rivals") if division.cache else ""
    measure = Memory(division.cache, verbose=0).cache(gained_of_few, ignore=["outcomes"])
    key = f"{outcomes.data_hash} {code}"
    for size in SIZES:
        draws = [measure(outcomes, size, seed, key) for seed in range(N_SMALL_DRAWS)]
        gains, errors = np.array(draws).T
        kept, half = gains == 0, 1.96 * gains.std(ddof=1) / len(gains) ** 0.5
        lost = int((gains + 1.96 * errors < 0).sum())
        print(
            f"{size} prompts, {size * len(outcomes.models)} answers: {int(kept.sum())} of "
            f"{len(gains)} are the router; utility minus the router's {gains.mean():+.4f} "
            f"[{gains.mean() - half:+.4f}, {gains.mean() + half:+.4f}] over draws, least "
            f"{gains.min():+.4f}; {lost} lose by an interval under zero",
            flush=True,
        )


def gained_of_few(outcomes: Outcomes, size: int, seed: int, key: str) -> tuple[float, float]:
    """Train on few prompts; return utility minus the router's on others, and its standard error.

    Mean over cost weights between those at which everything goes to one candidate.
    """
    del key
    order = np.random.default_rng([seed, size]).permutation(len(outcomes))
    train = outcomes.take(np.sort(order[:size]))
    rest = order[size:]
    test = outcomes.take(np.sort(rest[~np.isin(outcomes.groups[rest], train.groups)]))
    cascade = Cascade(LGBMRouter(random_state=0).fit(train)).fit(train)
    share, most = cascade.boldness_.share, cascade.most_calls
    if share == 0:
        return 0.0, 0.0
    bench, rows, gains = cascade.bench(test), np.arange(len(test)), np.zeros(len(test))
    weights = sweep_cost_weights(bench.estimates, 12)[1:-1]
    for weight in map(float, weights):
        asked = bench.follow(weight, share, most)
        arms = choose_arms(bench.estimates, weight)
        gains += utility(asked.quality(test.quality), asked.cost_usd(test.cost_usd), weight)
        gains -= utility(test.quality[rows, arms], test.cost_usd[rows, arms], weight)
    gains /= len(weights)
    return float(gains.mean()), grouped_error(gains, test.groups)


def measure_speed(outcomes: Outcomes, division: Division) -> None:
    """Time fitting on 5,000 answers, and judging others of about 2,000 characters, one by one."""
    del division
    n_train = 5_000 // len(outcomes.models)
    train, test = outcomes.take(range(n_train)), outcomes.take(range(n_train, len(outcomes)))
    router = LGBMRouter(random_state=0).fit(train)
    start = time.process_time()
    judgement = AnswerJudgement(router).fit(train)
    fitted_s = time.process_time() - start
    expected = router.predict(test.prompts).quality
    cases = [
        (row, arm, judgement.said_by({test.models[arm]: text}, None))
        for row, said in enumerate(test.answers or ())
        for arm, text in enumerate(said)
        if text and abs(len(text) - 2_000) <= 200
    ]
    taken = np.zeros((len(cases), 2))
    for case, (row, arm, said) in enumerate(cases):
        begun = time.perf_counter(), time.process_time()
        judgement.judged([test.prompts[row]], [said], expected[[row]]).odds((arm,))
        taken[case] = time.perf_counter() - begun[0], time.process_time() - begun[1]
    low, middle = np.quantile(1e3 * taken, [0.05, 0.5], axis=0)
    print(
        f"\nfit on {judgement.n_answers_} answers: {fitted_s:.1f} s of CPU; {len(cases)} others of "
        f"1,800 to 2,200 characters: median {middle[0]:.2f} ms ({middle[1]:.2f} of CPU), 5 % "
        f"quantile {low[0]:.2f} ms"
    )


TABLES: dict[str, Callable[[Outcomes, Division], None]] = {
    "all": compare_all,
    "pairs": compare_pairs,
    "rivals": compare_rivals,
    "few": compare_few,
    "speed": measure_speed,
}


def measured_fold(
    outcomes: Outcomes,
    number: int,
    seed: int,
    ways: tuple[str, ...],
    cheap: str | None,
    dear: str | None,
    key: str,
) -> Measured:
    """Train on the other folds, and follow each way over the prompts of this one.

    `cheap, dear`: models of the rules of two; None = the cheapest and the best single one of train.
    `key`: of data and code, for a cache.
    """
    del key
    folds = grouped_folds(outcomes.groups, 5, seed)
    train, test = outcomes.take(folds != number), outcomes.take(folds == number)
    router = LGBMRouter(random_state=0).fit(train)
    cascade = Cascade(router).fit(train)
    print(f"fold {number}: {cascade.boldness_}", flush=True)
    fold = Fold(train, test, router, cascade, cascade.bench(test))
    cheap = train.models[int(train.cost_usd.mean(axis=0).argmin())] if cheap is None else cheap
    dear = train.best_single if dear is None else dear
    odds = [fold.bench.judged.odds((arm,))[:, arm] for arm in range(len(train.models))]
    expected = fold.bench.estimates.quality
    weak, strong = (train.models.index(name) for name in (cheap, dear))
    seen = fold.bench.situation((weak,))
    return Measured(
        rows=np.flatnonzero(folds == number),
        curves={way: followed(way, fold, cheap, dear) for way in ways},
        judged=sigmoid(np.column_stack(odds)),
        expected=expected,
        before=expected[:, strong] - expected[:, weak],
        after=seen.expected[:, strong] - seen.best,
    )


def followed(way: str, fold: Fold, cheap: str, dear: str) -> Curve:
    """Return what one way of choosing gave on the prompts of a fold, along all cost weights."""
    test, bench, cascade = fold.test, fold.bench, fold.cascade
    quality, cost_usd = test.quality, test.cost_usd
    points = []
    if way in RULES:
        rule = RULES[way](cheap, dear, fold).fit(fold.train)
        replays = [rule.replay(test, cost_weight=weight) for weight in WEIGHTS]
        points = [(each.quality, each.cost_usd) for each in replays]
    elif way == "router":
        rows = np.arange(len(test))
        chosen = [choose_arms(bench.estimates, weight) for weight in WEIGHTS]
        points = [(quality[rows, arms], cost_usd[rows, arms]) for arms in chosen]
    else:
        planned, share, most = PlannedCascade(cascade), cascade.boldness_.share, cascade.most_calls
        asked = [
            bench.follow(weight, share, most) if way == "cascade" else planned.follow(bench, weight)
            for weight in WEIGHTS
        ]
        points = [(each.quality(quality), each.cost_usd(cost_usd)) for each in asked]
    return Curve(*(np.column_stack(each) for each in zip(*points, strict=True)))


def weights_of(outcomes: Outcomes, rows: np.ndarray) -> Floats:
    """Return shares of prompts in resampled means, the first as they are; groups are drawn."""
    drawn = cluster_weights(outcomes.groups[rows], N_DRAWS, 0)
    counts = np.vstack([np.ones((1, len(rows))), *(np.atleast_2d(each) for each in drawn)])
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def show_curves(outcomes: Outcomes, folds: list[Measured]) -> None:
    """Print AIQ and the cost at the best single model's quality, against the first row."""
    rows = np.concatenate([each.rows for each in folds])
    draws = weights_of(outcomes, rows)
    single_usd, single = draws @ outcomes.cost_usd[rows], draws @ outcomes.quality[rows]
    best = int(single[0].argmax())
    print(f"best single: {outcomes.models[best]}, quality {single[0, best]:.3f}, n = {len(rows)}")
    found = {}
    for name in folds[0].curves:
        parts = [each.curves[name] for each in folds]
        quality, cost_usd = (np.concatenate(each) for each in zip(*parts, strict=True))
        lines = hulls(draws @ cost_usd, draws @ quality)
        aiq = mean_heights(lines, single_usd.min(axis=1), single_usd.max(axis=1))
        # Whoever always costs more than the dearest model has no curve in that range.
        aiq = np.where(lines.cost_usd[:, 0] > single_usd.max(axis=1), np.nan, aiq)
        found[name] = aiq, costs_at(lines, single[:, best]) / single_usd[:, best]
    reference = next(iter(found.values()))
    for name, (aiq, share) in found.items():
        print(
            f"{name}: AIQ {aiq[0]:.4f}, {_against(aiq, reference[0])}; cost at best single's "
            f"quality {share[0]:.2f}, {_against(share, reference[1])}",
            flush=True,
        )
    ratio = found["cascade"][1] / found["router"][1]
    low, high = np.quantile(ratio[1:][np.isfinite(ratio[1:])], [0.025, 0.975])
    print(f"cascade's cost there over the router's: {ratio[0]:.2f} [{low:.2f}, {high:.2f}]")


def show_judgement(outcomes: Outcomes, folds: list[Measured]) -> None:
    """Print how well judgements are calibrated and rank, beside what the router expected."""
    from sklearn.metrics import roc_auc_score

    quality = outcomes.quality[np.concatenate([each.rows for each in folds])]
    judged, expected = (
        np.concatenate(each)
        for each in zip(*((fold.judged, fold.expected) for fold in folds), strict=True)
    )
    rng = np.random.default_rng(0)
    for name, values in (("router", expected), ("judgement", judged)):
        auc = [roc_auc_score(quality[:, arm], values[:, arm]) for arm in range(quality.shape[1])]
        cells = np.arange(quality.size)
        drawn = [rng.choice(cells, min(1_000, len(cells)), replace=False) for _ in range(200)]
        of_1000 = [ece(values.ravel()[each], quality.ravel()[each]) for each in drawn]
        print(
            f"{name}: AUC {' '.join(f'{each:.3f}' for each in auc)}; "
            f"ECE {ece(values, quality):.3f} on {quality.size} answers, "
            f"{np.mean(of_1000):.3f} on 1,000 drawn"
        )


def _against(values: Floats, reference: Floats) -> str:
    difference = values - reference
    known = difference[1:][np.isfinite(difference[1:])]
    if values is reference or not len(known):
        return "the first row" if values is reference else "not reached"
    low, high = np.quantile(known, [0.025, 0.975])
    return f"{difference[0]:+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    main()
