"""Measure every promise of docs/promises.md on worlds whose truth is known.

Run ``python benchmarks/promises.py [study ...] [--full] [--jobs 2]``; without a name all of
them. Prints claim against measured; the exit code is 1 where a claim fails, that is, where the
95 % interval of what was measured excludes what is promised.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from claims.study import Study, measured
from joblib import Parallel, delayed

HERE = Path(__file__).parent
# One module of claims/ each; its STUDIES are named "module.study".
SUBJECTS = sorted(
    path.stem for path in (HERE / "claims").glob("*.py") if path.stem not in ("__init__", "study")
)


def studies_of(subject: str) -> dict[str, Study]:
    """Return the studies of one subject, by full name."""
    found = import_module(f"claims.{subject}").STUDIES
    return {f"{subject}.{name}": study for name, study in found.items()}


def run(name: str, study: Study, n_repeats: int, n_jobs: int) -> bool:
    """Draw a study's repeats, print its rows, and tell whether no claim failed."""
    started = time.monotonic()
    draws = Parallel(n_jobs=n_jobs)(delayed(study.draw)(seed) for seed in range(n_repeats))
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
    results = [
        run(name, study, study.n_full if wanted.full else study.n_quick, wanted.jobs)
        for name, study in chosen.items()
    ]
    print(f"\n{sum(results)} of {len(results)} studies without a failed claim")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
