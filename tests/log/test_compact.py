"""What is sealed reads as the log does, whatever was sealed when, by whom, and however it ended."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import routerlib as rl
from routerlib.cli import main
from routerlib.log import dataset as dataset_of_log
from routerlib.log import packing, sealing
from routerlib.log.audits import Draw, draws_of, record_draw
from routerlib.log.compact import compact, day_before
from routerlib.log.queries import TABLES
from routerlib.log.rows import call_row, insertion, prompt_row, score_row
from routerlib.log.schema import LogError
from routerlib.log.sealed import STRIDE, Manifest
from routerlib.log.sealed_writing import bucket_of
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.prompt import Prompt

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
ALL = "9999-12-31"


def prompt_of(number: int, **known: str) -> Prompt:
    return Prompt.from_text(f"What is {number} and {number}?", source="made", **known)


def fill(path: Path, days: Sequence[str] = DAYS, start: int = 0) -> Path:
    """Write three prompts a day, asked of two candidates each, the answers judged."""
    with rl.CallLog(path) as log:
        if not log.prices():
            log.start_run("collect", {})
            names = ("small", "large")
            log.add_prices(
                CandidateModel(n, n, "custom", "http://x", None, Price(1 + i, 2))
                for i, n in enumerate(names)
            )
        with log.transaction() as connection:
            for number, day in enumerate(day for day in days for _ in range(3)):
                write(connection, start + number, f"{day}T12:00:00.000Z")
    return path


def write(connection: sqlite3.Connection, number: int, created_at: str, **more: str) -> None:
    def insert(table: str, row: dict) -> int:
        row = {**row, "created_at": created_at}
        return connection.execute(insertion(table, row), row).lastrowid or 0

    prompt = prompt_of(number)
    known = "select 1 from prompts where prompt_id = ?"
    if not connection.execute(known, [prompt.prompt_id]).fetchall():
        insert("prompts", prompt_row(prompt))
    for name in ("small", "large"):
        origin = f"{more['origin']}-{number}-{name}" if more else None
        usage = Usage(100 + number, 10)
        call = Call(prompt.prompt_id, name, "b2:x", "ok", f"{number}", usage, 0.5, origin=origin)
        call_id = insert("calls", call_row(call, 1))
        insert("scores", score_row(call_id, Score("person", number % 3 / 2)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fill(tmp_path / "logs.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sealed"


def read(log: rl.CallLog, table: str) -> pd.DataFrame:
    frame = log.sql(f"select * from {table}")
    return frame.sort_values(list(frame.columns[:1]), ignore_index=True)


def assert_same(one: rl.CallLog, other: rl.CallLog) -> None:
    for table in TABLES:
        pd.testing.assert_frame_equal(read(one, table), read(other, table))
    ours, theirs = rl.Outcomes.from_log(one), rl.Outcomes.from_log(other)
    assert ours.prompts == theirs.prompts
    np.testing.assert_array_equal(ours.quality, theirs.quality)
    np.testing.assert_allclose(ours.cost_usd, theirs.cost_usd)


@pytest.mark.parametrize("before", ["2026-01-02", "2026-01-03", ALL, "2025-01-01"])
def test_a_dataset_with_its_tail_reads_as_the_log(path: Path, folder: Path, before: str) -> None:
    compact([path], folder, before=before)
    if before == "2025-01-01":
        with pytest.raises(LogError, match=r"without sealed\.json: no sealed dataset"):
            rl.LogDataset(folder)
        return
    with rl.CallLog(path, read_only=True) as log:
        assert_same(log, rl.LogDataset(folder))
        assert log.birth() == rl.LogDataset(folder).birth()


def test_what_is_logged_later_is_read_at_once_and_sealed_by_the_next_run(
    path: Path, folder: Path
) -> None:
    first = compact([path], folder, before="2026-01-03")
    assert first.rows["calls"] == 2 * 2 * 3
    fill(path, ["2026-01-04"], start=20)
    with rl.CallLog(path) as log:
        log.add_prompts([prompt_of(0, task="math", topic="sums")])  # known since
        log.add_scores(1, [Score("person", 1.0)])  # of a call that is sealed
        dataset = rl.LogDataset(folder)
        assert_same(log, dataset)
        assert dataset.sql("select topic from prompts where topic = 'sums'").topic.tolist() == [
            "sums"
        ]
        second = compact([path], folder, before=ALL)
        assert second.rows["calls"] == 2 * 2 * 3
        assert_same(log, rl.LogDataset(folder, tail=[]))
    assert compact([path], folder, before=ALL).rows == {}


def test_prompts_of_a_dataset_are_read_some_at_a_time(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact([path], folder, before="2026-01-03")
    with rl.CallLog(path) as log:
        log.add_prompts([prompt_of(1, task="math"), prompt_of(7, topic="sums")])  # known since
        logged = log.prompts()
    sizes = []
    lookup = rl.LogDataset.lookup

    def counted(dataset: rl.LogDataset, query: str, *values: str) -> list[tuple]:
        rows = lookup(dataset, query, *values)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(rl.LogDataset, "lookup", counted)
    monkeypatch.setattr(dataset_of_log, "PROMPTS_AT_ONCE", 2)
    found = rl.LogDataset(folder).prompts()
    assert sizes == [3, 3, 3, 3]  # the moments, then the prompts of each
    assert sorted(found, key=lambda each: each.text) == logged
    in_order = [
        {each.text for each in some[at : at + 3]} for some in (found, logged) for at in (0, 3, 6)
    ]
    assert in_order[:3] == in_order[3:]


def test_rows_logged_under_an_earlier_clock_are_not_lost(path: Path, folder: Path) -> None:
    fill(path, ["2026-01-02"], start=30)  # after rows of 2026-01-03
    compact([path], folder, before="2026-01-03")
    with rl.CallLog(path, read_only=True) as log:
        assert_same(log, rl.LogDataset(folder))
        compact([path], folder, before=ALL)
        assert_same(log, rl.LogDataset(folder, tail=[]))


def imports(path: Path, numbers: range) -> Path:
    """Write a log that imported some rows of one file; hosts do so at times of their own."""
    fill(path, ["2026-01-01"], start=100 * numbers.start)
    with rl.CallLog(path) as log, log.transaction() as connection:
        for number in numbers:
            write(connection, number, f"2026-01-02T12:00:0{numbers.start}.000Z", origin="file")
    return path


@pytest.mark.parametrize("before", ["2026-01-02", ALL])
def test_what_several_hosts_imported_counts_once(tmp_path: Path, folder: Path, before: str) -> None:
    one = imports(tmp_path / "one.db", range(1, 7))
    two = imports(tmp_path / "two.db", range(4, 9))
    done = compact([one, two], folder, before=before)
    dataset = rl.LogDataset(folder)
    assert done.n_same == (6 if before == ALL else 0)
    n_calls = 2 * (3 + 6) + 2 * (3 + 5 - 3)
    assert len(read(dataset, "calls")) == n_calls
    assert read(dataset, "prompts").prompt_id.is_unique
    assert len(rl.Outcomes.from_log(dataset).prompts) == n_calls // 2
    summary = dataset.summary()
    assert summary.calls.sum() == summary.scored.sum() == n_calls
    assert dataset.check() == []
    # Whatever is sealed next, and however often, no number changes.
    compact([two, one], folder, before=ALL)
    compact([two], folder, before=ALL)
    pd.testing.assert_frame_equal(read(dataset, "calls"), read(rl.LogDataset(folder), "calls"))


def test_calls_keep_their_numbers_and_what_refers_to_them(tmp_path: Path, folder: Path) -> None:
    one, two = fill(tmp_path / "one.db"), fill(tmp_path / "two.db", start=50)
    with rl.CallLog(two) as log:
        record_draw(log, Draw(("small",), ("b2:x",), 1.0, (("b2:x", "small", 3),), 0))
    compact([one, two], folder, before="2026-01-02")
    dataset = rl.LogDataset(folder)
    calls = read(dataset, "calls")
    with rl.CallLog(two, read_only=True) as log:
        own = read(log, "calls")
    moved = calls[calls.call_id > STRIDE]
    assert (moved.call_id - STRIDE).tolist() == own.call_id.tolist()
    assert (moved.run_id - STRIDE).unique().tolist() == [1]
    assert draws_of(dataset)[0].answers == (("b2:x", "small", STRIDE + 3),)
    # The price that was logged last counts, whichever host logged it.
    with rl.CallLog(one) as log:
        log.add_prices([CandidateModel("small", "m", "custom", "http://x", None, Price(7, 7))])
    assert dataset.prices()["small"] == Price(7, 7)


def test_what_a_second_host_knows_of_a_prompt_is_added(tmp_path: Path, folder: Path) -> None:
    for name, known in (("one.db", {"task": "math"}), ("two.db", {"topic": "sums"})):
        with rl.CallLog(tmp_path / name) as log:
            log.add_prompts([prompt_of(1, **known), prompt_of(len(name) + len(known))])
            log.add_prompts([prompt_of(len(known) + 50)])
    compact([tmp_path / "one.db", tmp_path / "two.db"], folder, before=ALL)
    known = {prompt.text: prompt for prompt in rl.LogDataset(folder).prompts()}
    shared = known["What is 1 and 1?"]
    assert (shared.task, shared.topic) == ("math", "sums")


KILLED = """
import os, signal, sys
from routerlib.log import compact, sealing
sealing._CALLS_A_STEP = 1
left = int(sys.argv[3])
def hook(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove") and "sealed" in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
compact.compact([sys.argv[1]], sys.argv[2], before="9999-12-31")
"""


def test_a_kill_at_any_moment_leaves_a_dataset_that_reads_right(path: Path, folder: Path) -> None:
    endings = []  # of one run after another
    with rl.CallLog(path, read_only=True) as log:
        for n_opened in (3, 25, 50, 75, 100, 10_000):
            command = [sys.executable, "-c", KILLED, str(path), str(folder), str(n_opened)]
            endings.append(subprocess.run(command, check=False).returncode)
            if (folder / "sealed.json").exists():
                dataset = rl.LogDataset(folder)
                assert dataset.check() == []
                assert_same(log, dataset)
    assert endings.count(-signal.SIGKILL) >= 3
    assert endings[-1] == 0
    named = {each.path for each in Manifest.read(folder).files}
    assert named == {each.relative_to(folder).as_posix() for each in folder.rglob("*.parquet")}


def test_a_write_that_went_wrong_seals_nothing(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*arguments: object) -> Iterator[object]:
        yield from list(sealing_batches(*arguments))[1:]

    sealing_batches = sealing.parquet_batches
    monkeypatch.setattr(sealing, "parquet_batches", half)
    with pytest.raises(LogError, match=r"differs from the log: .* nothing of it was sealed"):
        compact([path], folder, before=ALL)
    monkeypatch.undo()
    assert compact([path], folder, before=ALL).rows["calls"] == 18


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from routerlib.log import sealed_writing
sealed_writing._GROUP_ROWS = 500  # each file is begun while there is room
texts = list(map(str, np.random.default_rng(0).random(4000)))
rows = {"created_at": ["2026-01-01", "2026-01-02"] * 2000, "prompt_id": texts}
table = pa.table(rows)
writer = sealed_writing.SealedWriter(Path(sys.argv[1]), "calls", table.schema, "0", 2)
try:
    for batch in table.to_batches(max_chunksize=1000):
        writer.add(batch)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
    writer.close()
except OSError as error:
    print(error)
finally:
    writer.abandon()
"""


def test_a_full_disk_is_told_once(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder)], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert done.stderr == ""  # no file is closed once more, which would print a traceback each


