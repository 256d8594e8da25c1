"""Print what reading a large log takes: processor seconds and peak memory, beside another build.

Run ``python benchmarks/log_reading.py [--calls 1000000] [--before CHECKOUT] [--answers-gib 4]
[--sealed] [--commands]``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from large_log import make_log

HERE = Path(__file__).resolve().parents[1]
# What is measured, by name: Python that has the log as `path` and a free place as `folder`.
READINGS = {
    "a query of one row (`select count(*) from runs`)": "sql('select count(*) from runs')",
    "one call by its number": "sql('select * from calls where call_id = 7')",
    "`select count(*) from calls`": "sql('select count(*) from calls')",
    "`inspect`": "command('inspect', path)",
    "`Outcomes.from_log`": "rl.Outcomes.from_log(log)",
}
# What reads a log or a sealed dataset.
COMMANDS = {
    "`log sql` (calls by candidate)": (
        "command('log', 'sql', 'select candidate, count(*) from calls group by all', '--log', path)"
    ),
    "`log sql` (the longest answer)": (
        "command('log', 'sql', 'select max(length(response)) from calls', '--log', path)"
    ),
    "`log sql` (scores by candidate: a join)": (
        "command('log', 'sql', 'select candidate, avg(score) from calls join scores "
        "using (call_id) group by all', '--log', path)"
    ),
    "`inspect`": "command('inspect', path)",
    "`Outcomes.from_log`": "rl.Outcomes.from_log(log)",
    "`log check`": "command('log', 'check', '--log', path)",
    "`log export`": "command('log', 'export', '--log', path, '--parquet', folder)",
    "`CallLog.summary`": "log.summary()",
    "`LoggedChoices.from_log`": "rl.LoggedChoices.from_log(log)",
    "`repeats_from_log`": "rl.repeats_from_log(log)",
    "`CallLog.each_prompt`": "[None for prompt in log.each_prompt()]",
    "what `train` and `drift` tell of candidates": "told(log)",
    "the costs of a report, in words": "log.price_sentence()",
    "how the calls of 20,000 prompts ended": "ends(log, 20_000)",
}
# Commands that a sealed dataset refuses, as they write or may; `few` is a table of new prompts.
FURTHER = {
    "`collect --dry-run` (200 prompts)": (
        "command('collect', '--dry-run', '--prompts', few, '--log', path)"
    ),
    "`collect --only-evaluation --dry-run` (200 prompts)": (
        "command('collect', '--only-evaluation', '--dry-run', '--prompts', few, '--log', path)"
    ),
    "`acquire --dry-run` (200 prompts of the log)": (
        "command('acquire', '--dry-run', '--budget-usd', '1', '--prompts', written(log, 200), "
        "'--judge', 'match', '--candidates', models(log), '--log', path)"
    ),
    "`judge` by rule": "command('judge', '--log', path)",
    "`judge --judge llm --dry-run`": (
        "command('judge', '--judge', 'llm', '--judge-candidate', 'smollm2-135m', '--dry-run', "
        "'--log', path)"
    ),
    "`judge --judge pairwise --dry-run`": (
        "command('judge', '--judge', 'pairwise', '--judge-candidate', 'smollm2-135m', '--dry-run', "
        "'--log', path)"
    ),
    "`audit draw`": "command('audit', 'draw', '--prompts', '10', path + '.csv', '--log', path)",
    "`import table` (200 rows)": "command('import', 'table', few, '--log', path)",
}
SEALING = "command('log', 'compact', '--log', path, '--parquet', folder)"
# Commands that open a log and aren't measured here, each with the reason.
NOT_MEASURED = {
    "train": "learning takes longer than reading",
    "retrain": "learning takes longer than reading",
    "drift": "estimating takes longer than reading",
    "report": "testing takes longer than reading",
    "serve": "it looks rows up one by one, and runs on",
    "audit read": "it looks up the rows of its file",
    "log upgrade": "it reads nothing of a log that is up to date",
}
_MEASURE = """
import contextlib, io, itertools, json, pathlib, resource, sys, time
import duckdb, numpy, pandas, pyarrow, pyarrow.dataset
import routerlib as rl
from routerlib.cli import main
from routerlib.log import candidates_seen
path, folder, reading = sys.argv[1:]
is_dataset = pathlib.Path(path).is_dir()  # a build before there were any knows no such name
log = rl.LogDataset(path) if is_dataset else rl.CallLog(path, read_only=True)
sql = log.sql
few = str(pathlib.Path(path).with_name("few.csv"))
pathlib.Path(few).write_text(
    "prompt,reference,model-0\\n" + "".join(f"What is {n} + 2?,{n + 2},1\\n" for n in range(200))
)
def command(*arguments):
    if main([*arguments]):
        raise SystemExit(1)
def ends(log, n):
    from routerlib.log.cell_ends import cell_ends
    asked = [prompt.prompt_id for prompt in itertools.islice(log.each_prompt(), n)]
    return cell_ends(log.source, asked)
def written(log, n):
    texts = [prompt.text for prompt in itertools.islice(log.each_prompt(), n)]
    rows = pandas.DataFrame({"prompt": texts, "reference": "yes"})
    rows.to_csv(few, index=False)
    return few
