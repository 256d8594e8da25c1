"""Damage copies of a log in many ways, and count what reading commands make of them.

A damaged log must be refused in one line that names the file and the command to run; a command
that ends with 0 must print what it prints of the whole log. Run it with
``python benchmarks/damage.py --copies 200``; seeded, on temporary copies only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from routerlib.cli import main
from routerlib.log import damage as damage_of_logs

SAMPLE = Path(__file__).parent.parent / "data/sample_logs.db"
COUNT = "select candidate, status, count(*) as n from calls group by all order by all"
GOOD = ("refused", "same as of the whole log")
Damage = Callable[[bytearray, np.random.Generator], None]


def flip_bytes(content: bytearray, rng: np.random.Generator) -> None:
    """Alter up to 200 bytes anywhere."""
    for at in rng.integers(len(content), size=rng.integers(1, 200)):
        content[at] ^= int(rng.integers(1, 256))


def flip_head(content: bytearray, rng: np.random.Generator) -> None:
    """Alter up to five bytes of the file's head."""
    for at in rng.integers(100, size=rng.integers(1, 6)):
        content[at] ^= int(rng.integers(1, 256))


def zero_page(content: bytearray, rng: np.random.Generator) -> None:
    """Write zeros over one page."""
    page = _page_bytes(content)
    start = page * int(rng.integers(len(content) // page))
    content[start : start + page] = bytes(page)


def noise_page(content: bytearray, rng: np.random.Generator) -> None:
    """Write noise over one page."""
    page = _page_bytes(content)
    start = page * int(rng.integers(len(content) // page))
    content[start : start + page] = rng.bytes(page)


def swap_pages(content: bytearray, rng: np.random.Generator) -> None:
    """Swap two pages."""
    page = _page_bytes(content)
    one, other = (page * int(each) for each in rng.integers(1, len(content) // page, size=2))
    kept = bytes(content[one : one + page])
    content[one : one + page] = content[other : other + page]
    content[other : other + page] = kept


def cut_off(content: bytearray, rng: np.random.Generator) -> None:
    """Keep only the beginning."""
    del content[int(rng.integers(1, len(content))) :]


DAMAGES: tuple[Damage, ...] = (flip_bytes, flip_head, zero_page, noise_page, swap_pages, cut_off)


def _page_bytes(content: bytearray) -> int:
    return int.from_bytes(content[16:18], "big") or 4096


def commands(log: Path, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Name the commands that are tried, with their words."""
    yield "inspect", ["inspect", str(log)]
    yield "log sql", ["log", "sql", COUNT, "--csv", "--log", str(log)]
    yield "log export", ["log", "export", "--parquet", str(folder / "export"), "--log", str(log)]
    yield "judge", ["judge", "--judge", "match", "--log", str(log)]
    yield "log check", ["log", "check", "--log", str(log)]


def run(arguments: list[str]) -> tuple[int | None, str, str]:
    """Return exit code, None after a traceback, with standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: int | None = main(arguments)
        except Exception:
            traceback.print_exc()
            code = None
    return code, out.getvalue(), err.getvalue()


def outcome(code: int | None, said: str, complaint: str, expected: str, log: Path) -> str:
    """Call by its name what a command made of a damaged log."""
    if code is None:
        return "traceback"
    if code == 0:
        return "same as of the whole log" if said == expected else "WRONG with exit 0"
    told = complaint + said
    advised = "routerlib log check" in told or "from a copy" in told
    return "refused" if str(log) in told and advised else "refused without file or advice"


def damaged_copies(whole: bytes, n_copies: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Make copies, each damaged in one way, the ways in turn."""
    rng = np.random.default_rng(seed)
    for number in range(n_copies):
        damage = DAMAGES[number % len(DAMAGES)]
        content = bytearray(whole)
        damage(content, rng)
        if content != whole:
            yield f"{number} {damage.__name__}", bytes(content)


def lay(content: bytes, log: Path, folder: Path) -> None:
    """Put a log in place, nothing of earlier ones beside it."""
    for beside in folder.glob("logs.db*"):
        beside.unlink()
    shutil.rmtree(folder / "export", ignore_errors=True)
    log.write_bytes(content)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Counter[str]]:
    """Count, for each command, what it made of each damaged copy."""
    log = folder / "logs.db"
    whole = options.log.read_bytes()
    expected = {}
    for command, words in commands(log, folder):
        lay(whole, log, folder)
        expected[command] = run(words)[1]
    table: dict[str, Counter[str]] = {command: Counter() for command in expected}
    for name, content in damaged_copies(whole, options.copies, options.seed):
        for command, words in commands(log, folder):
            lay(content, log, folder)
            code, said, complaint = run(words)
            found = outcome(code, said, complaint, expected[command], log)
            table[command][found] += 1
            if options.show and found not in GOOD:
                print(f"{name} {command}: {found}: {(complaint or said).strip()[-300:]}")
    return table


def tell() -> int:
    """Print the table; 1 where some command didn't do as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=200, help="damaged copies, at least 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=SAMPLE, help="whose copies; nothing writes it")
    parser.add_argument(
        "--as-large", action="store_true", help="as if the log were too large to check at open"
    )
    parser.add_argument("--show", action="store_true", help="print what was not done well")
    options = parser.parse_args()
    if options.as_large:
        damage_of_logs.CHECKED_AT_OPEN_BYTES = 0
    with tempfile.TemporaryDirectory() as folder:
        table = measure(options, Path(folder))
    for command, counts in table.items():
        told = ", ".join(f"{found} {n}" for found, n in sorted(counts.items()))
        print(f"{command:12} {told}")
    n_bad = sum(counts.total() - sum(counts[good] for good in GOOD) for counts in table.values())
    n_all = sum(counts.total() for counts in table.values())
    print(f"{n_all} commands, {n_bad} of them not as they should")
    return int(n_bad > 0)


if __name__ == "__main__":
    sys.exit(tell())