def test_a_candidate_asked_in_several_ways_counts_by_the_same_way(path: Path, folder: Path) -> None:
    with rl.CallLog(path) as log:
        for number in range(9):  # fewer prompts are scored of the first way
            usage = Usage(1000, 10)
            call = Call(prompt_of(number).prompt_id, "small", "b2:y", "ok", "new", usage, 0.5)
            log.add_call(call, scores=[Score("other", 0.25)] if number != 4 else [])
        failed = Call(prompt_of(0).prompt_id, "huge", "b2:x", "error", None)
        log.add_call(failed)
        compact([path], folder, before=DAYS[2])
        assert_same(log, rl.LogDataset(folder))
        compact([path], folder, before=ALL)
        dataset = rl.LogDataset(folder)
        assert_same(log, dataset)
        chosen = {"judge": "other", "models": ["small"], "failures": "wrong"}
        prices = {"small": Price(3, 3), "large": Price(4, 4)}
        for how in (chosen, {"prices": prices}):
            ours, theirs = log.outcomes(**how), dataset.outcomes(**how)  # type: ignore[arg-type]
            assert (ours.prompts, ours.models) == (theirs.prompts, theirs.models)
            np.testing.assert_array_equal(ours.quality, theirs.quality)
            np.testing.assert_allclose(ours.cost_usd, theirs.cost_usd)
    with pytest.raises(ValueError, match="no score of the judge 'nobody', it has"):
        dataset.outcomes(judge="nobody")


