"""A damaged log is refused in one line that names it and says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from routerlib.cli import main
from routerlib.log import damage
from routerlib.log.call_log import CallLog

SAMPLE = Path(__file__).parents[2] / "data/sample_logs.db"
COUNT = "select candidate, status, count(*) as n from calls group by all order by all"


def altered_bytes(content: bytearray, rng: np.random.Generator) -> None:
    for at in rng.integers(len(content), size=100):
        content[at] ^= int(rng.integers(1, 256))


def zero_page(content: bytearray, rng: np.random.Generator) -> None:
    start = 4096 * int(rng.integers(1, len(content) // 4096))
    content[start : start + 4096] = bytes(4096)


def swapped_pages(content: bytearray, rng: np.random.Generator) -> None:
    one, other = 4096 * rng.choice(np.arange(1, len(content) // 4096), 2, replace=False)
    kept = bytes(content[one : one + 4096])
    content[one : one + 4096] = content[other : other + 4096]
    content[other : other + 4096] = kept


def cut_off(content: bytearray, rng: np.random.Generator) -> None:
    del content[int(rng.integers(4096, len(content))) :]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alter", [altered_bytes, zero_page, swapped_pages, cut_off])
@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "logs.db"],
        ["log", "sql", COUNT, "--log", "logs.db"],
        ["log", "check", "--log", "logs.db"],
        ["judge", "--judge", "match", "--log", "logs.db"],
    ],
    ids=lambda arguments: arguments[0] + arguments[1].removeprefix("logs.db"),
)
def test_a_damaged_log_is_refused_in_one_line(
    arguments: list[str],
    alter: Callable[[bytearray, np.random.Generator], None],
    seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    content = bytearray(SAMPLE.read_bytes())
    alter(content, np.random.default_rng(seed))
    Path("logs.db").write_bytes(content)
    assert main(arguments) == 1
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert "logs.db" in told
    assert "restore it from a copy" in told


def test_a_log_too_large_to_check_at_open_is_checked_when_something_surprises(
    tmp_path: Path,
) -> None:
    content = bytearray(SAMPLE.read_bytes())
    zero_page(content, np.random.default_rng(1))
    path = tmp_path / "logs.db"
    path.write_bytes(content)
    with (
        pytest.raises(damage.LogError, match="run `routerlib log check --log"),
        damage.surprises(path),
    ):
        raise KeyError("what a command met in it")


def test_a_mistake_of_the_user_stays_one(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="there is no table 'cals', did you mean calls"),
        CallLog(SAMPLE, read_only=True) as log,
    ):
        log.sql("select * from cals")


def test_tasks_of_a_log_are_told_in_one_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(SAMPLE)]) == 0
    told = re.findall(r"(?m)^ *([a-z]+) +(\d+)$", capsys.readouterr().out)
    assert len(told) == 9
    assert told == sorted(told, key=lambda row: (-int(row[1]), row[0]))
