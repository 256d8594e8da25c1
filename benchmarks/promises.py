"""Measure every promise of docs/promises.md on worlds whose truth is known.

Run ``python benchmarks/promises.py [study ...] [--full] [--jobs 2] [--minutes 28]``; without a
name all of them, within 28 minutes: each draws as many repeats as its part of the time that is left
allows. Prints claim against measured; the exit code is 1 where a claim fails, that is, where the
95 % interval of what was measured excludes what is promised.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from claims.study import Study, measured
from joblib import Parallel, delayed

HERE = Path(__file__).parent
USUAL_MINUTES = 28.0
# One module of claims/ each; its STUDIES are named "module.study".
SUBJECTS = sorted(
    path.stem for path in (HERE / "claims").glob("*.py") if path.stem not in ("__init__", "study")
)


def studies_of(subject: str) -> dict[str, Study]:
    """Return the studies of one subject, by full name."""
    found = import_module(f"claims.{subject}").STUDIES
    return {f"{subject}.{name}": study for name, study in found.items()}


def run(name: str, study: Study, n_repeats: int, n_jobs: int, most_s: float = math.inf) -> bool:
    """Draw a study's repeats, print its rows, and tell whether no claim failed.

    `most_s`: seconds after which no further repeat is begun.
    """
    started = time.monotonic()
    draws: list[Mapping[str, float]] = []
    with Parallel(n_jobs=n_jobs) as parallel:
        while len(draws) < n_repeats and (not draws or time.monotonic() - started < most_s):
            n_next = float(n_jobs if math.isfinite(most_s) else n_repeats)
            if draws:  # as many as may end in half of the time that is left
                taken_s = time.monotonic() - started
                n_next = max(n_jobs, (most_s - taken_s) / 2 / taken_s * len(draws))
            until = min(len(draws) + n_next, n_repeats)
            seeds = range(len(draws), round(until))
            draws += parallel(delayed(study.draw)(seed) for seed in seeds)
    print(f"\n## {name} ({time.monotonic() - started:.0f} s)\n\n{study.world}\n")
    print("| claim | promised | repeats | measured, 95 % interval | |")
    print("| --- | --- | --- | --- | --- |")
    holds = True
    for key, claim in study.claims.items():
        found = measured(claim, [draw[key] for draw in draws])
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at least", claim.at_least), ("at most", claim.at_most))
            if abs(bound) != float("inf")
        ]
        seen = f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"
        print(f"| {claim.says} | {', '.join(bounds)} | {found.n} | {seen} | {found.verdict} |")
        holds &= found.verdict != "FAILS"
    sys.stdout.flush()
    return holds


def main() -> int:
    """Run the studies that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="study", help="subject, or subject.study")
    parser.add_argument("--full", action="store_true", help="more repeats")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, help="for all of them; 28 where all are run")
    wanted = parser.parse_args()
    every: dict[str, Study] = {}
    for subject in SUBJECTS:
        every |= studies_of(subject)
    chosen = {
        name: study
        for name, study in every.items()
        if not wanted.names or {name, name.split(".")[0]} & set(wanted.names)
    }
    if not chosen:
        parser.error(f"no study is named so; there are {', '.join(every)}")
    minutes = wanted.minutes or (math.inf if wanted.names or wanted.full else USUAL_MINUTES)
    ends = time.monotonic() + 60 * minutes
    results = []
    for left, (name, study) in zip(range(len(chosen), 0, -1), chosen.items(), strict=True):
        n_repeats = study.n_full if wanted.full else study.n_quick
        share_s = max(ends - time.monotonic(), 0.0) / left
        results.append(run(name, study, n_repeats, wanted.jobs, share_s))
    print(f"\n{sum(results)} of {len(results)} studies without a failed claim")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
