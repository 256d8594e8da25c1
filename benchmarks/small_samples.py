"""Print whether the default router ever loses: to the best single model or to another family.

Run ``python benchmarks/small_samples.py [table ...] [--sizes 50,500,full] [--draws 10]
[--first-draw 0] [--tested 1500] [--jobs 1] [--quick] [--cache FOLDER]``.
Training prompts are drawn at random, or are 80 % of the table (full: one of five grouped folds is
tested); near-duplicates of them are never tested, and topics are never told. Tables are printed as
they are measured, a summary at the end. "Chosen" is the router's choice at cost weight 0.
Protocol: results/small_samples.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from drawn import N_FOLDS, OURS, Drawn, Operated, drawn_parts, fit_draws, full_parts
from outcome_tables import READERS
from quality import names_of, show, with_ends
from scipy.stats import norm
from tqdm import tqdm

from routerlib.evaluation.benchmark import Benchmark, measure_fits
from routerlib.metrics.calibration import ece, ece_by_chance
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.decision import Estimates

FULL = "full"
SIZES = ("50", "100", "200", "500", FULL)
N_DRAWS = 10
N_TESTED, N_TESTED_QUICK = 1500, 800
N_FOLDS_QUICK = 2
QUICK = f"{N_TESTED_QUICK} tested prompts at most, {N_FOLDS_QUICK} of {N_FOLDS} folds at full size"
N_BOOTSTRAP = 500
LEVEL = 0.05
METRICS = ("quality", "AIQ")
# Of the way through the cost weights at which a choice changes.
SHARES = (0.0, 0.25, 0.5)
# Of fewer draws no regression on luck is made.
MIN_DRAWS = 5


class Loss(NamedTuple):
    """One comparison of the default router with a rival.

    Attributes
    ----------
    cell : str
        Table and training prompts.
    rival, metric : str
        Of whom and what.
    value, p : float
        Ours minus theirs, and the one-sided p-value of no loss.
    """

    cell: str
    rival: str
    metric: str
    value: float
    p: float


class Cell(NamedTuple):
    """What was found of one table and size.

    Attributes
    ----------
    losses : list of Loss
        All comparisons of it, lost or not.
    gain, kept : float
        Mean quality above the best single model at cost weight 0, and of `train_router`.
    is_gain : bool
        Whether the interval of the first lies above 0.
    row : dict of str to str
        Its row of the summary.
    """

    losses: list[Loss]
    gain: float
    kept: float
    is_gain: bool
    row: dict[str, str]


def main() -> None:
    """Print the wanted tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(READERS)}; all if none")
    parser.add_argument("--sizes", type=names_of, default=list(SIZES), help="numbers, or full")
    parser.add_argument("--draws", type=int, default=N_DRAWS, help="draws of each size")
    parser.add_argument("--first-draw", type=int, default=0, help="number of the first, a seed")
    parser.add_argument("--tested", type=int, help=f"prompts at most; {N_TESTED} unless quick")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--quick", action="store_true", help=QUICK)
    parser.add_argument("--cache", help="folder of finished fits; a second run goes on from them")
    options = parser.parse_args()
    options.tested = options.tested or (N_TESTED_QUICK if options.quick else N_TESTED)
    cells: dict[str, list[Cell]] = {}
    for name in options.tables or list(READERS):
        outcomes = READERS[name]()
        if outcomes is not None:
            cells[name] = list(cells_of(name, outcomes, options))
            print(said_of_losses(name, [loss for cell in cells[name] for loss in cell.losses]))
    every = [cell for found in cells.values() for cell in found]
    if every:
        print(f"\nall: {OURS} and what train_router makes of it, minus the best single model")
        show(pd.DataFrame([cell.row for cell in every]).set_index("table, training prompts"))
        print(said_of_gains(every))


def cells_of(name: str, outcomes: Outcomes, options: argparse.Namespace) -> Iterator[Cell]:
    """Measure one table, size after size."""
    n_folds = N_FOLDS_QUICK if options.quick else N_FOLDS
    parts = {size: parts_of(outcomes, size, options, n_folds) for size in options.sizes}
    divided = [each for some in parts.values() for each in some]
    draws = fit_draws(outcomes, divided, options.cache, options.jobs)
    draws = iter(tqdm(draws, total=len(divided), desc=name, unit="draw"))
    for size, some in parts.items():
        if some:
            yield report(f"{name}, {size}", outcomes, some, list(islice(draws, len(some))))


def parts_of(
    outcomes: Outcomes, size: str, options: argparse.Namespace, n_folds: int
) -> list[Parts]:
    """Return the divisions of one size; none where 80 % of the table are fewer prompts."""
    first, n_draws = options.first_draw, options.draws
    if size == FULL:
        return [full_parts(outcomes, fold, options.tested) for fold in range(min(n_folds, n_draws))]
    if int(size) > 0.8 * len(outcomes):
        return []
    seeds = range(first, first + n_draws)
    return [drawn_parts(outcomes, int(size), seed, options.tested) for seed in seeds]