def test_a_damaged_file_is_named(path: Path, folder: Path) -> None:
    compact([path], folder, before=ALL)
    file = next(each for each in Manifest.read(folder).files if each.table == "calls")
    whole = (folder / file.path).read_bytes()
    (folder / file.path).write_bytes(whole[:-40] + bytes(40))
    dataset = rl.LogDataset(folder)
    assert dataset.check() == [
        f"the sealed file {file.path} was changed since it was sealed; restore it from a copy"
    ]
    with pytest.raises(LogError, match=f"sealed file .*{Path(file.path).name} can't be read"):
        dataset.sql("select count(response) from calls")
    (folder / file.path).unlink()
    assert "is not there" in dataset.check()[0]
    with pytest.raises(LogError, match=r"can't be read"):
        dataset.summary()


@pytest.mark.parametrize("calls_of_whole", [1, 2_000_000])
def test_rows_whose_calls_or_prompts_are_lost_are_told(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, calls_of_whole: int
) -> None:
    monkeypatch.setattr(packing, "CALLS_OF_WHOLE", calls_of_whole)
    compact([path], folder, before="2026-01-02")
    compact([path], folder, before=ALL)
    assert rl.LogDataset(folder).check() == []
    manifest = Manifest.read(folder)
    kept = [
        each
        for each in manifest.files
        if "day=2026-01-01" not in each.path or each.table == "scores"
    ]
    replace(manifest, files=kept).write(folder)
    assert rl.LogDataset(folder, tail=[]).check() == [
        "6 rows of scores refer to rows of calls that are not there"
    ]
    kept = [each for each in manifest.files if each.table != "prompts"]
    replace(manifest, files=kept).write(folder)
    assert rl.LogDataset(folder, tail=[]).check() == [
        "18 rows of calls refer to rows of prompts that are not there"
    ]


