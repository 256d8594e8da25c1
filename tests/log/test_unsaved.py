"""Calls that were paid for survive a full disk, and come into the log once there is room."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from routerlib.log.call_log import CallLog
from routerlib.log.schema import LogError
from routerlib.log.unsaved import side_file
from routerlib.log.writer import LogWriter
from routerlib.records.call import Call, Usage
from routerlib.records.prompt import Prompt

PROMPT = Prompt.from_text("What is 2 + 2?")


def long_call(repeat: int) -> Call:
    """Return a call whose answer needs pages of its own."""
    usage = Usage(10, 5)
    return Call(PROMPT.prompt_id, "m", "b2:x", "ok", "4" * 50_000, usage, 0.5, repeat=repeat)


@pytest.fixture
def full(tmp_path: Path) -> CallLog:
    """Return a log that may not grow, as on a full disk."""
    log = CallLog(tmp_path / "logs.db")
    log.add_prompts([PROMPT])
    with log.transaction() as connection:
        (pages,) = connection.execute("pragma page_count").fetchone()
        connection.execute(f"pragma max_page_count = {pages + 2}")
    return log


def counted(path: Path) -> list[int]:
    with CallLog(path) as log:
        return log.sql("select repeat from calls order by repeat").repeat.tolist()


def test_a_full_disk_is_said_and_the_call_is_kept(full: CallLog) -> None:
    with pytest.raises(LogError, match=r"is full; the calls that were paid for are kept in .*logs"):
        full.add_call(long_call(0))
    full.close()
    assert counted(full.path) == [0]
    assert not side_file(full.path).exists()


def test_calls_of_one_commit_are_kept_together_and_come_in_once(full: CallLog) -> None:
    with LogWriter(full) as writer:
        written = [writer.submit(lambda log, n=n: log.add_call(long_call(n))) for n in range(3)]
        assert all(isinstance(each.exception(), LogError) for each in written)
    full.close()
    kept = side_file(full.path).read_text()
    assert counted(full.path) == [0, 1, 2]
    side_file(full.path).write_text(kept)
    assert counted(full.path) == [0, 1, 2]


def test_what_cannot_be_brought_in_stays_where_it_is(
    full: CallLog, caplog: pytest.LogCaptureFixture
) -> None:
    full.close()
    side_file(full.path).write_text("no JSON\n")
    assert counted(full.path) == []
    assert "it is kept" in caplog.text
    assert side_file(full.path).read_text() == "no JSON\n"


def test_new_logs_and_what_stands_beside_them_are_private(full: CallLog) -> None:
    with pytest.raises(LogError):
        full.add_call(long_call(0))
    for path in full.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