def report(title: str, outcomes: Outcomes, parts: list[Parts], draws: Sequence[Drawn]) -> Cell:
    """Print the comparisons of one table and size."""
    fits = {name: [draw.fits[name] for draw in draws] for name in draws[0].fits}
    found = measure_fits(fits, outcomes, parts, n_bootstrap=N_BOOTSTRAP)
    gaps = found.differences(OURS).drop(index=["random", "zero router", "oracle"])
    n_train = round(np.mean([len(each.train) for each in parts]))
    n_test = sum(len(each.test) for each in parts)
    print(
        f"\n{title}: {n_train:,} training prompts, {len(parts)} draws, {n_test:,} tests in all; "
        f"{OURS} minus each, 95 %, and standard error over draws"
    )
    columns = {metric: _cells(gaps, metric) for metric in METRICS}
    columns["over draws"] = [_over_draws(found, rival) for rival in gaps.index]
    show(pd.DataFrame(columns, index=gaps.index))
    seconds = {name: float(np.mean([fit.fit_s for fit in some])) for name, some in fits.items()}
    print(
        "processor seconds of a draw, training and all estimates, texts read before: "
        + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    )
    chosen = said_of_the_chosen(found)
    operated = [draw.operated for draw in draws]
    print(chosen, said_of_operating_points(operated), sep="\n", flush=True)
    to_best = gaps.loc["best single"]
    gain, kept = float(to_best["quality"]), float(np.mean([each.gain for each in operated]))
    is_gain = bool(to_best["quality_low"] > 0)
    row = {
        "table, training prompts": f"{title} ({len(parts)} draws)",
        **{metric: _cells(gaps.loc[["best single"]], metric)[0] for metric in METRICS},
        "train_router": _in_short(operated),
        "gain kept": f"{kept / gain:.0%}" if is_gain else "-",
        **chosen.row,
    }
    losses = [_loss(title, gaps, rival, metric) for rival in gaps.index for metric in METRICS]
    return Cell(losses, gain, kept, is_gain, row)


class Chosen(NamedTuple):
    """What is expected of the chosen models against what was got, in words and for a row."""

    words: str
    row: dict[str, str]

    def __str__(self) -> str:
        return self.words


def said_of_the_chosen(found: Benchmark) -> Chosen:
    """Say how expected and real quality and cost of the chosen model compare, over all draws.

    Training prompts that happen to be easy or cheap move the expectation of all models: beside
    the plain difference stands the one beyond what the means of the training prompts were off.
    Quality at cost weight 0, where it alone decides; cost also a quarter and half of the way
    through the weights at which a choice changes, where who is believed too cheap is chosen.
    """
    rows, estimates = found.held_out(OURS)
    draw = np.repeat(np.arange(len(found.divided)), [len(parts.test) for parts in found.divided])
    kept = np.flatnonzero(np.isfinite(found.outcomes.quality[rows]).all(axis=1))
    rows, draw = rows[kept], draw[kept]
    estimates = Estimates(estimates.models, estimates.quality[kept], estimates.cost_usd[kept])
    at, arms = np.arange(len(rows)), choose_arms(estimates, 0.0)
    expected, got = estimates.quality[at, arms], found.outcomes.quality[rows, arms]
    quality = _off(expected - got, _luck(found, draw, arms, "quality"), draw)
    costs = [_cost_off(found, estimates, rows, draw, share) for share in SHARES]
    off = f"{ece(expected, got):.3f}", f"{ece_by_chance(expected, got, n_draws=20):.3f}"
    at_shares = ", ".join(f"{cost} at {share:g}" for cost, share in zip(costs, SHARES, strict=True))
    words = (
        f"chosen, expected minus got (± standard error over draws): quality {quality}; ECE "
        f"{off[0]}, by chance {off[1]}; cost as a share of what was paid {at_shares} of the way; "
        f"n = {len(rows):,}"
    )
    return Chosen(words, {"ECE (by chance)": f"{off[0]} ({off[1]})", "cost off": costs[0]})


def _cost_off(
    found: Benchmark, estimates: Estimates, rows: np.ndarray, draw: np.ndarray, share: float
) -> str:
    """Say by how much the chosen ones' cost is expected too high, at each draw's own weight."""
    arms = np.empty(len(rows), dtype=np.intp)
    for number in np.unique(draw):
        of_it = draw == number
        own = Estimates(estimates.models, estimates.quality[of_it], estimates.cost_usd[of_it])
        weights = sweep_cost_weights(own)
        arms[of_it] = choose_arms(own, float(weights[int(share * (len(weights) - 1))]))
    paid = found.outcomes.cost_usd[rows, arms]
    mean_of_draw = (np.bincount(draw, paid) / np.bincount(draw))[draw]
    too_much = estimates.cost_usd[np.arange(len(rows)), arms] - paid
    return _off(too_much / mean_of_draw, _luck(found, draw, arms, "cost_usd") / mean_of_draw, draw)


