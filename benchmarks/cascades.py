"""Print whether looking at the answer before paying for a dearer one pays on real answers.

Run ``python benchmarks/cascades.py [all] [pairs] [rivals] [speed] [--folds 0 1] [--seed 0]``. Folds
hold groups of near-duplicates together; every call is paid; each prompt is scored once. Folds 0 and
1 of seed 0 are those on which the recipe was chosen. Protocol: README.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from outcome_tables import read_reasoning

from routerlib.features.learners.log_odds import sigmoid
from routerlib.metrics.calibration import ece
from routerlib.metrics.curves import costs_at, hulls, mean_heights
from routerlib.metrics.intervals import cluster_weights
from routerlib.metrics.pairs import apgr
from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Floats
from routerlib.routers.baselines import BestSingle
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


class Curve(NamedTuple):
    """What a way of choosing gave along `WEIGHTS`; both (n_prompts, n_weights), US dollars."""

    quality: Floats
    cost_usd: Floats

    @classmethod
    def empty(cls, n_prompts: int) -> Curve:
        """Return one that is filled fold by fold."""
        return cls(*(np.full((n_prompts, len(WEIGHTS)), np.nan) for _ in range(2)))


class Fold(NamedTuple):
    """A router and a cascade trained on the other folds, with the prompts of this one."""

    rows: np.ndarray
    train: Outcomes
    test: Outcomes
    router: LGBMRouter
    cascade: Cascade
    bench: Bench


class Division(NamedTuple):
    """Which of five folds are scored, and the seed by which groups were dealt into them."""

    folds: tuple[int, ...]
    seed: int


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


def main() -> None:
    """Print the tables that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*")
    parser.add_argument("--folds", type=int, nargs="+", default=range(5), help="which to score")
    parser.add_argument("--seed", type=int, default=0, help="how groups are dealt into folds")
    arguments = parser.parse_args()
    tables = arguments.tables or list(TABLES)
    outcomes = read_reasoning()
    if outcomes is None:
        return
    for name in tables:
        print(f"\n## {name}, folds {[*arguments.folds]} of seed {arguments.seed}")
        TABLES[name](outcomes, Division(tuple(arguments.folds), arguments.seed))


def compare_all(outcomes: Outcomes, division: Division) -> None:
    """Compare router, cascade and its rivals over all candidate models.

    Rules of two go from the cheapest candidate to the best single one of train.
    """
    names = ("cascade", "router", "planned sets", *RULES)
    curves = {name: Curve.empty(len(outcomes)) for name in names}
    judged = np.full(outcomes.quality.shape, np.nan)
    expected = judged.copy()
    for fold in folds_of(outcomes, division):
        mean_usd = fold.train.cost_usd.mean(axis=0)
        cheap, dear = fold.train.models[int(mean_usd.argmin())], fold.train.best_single
        follow_all(curves, fold, cheap, dear)
        for arm in range(len(outcomes.models)):
            judged[fold.rows, arm] = sigmoid(fold.bench.judged.odds((arm,))[:, arm])
        expected[fold.rows] = fold.bench.estimates.quality
    show_curves(outcomes, curves)
    show_judgement(outcomes, judged, expected)


def follow_all(curves: Mapping[str, Curve], fold: Fold, cheap: str, dear: str) -> None:
    """Keep what the cascade, the router and each rival got of a fold, along all cost weights."""
    planned = PlannedCascade(fold.cascade)
    rules = {name: rule(cheap, dear, fold).fit(fold.train) for name, rule in RULES.items()}
    for column, weight in enumerate(WEIGHTS):
        put_both(curves, fold, column, weight)
        sets = planned.follow(fold.bench, weight)
        got = sets.quality(fold.test.quality), sets.cost_usd(fold.test.cost_usd)
        put(curves["planned sets"], fold, column, *got)
        for name, rule in rules.items():
            replay = rule.replay(fold.test, cost_weight=weight)
            put(curves[name], fold, column, replay.quality, replay.cost_usd)


def compare_pairs(outcomes: Outcomes, division: Division) -> None:
    """Compare rankings of prompts by how much the dear model is wanted, pair by pair."""
    print("\nAPGR by share of strong calls, 95 % interval of the difference")
    for cheap, dear in PAIRS:
        pair = outcomes.of_models([cheap, dear])
        before, after = np.full(len(pair), np.nan), np.full(len(pair), np.nan)
        for fold in folds_of(pair, division):
            quality = fold.bench.estimates.quality
            before[fold.rows] = quality[:, 1] - quality[:, 0]
            seen = fold.bench.situation((0,))
            after[fold.rows] = seen.expected[:, 1] - seen.best
        known = np.isfinite(before)
        weak, strong = pair.quality[known].T
        draws = weights_of(pair, known)
        counts = np.rint(draws * int(known.sum()))
        ranks = [apgr(weak, strong, each[known], weights=counts) for each in (before, after)]
        gain = ranks[1] - ranks[0]
        low, high = np.quantile(gain[1:], [0.025, 0.975])
        print(
            f"{cheap} -> {dear}: router {ranks[0][0]:.3f}, with its answer {ranks[1][0]:.3f}, "
            f"{gain[0]:+.3f} [{low:+.3f}, {high:+.3f}], n = {int(known.sum())}"
        )


