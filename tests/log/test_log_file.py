"""A file that can't serve as a log is refused by name, and left as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from routerlib.log.call_log import CallLog
from routerlib.log.check import check_log
from routerlib.log.export import MANIFEST, export_log
from routerlib.log.file import migrate
from routerlib.log.schema import VERSION, LogError
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.prompt import Prompt

NOBODY = 65534
PROMPTS = [Prompt.from_text(f"What is {i} + {i}? " + "x" * 500, task="math") for i in range(60)]


@pytest.fixture
def full_log(tmp_path: Path) -> Path:
    """Return a closed log of several pages."""
    path = tmp_path / "logs.db"
    with CallLog(path) as log, log.transaction():
        log.add_prompts(PROMPTS)
        log.add_prices([CandidateModel("m", "m", "custom", "http://x", None, Price(1, 2))])
        for prompt in PROMPTS:
            call = Call(prompt.prompt_id, "m", "b2:x", "ok", "4", Usage(10, 5))
            log.add_call(call, scores=[Score("person", 1.0)])
    return path


# -- refused ---


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_log_that_was_cut_off_is_refused(full_log: Path, share: float, read_only: bool) -> None:
    payload = full_log.read_bytes()
    full_log.write_bytes(payload[: int(share * len(payload))])
    with pytest.raises(
        LogError, match=r"logs\.db (was cut off|is damaged): .*restore it from a copy"
    ):
        CallLog(full_log, read_only=read_only)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_copy_without_its_wal_is_refused_when_nothing_stands_in_it(
    tmp_path: Path, read_only: bool
) -> None:
    with CallLog(tmp_path / "logs.db") as log:
        log.add_prompts(PROMPTS)
        shutil.copy(log.path, tmp_path / "copy.db")
    with pytest.raises(LogError, match=r"copy\.db holds no tables; was it copied without"):
        CallLog(tmp_path / "copy.db", read_only=read_only)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is a folder; name a file such as"):
        CallLog(tmp_path)


@contextmanager
def as_somebody_without_rights() -> Iterator[None]:
    """Root may write anywhere: step down for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def locked_log(full_log: Path) -> Iterator[Path]:
    """Return a log that may be read and not written, in such a folder."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "logs.db"
    shutil.copy(full_log, path)
    path.chmod(0o444)
    folder.chmod(0o555)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_file_that_may_not_be_written_is_refused_for_writing(locked_log: Path) -> None:
    with (
        as_somebody_without_rights(),
        pytest.raises(LogError, match=r"logs\.db: its file and folder may only be read.*copy it"),
    ):
        CallLog(locked_log)


@pytest.mark.parametrize("read_only", [True, False])
def test_an_old_log_that_may_not_be_written_says_to_bring_a_copy_up_to_date(
    locked_log: Path, read_only: bool
) -> None:
    locked_log.chmod(0o644)
    with closing(sqlite3.connect(locked_log)) as log:
        log.execute("pragma journal_mode = delete")
        log.execute(f"pragma user_version = {VERSION - 1}")
    locked_log.chmod(0o444)
    told = "its file and folder may only be read, so that it can't be .*brought up to date there"
    with as_somebody_without_rights(), pytest.raises(LogError, match=rf"{told}; copy it"):
        CallLog(locked_log, read_only=read_only)


def test_a_log_in_a_folder_that_may_not_be_written_says_to_copy_it(
    locked_log: Path, tmp_path: Path
) -> None:
    with (
        as_somebody_without_rights(),
        pytest.raises(LogError, match=r"copy the log, and logs\.db-w"),
    ):
        CallLog(locked_log, read_only=True)
    copied = shutil.copy(locked_log, tmp_path / "copied.db")
    with closing(CallLog(copied, read_only=True)) as log:
        assert check_log(log.path) == []


def test_a_file_that_may_not_be_read_is_refused(locked_log: Path) -> None:
    locked_log.chmod(0)
    with (
        as_somebody_without_rights(),
        pytest.raises(LogError, match=r"logs\.db: .*check its rights"),
    ):
        CallLog(locked_log, read_only=True)


def test_a_disk_that_is_full_is_told_and_not_what_became_of_the_transaction(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "logs.db", isolation_level=None)) as connection:
        connection.execute("pragma max_page_count = 2")  # as where no room is left
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            migrate(connection, tmp_path / "logs.db")


# -- check ---


def test_a_whole_log_has_nothing_to_complain_of(full_log: Path) -> None:
    assert check_log(full_log) == []


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("drop trigger calls_no_delete", "nothing keeps rows of calls from delete"),
        (
            "drop trigger prompts_no_update; update prompts set text = 'other' where rowid = 1;"
            "create trigger prompts_no_update before update on prompts begin select 1; end",
            "was altered: its messages give",
        ),
        (
            "drop trigger prompts_no_update; update prompts set messages = '[1' where rowid = 1",
            "can't be read",
        ),
        (
            "insert into scores (call_id, judge, score) values (999, 'x', 1)",
            "row 61 of scores refers to a row of calls that is not there",
        ),
        (
            "drop trigger calls_no_update; update calls set status = 'error' where call_id = 1",
            "1 scores of calls that failed",
        ),
    ],
)
def test_what_was_tampered_with_is_told(full_log: Path, damage: str, complaint: str) -> None:
    with closing(sqlite3.connect(full_log)) as other:
        other.executescript(damage)
    assert any(complaint in each for each in check_log(full_log))


def test_damage_inside_the_file_is_told(full_log: Path) -> None:
    payload = bytearray(full_log.read_bytes())
    middle = len(payload) // 2 // 4096 * 4096
    payload[middle : middle + 200] = b"\xff" * 200
    full_log.write_bytes(payload)
    try:
        complaints = check_log(full_log)
    except LogError as error:
        complaints = [str(error)]
    assert any("damaged" in each for each in complaints)


# -- export ---


def test_an_export_holds_every_row_by_table_and_day(full_log: Path, tmp_path: Path) -> None:
    import duckdb

    n_rows = export_log(full_log, tmp_path / "export")
    assert n_rows["prompts"] == n_rows["calls"] == n_rows["scores"] == 60
    for table, expected in n_rows.items():
        files = f"{tmp_path}/export/{table}/**/*.parquet"
        found = duckdb.sql(f"select * from read_parquet('{files}')").df()
        assert len(found) == expected, table
        days = {each.parent.name for each in (tmp_path / "export" / table).rglob("*.parquet")}
        assert not expected or days == {f"day={day[:10]}" for day in found.created_at}


def test_a_second_export_replaces_the_first_and_leaves_nothing_else(
    full_log: Path, tmp_path: Path
) -> None:
    export_log(full_log, tmp_path / "export")
    with CallLog(full_log) as log:
        log.add_prompts([Prompt.from_text("one more")])
        assert log.export(tmp_path / "export")["prompts"] == 61
    assert sorted(each.name for each in tmp_path.iterdir()) == ["export", "logs.db"]


def test_an_export_never_replaces_other_files(full_log: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"thesis holds files that are no export"):
        export_log(full_log, tmp_path / "thesis")
    with pytest.raises(ValueError, match="is a file; name a folder"):
        export_log(full_log, full_log)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_an_export_that_fails_leaves_the_older_one(
    full_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_log(full_log, tmp_path / "export")
    before = (tmp_path / "export" / MANIFEST).read_text()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_batch", full_disk)
    with pytest.raises(OSError, match="No space left"):
        export_log(full_log, tmp_path / "export")
    assert (tmp_path / "export" / MANIFEST).read_text() == before
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


# -- queries ---


@pytest.mark.parametrize(
    "query",
    [
        "copy calls to '{folder}/stolen.csv'",
        "copy (select 1) to '{folder}/stolen.csv'; select * from calls",
        "select * from read_csv('{folder}/secret.csv')",
        "select * from '{folder}/secret.csv'",
        "select * from read_text('{folder}/secret.csv')",
        "attach '{folder}/stolen.csv'",
        "set enable_external_access = true",
        "export database '{folder}/stolen.csv'",
    ],
)
def test_a_query_reads_and_writes_no_file(full_log: Path, tmp_path: Path, query: str) -> None:
    (tmp_path / "secret.csv").write_text("a\nsecret\n")
    with (
        CallLog(full_log, read_only=True) as log,
        pytest.raises(ValueError, match=r"(?s)the query over .*logs\.db failed"),
    ):
        log.sql(query.format(folder=tmp_path))
    assert not (tmp_path / "stolen.csv").exists()


def test_a_query_sees_all_tables_as_of_one_moment(full_log: Path) -> None:
    import threading

    stop = threading.Event()

    def write() -> None:
        with CallLog(full_log) as log:
            while not stop.is_set():
                prompt = Prompt.from_text(f"prompt {len(log.prompts())}")
                with log.transaction():
                    log.add_prompts([prompt])
                    log.add_call(Call(prompt.prompt_id, "m", "b2:x", "ok", "4"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with CallLog(full_log, read_only=True) as log:
            query = "select (select count(*) from prompts) - (select count(*) from calls) as n"
            assert {int(log.sql(query).n[0]) for _ in range(20)} == {0}
    finally:
        stop.set()
        writer.join()


# -- prices ---


def test_costs_follow_new_prices_without_a_call(full_log: Path) -> None:
    with CallLog(full_log, read_only=True) as log:
        assert log.outcomes().cost_usd[0, 0] == pytest.approx(20e-6)
        again = log.outcomes(prices={"m": Price(100, 200)})
        assert again.cost_usd[0, 0] == pytest.approx(2000e-6)


def test_a_given_cost_counts_only_where_tokens_or_price_are_unknown(full_log: Path) -> None:
    with CallLog(full_log) as log:
        for name, usage in (("m", Usage(10, 5)), ("no price", Usage(10, 5)), ("no tokens", None)):
            given = 0.5
            call = Call(
                PROMPTS[0].prompt_id, name, "b2:y", "ok", "4", usage, repeat=1, given_cost_usd=given
            )
            log.add_call(call, scores=[Score("person", 1.0)])
        costs = log.sql("select 1")  # a query without tables is fine too
        assert len(costs) == 1
        outcomes = log.outcomes(models=["m", "no price", "no tokens"])
        np_costs = outcomes.cost_usd[0].tolist()
        assert np_costs == pytest.approx([20e-6, 0.5, 0.5])
        sentence = log.price_sentence()
    assert "m: tokens x price of " in sentence
    assert "(candidates.yaml)" in sentence
    assert "no price, no tokens: on 2 calls the cost that the imported file gives" in sentence


def test_the_price_sentence_tells_date_source_and_what_is_unknown(full_log: Path) -> None:
    with CallLog(full_log) as log:
        log.add_call(Call(PROMPTS[0].prompt_id, "free", "b2:y", "ok", "4", Usage(10, 5)))
        assert "free: no price is known, so the cost is not" in log.price_sentence()
        dated = Price(1, 2, source="genai-prices", as_of="2026-11-24")
        assert (
            log.price_sentence(prices={"m": dated}, models=["m"])
            == "Costs in US dollars. m: tokens x price of 2026-11-24 (genai-prices)."
        )


_HOLD = """
import sys
from routerlib.log.call_log import CallLog
from routerlib.records.prompt import Prompt

first = CallLog(sys.argv[1])
CallLog(sys.argv[1], read_only=True)  # a second connection, opened after the first
first.add_prompts([Prompt.from_text("before")])
print("ready", flush=True)
sys.stdin.readline()
first.add_prompts([Prompt.from_text("after")])
print("written", flush=True)
sys.stdin.readline()
"""


def test_what_one_process_commits_survives_another_that_leaves(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    CallLog(path).close()
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        CallLog(path).close()  # would clear the -wal away if it believed itself alone
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "written\n"
        with CallLog(path, read_only=True) as reader:
            assert [prompt.text for prompt in reader.prompts()] == ["before", "after"]
        holder.stdin.close()