def test_a_copy_that_went_on_by_itself_is_refused(path: Path, folder: Path) -> None:
    copy = path.with_name("copy.db")
    with rl.CallLog(path) as log, sqlite3.connect(copy) as other:
        log._connection.backup(other)
    fill(path, ["2026-01-04"], start=20)
    fill(copy, ["2026-01-04"], start=40)
    compact([path], folder, before=ALL)
    with pytest.raises(LogError, match="an older copy, or was written to on its own"):
        compact([copy], folder, before=ALL)
    with pytest.raises(LogError, match="an older copy"):
        rl.LogDataset(folder, tail=copy)


def test_a_tail_that_is_gone_is_told_unless_nothing_is_missing(
    path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compact([path], folder, before="2026-01-03")
    path.rename(path.with_name("moved.db"))
    assert len(read(rl.LogDataset(folder), "calls")) == 12
    assert "what was logged after that is missing" in caplog.text
    assert len(read(rl.LogDataset(folder, tail=path.with_name("moved.db")), "calls")) == 18
    compact([path.with_name("moved.db")], folder, before=ALL)
    path.with_name("moved.db").unlink()
    caplog.clear()
    new = fill(path, ["2026-01-05"], start=60)  # begun when the old one was put away
    assert len(read(rl.LogDataset(folder, tail=new), "calls")) == 24
    assert not caplog.text


def test_a_dataset_is_only_read(path: Path, folder: Path) -> None:
    compact([path], folder, before=ALL)
    dataset = rl.LogDataset(folder)
    for write_to in (
        lambda: dataset.add_prompts([prompt_of(1)]),
        lambda: dataset.add_scores(1, [Score("person", 1.0)]),
        lambda: dataset.start_run("ask", {}),
        lambda: rl.CallLog(folder),
    ):
        with pytest.raises(LogError, match="is only read"):
            write_to()
    with pytest.raises(ValueError, match=r"(?i)permission|disabled|not allow|cannot"):
        dataset.sql(f"copy (select 1) to '{folder}/x.parquet'")


def test_other_folders_and_days_are_refused(path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("do not lose")
    with pytest.raises(ValueError, match=r"no sealed dataset, such as 'thesis\.txt'"):
        compact([path], folder, before=ALL)
    with pytest.raises(ValueError, match="a day such as 2026-01-31, got 'yesterday'"):
        compact([path], folder.with_name("new"), before="yesterday")
    with pytest.raises(ValueError, match="is a file"):
        compact([path], path, before=ALL)


def test_a_prompts_bucket_never_changes() -> None:
    keys = ("b2:965b968b41d23528335d7432bc518cd5", "b2:00", "")
    assert [bucket_of(key, 8) for key in keys] == [0, 3, 0]


def test_commands_and_notebooks_read_a_dataset(
    path: Path, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sealed = ["--parquet", str(folder), "--log", str(path), "--before", "2026-01-03"]
    assert main(["log", "compact", *sealed]) == 0
    told = capsys.readouterr().out
    assert "12 calls" in told
    assert f"next: routerlib inspect {folder}\n" in told
    empty = ["--parquet", str(tmp_path / "empty"), "--log", str(path), "--before", "2025-01-01"]
    assert main(["log", "compact", *empty]) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path / 'empty'}: sealed up to 2025-01-01: nothing new, since what was logged from "
        f"2025-01-01 (UTC) on stays out; --before {day_before(-1)} seals that too\n"
    )
    for command in (
        ["inspect", str(folder)],
        ["log", "check", "--log", str(folder)],
        ["log", "sql", "select count(*) as n from calls", "--log", str(folder), "--csv"],
        ["log", "export", "--log", str(folder), "--parquet", str(tmp_path / "export")],
    ):
        assert main(command) == 0, command
    told = capsys.readouterr().out
    assert "is whole: 9 prompts, 18 calls, 18 scores" in told
    assert "n\n18\n" in told
    assert pd.read_parquet(tmp_path / "export" / "calls").shape[0] == 18
    assert main(["judge", "--judge", "numeric", "--log", str(folder)]) == 1
    assert "name the log that it was sealed from" in capsys.readouterr().err


def test_a_notebook_and_training_read_a_dataset(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "logs.db"
    shutil.copy(Path(__file__).parents[2] / "data" / "sample_logs.db", path)
    compact([path], folder, before=day_before(0))
    workspace = rl.Workspace(tmp_path)
    log = workspace.open_log(folder)
    assert isinstance(log, rl.LogDataset)
    with rl.CallLog(path, read_only=True) as own:
        assert_same(own, log)
        assert own.price_sentence() == log.price_sentence()
        assert {p.prompt_id for p in own.prompts()} == {p.prompt_id for p in log.prompts()}
        assert own.finished_cells() == log.finished_cells()
