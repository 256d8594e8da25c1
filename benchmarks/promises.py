"""Measure every promise of docs/promises.md on worlds whose truth is known.

Run ``python benchmarks/promises.py [study ...] [--full] [--jobs 2] [--minutes 25] [--draws FILE]``;
without a name all of them, within 25 minutes: each is drawn once, and then as often as its equal
part of the time allows. With ``--draws`` every repeat is kept in a file as it ends; a run that was
stopped goes on, and each further one adds to it, as long as no line of the code has changed. Prints
claim against measured; the exit code is 1 where a claim fails, that is, where the 95 % interval of
what was measured excludes what is promised, and where a study was never drawn.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

from claims.study import Study, measured
from joblib import Parallel, delayed

HERE = Path(__file__).parent
USUAL_MINUTES = 25.0
# One module of claims/ each; its STUDIES are named "module.study".
SUBJECTS = sorted(
    path.stem for path in (HERE / "claims").glob("*.py") if path.stem not in ("__init__", "study")
)


def studies_of(subject: str) -> dict[str, Study]:
    """Return the studies of one subject, by full name."""
    found = import_module(f"claims.{subject}").STUDIES
    return {f"{subject}.{name}": study for name, study in found.items()}


class Draw(NamedTuple):
    """One repeat of a study: what was seen, and how many seconds it took."""

    study: str
    seed: int
    seconds: float
    seen: Mapping[str, float]


class Draws:
    """Repeats by study and seed, kept in a file where one is named."""

    def __init__(self, path: Path | None) -> None:
        self.by_study: dict[str, dict[int, Draw]] = {}
        self._path, self._code = path, _code() if path else ""
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                kept = json.loads(line)
                if kept.pop("code") == self._code:
                    self._take(Draw(**kept))

    def add(self, draw: Draw) -> None:
        """Keep a repeat, on the disk first."""
        if self._path is not None:
            with self._path.open("a") as lines:
                lines.write(json.dumps({"code": self._code, **draw._asdict()}) + "\n")
        self._take(draw)

    def of(self, study: str) -> dict[int, Draw]:
        """Return the repeats of a study, by seed."""
        return self.by_study.get(study, {})

    def _take(self, draw: Draw) -> None:
        self.by_study.setdefault(draw.study, {})[draw.seed] = draw


def _code() -> str:
    """Hash all that a repeat may depend on: the library, and the worlds."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in (HERE.parent / "routerlib", HERE / "claims"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _drawn(study: str, draw: Callable[[int], Mapping[str, float]], seed: int) -> Draw:
    started = time.monotonic()
    seen = {name: float(value) for name, value in draw(seed).items()}
    return Draw(study, seed, time.monotonic() - started, seen)


def _next(
    studies: Mapping[str, Study], draws: Draws, full: bool, ends: float
) -> Iterator[tuple[Callable[..., Any], Any, Any]]:
    """Hand out repeats until the time is over: next is the study that has taken least of it."""
    begun = {name: set(draws.of(name)) for name in studies}
    while time.monotonic() < ends:
        taken = {}
        for name, study in studies.items():
            if len(begun[name]) < (study.n_full if full else study.n_quick):
                kept = draws.of(name).values()
                each = sum(draw.seconds for draw in kept) / max(len(kept), 1)
                taken[name] = (len(begun[name]) > 0, each * len(begun[name]), len(begun[name]))
        if not taken:
            return
        name = min(taken, key=lambda each: taken[each])
        seed = next(seed for seed in range(len(begun[name]) + 1) if seed not in begun[name])
        begun[name].add(seed)
        yield delayed(_drawn)(name, studies[name].draw, seed)


def measure(
    studies: Mapping[str, Study], draws: Draws, *, full: bool, n_jobs: int, minutes: float
) -> None:
    """Draw repeats of all studies, and say every minute how many there are."""
    began = told = time.monotonic()
    parallel = Parallel(
        n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=str(n_jobs)
    )
    for draw in parallel(_next(studies, draws, full, began + 60 * minutes)):
        draws.add(draw)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            n_repeats = sum(len(draws.of(name)) for name in studies)
            n_drawn = sum(bool(draws.of(name)) for name in studies)
            after = f"{(told - began) / 60:.0f} min"
            print(
                f"{after}: {n_repeats} repeats, {n_drawn} of {len(studies)} studies drawn",
                file=sys.stderr,
            )


def told(name: str, study: Study, draws: Mapping[int, Draw]) -> bool:
    """Print the rows of a study, and tell whether it was drawn and no claim failed."""
    seconds = sum(draw.seconds for draw in draws.values())
    print(f"\n## {name} ({seconds:.0f} s)\n\n{study.world}\n")
    if not draws:
        print("Not drawn: the time was over.")
        return False
    print("| claim | promised | repeats | measured, 95 % interval | |")
    print("| --- | --- | --- | --- | --- |")
    holds = True
    for key, claim in study.claims.items():
        found = measured(claim, [draw.seen[key] for draw in draws.values()])
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at least", claim.at_least), ("at most", claim.at_most))
            if abs(bound) != float("inf")
        ]
        seen = f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"
        print(f"| {claim.says} | {', '.join(bounds)} | {found.n} | {seen} | {found.verdict} |")
        holds &= found.verdict != "FAILS"
    return holds


def main() -> int:
    """Run the studies that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="study", help="subject, or subject.study")
    parser.add_argument("--full", action="store_true", help="more repeats")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, help="for all of them; 25 where all are run")
    parser.add_argument("--draws", type=Path, help="keep repeats here, and go on with those kept")
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
    draws = Draws(wanted.draws)
    measure(chosen, draws, full=wanted.full, n_jobs=wanted.jobs, minutes=minutes)
    results = [told(name, study, draws.of(name)) for name, study in chosen.items()]
    print(f"\n{sum(results)} of {len(results)} studies without a failed claim")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
