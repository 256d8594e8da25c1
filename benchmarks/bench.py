"""Run the benchmarks one after the other, saying before each what it answers and takes.

Run ``python benchmarks/bench.py [--full]``, or ``make bench [FULL=1]``. A script that fails is
named at the end, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Run(NamedTuple):
    """One command in its quick and in its full variant.

    Attributes
    ----------
    answers : str
        The question that its tables answer.
    quick : str or None
        Script with arguments; None = it has no quick variant.
    quick_minutes : float
        About how long that takes on a quiet core.
    full : str
        Script with arguments.
    full_minutes : float
        About how long that takes.
    """

    answers: str
    quick: str | None
    quick_minutes: float
    full: str
    full_minutes: float


RUNS = (
    Run(
        "How good are the routers on two public tables?",
        "quality.py pair nine --quick",
        2.5,
        "quality.py pair pair5 nine",
        20,
    ),
    Run(
        "What does each group of columns buy and cost, and a neural encoder?",
        "quality.py ablation-nine --quick",
        4,
        "quality.py ablation-pair ablation-nine",
        35,
    ),
    Run(
        "What would more labels bring?",
        "quality.py curve-pair --quick",
        1.5,
        "quality.py curve-pair curve-nine",
        13,
    ),
    Run(
        "Does the default router lose to any other, from 50 training prompts to a whole table?",
        "small_samples.py reasoning mmlu-pro --sizes 50,200 --draws 3 --jobs 2",
        2,
        "small_samples.py --jobs 2",
        40,
    ),
    Run(
        "Does it pay to look at an answer before paying for a dearer one?",
        "cascades.py all --folds 0 1",
        3,
        "cascades.py",
        20,
    ),
    Run(
        "Is the chosen operating point safe after few training prompts?",
        "evaluation.py copies safety --draws 3",
        3,
        "evaluation.py",
        30,
    ),
    Run("Does every promise hold where the truth is known?", None, 0, "promises.py", 25),
    Run("How long do a decision, a batch, training, loading take?", "speed.py", 1, "speed.py", 1),
    Run("What do SHAP values of 5,000 prompts take?", "shap_speed.py", 1, "shap_speed.py", 1),
    Run("Does the playground follow the keyboard?", "playground.py", 0.5, "playground.py", 0.5),
    Run("How little label money is enough?", "acquisition.py both 1", 0.5, "acquisition.py", 0.5),
    Run("Which exploration pays over a year?", "traffic.py 1", 0.5, "traffic.py 3", 0.5),
    Run("What does it save to count providers' caches?", "agents.py 30", 0.5, "agents.py 200", 1),
    Run("Does a collection use its server fully?", "collection.py", 1, "collection.py", 1),
    Run(
        "What does serving add to a request?",
        "serving.py --requests 300 --runs 1",
        1,
        "serving.py",
        8,
    ),
    Run(
        "Is anything lost when servers share a log and one is killed?",
        None,
        0,
        "endurance.py --seconds 300",
        6,
    ),
    Run(
        "Is every damaged log refused, and no count wrong?",
        "damage.py --copies 60",
        0.5,
        "damage.py --copies 200",
        1,
    ),
    Run(
        "What does reading a large log take?",
        "log_reading.py --calls 100000",
        1,
        "log_reading.py --answers-gib 4 --sealed",
        6,
    ),
    Run(
        "What does a long conversation cost the log, and a decision?",
        "conversations.py",
        0.2,
        "conversations.py",
        0.2,
    ),
    Run(
        "What does a prompt cost as the prompts become many?",
        "growth.py --sizes 2000,5600",
        1.5,
        "growth.py --sizes 5600,200000",
        15,
    ),
    Run("What does a cluster bring?", None, 0, "cluster.py", 11),
    Run("Do real clients, SDKs and coding agents, work unchanged?", None, 0, "real_clients.py", 3),
    Run("Does a server under attack answer everybody else?", None, 0, "attack.py", 4),
    Run(
        "Is every damaged router file refused, and is none harmful?",
        "altered_routers.py --files 300",
        1,
        "altered_routers.py --files 3000",
        6,
    ),
    Run("Does the whole loop run with real local models?", None, 0, "loop.py", 10),
)


def main() -> int:
    """Run everything; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all parts, all scripts")
    is_full = parser.parse_args().full
    runs = [(run.full, run.full_minutes, run.answers) for run in RUNS]
    if not is_full:
        quick = [(run.quick, run.quick_minutes, run.answers) for run in RUNS]
        runs = [(command, minutes, answers) for command, minutes, answers in quick if command]
    return run_all(runs)


def run_all(runs: Sequence[tuple[str, float, str]]) -> int:
    """Run commands in turn; return 1 if one of them failed, after all had their turn."""
    whole = sum(minutes for _, minutes, _ in runs)
    print(f"{len(runs)} benchmarks, about {whole:.0f} minutes on two quiet cores", flush=True)
    failed = []
    for number, (command, minutes, answers) in enumerate(runs, start=1):
        print(f"\n[{number}/{len(runs)}] {command}: {answers} About {minutes:g} min.", flush=True)
        script, *arguments = shlex.split(command)
        done = subprocess.run(
            [sys.executable, str(HERE / script), *arguments],
            env={"OMP_NUM_THREADS": "1", **os.environ},
            check=False,
        )
        if done.returncode:
            failed.append(f"{command} (exit code {done.returncode})")
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