def models(log):
    place = pathlib.Path(few).with_suffix(".yaml")
    told = {"model": "m", "provider": "custom", "base_url": "http://x"}
    told["parameters"] = {"max_tokens": 9}
    rows = [told | {"name": name, "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 4}}
            for name in log.prices()]
    place.write_text(json.dumps(rows))  # which is YAML too
    return str(place)
def told(log):
    return [candidates_seen.left_out(log, list(log.prices())), candidates_seen.told_of_ways(log),
            candidates_seen.told_of_steps(log), candidates_seen.told_of_unscored(log, 0),
            candidates_seen.told_of_silent(log), candidates_seen.changes_of_model(log)]
start = time.process_time()
with contextlib.redirect_stdout(io.StringIO()):
    eval(reading)
seconds = time.process_time() - start
print()
peaks = [resource.getrusage(whose).ru_maxrss for whose in
         (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(seconds, max(peaks) / 1e6)
"""


class Taken(NamedTuple):
    """What one reading took, in a process of its own; imports not counted as time.

    Attributes
    ----------
    cpu_s, peak_gb : float
        Processor seconds, and the largest resident memory with everything that is imported.
    """

    cpu_s: float
    peak_gb: float


def main() -> None:
    """Make the logs in a temporary folder and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000, help="of the first log")
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--answers-gib", type=float, default=0, help="of a second log")
    parser.add_argument("--sealed", action="store_true", help="seal the first log, read it so too")
    parser.add_argument("--commands", action="store_true", help="every command on the first log")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "logs.db"
        make_log(path, given.calls)
        report_readings(path, folder, given.calls, given.before)
        if given.commands:
            report_commands(path, folder)
        if given.sealed:
            report_sealed(path, folder)
        path.unlink()
        if given.answers_gib:
            long = folder / "long.db"
            make_log(long, int(given.answers_gib * 1.05 * 2**30 / 2_000_000), 2_000_000)
            report_commands(long, folder)


def report_readings(path: Path, folder: Path, n_calls: int, before: Path | None) -> None:
    """Print one row per reading, this build beside another where one is given."""
    print(f"{n_calls:,} calls, {path.stat().st_size / 1e9:.2f} GB, load {os.getloadavg()[0]:.0f}\n")
    earlier = path if before is None else as_known_by(before, path)
    print("| reading | CPU s | peak GB | before: CPU s | peak GB | CPU ratio | memory ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, reading in READINGS.items():
        now = measure(HERE, path, folder, reading)
        cells = [f"{now.cpu_s:.2f}", f"{now.peak_gb:.2f}", *["-"] * 4]
        if before is not None:
            then = measure(before, earlier, folder, reading)
            cells[2:] = [
                f"{then.cpu_s:.2f}",
                f"{then.peak_gb:.2f}",
                f"1/{then.cpu_s / now.cpu_s:.1f}",
                f"1/{then.peak_gb / now.peak_gb:.1f}",
            ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if earlier != path:
        earlier.unlink()


def as_known_by(checkout: Path, path: Path) -> Path:
    """Return the log as an older checkout opens it: rows are alike, further tables aren't read."""
    asked = "from routerlib.log.schema import VERSION; print(VERSION)"
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    told = subprocess.check_output([sys.executable, "-c", asked], env=environment, cwd=checkout)
    version = int(told)
    earlier = path.with_name("earlier.db")
    shutil.copy(path, earlier)
    with closing(sqlite3.connect(earlier)) as connection:
        if version < connection.execute("pragma user_version").fetchone()[0]:
            connection.execute(f"pragma user_version = {version}")
            connection.commit()
    return earlier


def report_sealed(path: Path, folder: Path) -> None:
    """Print what sealing takes, and what commands take on the dataset."""
    sealed = folder / "sealed"
    taken = measure(HERE, path, sealed, SEALING)
    n_bytes = sum(each.stat().st_size for each in sealed.rglob("*.parquet"))
    print(f"\nsealed, {n_bytes / 1e9:.2f} GB\n")
    print("| reading | CPU s | peak GB |\n| --- | --- | --- |")
    print(f"| `log compact` | {taken.cpu_s:.2f} | {taken.peak_gb:.2f} |", flush=True)
    for name, reading in COMMANDS.items():
        taken = measure(HERE, sealed, folder / "export", reading)
        print(f"| {name} | {taken.cpu_s:.2f} | {taken.peak_gb:.2f} |", flush=True)


def report_commands(path: Path, folder: Path) -> None:
    """Print what every command takes that reads a log."""
    print(f"\n{path.name}, {path.stat().st_size / 2**30:.2f} GiB\n")
    print("| reading | CPU s | peak GB |\n| --- | --- | --- |")
    for name, reading in (COMMANDS | FURTHER).items():
        taken = measure(HERE, path, folder / "export", reading)
        print(f"| {name} | {taken.cpu_s:.2f} | {taken.peak_gb:.2f} |", flush=True)


def measure(checkout: Path, path: Path, folder: Path, reading: str) -> Taken:
    """Read once, by the code of a checkout."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path), str(folder), reading],
        env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        cwd=folder if folder.is_dir() else folder.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Taken(*map(float, done.stdout.splitlines()[-1].split()))


if __name__ == "__main__":
    main()
