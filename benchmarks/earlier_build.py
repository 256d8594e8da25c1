"""Print whether training got cheaper than in an earlier build without getting worse.

Run ``OMP_NUM_THREADS=1 python benchmarks/earlier_build.py CHECKOUT [--tables nine,mmlu-pro]
[--parts 0,1]``. Both builds train on the same folds of the same tables, in turn, each in a process
of its own; their estimates of the held-out prompts are compared pair by pair.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from builds import HERE, Build
from losses import log_losses, with_interval
from outcome_tables import READERS
from quality import gaps, means, names_of, show

from routerlib.evaluation.benchmark import measure_fits
from routerlib.evaluation.benchmark_fits import Fit, estimates_of
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.splits import Parts, folds

METRICS = ("quality", "AIQ", "ECE", "Brier")
N_FOLDS = 5


def main() -> None:
    """Compare both builds on the wanted tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="of the earlier build")
    parser.add_argument("--tables", type=names_of, default=list(READERS))
    parser.add_argument("--parts", type=names_of, default=[], help="folds; all if not given")
    given = parser.parse_args()
    numbers = [int(number) for number in given.parts] or range(N_FOLDS)
    for name in given.tables:
        outcomes = READERS[name]()
        if outcomes is None:
            print(f"{name}: the public table isn't there")
            continue
        divided = folds(outcomes.groups, N_FOLDS)
        report(name, outcomes, [divided[number] for number in numbers], given.checkout)


def report(name: str, outcomes: Outcomes, divided: Sequence[Parts], checkout: Path) -> None:
    """Print what training takes in both builds, and how their estimates differ."""
    tell_topics = outcomes.topics is not None
    builds = {"now": Build(HERE), "before": Build(checkout)}
    fits: dict[str, list[Fit]] = {"now": [], "before": []}
    for parts in divided:
        for which, build in builds.items():
            fits[which].append(build.fit(name, parts, tell_topics=tell_topics))
    for build in builds.values():
        build.close()
    n_test = sum(len(each.test) for each in divided)
    size = f"{len(outcomes):,} prompts x {len(outcomes.models)}"
    print(
        f"\n{name}: {size}, {len(divided)} folds, {n_test:,} tests, load {os.getloadavg()[0]:.0f}"
    )
    took = {which: [fit.fit_s for fit in each] for which, each in fits.items()}
    ratios = np.divide(took["now"], took["before"])
    print(
        f"training, CPU s: {np.median(took['before']):.1f} before, {np.median(took['now']):.1f} "
        f"now, ratio {np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]"
    )
    rows = np.concatenate([parts.test for parts in divided])
    for is_told in (False, True)[: 1 + tell_topics]:
        found = measure_fits(fits, outcomes, divided, is_told=is_told)
        print(f"\ntopics {'told' if is_told else 'detected'}, mean and sd of folds")
        show(means(found, METRICS).loc[list(fits)])
        change = gaps(found.differences("now"), METRICS).loc[["before"]]
        now, before = (
            log_losses(quality_of(each, is_told), outcomes.quality[rows]) for each in fits.values()
        )
        change["log loss"] = with_interval(now - before, outcomes.groups[rows])
        print("now minus before, 95 % intervals, paired")
        show(change)


def quality_of(fits: Sequence[Fit], is_told: bool) -> np.ndarray:
    """Return the expected quality of all held-out prompts, fold after fold."""
    parts = [estimates_of(fit, is_told, "a build").quality for fit in fits]
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