def compare_rivals(outcomes: Outcomes, division: Division) -> None:
    """Compare with rules that go from a cheap model to a dear one, at the same cost weights."""
    for cheap, dear in PAIRS[:2]:
        pair = outcomes.of_models([cheap, dear])
        names = ("cascade", "router", "planned sets", *RULES)
        curves = {name: Curve.empty(len(pair)) for name in names}
        for fold in folds_of(pair, division):
            follow_all(curves, fold, cheap, dear)
        print(f"\n{cheap} -> {dear}")
        show_curves(pair, curves)


def measure_speed(outcomes: Outcomes, division: Division) -> None:
    """Time fitting on 5,000 answers and judging one of 2,000 characters."""
    del division
    train = outcomes.take(range(5_000 // len(outcomes.models)))
    router = LGBMRouter(random_state=0).fit(train)
    start = time.perf_counter()
    judgement = AnswerJudgement(router).fit(train)
    fitted_s = time.perf_counter() - start
    answers = [text for row in outcomes.answers or () for text in row if text]
    text = next(each for each in answers if 1_950 <= len(each) <= 2_050)
    said = judgement.said_by({outcomes.models[0]: text}, None)
    expected = router.predict(outcomes.prompts[-1:]).quality
    taken = []
    for _ in range(300):
        begun = time.perf_counter()
        judgement.judged(outcomes.prompts[-1:], [said], expected).odds((0,))
        taken.append(1e3 * (time.perf_counter() - begun))
    low, middle = np.quantile(taken, [0.05, 0.5])
    print(
        f"\nfit on {judgement.n_answers_} answers: {fitted_s:.1f} s; {len(text)} characters: "
        f"median {middle:.2f} ms, 5 % quantile {low:.2f} ms"
    )


TABLES: dict[str, Callable[[Outcomes, Division], None]] = {
    "all": compare_all,
    "pairs": compare_pairs,
    "rivals": compare_rivals,
    "speed": measure_speed,
}


def folds_of(outcomes: Outcomes, division: Division) -> Iterator[Fold]:
    """Train on four folds and get ready to follow the fifth, for each that is to be scored."""
    folds = grouped_folds(outcomes.groups, 5, division.seed)
    for number in division.folds:
        train, test = outcomes.take(folds != number), outcomes.take(folds == number)
        router = LGBMRouter(random_state=0).fit(train)
        cascade = Cascade(router).fit(train)
        print(f"fold {number}: {cascade.boldness_}", flush=True)
        rows = np.flatnonzero(folds == number)
        yield Fold(rows, train, test, router, cascade, cascade.bench(test))


def put_both(curves: Mapping[str, Curve], fold: Fold, column: int, weight: float) -> None:
    """Keep what the router and the cascade got of a fold at one cost weight."""
    arms = choose_arms(fold.bench.estimates, weight)
    rows = np.arange(len(arms))
    got = fold.test.quality[rows, arms], fold.test.cost_usd[rows, arms]
    put(curves["router"], fold, column, *got)
    followed = fold.bench.follow(weight, fold.cascade.boldness_.share, fold.cascade.most_calls)
    got = followed.quality(fold.test.quality), followed.cost_usd(fold.test.cost_usd)
    put(curves["cascade"], fold, column, *got)


def put(curve: Curve, fold: Fold, column: int, quality: Floats, cost_usd: Floats) -> None:
    """Fill in what one fold gave at one cost weight."""
    curve.quality[fold.rows, column], curve.cost_usd[fold.rows, column] = quality, cost_usd


def weights_of(outcomes: Outcomes, known: np.ndarray) -> Floats:
    """Return shares of prompts in resampled means, the first as they are; groups are drawn."""
    drawn = cluster_weights(outcomes.groups[known], N_DRAWS, 0)
    rows = np.vstack([np.ones((1, int(known.sum()))), *(np.atleast_2d(each) for each in drawn)])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def show_curves(outcomes: Outcomes, curves: Mapping[str, Curve]) -> None:
    """Print AIQ and the cost at the best single model's quality, against the first row."""
    first = next(iter(curves.values()))
    known = np.isfinite(first.quality[:, 0])
    draws = weights_of(outcomes, known)
    single_usd, single = draws @ outcomes.cost_usd[known], draws @ outcomes.quality[known]
    best = int(single[0].argmax())
    print(f"best single: {outcomes.models[best]}, quality {single[0, best]:.3f}, n = {known.sum()}")
    found = {}
    for name, curve in curves.items():
        lines = hulls(draws @ curve.cost_usd[known], draws @ curve.quality[known])
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


def show_judgement(outcomes: Outcomes, judged: Floats, expected: Floats) -> None:
    """Print how well judgements are calibrated and rank, beside what the router expected."""
    from sklearn.metrics import roc_auc_score

    known = np.isfinite(judged).all(axis=1)
    quality, rng = outcomes.quality[known], np.random.default_rng(0)
    for name, values in (("router", expected[known]), ("judgement", judged[known])):
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