def _luck(
    found: Benchmark, draw: np.ndarray, arms: np.ndarray, target: Literal["quality", "cost_usd"]
) -> np.ndarray:
    """Return by how much the chosen models' training means are above those of all prompts."""
    every = getattr(found.outcomes.compared(), target)
    trained = [
        getattr(found.outcomes.take(parts.train).compared(), target) - every
        for parts in found.divided
    ]
    return np.array(trained)[draw, arms]


def _off(values: np.ndarray, luck: np.ndarray, draw: np.ndarray) -> str:
    """Say the mean over draws, and that beyond luck: its regression on luck, where that is 0.

    Sources
    -------
    S. S. Lavenberg, P. D. Welch, A perspective on the use of control variables to increase the
    efficiency of Monte Carlo simulations, Management Science 27, 1981.
    """
    counts = np.bincount(draw)
    means, lucks = np.bincount(draw, values) / counts, np.bincount(draw, luck) / counts
    plain = f"{means.mean():+.4f} ± {_standard_error(means):.4f}"
    if len(means) < MIN_DRAWS or not np.ptp(lucks):
        return plain
    slope, beyond = np.polyfit(lucks, means, 1)
    left = np.std(means - slope * lucks, ddof=2) / np.sqrt(len(means))
    return f"{plain} (beyond luck {beyond:+.4f} ± {left:.4f})"


def _standard_error(values: Sequence[float] | np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def said_of_operating_points(draws: Sequence[Operated]) -> str:
    """Say what `train_router` makes of the same draws."""
    gains = [draw.gain for draw in draws]
    return (
        f"train_router: quality {np.mean(gains):+.4f} ± {_standard_error(gains):.4f} (standard "
        f"error over draws; worst {min(gains):+.4f}) at "
        f"{np.mean([draw.cost for draw in draws]):.2f} of the best single model's cost; keeps to "
        f"it in {sum(draw.is_kept for draw in draws)} of {len(gains)}"
    )


def lost_by_holm(losses: Sequence[Loss]) -> list[Loss]:
    """Return the losses that chance doesn't explain, corrected for looking at all of them.

    Sources
    -------
    S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    lost = []
    for number, loss in enumerate(sorted(losses, key=lambda loss: loss.p)):
        if loss.p > LEVEL / (len(losses) - number):
            break
        lost.append(loss)
    return lost


def said_of_losses(name: str, losses: Sequence[Loss]) -> str:
    """Say how many comparisons of a table are lost, and which."""
    lost = lost_by_holm(losses)
    lines = [
        f"\n{name}: {len(lost)} of {len(losses)} comparisons lost (Holm, {LEVEL:.0%} one-sided)",
        *(
            f"  {loss.cell}: {loss.metric} to {loss.rival}, {loss.value:+.4f}, p {loss.p:.4f}"
            for loss in lost
        ),
    ]
    return "\n".join(lines)


def said_of_gains(cells: Sequence[Cell]) -> str:
    """Say how much of the gains at cost weight 0 `train_router` keeps, all cells alike."""
    gains = [cell for cell in cells if cell.is_gain]
    if not gains:
        return "\nno gain at cost weight 0 is told from none"
    kept = sum(cell.kept for cell in gains) / sum(cell.gain for cell in gains)
    return (
        f"\ntrain_router keeps {kept:.0%} of the gains at cost weight 0 where one is told from "
        f"none ({len(gains)} of {len(cells)} tables and sizes)"
    )


def _loss(cell: str, gaps: pd.DataFrame, rival: str, metric: str) -> Loss:
    value, low, high = (float(gaps.loc[rival, metric + end]) for end in ("", "_low", "_high"))
    error = max((high - low) / (2 * norm.ppf(0.975)), 1e-12)
    return Loss(cell, rival, metric, value, float(norm.cdf(value / error)))


def _in_short(draws: Sequence[Operated]) -> str:
    gains = [draw.gain for draw in draws]
    return (
        f"{np.mean(gains):+.4f} ± {_standard_error(gains):.4f}, worst {min(gains):+.4f}, cost "
        f"{np.mean([draw.cost for draw in draws]):.2f}, keeps to best single "
        f"{sum(draw.is_kept for draw in draws)}"
    )


def _over_draws(found: Benchmark, rival: str) -> str:
    if len(found.divided) < 2:
        return "-"
    ours, theirs = found.values[OURS], found.values[rival]
    errors = [_standard_error(ours[metric] - theirs[metric]) for metric in METRICS]
    return " and ".join(f"± {error:.4f}" for error in errors)


def _cells(gaps: pd.DataFrame, metric: str) -> list[str]:
    return [with_ends(*row) for row in gaps[[metric, f"{metric}_low", f"{metric}_high"]].values]


if __name__ == "__main__":
    main()
